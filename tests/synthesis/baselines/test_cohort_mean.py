from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.writing import write_matrix
from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import apply_affine
from bids_spectsynth.synthesis.baselines.cohort_mean import CohortMean, mean_grid, sample_in_brain
from bids_spectsynth.synthesis.baselines.template import template_matrix

SHAPE = (16, 18, 12)
AFFINE = np.array([[4.0, 0, 0, -30], [0, 4, 0, -40], [0, 0, 4, -20], [0, 0, 0, 1]])


def block() -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[4:12, 5:14, 3:9] = True
    return mask


def case_at(folder: Path, name: str, matrix: np.ndarray, space: str = "T1w") -> PreparedCase:
    folder.mkdir(exist_ok=True)
    mask = folder / f"{name}_mask.nii.gz"
    nib.save(nib.Nifti1Image(block().astype(np.uint8), AFFINE), mask)
    xfm = folder / f"{name}_xfm.txt"
    write_matrix(xfm, matrix, {})
    return PreparedCase(name, None, space, {}, {"T1w": mask}, xfm, "MNI")


def translation(x: float, y: float, z: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = x, y, z
    return matrix


@settings(max_examples=15, deadline=None)
@given(
    st.tuples(*[st.floats(-60, 60)] * 3),
    st.tuples(*[st.floats(-0.6, 0.6)] * 3),
    st.floats(0.8, 1.25),
)
def test_grid_holds_every_brain(tmp_path_factory: pytest.TempPathFactory, shift, angles, zoom) -> None:
    a, b, c = angles
    turn = (
        np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
        @ np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
        @ np.array([[1, 0, 0], [0, np.cos(c), -np.sin(c)], [0, np.sin(c), np.cos(c)]])
    )
    matrix = translation(*shift)
    matrix[:3, :3] = zoom * turn
    folder = tmp_path_factory.mktemp("grid")
    cases = [case_at(folder, "a", matrix), case_at(folder, "b", np.eye(4))]
    grid = mean_grid(cases)
    np.testing.assert_array_equal(grid.affine[:3, :3], 4 * np.eye(3))
    np.testing.assert_allclose(grid.affine[:3, 3] % 4, 0, atol=1e-9)
    for case in cases:
        points = apply_affine(AFFINE, np.argwhere(block()))
        index = apply_affine(np.linalg.inv(grid.affine) @ np.linalg.inv(template_matrix(case)), points)
        assert index.min() >= 0
        assert (index <= np.array(grid.shape) - 1).all()


def test_image_goes_to_the_template_and_back(tmp_path: Path) -> None:
    # x_T1w = x_template + (2, -4, 4) puts voxel centres of the image on those of the grid: nothing is interpolated.
    case = case_at(tmp_path, "a", translation(2, -4, 4))
    volume = np.random.default_rng(0).uniform(1, 2, SHAPE).astype(np.float32)
    mean = CohortMean(mean_grid([case]))
    mean.add(case, volume, block(), AFFINE)
    result = mean.result()
    inside = np.argwhere(block())
    points = apply_affine(AFFINE, inside) - [2, -4, 4]
    voxels = np.round(apply_affine(np.linalg.inv(mean.grid.affine), points)).astype(int)
    relative = volume[block()] / volume[block()].mean()
    np.testing.assert_allclose(result[tuple(voxels.T)], relative, rtol=1e-5)
    back = sample_in_brain(result, mean.grid.affine, case, block(), AFFINE)
    np.testing.assert_allclose(back[block()], relative, rtol=1e-5)
    assert (back[~block()] == 0).all()


def test_rim_does_not_fade_where_brains_differ(tmp_path: Path) -> None:
    cases = [case_at(tmp_path, "a", np.eye(4)), case_at(tmp_path, "b", translation(8, 0, 0))]
    mean = CohortMean(mean_grid(cases))
    for case in cases:
        mean.add(case, np.where(block(), 5, 0).astype(np.float32), block(), AFFINE)
    for case in cases:
        np.testing.assert_allclose(
            sample_in_brain(mean.result(), mean.grid.affine, case, block(), AFFINE)[block()], 1, rtol=1e-5
        )


def test_image_without_signal_is_not_counted(tmp_path: Path) -> None:
    case = case_at(tmp_path, "a", np.eye(4))
    mean = CohortMean(mean_grid([case]))
    mean.add(case, np.zeros(SHAPE, dtype=np.float32), block(), AFFINE)
    with pytest.raises(ImageError, match="signal"):
        mean.result()
