"""Who is trained on, under which label, and with which split."""

import re
from pathlib import Path

import pytest

from bids_spectsynth.bids.derivatives import PreparedCase
from bids_spectsynth.errors import ModelError, UsageError
from bids_spectsynth.settings import make_settings
from bids_spectsynth.synthesis import cohort
from bids_spectsynth.synthesis.cohort import Cohort, make_cohort, model_folders, model_labels, trainable

FULL = ("T1w", "pet", "interictal")


def prepared(label, roles=FULL, session=None, space="T1w"):
    return PreparedCase(label, session, space, {role: Path(role) for role in roles}, {}, None, None)


@pytest.fixture
def settings_for(tmp_path):
    def make(**values):
        plain = {"bids_dir": tmp_path / "data", "output_dir": tmp_path / "out", "analysis_level": "participant"}
        return make_settings({**plain, **values})

    return make


@pytest.fixture
def hold(monkeypatch):
    """Make the output folder hold these cases."""

    def make(*cases):
        def find(output_dir, space, participants=()):
            return [c for c in cases if c.space == space and (not participants or c.participant in participants)]

        monkeypatch.setattr(cohort, "find_prepared", find)

    return make


def test_trainable_has_the_target_and_every_input():
    cases = [prepared("01"), prepared("02", ("T1w", "interictal")), prepared("03", ("T1w", "pet"))]
    assert [case.participant for case in trainable(cases, ("T1w", "pet"))] == ["01"]
    assert [case.participant for case in trainable(cases, ("T1w",))] == ["01", "02"]


def test_labels_of_every_space_and_input_set(settings_for):
    settings = settings_for(inputs=[["T1w", "pet"], ["pet"]], output_spaces=["T1w", "MNI152NLin6Sym"], ssim_weight=1)
    assert list(model_labels(settings).values()) == [
        "pix2pixT1wPetSsim",
        "pix2pixPetSsim",
        "pix2pixT1wPetSsimMNI152NLin6Sym",
        "pix2pixPetSsimMNI152NLin6Sym",
    ]
    assert list(model_labels(settings_for(model_label="mine")).values()) == ["mine"]
    with pytest.raises(UsageError, match=r"--model-label: 2 models would share mine"):
        model_labels(settings_for(model_label="mine", inputs=[["T1w"], ["pet"]]))


def test_all_sessions_of_a_participant_are_on_one_side(settings_for, hold):
    hold(*(prepared(f"{n}", session=session) for n in range(6) for session in "ab"))
    found = make_cohort(settings_for(), None)
    parts = {part: found.part("T1w", ("T1w", "pet"), part) for part in ("train", "validation", "test")}
    labels = {part: {case.participant for case in cases} for part, cases in parts.items()}
    assert sum(map(len, parts.values())) == 12
    assert sum(map(len, labels.values())) == len(set.union(*labels.values())) == 6


def test_the_split_does_not_depend_on_the_order_of_the_models(settings_for, hold):
    hold(*(prepared(f"{n}", FULL if n % 3 else ("T1w", "interictal")) for n in range(9)))
    splits = [make_cohort(settings_for(inputs=sets), None).split for sets in ([["T1w"], ["pet"]], [["pet"], ["T1w"]])]
    assert splits[0] == splits[1]
    assert len(splits[0]) == 9
    assert set(make_cohort(settings_for(inputs=["pet"]), None).split) == {"1", "2", "4", "5", "7", "8"}


def test_names_and_labels_restrict_the_cohort(settings_for, hold):
    hold(*(prepared(f"{n}") for n in range(6)), prepared("6", ("T1w", "pet")))
    assert set(make_cohort(settings_for(), {"sub-0", "sub-1", "sub-2", "sub-6"}).split) == {"0", "1", "2"}
    assert set(make_cohort(settings_for(participant_label=["3", "4", "5"]), None).split) == {"3", "4", "5"}


def test_a_cohort_that_cannot_be_trained_on(settings_for, hold):
    hold()
    with pytest.raises(ModelError, match=r"nobody is prepared in T1w; run --mode preprocess first"):
        make_cohort(settings_for(), None)
    hold(prepared("01", ("T1w", "pet")))
    with pytest.raises(ModelError, match=r"interictal SPECT and T1w\+pet.*--mode preprocess.*--model"):
        make_cohort(settings_for(), None)
    hold(prepared("01"), prepared("02"), prepared("02", session="b"))
    with pytest.raises(ModelError, match=r"2 participant\(s\).*at least 3.*--mode preprocess.*--model"):
        make_cohort(settings_for(), None)


def test_a_split_file_may_leave_out_and_name_those_that_cannot_take_part(settings_for, hold, tmp_path):
    hold(*(prepared(f"0{n}") for n in range(1, 5)), prepared("05", ("T1w",)))
    path = tmp_path / "split.tsv"
    lines = ["participant_id\tsplit", "01\ttrain", "sub-02\tvalidation", "03\ttest", "04\tn/a", "05\ttest"]
    path.write_text("\n".join(lines) + "\n")
    found = make_cohort(settings_for(split_file=path), None)
    assert found.split == {"01": "train", "02": "validation", "03": "test"}
    # 05 is not left out by the file: without a SPECT it cannot take part.
    assert found.left_out == {"04"}
    path.write_text("\n".join([*lines, "06\ttest"]) + "\n")
    with pytest.raises(UsageError, match="unknown participant 06"):
        make_cohort(settings_for(split_file=path), None)


def test_a_model_without_validation_participants_is_refused(settings_for, hold, monkeypatch, tmp_path):
    split = {"01": "train", "02": "validation", "03": "test"}
    cases = [prepared("01"), prepared("02", ("T1w", "interictal")), prepared("03")]
    monkeypatch.setattr(cohort, "make_cohort", lambda settings, names: Cohort({"T1w": cases}, split))
    with pytest.raises(ModelError, match=r"pix2pixPet: no validation participant has pet; see --split-file"):
        cohort.train_models(settings_for(inputs=["pet"]), None)
    # A training that is refused does not write over the split of earlier models.
    assert not (tmp_path / "out" / "participants.tsv").exists()


def test_finished_models_of_the_spaces_asked_for(settings_for, monkeypatch):
    settings = settings_for()
    with pytest.raises(ModelError, match=re.escape("no finished model in space T1w; run --mode train first")):
        model_folders(settings)
    spaces = {"a": "T1w", "b": "MNI152NLin6Sym", "c": "T1w"}
    for name in (*spaces, "unfinished"):
        folder = settings.output_dir / "models" / name
        folder.mkdir(parents=True)
        if name in spaces:
            (folder / "model.json").write_text("{}")
    monkeypatch.setattr(cohort, "load_card", lambda folder: prepared("x", space=spaces[folder.name]))
    assert [folder.name for folder in model_folders(settings)] == ["a", "c"]
    assert [folder.name for folder in model_folders(settings_for(output_spaces=["MNI152NLin6Sym"]))] == ["b"]
