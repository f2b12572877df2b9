"""One simulated head on the grid of prepared images."""

import numpy as np
import pytest

from bids_spectsynth.pretraining import heads
from bids_spectsynth.pretraining.making import draw_making


@pytest.fixture(scope="module")
def cut():
    """A head with a T2w, of whose SPECT the lowest slices are not in the field of view."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heads, "_CUT", 1.0)
        rng = np.random.default_rng(4)
        return heads.draw_head(rng, draw_making(rng), ("T2w",), 4.0)


def test_draw_head__a_cut_field_of_view_lacks_the_lowest_slices_of_the_spect_alone(cut):
    lost = cut.mask & ~cut.measured
    assert 0 < lost.sum() / cut.mask.sum() < 0.4
    slices = np.flatnonzero(lost.any(axis=(0, 1)))
    assert slices[0] == np.flatnonzero(cut.mask.any(axis=(0, 1)))[0]
    assert (np.diff(slices) == 1).all()
    assert not cut.measured[:, :, slices].any()
    assert (cut.images["interictal"][lost] == 0).all()
    assert (cut.images["pet"][lost] > 0).mean() > 0.9


def test_draw_head__has_the_images_that_are_wanted_and_both_tracers(cut):
    assert set(cut.images) == {"T2w", "pet", "interictal"}
    # In a T2w fluid is brightest, and takes up no tracer: bright voxels are dim in the PET.
    inside = cut.mask
    bright = inside & (cut.images["T2w"] > np.percentile(cut.images["T2w"][inside], 95))
    assert cut.images["pet"][bright].mean() < 0.8 * cut.images["pet"][inside].mean()
