import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bids_spectsynth.bids.finding import external as external_module
from bids_spectsynth.bids.finding.external import find_external, replaced_steps
from bids_spectsynth.errors import ImageError
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
    images: Mapping[str, Source] = field(default_factory=lambda: IMAGES)
    t1w_files: tuple[Path, ...] = ()

    def says_t1w(self, name: str) -> None:
        path = self.root / f"{name.partition('.')[0]}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"Sources": [f"bids:raw:sub-01/ses-a/anat/{IMAGES['T1w'].path.name}"]}))

    def __call__(self, *names: str, folders: tuple[str, ...] = ("d",)) -> dict[str, str]:
        for name in names:
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        named = [NamedFolder(folder.upper(), self.root / folder) for folder in folders]
        external, self.notes = find_external(
            self.images, "01", named, t1w_files=self.t1w_files, templates=["MNI152NLin6Sym"]
        )
        self.lines = list(replaced_steps(external))
        return {step: one.uri for step, one in external.items()}


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("anat/sub-01_desc-brain_mask.nii.gz", "T1w"),
        ("anat/sub-01_space-orig_desc-brain_mask.nii", "T1w"),
        ("anat/sub-01_run-1_space-T1w_desc-brain_mask.nii.gz", "T1w"),
        ("anat/sub-01_run-01_desc-brain_mask.nii.gz", "T1w"),
        ("anat/sub-01_space-MNI152NLin6Asym_desc-brain_mask.nii.gz", None),
        ("anat/sub-01_label-lesion_mask.nii.gz", "lesion"),
        ("anat/sub-01_ses-a_run-1_space-T1w_label-lesion_mask.nii", "lesion"),
        ("anat/sub-01_space-orig_desc-lesion_mask.nii.gz", "lesion"),
        ("anat/sub-01_label-lesion_roi.nii.gz", "lesion"),
        ("anat/sub-01_label-GM_mask.nii.gz", None),
        ("anat/sub-01_label-lesion_probseg.nii.gz", None),
        ("anat/sub-02_desc-brain_mask.nii.gz", None),
        ("anat/sub-01_from-T1w_to-MNI152NLin6Sym_mode-image_xfm.h5", "MNI152NLin6Sym"),
        ("anat/sub-01_from-MNI152NLin6Sym_to-T1w_mode-image_xfm.h5", None),
        ("pet/sub-01_from-pet_to-T1w_mode-image_xfm.txt", "pet"),
        ("pet/sub-01_trc-FDG_from-pet_to-T1w_mode-image_xfm.lta", "pet"),
        ("pet/sub-01_from-petref_to-T1w_mode-image_xfm.txt", "pet"),
        ("pet/sub-01_from-petref_to-anat_mode-image_xfm.tfm", "pet"),
        ("pet/sub-01_from-anat_to-petref_mode-image_xfm.txt", None),
        ("anat/sub-01_from-fsnative_to-T1w_mode-image_xfm.txt", None),
        ("anat/sub-01_from-T1w_to-nobodysTemplate_mode-image_xfm.mgz", None),
        ("pet/sub-01_from-pet_to-T1w_mode-points_xfm.txt", None),
        ("spect/sub-01_task-interictal_from-spect_to-T1w_mode-image_xfm.mat", "interictal"),
        ("spect/sub-01_task-ictal_from-spect_to-T1w_mode-image_xfm.mat", "ictal"),
        ("spect/sub-01_from-ictal_to-T1w_mode-image_xfm.mat", "ictal"),
    ],
)
def test_find_external__name_says_which_step(name: str, step: str | None, found: Finder) -> None:
    expected = {} if step is None else {step: f"bids:D:sub-01/{name}"}
    if step == "ictal":
        found.says_t1w(f"d/sub-01/{name}")
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
    for extension in (".h5", ".lta", ".mat", ".tfm", ".txt"):
        assert found(f"d/{stem}{extension}") == {"pet": f"bids:D:{stem}{extension}"}


def test_find_external__what_is_of_another_session_or_not_clear_is_said(found: Finder) -> None:
    assert found("d/sub-01/ses-b/anat/sub-01_ses-b_desc-brain_mask.nii.gz") == {}
    assert found.notes == [
        "bids:D:sub-01/ses-b/anat/sub-01_ses-b_desc-brain_mask.nii.gz: it is of ses-b, the image "
        "sub-01_ses-a_run-1_T1w.nii.gz of ses-a; not used"
    ]
    unclear = "f/sub-01/spect/sub-01_from-spect_to-T1w_mode-image_xfm.txt"
    found.says_t1w(unclear)
    assert found(unclear, folders=("f",)) == {}
    assert "interictal SPECT or ictal SPECT; add task-" in found.notes[0]
    name = "sub-01/ses-b/spect/sub-01_ses-b_from-spect_to-T1w_mode-image_xfm.txt"
    found.says_t1w(f"g/{name}")
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


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("anat/sub-01_run-2_desc-brain_mask.nii.gz", "run-2 is not of the image sub-01_ses-a_run-1_T1w.nii.gz"),
        ("anat/sub-01_desc-brain_mask.mgz", "of masks .nii and .nii.gz are read; convert it"),
        ("anat/sub-01_space-t1w_desc-brain_mask.nii.gz", "write T1w or orig for t1w, as BIDS does"),
        ("anat/sub-01_desc-Lesion_mask.nii.gz", "write desc-lesion for desc-Lesion"),
        ("anat/sub-01_label-LESION_roi.nii.gz", "write label-lesion for label-LESION"),
        ("anat/sub-01_label-GM_desc-brain_mask.nii.gz", "label-GM is not of the image sub-01_ses-a_run-1_T1w.nii.gz"),
        ("anat/sub-01_label-left_desc-lesion_mask.nii.gz",
         "label-left is not of the image sub-01_ses-a_run-1_T1w.nii.gz"),
        ("anat/sub-01_label-L_from-T1w_to-MNI152NLin6Sym_mode-image_xfm.h5",
         "label-L is not of the image sub-01_ses-a_run-1_T1w.nii.gz"),
        ("anat/sub-01_label-lesion_from-T1w_to-MNI152NLin6Sym_mode-image_xfm.h5",
         "label-lesion is not of the image sub-01_ses-a_run-1_T1w.nii.gz"),
        ("pet/sub-01_desc-brain_mask.nii.gz", "the brain mask of the T1w alone is taken, from the folder anat"),
        ("pet/sub-01_from-pet_to-t1w_mode-image_xfm.txt", "write T1w for t1w, as BIDS does"),
        ("anat/sub-01_from-FLAIR_to-T1w_mode-image_xfm.txt", "there is no image FLAIR here"),
        ("pet/sub-01_from-pet_to-T1w_mode-image_xfm.dat", "of transforms .txt, .tfm, .mat, .lta, .h5 are read"),
        ("pet/sub-01_trc-AV45_from-pet_to-T1w_mode-image_xfm.lta",
         "trc-AV45 is not of the image sub-01_ses-a_trc-FDG_pet.nii.gz"),
        ("spect/sub-01_task-ictal_from-spect_to-T1w_mode-image_xfm.txt",
         "it may lead to another T1w; name sub-01_ses-a_run-1_T1w.nii.gz in Sources of a JSON file beside it"),
    ],
)  # fmt: skip
def test_find_external__what_is_meant_and_not_used_is_said(name: str, why: str, found: Finder) -> None:
    assert found(f"d/sub-01/{name}") == {}
    assert found.notes == [f"bids:D:sub-01/{name}: {why}; not used"]


@pytest.mark.parametrize("space", ["MNI152NLin6Sym", "FLAIR"])
def test_find_external__lesion_mask_in_another_space_is_said_where_none_is_used(space: str, found: Finder) -> None:
    name = f"sub-01/anat/sub-01_space-{space}_label-lesion_mask.nii.gz"
    assert found(f"d/{name}") == {}
    assert found.notes == [
        f"bids:D:{name}: a lesion mask in {space}, and none on the T1w is used; bring it there, with space-T1w in its "
        "name; not used"
    ]
    found("d/sub-01/ses-b/anat/sub-01_ses-b_label-lesion_mask.nii.gz")
    assert len(found.notes) == 2, "one on the T1w of another session is none either"
    assert found("d/sub-01/anat/sub-01_label-lesion_mask.nii.gz").keys() == {"lesion"}
    assert not any(space in note for note in found.notes)


def test_find_external__lesion_masks_by_name_before_session(found: Finder) -> None:
    """A mask of BIDS's own name comes first, also of no session; of one name that of the session."""
    names = [
        "d/sub-01/ses-a/anat/sub-01_ses-a_label-lesion_roi.nii.gz",
        "d/sub-01/anat/sub-01_desc-lesion_mask.nii.gz",
        "d/sub-01/anat/sub-01_label-lesion_mask.nii.gz",
        "d/sub-01/ses-a/anat/sub-01_ses-a_label-lesion_mask.nii.gz",
    ]
    for name in names:
        assert found(name) == {"lesion": f"bids:D:{name[2:]}"}
    assert found("c/sub-01/anat/sub-01_label-lesion_roi.nii.gz", folders=("c", "d"))["lesion"].startswith("bids:C:")


def test_find_external__lesion_masks_that_nobody_wants(found: Finder) -> None:
    names = ("label-lesion_mask", "desc-Lesion_mask", "space-FLAIR_label-lesion_mask")
    found(*(f"d/sub-01/anat/sub-01_{name}.nii.gz" for name in names), folders=())
    folders = [NamedFolder("D", found.root / "d")]
    assert find_external(IMAGES, "01", folders, lesions=False) == ({}, [])


def test_find_external__of_several_t1w_a_file_says_of_which_it_is(found: Finder) -> None:
    own = IMAGES["T1w"].path
    found.t1w_files = (own, own.with_name("sub-01_ses-a_run-2_T1w.nii.gz"))
    plain, named = (f"d/sub-01/ses-a/anat/sub-01_ses-a{run}_desc-brain_mask.nii.gz" for run in ("", "_run-1"))
    assert found(plain) == {}
    assert "there are several T1w, and its name does not say of which it is; add run-1" in found.notes[0]
    assert found(named) == {"T1w": f"bids:D:{named[2:]}"}
    pet = "e/sub-01/ses-a/pet/sub-01_ses-a_from-pet_to-T1w_mode-image_xfm.txt"
    assert found(pet, folders=("e",)) == {}
    assert "may lead to another T1w" in found.notes[0]
    found.says_t1w(pet)
    assert found(folders=("e",)) == {"pet": f"bids:E:{pet[2:]}"}
    # A T1w of another session is told apart by the session.
    found.t1w_files = (own, Path("/data/sub-01/ses-b/anat/sub-01_ses-b_run-1_T1w.nii.gz"))
    assert found(plain)["T1w"] == f"bids:D:{named[2:]}"
    (found.root / pet).with_suffix(".json").unlink()
    assert found(folders=("e",)) == {"pet": f"bids:E:{pet[2:]}"}
    whole = "f/sub-01/anat/sub-01_desc-brain_mask.nii.gz"
    assert found(whole, folders=("f",)) == {}
    assert "add ses-a" in found.notes[0]


def test_find_external__closed_folder_is_an_error(found: Finder, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = found.root / "d" / "sub-01" / "anat"
    closed.mkdir(parents=True)
    real, denied = external_module.folder_problem, external_module.ASK_OWNER
    monkeypatch.setattr(external_module, "folder_problem", lambda path: denied if path == closed else real(path))
    with pytest.raises(ImageError, match="anat: permission denied"):
        found()
