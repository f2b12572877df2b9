import numpy as np
import pytest

from bids_spectsynth.siscom.subtraction.mask import EROSION_MM, siscom_mask
from tests.siscom.conftest import AFFINE, SHAPE, SIZES, brain, world


@pytest.mark.parametrize("erosion", [4.0, 6.0, 12.5])
def test_siscom_mask__keeps_what_is_further_than_that_from_every_voxel_outside(erosion: float) -> None:
    found = siscom_mask(brain(), SIZES, erosion)
    points = world(AFFINE).reshape(*SHAPE, 3)
    inner, outside = points[found], points[~brain()]
    chosen = np.random.default_rng(0).choice(len(inner), 40)
    distances = np.linalg.norm(inner[chosen, None] - outside[None], axis=-1).min(axis=1)
    assert distances.min() > erosion
    rim = points[brain() & ~found][::97]
    assert np.linalg.norm(rim[:, None] - outside[None], axis=-1).min(axis=1).max() <= erosion


def test_siscom_mask__length_is_in_millimetres_on_voxels_of_any_shape() -> None:
    mask = np.ones((9, 9, 9), dtype=bool)
    found = siscom_mask(mask, (1.0, 2.0, 5.0))
    assert EROSION_MM == 4
    # Beyond the array there is no brain.
    indices = np.argwhere(found)
    assert indices.min(axis=0).tolist() == [4, 2, 0]
    assert indices.max(axis=0).tolist() == [4, 6, 8]


def test_siscom_mask__nothing_is_left_of_a_thin_or_an_empty_brain() -> None:
    thin = np.zeros((8, 8, 8), dtype=bool)
    assert not siscom_mask(thin, SIZES).any()
    thin[:, :, 4] = True
    assert not siscom_mask(thin, SIZES).any()
