import numpy as np

from bids_spectsynth.quality.volumes import make_volumes
from tests.quality.conftest import Head


def test_make_volumes__finer_voxels_give_the_same(heads: list[Head]) -> None:
    head = heads[0]
    fine = [np.repeat(np.repeat(np.repeat(v, 2, 0), 2, 1), 2, 2) for v in (head.t1w, head.brain, head.pet, head.spect)]
    t1w, brain, pet, spect = fine
    coarse = head.volumes()
    found = make_volumes(t1w, brain, {"pet": pet * brain, "interictal": spect * brain}, {}, 2.0)
    assert np.array_equal(found.brain, coarse.brain)
    np.testing.assert_allclose(found.images["pet"], coarse.images["pet"], rtol=1e-6)
    np.testing.assert_allclose(found.white, coarse.white, atol=1e-6)


def test_make_volumes__shares_of_tissue_and_depth(heads: list[Head]) -> None:
    volumes = heads[1].volumes()
    assert volumes.white[heads[1].t1w > 95].mean() > 0.9
    assert volumes.grey[(heads[1].t1w > 60) & (heads[1].t1w < 70)].mean() > 0.8
    assert volumes.inside.sum() < volumes.brain.sum()
    assert not (volumes.inside & ~volumes.brain).any()


def test_make_volumes__own_mask_of_an_image(heads: list[Head]) -> None:
    head, half = heads[2], np.zeros(heads[2].brain.shape, dtype=bool)
    half[: half.shape[0] // 2] = True
    volumes = make_volumes(head.t1w, head.brain, {"interictal": head.spect * half}, {"interictal": half}, 4.0)
    assert np.array_equal(volumes.measured["interictal"], half & head.brain)


def test_make_volumes__t1w_without_tissue() -> None:
    brain = np.zeros((20, 20, 20), dtype=bool)
    brain[4:16, 4:16, 4:16] = True
    volumes = make_volumes(brain * 7.0, brain, {"pet": brain * 3.0}, {}, 4.0)
    assert not volumes.white.any()
