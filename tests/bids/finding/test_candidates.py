"""Images that cannot be read, or whose sidecar cannot: who fails, who is warned."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bids_spectsynth.bids.finding.cases import find_cases
from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.settings import Settings

Dataset = Callable[..., Path]
MakeSettings = Callable[..., Settings]

SPECT_SIDE = {"TracerRadionuclide": "Tc99m"}
T1W, PET = "sub-01/anat/sub-01_T1w", "sub-01/pet/sub-01_trc-FDG_pet"
INTERICTAL = "sub-01/spect/sub-01_task-interictal_trc-HMPAO_spect"


#: Contents of sidecars that cannot be read, None for a link whose content was not fetched.
BROKEN = [
    b"{",
    b'{"FrameDuration": [1200,]}',
    '{"InstitutionName": "H\u00f4pital"}'.encode("latin-1"),
    b"[" * 100_000,
    None,
]


def break_sidecar(root: Path, image: str, content: bytes | None) -> None:
    path = root / f"{image}.json"
    path.unlink()
    if content is None:
        path.symlink_to("../../.git/annex/objects/aa/bb/MD5E-s10--x.json/MD5E-s10--x.json")
    else:
        path.write_bytes(content)


@pytest.mark.parametrize("content", BROKEN)
@pytest.mark.parametrize("image", [PET, INTERICTAL])
def test_find_cases__a_broken_sidecar_of_what_is_needed_fails_its_participant_only(
    dataset: Dataset, settings_for: MakeSettings, image: str, content: bytes | None
) -> None:
    root = dataset(T1W, PET, INTERICTAL, "sub-02/anat/sub-02_T1w")
    break_sidecar(root, image, content)
    (case,), (outcome,) = find_cases(settings_for(root))
    assert case.participant == "02"
    assert (outcome.participant, outcome.status) == ("01", "failed")
    assert f"{Path(image).name}.json: cannot read the sidecar" in outcome.reason
    assert ("datalad get" in outcome.reason) == (content is None)
    assert "\n" not in outcome.reason


@pytest.mark.parametrize("content", BROKEN)
def test_find_cases__a_broken_sidecar_of_what_is_not_needed_is_a_warning(
    dataset: Dataset, settings_for: MakeSettings, content: bytes | None
) -> None:
    flair, ictal = "sub-01/anat/sub-01_FLAIR", "sub-01/spect/sub-01_task-ictal_trc-HMPAO_spect"
    root = dataset(T1W, flair, PET, INTERICTAL, ictal)
    for image in (T1W, flair, ictal, PET):
        break_sidecar(root, image, content)
    (case,), outcomes = find_cases(settings_for(root, inputs=[["T1w", "FLAIR"]]))
    assert outcomes == []
    assert set(case.images) == {"T1w", "FLAIR", "interictal"}
    assert case.images["T1w"].metadata == case.images["FLAIR"].metadata == {}
    for image, end in ((T1W, "used without it"), (flair, "used without it"), (ictal, "left out"), (PET, "left out")):
        (warning,) = (line for line in case.warnings if f"{Path(image).name}.json: " in line)
        assert warning.endswith(end)
        assert ("datalad get" in warning) == (content is None)


def test_find_cases__a_broken_sidecar_of_an_image_that_is_not_chosen_says_nothing(
    dataset: Dataset, settings_for: MakeSettings
) -> None:
    other = "sub-01/ses-b/pet/sub-01_ses-b_pet"
    root = dataset(T1W, PET, INTERICTAL, other)
    break_sidecar(root, other, b"{")
    (case,), outcomes = find_cases(settings_for(root))
    assert (outcomes, case.warnings) == ([], ())


@pytest.mark.usefixtures("no_privileges")
def test_find_cases__a_folder_without_permission_fails_its_participant_only(
    dataset: Dataset, settings_for: MakeSettings
) -> None:
    names = [name.replace("01", label) for label in ("01", "02", "03", "04") for name in (T1W, PET, INTERICTAL)]
    root = dataset(*names, "sub-04/eeg/sub-04_eeg", "sub-04/anat/old/sub-04_T1w", "sub-04/notes/a")
    closed = ["sub-01", "sub-02/spect", "sub-04/eeg", "sub-04/anat/old", "sub-04/notes"]
    for folder in closed:
        (root / folder).chmod(0)
    cases, outcomes = find_cases(settings_for(root))
    for folder in closed:
        (root / folder).chmod(0o700)
    assert [case.participant for case in cases] == ["03", "04"]
    assert [(outcome.participant, outcome.status) for outcome in outcomes] == [("01", "failed"), ("02", "failed")]
    for outcome, folder in zip(outcomes, closed, strict=False):
        assert f"{root / folder}: permission denied" in outcome.reason


def test_find_cases__names_that_are_not_utf8(
    dataset: Dataset, settings_for: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    root = dataset(*(name.replace("01", label) for label in ("01", "02", "03") for name in (T1W, PET, INTERICTAL)))
    odd = os.fsdecode(b"\xe9")
    for label, image in (("02", T1W), ("03", PET)):
        path = root / f"{image.replace('01', label)}.nii.gz"
        path.rename(path.with_name(path.name.replace(f"sub-{label}", f"sub-{label}_acq-{odd}")))
    (root / "sub-01" / "anat" / f"sub-01_acq-{odd}_T1w.nii.gz").write_bytes(b"")
    (root / f"sub-{odd}").mkdir()
    (one, three), (two,) = find_cases(settings_for(root))
    # Nothing is lacking, and yet somebody meant this file to count.
    assert one.warnings == (r"anat/sub-01_acq-\udce9_T1w.nii.gz: the name is not UTF-8; left out; rename it",)
    assert (two.participant, two.status) == ("02", "skipped")
    assert r"anat/sub-02_acq-\udce9_T1w.nii.gz: the name is not UTF-8" in two.reason
    assert any(r"pet/sub-03_acq-\udce9_trc-FDG_pet.nii.gz: the name is not UTF-8" in line for line in three.warnings)
    assert r"sub-\udce9: the name of the folder is not UTF-8" in caplog.text


def test_find_cases__an_empty_folder_may_be_a_dataset_that_was_not_fetched(
    dataset: Dataset, settings_for: MakeSettings
) -> None:
    root = dataset(T1W)
    (root / "sub-02").mkdir()
    _, (outcome,) = find_cases(settings_for(root))
    assert outcome.reason.startswith("no T1w image; the folder is empty")
    assert f"datalad get {root / 'sub-02'}" in outcome.reason


def test_find_cases__an_image_that_two_filters_take_is_refused(
    dataset: Dataset, settings_for: MakeSettings, tmp_path: Path
) -> None:
    root = dataset(T1W, INTERICTAL)
    filters = tmp_path / "filters.json"
    filters.write_text('{"ictal": {"datatype": "spect"}, "interictal": {"datatype": "spect"}}')
    with pytest.raises(UsageError, match=f"{Path(INTERICTAL).name}.nii.*is taken as ictal and as interictal"):
        find_cases(settings_for(root, bids_filter_file=filters))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (T1W, "sub-01/anat/sub-09_T1w", "named sub-09, but lies in sub-01"),
        (PET, "sub-01/pet/sub-09_trc-FDG_pet", "named sub-09, but lies in sub-01"),
        ("sub-01/ses-a/anat/sub-01_ses-a_T1w", "sub-01/ses-a/anat/sub-01_ses-b_T1w", "named ses-b, but lies in ses-a"),
    ],
)
def test_find_cases__an_image_named_after_somebody_else_fails_its_participant_only(
    dataset: Dataset, settings_for: MakeSettings, old: str, new: str, words: str
) -> None:
    root = dataset(*({T1W, PET, INTERICTAL} - {old}), new, "sub-02/anat/sub-02_T1w")
    if "ses-a" in old:
        (root / f"{T1W}.nii.gz").unlink()
    (case,), (outcome,) = find_cases(settings_for(root))
    assert case.participant == "02"
    assert (outcome.participant, outcome.status) == ("01", "failed")
    assert words in outcome.reason
