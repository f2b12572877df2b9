import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.coverage import coverage
from bids_spectsynth.images.grid import Grid, apply_affine

GRID = Grid((20, 22, 18), np.diag([3.0, 3.0, 3.0, 1.0]))
GRID.affine[:3, 3] = (-28, -31, -26)


def drawn(grid: Grid, radius: float) -> np.ndarray:
    """A ball about the middle of the world."""
    points = apply_affine(grid.affine, np.indices(grid.shape).reshape(3, -1).T)
    return np.asarray((np.linalg.norm(points, axis=1) < radius).reshape(grid.shape))


def test_coverage__on_its_own_grid_is_the_mask() -> None:
    inside = np.random.default_rng(0).random(GRID.shape) > 0.7
    np.testing.assert_allclose(coverage(inside, GRID, GRID, np.eye(4)), inside, atol=1e-12)


@settings(max_examples=25, deadline=None)
@example(size=5.9375, angles=(0, 0, 0), shift=(0, 0, 0), scale=1)
@given(
    size=st.floats(0.7, 9),
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    shift=st.tuples(*[st.floats(-5, 5)] * 3),
    scale=st.floats(0.8, 1.2),
)
def test_coverage__keeps_the_volume_and_holds_every_voxel_of_the_mask(
    size: float, angles: tuple[float, ...], shift: tuple[float, ...], scale: float
) -> None:
    """Whatever the voxel sizes and the angle between the grids; the matrix may stretch, as those to templates do."""
    turn, matrix = np.eye(4), scale * np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * size
    matrix[:, 3] = (*shift, 1)
    edge = int(np.ceil(36 / size))
    own = Grid((edge,) * 3, turn)
    own.affine[:3, 3] = -turn[:3, :3] @ np.full(3, (edge - 1) / 2)
    inside = drawn(own, 13)
    share = coverage(inside, own, GRID, matrix)
    voxel = (scale * 3) ** 3
    assert share.sum() * voxel == pytest.approx(inside.sum() * size**3)
    # Three points of a row, at the most, where there are two on average; and two where there are a few more than two,
    # in each of the eight voxels across the ball.
    assert (2 / 2.125) ** 3 < share.max() < 1.5**3 + 1e-6
    centres = np.linalg.inv(matrix @ GRID.affine) @ own.affine
    voxels = np.floor(apply_affine(centres, np.argwhere(inside)) + 0.5).astype(int)
    if size <= 3 * scale:
        assert (share[tuple(voxels.T)] > 0).mean() > 0.99


def test_coverage__what_is_thin_is_there() -> None:
    fine = Grid((40, 40, 40), np.diag([1.0, 1.0, 1.0, 1.0]))
    fine.affine[:3, 3] = -19.7
    for axis in range(3):
        sheet = np.zeros(fine.shape, dtype=bool)
        sheet[(slice(None),) * axis + (18,)] = True
        share = coverage(sheet, fine, GRID, np.eye(4))
        assert share.sum() * 27 == pytest.approx(1600)
        assert (share > 0).any(axis=axis).sum() >= 13 * 13


def test_coverage__outside_of_the_grid_is_nothing() -> None:
    away = np.eye(4)
    away[2, 3] = 500
    assert not coverage(np.ones(GRID.shape, dtype=bool), GRID, GRID, away).any()


def test_coverage__far_too_coarse_is_refused() -> None:
    with pytest.raises(ImageError, match="its voxels of 120 mm are too coarse for a grid of 3 mm"):
        coverage(np.ones((1, 1, 1), dtype=bool), Grid((1, 1, 1), np.diag([3.0, 120, 3, 1])), GRID, np.eye(4))
