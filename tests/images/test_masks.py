"""Masks by the histogram."""

import numpy as np
import pytest

from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.images.masks import histogram_mask, otsu_threshold, solid_component, without_edge


def _ball(radius: float, centre: float = 15.5, n: int = 32) -> np.ndarray:
    index = np.indices((n, n, n)) - centre
    return np.sqrt((index**2).sum(axis=0)) <= radius


def test_histogram_mask_finds_the_solid_brain() -> None:
    brain = _ball(9)
    data = np.where(brain, 100.0, 5.0)
    data[_ball(3)] = 10.0  # ventricles: dark, inside
    data[1:3, 1:3, 1:3] = 100.0  # a hot spot elsewhere
    mask = np.asanyarray(histogram_mask(new_image(data.astype(np.float32), np.eye(4))).dataobj)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask.astype(bool), brain)


def test_the_default_mask_does_not_depend_on_the_field_of_view() -> None:
    rng = np.random.default_rng(3)
    data = np.where(_ball(9), 100.0, 4.0) + rng.normal(0, 8, (32, 32, 32)) + 30 * _ball(5)
    small = np.asanyarray(histogram_mask(new_image(data[4:28, 4:28, 4:28].astype(np.float32), np.eye(4))).dataobj)
    padded = np.pad(data, 16) + np.pad(np.zeros((32, 32, 32)), 16, constant_values=4.0)
    large = np.asanyarray(histogram_mask(new_image(padded.astype(np.float32), np.eye(4))).dataobj)
    differing = np.count_nonzero(large[20:44, 20:44, 20:44] != small)
    assert differing < 0.01 * small.sum()


def test_histogram_mask_of_a_small_brain_in_a_large_field_of_view() -> None:
    data = np.zeros((40, 40, 40), np.float32)
    data[18:22, 18:22, 18:22] = 50.0  # 0.1 % of the voxels
    assert int(np.asanyarray(histogram_mask(new_image(data, np.eye(4))).dataobj).sum()) == 64
    with pytest.raises(ImageError, match="empty"):
        solid_component(np.zeros((4, 4, 4), bool))


def test_otsu_separates_two_classes() -> None:
    rng = np.random.default_rng(0)
    data = np.concatenate([rng.normal(10, 1, 5000), rng.normal(50, 3, 2000)])
    assert 12 < otsu_threshold(data) < 41


@pytest.mark.parametrize("sizes", [(1.0, 1.0, 1.0), (2.0, 1.0, 3.0), (6.0, 6.0, 6.0)])
def test_without_edge__voxels_with_no_outside_within_reach(sizes: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(0)
    inside = np.ones((14, 15, 12), dtype=bool)
    inside[tuple(rng.integers(0, 12, (3, 4)))] = False
    outside = np.argwhere(~np.pad(inside, 1)) - 1
    distances = np.linalg.norm((np.argwhere(inside)[:, None] - outside[None]) * sizes, axis=2).min(axis=1)
    found = without_edge(inside, sizes, 4.0)
    np.testing.assert_array_equal(found[inside], distances > 4)
    assert not found[~inside].any()
    assert not without_edge(np.zeros((3, 3, 3), dtype=bool), sizes, 4.0).any()
