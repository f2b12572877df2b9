"""Which images a case uses, and why participants are left out."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from bids_spectsynth.bids.finding import external
from bids_spectsynth.bids.finding.candidates import Candidate
from bids_spectsynth.bids.finding.cases import Case, SourceImage, _participant_cases, find_cases
from bids_spectsynth.errors import DatasetError
from bids_spectsynth.options.settings import Settings

Dataset = Callable[..., Path]
MakeSettings = Callable[..., Settings]

SPECT_SIDE = {"TracerRadionuclide": "Tc99m"}
T1W, PET = "sub-01/anat/sub-01_T1w", "sub-01/pet/sub-01_trc-FDG_pet"
INTERICTAL = "sub-01/spect/sub-01_task-interictal_trc-HMPAO_spect"


def names(case: Case) -> dict[str, str]:
    return {role: image.path.name.removesuffix(".nii.gz") for role, image in case.images.items()}


def test_plain_participant(dataset: Dataset, settings_for: MakeSettings) -> None:
    ictal = "sub-01/spect/sub-01_acq-ictal_trc-HMPAO_rec-fbp_run-1_spect"
    root = dataset(T1W, PET, INTERICTAL, ictal, "sub-02/anat/sub-02_T2w")
    (case,), (outcome,) = find_cases(settings_for(root))
    assert case.name == "sub-01"
    assert list(names(case)) == ["T1w", "ictal", "interictal", "pet"]
    assert case.images["ictal"].entities == {"task": "ictal", "trc": "HMPAO", "rec": "fbp", "run": "1"}
    assert list(case.images["ictal"].entities) == ["task", "trc", "rec", "run"]
    assert "acq-ictal" in case.images["ictal"].reason
    assert case.images["pet"].entities == {"trc": "FDG"}
    assert case.images["pet"].metadata["FrameDuration"] == [600]
    assert case.images["T1w"].entities == {}
    assert case.warnings == ()
    assert (outcome.participant, outcome.status) == ("02", "skipped")
    assert "no T1w" in outcome.reason


def test_spect_stored_as_pet(dataset: Dataset, settings_for: MakeSettings) -> None:
    root = dataset(
        T1W,
        PET,
        "sub-01/pet/sub-01_trc-HMPAO_pet",
        "sub-01/pet/sub-01_task-ictal_trc-x_pet",
        sidecars={
            "sub-01/pet/sub-01_trc-HMPAO_pet": None,
            "sub-01/pet/sub-01_task-ictal_trc-x_pet": {"TracerRadionuclide": "Tc99m"},
        },
    )
    (case,), _ = find_cases(settings_for(root))
    assert names(case)["interictal"] == "sub-01_trc-HMPAO_pet"
    assert names(case)["ictal"] == "sub-01_task-ictal_trc-x_pet"
    assert names(case)["pet"] == "sub-01_trc-FDG_pet"
    assert case.images["interictal"].entities == {"task": "interictal", "trc": "HMPAO"}
    assert "stored as PET" in case.images["interictal"].reason
    assert any("no JSON sidecar" in warning for warning in case.warnings)


def test_one_case_a_session_with_interictal_spect(dataset: Dataset, settings_for: MakeSettings) -> None:
    root = dataset(
        "sub-01/ses-interictal1/spect/sub-01_ses-interictal1_spect",
        "sub-01/ses-interictal2/spect/sub-01_ses-interictal2_spect",
        "sub-01/ses-ictal/spect/sub-01_ses-ictal_spect",
        "sub-01/ses-interictal2/pet/sub-01_ses-interictal2_pet",
        "sub-01/ses-mri/anat/sub-01_ses-mri_T1w",
    )
    cases, outcomes = find_cases(settings_for(root))
    assert outcomes == []
    assert [case.name for case in cases] == ["sub-01_ses-interictal1", "sub-01_ses-interictal2"]
    assert "only other session, ses-mri" in cases[0].images["T1w"].reason
    assert sum("only other session" in warning for warning in cases[0].warnings) == 2  # T1w, PET
    assert sum("only other session" in warning for warning in cases[1].warnings) == 1  # T1w

    (case,), _ = find_cases(settings_for(root, session_label=["ses-interictal1", "mri"]))
    assert case.name == "sub-01_ses-interictal1"
    assert set(case.images) == {"T1w", "interictal"}


def test_t1w_of_several_other_sessions_is_named(dataset: Dataset, settings_for: MakeSettings) -> None:
    root = dataset(
        "sub-01/ses-nuc/spect/sub-01_ses-nuc_spect",
        "sub-01/ses-a/anat/sub-01_ses-a_T1w",
        "sub-01/ses-b/anat/sub-01_ses-b_T1w",
    )
    cases, (outcome,) = find_cases(settings_for(root))
    assert cases == []
    assert (outcome.session, outcome.status) == ("nuc", "failed")
    assert "sub-01_ses-a_T1w.nii.gz, sub-01_ses-b_T1w.nii.gz" in outcome.reason
    assert "--bids-filter-file" in outcome.reason
    assert "\n" not in outcome.reason


@pytest.mark.parametrize(
    "pair",
    [
        ("sub-01/anat/sub-01_run-1_T1w", "sub-01/anat/sub-01_run-2_T1w"),
        ("sub-01/pet/sub-01_trc-FDG_rec-a_pet", "sub-01/pet/sub-01_trc-FDG_rec-b_pet"),
        ("sub-01/spect/sub-01_task-interictal_rec-a_spect", "sub-01/spect/sub-01_rec-b_spect"),
    ],
)
def test_two_of_a_kind_fail_and_name_the_way_out(
    dataset: Dataset, settings_for: MakeSettings, pair: tuple[str, str]
) -> None:
    others = [name for name in (T1W, PET, INTERICTAL) if name.rpartition("_")[2] != pair[0].rpartition("_")[2]]
    cases, (outcome,) = find_cases(settings_for(dataset(*pair, *others)))
    assert cases == []
    assert outcome.status == "failed"
    for name in pair:
        assert f"{Path(name).name}.nii.gz" in outcome.reason
    assert "--bids-filter-file" in outcome.reason


def test_what_no_model_needs_is_left_out_with_a_warning(dataset: Dataset, settings_for: MakeSettings) -> None:
    pet = [f"sub-01/pet/sub-01_trc-FDG_rec-{n}_pet" for n in "ab"]
    (case,), outcomes = find_cases(settings_for(dataset(T1W, INTERICTAL, *pet), inputs=["T1w"]))
    assert outcomes == []
    assert set(case.images) == {"T1w", "interictal"}
    assert any("rec-a" in warning and "PET is left out" in warning for warning in case.warnings)


def test_missing_inputs_are_warned(dataset: Dataset, settings_for: MakeSettings) -> None:
    root = dataset(T1W, "sub-01/anat/sub-01_FLAIR", "sub-01/anat/sub-01_part-phase_T1w")
    (case,), _ = find_cases(settings_for(root, inputs=[["T1w", "pet"], ["FLAIR", "T2w"]]))
    assert set(case.images) == {"T1w", "FLAIR"}
    assert [warning for warning in case.warnings if "input" in warning] == [
        "no PET image, an input of a model asked for",
        "no T2w image, an input of a model asked for",
    ]
    assert any("not usable for training" in warning for warning in case.warnings)


@pytest.mark.parametrize("label", ["\u00e96", "14 b", "01_x", "01-b"])
def test_find_cases__labels_that_no_derivative_could_have(
    dataset: Dataset, settings_for: MakeSettings, label: str
) -> None:
    other = [name.replace("01", label) for name in (T1W, PET, INTERICTAL)]
    (case,), (outcome,) = find_cases(settings_for(dataset(T1W, PET, INTERICTAL, *other)))
    assert case.participant == "01"
    assert (outcome.participant, outcome.status) == (label, "failed")
    assert f"sub-{label}: labels have letters and digits only; rename it" in outcome.reason


def test_find_cases__an_entity_that_no_derivative_could_have(dataset: Dataset, settings_for: MakeSettings) -> None:
    root = dataset(T1W, "sub-01/pet/sub-01_trc-18F-FDG_pet", INTERICTAL)
    cases, (outcome,) = find_cases(settings_for(root))
    assert cases == []
    assert "sub-01_trc-18F-FDG_pet.nii.gz: trc-18F-FDG: labels have" in outcome.reason
    (case,), _ = find_cases(settings_for(root, inputs=["T1w"]))
    assert "pet" not in case.images


@pytest.mark.parametrize("value", [[10**400], [True], ["600"], 600, None])
def test_source_image__frame_durations_of_any_kind(value: Any) -> None:
    image = SourceImage(Path("x"), "pet", {}, {"FrameDuration": value}, "")
    assert image.frame_durations == {str([10**400]): [math.inf], "[True]": [1.0]}.get(str(value))


def test_chosen_participants_and_unknown_labels(dataset: Dataset, settings_for: MakeSettings) -> None:
    root = dataset(T1W, "sub-02/anat/sub-02_T1w")
    cases, _ = find_cases(settings_for(root, participant_label=["sub-02"]))
    assert [case.participant for case in cases] == ["02"]
    with pytest.raises(DatasetError, match="no participant 7; there are 01, 02"):
        find_cases(settings_for(root, participant_label=["7"]))


SESSIONS = st.lists(st.sampled_from([None, "a", "b", "c"]), unique=True, max_size=4)


def candidate(role: str, session: str | None) -> Candidate:
    label = f"_ses-{session}" if session else ""
    return Candidate(Path(f"/raw/sub-01{label}_{role}.nii.gz"), role, session, {}, {"A": 1}, "a reason")


@given(t1w=SESSIONS, pet=SESSIONS, interictal=SESSIONS)
@hypothesis_settings(suppress_health_check=[HealthCheck.too_slow])
def test_session_rules(t1w: list[Any], pet: list[Any], interictal: list[Any]) -> None:
    by_role = {"T1w": t1w, "pet": pet, "interictal": interictal}
    found = tuple(candidate(role, session) for role, sessions in by_role.items() for session in sessions)
    results = _participant_cases("01", found, ("T1w", "pet"), ())
    if not t1w:
        assert [getattr(result, "status", None) for result in results] == ["skipped"]
        return
    anchors = interictal or pet or t1w
    assert {result.session for result in results} == set(anchors)
    assert len(results) == len(anchors)
    for result in results:
        unclear = [r for r, s in by_role.items() if result.session not in s and None not in s and len(s) > 1]
        assert isinstance(result, Case) is not bool(unclear)
        if isinstance(result, Case):
            assert set(result.images) == {role for role, sessions in by_role.items() if sessions}
            for role, image in result.images.items():
                sessions = by_role[role]
                own = result.session if result.session in sessions else None if None in sessions else sessions[0]
                assert image.path == candidate(role, own).path
                other = own != result.session and own is not None
                assert other is any(image.path.name in warning for warning in result.warnings)


@pytest.mark.parametrize(("stated", "durations"), [([30, 60.5], [30.0, 60.5]), (30, None), (["a"], None), (None, None)])
def test_frame_durations(stated: Any, durations: list[float] | None) -> None:
    assert SourceImage(Path("a"), "pet", {}, {"FrameDuration": stated}, "").frame_durations == durations


def test_find_cases__reasons_and_warnings_word_for_word(
    dataset: Dataset, settings_for: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    images = ["sub-01/ses-a/anat/sub-01_ses-a_T1w", PET, "sub-02/ses-a/pet/sub-02_ses-a_pet"]
    root = dataset(*images, sidecars={PET: None})
    with caplog.at_level("DEBUG"):
        (case,), (outcome,) = find_cases(settings_for(root, session_label=["a"]))
    assert (case.participant, case.session, list(case.images)) == ("01", None, ["T1w", "pet"])
    assert sorted(case.warnings, reverse=True) == [
        "sub-01_trc-FDG_pet.nii.gz: no JSON sidecar; frames count alike and the tracer is unknown",
        "sub-01_ses-a_T1w.nii.gz: T1w taken from the only other session, ses-a",
        "no interictal SPECT: not usable for training or evaluation",
    ]
    assert (outcome.participant, outcome.session, outcome.stage, outcome.status) == ("02", None, "find", "skipped")
    assert outcome.reason == "no T1w image in session a or outside sessions"
    said = [(record.levelname, record.getMessage()) for record in caplog.records if record.name.endswith("cases")]
    reason = "the only candidate; from the only other session, ses-a"
    assert said == [
        ("INFO", "sub-01: T1w, PET"),
        ("DEBUG", f"sub-01: sub-01_ses-a_T1w.nii.gz is the T1w ({reason})"),
        ("DEBUG", "sub-01: sub-01_trc-FDG_pet.nii.gz is the PET (the only candidate; in the same session)"),
        *(("WARNING", f"sub-01: {line}") for line in case.warnings),
    ]


def test_find_cases__order_of_images_and_of_sessions(dataset: Dataset, settings_for: MakeSettings) -> None:
    nuclear = [f"sub-01/ses-{s}/spect/sub-01_ses-{s}_task-interictal_spect" for s in "ba"]
    root = dataset("sub-01/anat/sub-01_T2w", "sub-01/anat/sub-01_FLAIR", PET, *nuclear, T1W)
    cases, _ = find_cases(settings_for(root, inputs=[["T2w", "pet"], ["FLAIR"]]))
    assert [case.name for case in cases] == ["sub-01_ses-a", "sub-01_ses-b"]
    assert [list(case.images) for case in cases] == [["T1w", "FLAIR", "T2w", "interictal", "pet"]] * 2
    assert [case.session_of("pet") for case in cases] == ["a", "b"]


def test_find_cases__derivatives_of_nobody_and_a_closed_folder_are_said(
    dataset: Dataset, settings_for: MakeSettings, tmp_path: Path, monkeypatch: Any, caplog: Any
) -> None:
    root = dataset(T1W, "sub-02/anat/sub-02_T1w")
    (tmp_path / "d" / "sub-99").mkdir(parents=True)
    cases, outcomes = find_cases(settings_for(root, derivatives=[f"d={tmp_path / 'd'}"]))
    assert (len(cases), outcomes) == (2, [])
    assert [record.message for record in caplog.records if "derivatives" in record.message] == [
        "--derivatives: d holds no folder sub-* of anybody in this run"
    ]
    (tmp_path / "d" / "sub-02" / "anat").mkdir(parents=True)
    real = external.folder_problem
    monkeypatch.setattr(external, "folder_problem", lambda folder: "denied" if folder.name == "anat" else real(folder))
    (case,), (outcome,) = find_cases(settings_for(root, derivatives=[f"d={tmp_path / 'd'}"]))
    assert (case.participant, outcome.participant, outcome.status) == ("01", "02", "failed")
    assert outcome.reason.endswith("sub-02/anat: denied")
