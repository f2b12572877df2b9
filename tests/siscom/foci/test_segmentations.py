import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bids_spectsynth.siscom.foci import segmentations
from bids_spectsynth.siscom.foci.segmentations import (
    find_label_table,
    find_segmentations,
    holds_segmentations,
    read_segmentation,
)
from tests.siscom.foci.conftest import NUMBERS, save, segmentation

DATA = np.pad(np.full((4, 4, 4), 1024), 1)


def put(root: Path, *names: str) -> None:
    for name in names:
        save(root / name, DATA)


def found(folders: Sequence[Path], session: str | None = None) -> list[str]:
    candidates, notes = find_segmentations(folders, "01", session)
    assert not notes
    return [one.path.relative_to(one.folder).as_posix() for one in candidates]


@pytest.mark.parametrize(
    "name",
    [
        "sub-01/anat/sub-01_desc-aparcaseg_dseg.nii.gz",
        "sub-01/anat/sub-01_space-T1w_desc-aseg_dseg.nii.gz",
        "sub-01/anat/sub-01_dseg.nii.gz",
        "sub-01/mri/aparc+aseg.mgz",
        "sub-01/mri/aparc.DKTatlas+aseg.deep.mgz",
        "sourcedata/freesurfer/sub-01/mri/aseg.mgz",
        "sub-01_T1w_synthseg.nii.gz",
        "sub-01/anat/sub-01_run-2_T1w_synthseg.mgz",
    ],
)
def test_find_segmentations__each_layout(tmp_path: Path, name: str) -> None:
    put(tmp_path, name)
    assert found([tmp_path]) == [name]
    assert found([tmp_path], "pre") == [name]


@pytest.mark.parametrize(
    "name",
    [
        "sub-01/anat/sub-01_space-MNI152NLin6Asym_desc-aparcaseg_dseg.nii.gz",
        "sub-01/anat/sub-01_desc-brain_mask.nii.gz",
        "sub-010/anat/sub-010_dseg.nii.gz",
        "sub-010/mri/aseg.mgz",
        "sub-01.long.base/mri/aseg.mgz",
        "sub-01/mri/wmparc.mgz",
        "sub-010_synthseg.nii.gz",
    ],
)
def test_find_segmentations__others_are_left_alone(tmp_path: Path, name: str) -> None:
    put(tmp_path, name)
    assert found([tmp_path]) == []


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("sub-02/anat/sub-02_desc-aparcaseg_dseg.nii.gz", True),
        ("sub-02/ses-a/anat/sub-02_ses-a_desc-aparcaseg_dseg.nii.gz", True),
        ("sub-02_T1w_synthseg.nii.gz", True),
        ("sourcedata/freesurfer/sub-02_ses-a/mri/aseg.mgz", True),
        ("sub-02/anat/sub-02_label-lesion_mask.nii.gz", False),
        ("sub-02/anat/sub-02_from-pet_to-T1w_xfm.txt", False),
        ("sub-02/sub-03_dseg.nii.gz", False),
        ("sub-02_x/mri/aseg.mgz", False),
        ("sub-02_ses-a/anat/sub-02_ses-a_dseg.nii.gz", False),
        ("nothing", False),
    ],
)
def test_holds_segmentations__of_whomever(tmp_path: Path, name: str, holds: bool) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    assert holds_segmentations(tmp_path) is holds


def test_holds_segmentations__reads_the_top_folder_no_more_often_for_more_participants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    subfolders, glob = segmentations.subfolders, Path.glob
    monkeypatch.setattr(segmentations, "subfolders", lambda *given: (read.append(given[0]), subfolders(*given))[1])
    monkeypatch.setattr(Path, "glob", lambda *given: (read.append(given[0]), glob(*given))[1])

    def times(name: str, participants: int) -> int:
        for label in range(participants):
            (tmp_path / name / f"sub-{label:02d}" / "anat").mkdir(parents=True)
        read.clear()
        assert not holds_segmentations(tmp_path / name)
        return read.count(tmp_path / name)

    assert times("few", 1) == times("many", 20) > 0


def test_find_segmentations__parts_of_the_cortex_first_and_folders_as_given(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    put(b, "sub-01/mri/aparc+aseg.mgz")
    put(a, "sub-01/anat/sub-01_desc-aseg_dseg.nii.gz", "sub-01/anat/sub-01_desc-aparcaseg_dseg.nii.gz",
        "sub-01/anat/sub-01_dseg.nii.gz", "sub-01/mri/aseg.mgz", "sub-01/mri/aparc.DKTatlas+aseg.deep.mgz")  # fmt: skip
    ordered = ["sub-01/anat/sub-01_desc-aparcaseg_dseg.nii.gz", "sub-01/mri/aparc.DKTatlas+aseg.deep.mgz",
               "sub-01/mri/aseg.mgz", "sub-01/anat/sub-01_dseg.nii.gz",
               "sub-01/anat/sub-01_desc-aseg_dseg.nii.gz"]  # fmt: skip
    assert found([a, b]) == [*ordered, "sub-01/mri/aparc+aseg.mgz"]
    assert found([b, a]) == ["sub-01/mri/aparc+aseg.mgz", *ordered]


def test_find_segmentations__own_session_first_then_none_never_another(tmp_path: Path) -> None:
    own, none = "sub-01_ses-pre/mri/aseg.mgz", "sub-01/mri/aparc+aseg.mgz"
    put(tmp_path, none, own, "sub-01/ses-post/anat/sub-01_ses-post_desc-aparcaseg_dseg.nii.gz",
        "sub-01_ses-post/mri/aparc+aseg.mgz")  # fmt: skip
    assert found([tmp_path], "pre") == [own, none]
    assert found([tmp_path]) == [none]


def test_find_segmentations__only_another_session_is_said(tmp_path: Path) -> None:
    put(tmp_path, "sub-01/ses-post/anat/sub-01_ses-post_desc-aparcaseg_dseg.nii.gz")
    candidates, (note,) = find_segmentations([tmp_path], "01", "pre")
    assert not candidates
    assert "segmentations of ses-post alone, the T1w is of ses-pre" in note


def test_find_segmentations__a_folder_that_is_not_there(tmp_path: Path) -> None:
    candidates, (note,) = find_segmentations([tmp_path / "gone"], "01", None)
    assert not candidates
    assert "--derivatives" in note
    assert "gone" in note


def test_find_label_table__nearest_folder_then_most_entities(tmp_path: Path) -> None:
    put(tmp_path, "sub-01/anat/sub-01_desc-aparcaseg_dseg.nii.gz")
    ((candidate,), _) = find_segmentations([tmp_path], "01", None)
    (tmp_path.parent / "dseg.tsv").write_text("index\tname\n1024\tOutside\n")
    assert find_label_table(candidate) is None
    for name in ("dseg.tsv", "desc-aparcaseg_dseg.tsv", "desc-aseg_dseg.tsv"):
        (tmp_path / name).write_text(f"index\tname\n1024\tctx-lh-{name.partition('_')[0]}\n")
    assert find_label_table(candidate) == tmp_path / "desc-aparcaseg_dseg.tsv"
    beside = tmp_path / "sub-01/anat/sub-01_dseg.tsv"
    beside.write_text("index\tname\n1024\tRight Insula\n")
    assert find_label_table(candidate) == beside
    volume = read_segmentation(candidate)
    assert volume.labels[1024].region == "insula"
    assert volume.source == "sub-01/anat/sub-01_desc-aparcaseg_dseg.nii.gz (names of sub-01_dseg.tsv)"


def test_read_segmentation__without_a_table_the_numbers_are_freesurfer_s(tmp_path: Path) -> None:
    save(tmp_path / "sub-01/mri/aparc+aseg.mgz", segmentation())
    ((candidate,), _) = find_segmentations([tmp_path], "01", None)
    volume = read_segmentation(candidate)
    assert {number for pair in NUMBERS.values() for number in pair} <= volume.present.keys()
    assert volume.source == "sub-01/mri/aparc+aseg.mgz (FreeSurfer's numbers)"


def test_find_segmentations__content_that_was_not_fetched_and_names_that_are_no_text(tmp_path: Path) -> None:
    anat = tmp_path / "sub-01/anat"
    anat.mkdir(parents=True)
    (anat / "sub-01_dseg.nii.gz").symlink_to(".git/annex/objects/x")
    (anat / os.fsdecode(b"sub-01_acq-\xe9_dseg.nii.gz")).write_bytes(b"")
    assert found([tmp_path]) == ["sub-01/anat/sub-01_dseg.nii.gz"]
