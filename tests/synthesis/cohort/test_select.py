"""Who is trained on, under which label, and with which split."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import spect_state
from bids_spectsynth.errors import ModelError, UsageError
from bids_spectsynth.options.settings import make_settings
from bids_spectsynth.synthesis.cohort import select as cohort
from bids_spectsynth.synthesis.cohort.select import Cohort, finished_models, make_cohort, trainable
from bids_spectsynth.synthesis.study import merge_models, planned_models
from bids_spectsynth.synthesis.training import planning
from bids_spectsynth.synthesis.training import train_models as train_cohort

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


def test_trainable__no_spect_whose_name_does_not_say_interictal(tmp_path, settings_for, hold):
    def case(label, reason):
        path = tmp_path / f"sub-{label}_spect.nii.gz"
        (tmp_path / f"sub-{label}_spect.json").write_text(json.dumps({"SourceReason": reason}))
        return PreparedCase(label, None, "T1w", dict.fromkeys(FULL, path), {}, None, None)

    cases = [case("01", "interictal by task-interictal"), case("02", f"{spect_state({})[1]}; in the same session")]
    assert [case.participant for case in trainable(cases, ("T1w",))] == ["01"]
    hold(cases[1])
    with pytest.raises(ModelError, match=r"1 with a SPECT whose name lacks task-interictal: rename it"):
        make_cohort(settings_for(), None)


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


def test_make_cohort__sessions_restrict_the_cohort_and_leave_what_is_outside_sessions(settings_for, hold):
    hold(*(prepared(f"{n}", session=session) for n in range(3) for session in ("a", "b")), prepared("3"))
    cohort = make_cohort(settings_for(session_label=["ses-a"]), None)
    cases = [case for part in ("train", "validation", "test") for case in cohort.part("T1w", ("T1w", "pet"), part)]
    assert {(case.participant, case.session) for case in cases} == {("0", "a"), ("1", "a"), ("2", "a"), ("3", None)}
    hold(prepared("0", session="a"))
    with pytest.raises(ModelError, match="nobody is prepared"):
        make_cohort(settings_for(session_label=["c"]), None)


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


def test_exact_counts_leave_the_rest_out(settings_for, hold):
    hold(*(prepared(f"{n}") for n in range(8)))
    found = make_cohort(settings_for(split_counts=[3, 1, 2]), None)
    assert sorted(found.split.values()) == ["test", "test", "train", "train", "train", "validation"]
    assert len(found.left_out) == 2
    assert not found.left_out & set(found.split)
    assert found.counts() == "3 train, 1 validation, 2 test; 2 excluded"
    with pytest.raises(ModelError, match=r"8 participant\(s\).*at least 9 needed for --split-counts 5 2 2"):
        make_cohort(settings_for(split_counts=[5, 2, 2]), None)


@pytest.fixture
def resected(tmp_path):
    """The dataset's participants.tsv: 1 and 5 were operated on, and so was 9, who takes no part."""
    rows = [f"sub-{n}\t{'yes' if n in (1, 5, 9) else 'no'}" for n in range(10)]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "participants.tsv").write_text("\n".join(["participant_id\tresection", *rows]) + "\n")
    return {"hold_out": ["resection=yes"]}


@pytest.mark.parametrize(
    "values",
    [{}, {"split_counts": [3, 1, 0]}, {"cross_validate": 3}, {"split": [5, 1, 0]}, {"random_seed": 5}],
    ids=str,
)
def test_who_is_held_out_is_never_trained_on(settings_for, hold, resected, values):
    hold(*(prepared(f"{n}") for n in range(8)))
    found = make_cohort(settings_for(**resected, **values), None)
    assert all(fold["1"] == fold["5"] == "test" for fold in found.folds)
    assert found.split["1"] == found.split["5"] == "test"
    assert "9" not in found.split
    for fold in range(1, len(found.folds) + 1):
        for part in ("train", "validation"):
            seen = {case.participant for case in found.part("T1w", ("pet",), part, fold)}
            assert seen
            assert not seen & {"1", "5"}


def test_in_a_cross_validation_everybody_is_held_out_by_one_fold(settings_for, hold, resected):
    hold(*(prepared(f"{n}") for n in range(8)))
    found = make_cohort(settings_for(cross_validate=3, **resected), None)
    assert found.split == {f"{n}": "test" if n in (1, 5) else "cross-validated" for n in range(8)}
    tested = [{c.participant for c in found.part("T1w", ("pet",), "test", fold)} - {"1", "5"} for fold in (1, 2, 3)]
    assert set.union(*tested) == {"0", "2", "3", "4", "6", "7"}
    assert sum(map(len, tested)) == 6
    assert found.counts() == (
        "3 folds that hold out 2, 2, 2; fold 1: 3 train, 1 validation, 4 test (2 of them in every fold)"
    )


def test_a_fold_that_a_model_cannot_validate_in(settings_for, hold):
    # Two have a PET: in the folds that hold one of them out, nobody is left to train on or to validate with.
    hold(*(prepared(f"{n}", FULL if n < 2 else ("T1w", "interictal")) for n in range(7)))
    with pytest.raises(ModelError, match=r"pix2pixPet, fold \d: no (train|validation) participant has pet; use fewer"):
        train_cohort.train_models(settings_for(inputs=[["pet"], ["T1w"]], cross_validate=3), None)


def test_a_study_goes_on_without_what_cannot_be_trained(settings_for, hold, tmp_path, monkeypatch, caplog):
    hold(*(prepared(f"{n}", ("T1w", "interictal")) for n in range(6)))
    study = tmp_path / "study.toml"
    study.write_text('inputs = [["pet"], ["T1w"]]')
    planned = []
    monkeypatch.setattr(train_cohort, "_train_model", lambda settings, model, *others: planned.append(model.label))
    monkeypatch.setattr("bids_spectsynth.synthesis.data.slices.PreparedCases.digest", lambda *_, **options: "")
    with caplog.at_level("WARNING"):
        train_cohort.train_models(settings_for(study=str(study)), None)
    assert planned == ["pix2pixT1w"]
    assert "left out of the study: model pix2pixPet: no train participant has pet" in caplog.text


def test_what_nobody_has_the_images_for_is_known_before_preparing(settings_for, tmp_path, caplog):
    cases = [prepared(f"{n}", ("T1w", "interictal")) for n in range(6)]
    check_trainable = planning.check_trainable
    check_trainable(settings_for(inputs=["T1w"]), cases)
    with pytest.raises(ModelError, match="no participant has an interictal SPECT and pet"):
        check_trainable(settings_for(inputs=["pet"]), cases)
    with pytest.raises(ModelError, match="pix2pixPet: no train participant has pet"):
        check_trainable(settings_for(inputs=[["pet"], ["T1w"]]), cases)
    study = tmp_path / "study.toml"
    study.write_text('inputs = [["pet"], ["T1w"]]')
    of_study = settings_for(study=str(study))
    with caplog.at_level("WARNING"):
        check_trainable(merge_models(of_study, planned_models(of_study)), cases)
    assert "will be left out of the study: model pix2pixPet: no train participant has pet" in caplog.text


def test_a_model_without_validation_participants_is_refused(settings_for, hold, monkeypatch, tmp_path):
    split = {"01": "train", "02": "validation", "03": "test"}
    cases = [prepared("01"), prepared("02", ("T1w", "interictal")), prepared("03")]
    monkeypatch.setattr(train_cohort, "make_cohort", lambda settings, names: Cohort({"T1w": cases}, (split,)))
    with pytest.raises(ModelError, match=r"pix2pixPet: no validation participant has pet; see --split-file"):
        train_cohort.train_models(settings_for(inputs=["pet"]), None)
    # A training that is refused does not write over the split of earlier models.
    assert not (tmp_path / "out" / "participants.tsv").exists()


def test_finished_models_of_the_spaces_asked_for(settings_for, monkeypatch):
    settings = settings_for()
    with pytest.raises(ModelError, match=re.escape("no finished model in space T1w; run --mode train first")):
        finished_models(settings)
    spaces = {"a": "T1w", "b": "MNI152NLin6Sym", "c": "T1w"}
    for name in (*spaces, "unfinished"):
        folder = settings.output_dir / "models" / name
        folder.mkdir(parents=True)
        if name in spaces:
            (folder / "model.json").write_text("{}")

    def members(folder):
        return (SimpleNamespace(card=SimpleNamespace(space=spaces[folder.name])),)

    monkeypatch.setattr(cohort, "load_members", members)
    assert [folder.name for folder in finished_models(settings)] == ["a", "c"]
    assert [folder.name for folder in finished_models(settings_for(output_spaces=["MNI152NLin6Sym"]))] == ["b"]


def test_cohort__counts_in_words():
    one = {"a": "train", "b": "train", "c": "validation", "d": "test"}
    other = {"a": "test", "b": "train", "c": "train", "d": "validation"}
    assert Cohort({}, (one,)).counts() == "2 train, 1 validation, 1 test"
    assert Cohort({}, (one,), frozenset("xy")).counts() == "2 train, 1 validation, 1 test; 2 excluded"
    two = Cohort({}, (one, other))
    assert two.counts() == "2 folds that hold out 1, 1; fold 1: 2 train, 1 validation, 1 test"
    assert two.split == {"a": "cross-validated", "b": "train", "c": "cross-validated", "d": "cross-validated"}


def test_cohort__folds_are_counted_from_one():
    cases = [prepared("a"), prepared("b"), prepared("b", session="2"), prepared("c", ("T1w", "interictal"))]
    folds = ({"a": "train", "b": "test", "c": "train"}, {"a": "test", "b": "train"})
    found = Cohort({"T1w": cases}, folds)
    parts = [found.part("T1w", ("pet",), "train", fold) for fold in (0, 1, 2)]
    assert [[case.participant for case in part] for part in parts] == [["a"], ["a"], ["b", "b"]]
    assert [case.participant for case in found.part("T1w", ("T1w",), "train")] == ["a", "c"]


def test_split_cohort__says_what_nobody_has(settings_for, hold, tmp_path):
    hold(prepared("01", ("T1w", "interictal")))
    with pytest.raises(ModelError) as error:
        make_cohort(settings_for(inputs=[["pet"], ["T1w", "T2w"]]), None)
    line = "no participant has an interictal SPECT and pet or T1w+T2w, so there is nothing to train on; use"
    assert str(error.value).startswith(f"{tmp_path / 'out'}: {line} --mode preprocess to prepare only, or --model to")
    # Whoever is in the dataset, but cannot take part, is in no part and not left out.
    hold(*(prepared(f"0{n}") for n in range(1, 5)), prepared("05", ("T1w",)))
    found = make_cohort(settings_for(), None)
    assert list(found.split) == ["01", "02", "03", "04"]
    assert found.left_out == frozenset()
