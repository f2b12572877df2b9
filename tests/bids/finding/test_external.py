from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bids_spectsynth.bids.finding.external import find_external, replaced_steps
from bids_spectsynth.options.declarations.derivatives import NamedFolder


@dataclass(frozen=True)
class Source:
    path: Path
    role: str
    entities: Mapping[str, str] = field(default_factory=dict)


IMAGES = {
    "T1w": Source(Path("/data/sub-01/ses-a/anat/sub-01_ses-a_run-1_T1w.nii.gz"), "T1w"),
    "pet": Source(Path("/data/sub-01/ses-a/pet/sub-01_ses-a_trc-FDG_pet.nii.gz"), "pet", {"trc": "FDG"}),
    "T2w": Source(Path("/data/sub-01/ses-a/anat/sub-01_ses-a_T2w.nii.gz"), "T2w"),
    "interictal": Source(
        Path("/data/sub-01/ses-a/spect/sub-01_ses-a_spect.nii.gz"), "interictal", {"task": "interictal"}
    ),
    "ictal": Source(Path("/data/sub-01/ses-b/spect/sub-01_ses-b_task-ictal_spect.nii.gz"), "ictal", {"task": "ictal"}),
}


@pytest.fixture
def found(tmp_path: Path) -> "Finder":
    return Finder(tmp_path)


@dataclass
class Finder:
    root: Path
    notes: list[str] = field(default_factory=list)

    def __call__(self, *names: str, folders: tuple[str, ...] = ("d",)) -> dict[str, str]:
        for name in names:
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        named = [NamedFolder(folder.upper(), self.root / folder) for folder in folders]
        external, self.notes = find_external(IMAGES, "01", named)
        self.lines = list(replaced_steps(external))
        return {step: one.uri for step, one in external.items()}


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("anat/sub-01_desc-brain_mask.nii.gz", "T1w"),
        ("anat/sub-01_space-orig_desc-brain_mask.nii", "T1w"),
        ("anat/sub-01_run-1_space-T1w_desc-brain_mask.nii.gz", "T1w"),
        ("anat/sub-01_run-2_desc-brain_mask.nii.gz", None),
        ("anat/sub-01_space-MNI152NLin6Asym_desc-brain_mask.nii.gz", None),
        ("anat/sub-01_label-lesion_mask.nii.gz", None),
        ("pet/sub-01_desc-brain_mask.nii.gz", None),
        ("anat/sub-02_desc-brain_mask.nii.gz", None),
        ("anat/sub-01_from-T1w_to-MNI152NLin6Sym_mode-image_xfm.h5", "MNI152NLin6Sym"),
        ("anat/sub-01_from-MNI152NLin6Sym_to-T1w_mode-image_xfm.h5", None),
        ("pet/sub-01_from-pet_to-T1w_mode-image_xfm.txt", "pet"),
        ("pet/sub-01_trc-FDG_from-pet_to-T1w_mode-image_xfm.lta", "pet"),
        ("pet/sub-01_trc-AV45_from-pet_to-T1w_mode-image_xfm.lta", None),
        ("pet/sub-01_from-pet_to-T1w_mode-points_xfm.txt", None),
        ("spect/sub-01_task-interictal_from-spect_to-T1w_mode-image_xfm.mat", "interictal"),
        ("spect/sub-01_task-ictal_from-spect_to-T1w_mode-image_xfm.mat", "ictal"),
        ("spect/sub-01_from-ictal_to-T1w_mode-image_xfm.mat", "ictal"),
    ],
)
def test_find_external__name_says_which_step(name: str, step: str | None, found: Finder) -> None:
    expected = {} if step is None else {step: f"bids:D:sub-01/{name}"}
    assert found(f"d/sub-01/{name}") == expected
    assert not found.notes


def test_find_external__of_several_the_first_by_folder_session_and_name(found: Finder) -> None:
    stem = "sub-01/ses-a/anat/sub-01_ses-a{}_mask.nii.gz"
    plain = "sub-01/anat/sub-01_desc-brain_mask.nii.gz"
    names = [stem.format("_desc-brain"), stem.format("_run-1_desc-brain"), stem.format("_space-T1w_desc-brain"), plain]
    for number, first in enumerate((names[3], names[2], names[0], names[1])):
        used = found(f"e/{first}", folders=("e",))
        assert used == {"T1w": f"bids:E:{first}"}, number
    # A folder that is named first comes first, whatever its files are called.
    assert found(f"d/{plain}", folders=("d", "e"))["T1w"] == f"bids:D:{plain}"
    assert found(folders=("e", "d"))["T1w"] == f"bids:E:{names[1]}"
    used, passed = found.lines
    assert used == f"brain mask of the T1w: bids:E:{names[1]}, in place of our own"
    assert f"not bids:E:{names[0]}" in passed
    assert passed.endswith(f"bids:D:{plain}")


def test_find_external__extension_decides_between_equal_names(found: Finder) -> None:
    stem = "sub-01/pet/sub-01_from-pet_to-T1w_mode-image_xfm"
    for extension in (".h5", ".lta", ".mat", ".txt"):
        assert found(f"d/{stem}{extension}") == {"pet": f"bids:D:{stem}{extension}"}


def test_find_external__what_is_of_another_session_or_not_clear_is_said(found: Finder) -> None:
    assert found("d/sub-01/ses-b/anat/sub-01_ses-b_desc-brain_mask.nii.gz") == {}
    assert found.notes == [
        "bids:D:sub-01/ses-b/anat/sub-01_ses-b_desc-brain_mask.nii.gz: it is of ses-b, the image "
        "sub-01_ses-a_run-1_T1w.nii.gz of ses-a; not used"
    ]
    assert found("f/sub-01/spect/sub-01_from-spect_to-T1w_mode-image_xfm.txt", folders=("f",)) == {}
    assert "interictal SPECT or ictal SPECT; add task-" in found.notes[0]
    name = "sub-01/ses-b/spect/sub-01_ses-b_from-spect_to-T1w_mode-image_xfm.txt"
    assert found(f"g/{name}", folders=("g",)) == {"ictal": f"bids:G:{name}"}, "the interictal one is of ses-a"


@pytest.mark.parametrize(("folder", "name"), [("pet", "pet"), ("anat", "T2w"), ("spect", "interictal")])
def test_find_external__inverse_beside_a_registration_is_not_taken_for_it(
    folder: str, name: str, found: Finder
) -> None:
    forth, back = (f"{folder}/sub-01_from-{a}_to-{b}_mode-image_xfm.txt" for a, b in ((name, "T1w"), ("T1w", name)))
    assert found(f"d/sub-01/{forth}", f"d/sub-01/{back}") == {name: f"bids:D:sub-01/{forth}"}
    assert len(found.lines) == 1, "nor is it named as one that would have served"
    assert found(f"e/sub-01/{back}", folders=("e",)) == {}
    assert not found.notes


def test_find_external__nothing_in_a_folder_of_others(found: Finder) -> None:
    assert found("d/sub-02/anat/sub-02_desc-brain_mask.nii.gz", "d/sub-01.txt") == {}
