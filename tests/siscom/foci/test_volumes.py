from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import Grid, apply_affine
from bids_spectsynth.siscom.foci.labels import freesurfer_labels
from bids_spectsynth.siscom.foci.midplane import mask_midplane
from bids_spectsynth.siscom.foci.volumes import REACH_MM, LabelVolume, misfit, read_labels
from tests.siscom.foci.conftest import AFFINE, COARSE, NUMBERS, PLACES, SHAPE, brain, save, segmentation

LABELS = freesurfer_labels()
GRID = Grid(SHAPE, AFFINE)


def volume(data: np.ndarray, affine: np.ndarray = AFFINE) -> LabelVolume:
    return LabelVolume(data=data.astype(np.int32), affine=affine, labels=LABELS, source="")


@given(
    st.tuples(*[st.floats(-75, 75)] * 3),
    st.permutations(range(3)),
    st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3),
)
@settings(max_examples=40)
def test_nearest__equals_a_search_through_all_voxels_in_every_orientation(point, order, flip) -> None:
    rng = np.random.default_rng(0)
    data = rng.choice([0, 2, 1024, 2024, 17], (24, 22, 20), p=[0.9, 0.07, 0.01, 0.01, 0.01])
    affine = np.eye(4)
    affine[:3, :3] = (np.diag(flip) * (5.0, 6.0, 7.0))[:, list(order)]
    affine[:3, 3] = -affine[:3, :3] @ (12, 11, 10)
    label, distance = volume(data, affine).nearest(point)
    voxels = np.argwhere(np.isin(data, [1024, 2024, 17]))
    distances = np.linalg.norm(apply_affine(affine, voxels) - point, axis=1)
    best = np.min(distances)
    if best > REACH_MM:
        assert label is None
        assert np.isnan(distance)
        return
    at_best = {LABELS[int(data[tuple(voxel)])] for voxel in voxels[np.isclose(distances, best)]}
    assert label in at_best
    inside = np.abs(apply_affine(np.linalg.inv(affine), [point])[0] - voxels[np.argmin(distances)]).max() <= 0.5
    assert np.isclose(distance, 0 if inside else best)


def test_nearest__inside_a_label_is_0_and_beyond_10_mm_none() -> None:
    data = np.zeros((20, 20, 20))
    data[10, 10, 10] = 1024
    one = volume(data, np.diag([2.0, 2, 2, 1]))
    assert one.nearest((20.9, 20, 20)) == (LABELS[1024], 0.0)
    assert one.nearest((20, 26, 28)) == (LABELS[1024], 10.0)
    assert one.nearest((20, 26, 28.1))[0] is None
    assert one.nearest((900, 0, 0))[0] is None


def test_mask__voxels_of_a_lobe_on_another_grid() -> None:
    coarse = volume(segmentation())
    fine = Grid((54, 64, 50), AFFINE @ np.diag([0.75, 0.75, 0.75, 1]))
    inside = brain(fine.shape, fine.affine)
    found = coarse.mask(lambda label: label.lobe == "cerebellum", inside, fine.affine)
    assert not found[~inside].any()
    expected = np.isin(segmentation(shape=fine.shape, affine=fine.affine), [8, 47])
    assert 2 * np.sum(found & expected) / (np.sum(found) + np.sum(expected)) > 0.9


def test_has_lobes__only_where_the_cortex_is_parted() -> None:
    assert volume(segmentation()).has_lobes
    assert not volume(segmentation(COARSE)).has_lobes


@pytest.mark.parametrize(
    ("shift", "flip", "problem"),
    [
        ((0, 0, 0), 1, None),
        ((4, -4, 4), 1, None),
        ((0, 30, 0), 1, "of another image"),
        ((0, 0, 400), 1, "of another image"),
        ((0, 0, 0), -1, "left and right contradict"),
    ],
)
def test_misfit__another_head_s_and_a_mirrored_segmentation_are_refused(shift, flip, problem) -> None:
    matrix = np.diag([flip, 1.0, 1.0, 1.0])
    matrix[:3, 3] = shift
    moved = volume(segmentation()).moved(matrix)
    found = misfit(moved, brain(), GRID, mask_midplane(brain(), AFFINE))
    assert found is None if problem is None else problem in found


def test_misfit__tissues_are_no_regions() -> None:
    tissues = np.where(brain(), 3, 0)
    assert "1 known regions" in (misfit(volume(tissues), brain(), GRID, mask_midplane(brain(), AFFINE)) or "")


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "a.mgz"])
def test_read_labels__every_format_in_one_world_cut_to_what_is_labelled(tmp_path: Path, name: str) -> None:
    data = segmentation()
    read, affine = read_labels(save(tmp_path / name, data))
    assert read.size < data.size
    for (x, y, z), _ in PLACES.values():
        voxel = np.rint(apply_affine(np.linalg.inv(affine), [(x, y, z)])[0]).astype(int)
        original = np.rint(apply_affine(np.linalg.inv(AFFINE), [(x, y, z)])[0]).astype(int)
        assert read[tuple(voxel)] == data[tuple(original)]
    assert set(np.unique(read)) == set(np.unique(data))
    assert {n for pair in NUMBERS.values() for n in pair} <= set(np.unique(read))


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "no such file"),
        (lambda path: _write(path, b""), "damaged|empty"),
        (lambda path: _write(path, b"no image" * 400), "damaged"),
        (lambda path: save(path, np.zeros((8, 8, 8))), "all voxels are 0"),
        (lambda path: save(path, np.ones((8, 8, 8, 2))), "one volume of labels"),
        (lambda path: nib.save(nib.Nifti1Image(np.full((8, 8, 8), 0.4, np.float32), AFFINE), path), "whole numbers"),
        (lambda path: nib.save(nib.Nifti1Image(np.full((8, 8, 8), np.inf, np.float32), AFFINE), path), "whole numbers"),
        (lambda path: path.symlink_to(".git/annex/objects/x"), "datalad get"),
    ],
)
def test_read_labels__what_is_no_segmentation_gets_one_line(tmp_path: Path, make, words: str) -> None:
    path = tmp_path / "sub-01_dseg.nii.gz"
    make(path)
    with pytest.raises(ImageError, match=rf"sub-01_dseg\.nii\.gz.*({words})") as caught:
        read_labels(path)
    assert "\n" not in str(caught.value)


def test_read_labels__truncated_mgz(tmp_path: Path) -> None:
    path = save(tmp_path / "aseg.mgz", segmentation())
    path.write_bytes(path.read_bytes()[:800])
    with pytest.raises(ImageError, match="damaged or truncated"):
        read_labels(path)
