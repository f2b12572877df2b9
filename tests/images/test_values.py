"""Images with negative values."""

import numpy as np
import pytest
from scipy import ndimage

from bids_spectsynth.images.grid import new_image
from bids_spectsynth.images.masks import histogram_mask
from bids_spectsynth.images.values import begin_at_zero, negative_note, unwrap

RNG = np.random.default_rng(1)
_RADIUS = np.sqrt(sum((axis - 19.5) ** 2 for axis in np.indices((40, 40, 40))))
HEAD = (ndimage.gaussian_filter(np.where(_RADIUS < 12, 700.0, 20.0), 1.5) + RNG.gamma(2, 4, _RADIUS.shape)).astype("f4")
BRAIN = _RADIUS < 12
AIR = _RADIUS > 21
NOISE = ndimage.gaussian_filter(RNG.normal(0, 1, _RADIUS.shape), 0.7)
NOISE = NOISE / NOISE.std()


def _mask(data: np.ndarray) -> np.ndarray:
    return np.asanyarray(histogram_mask(new_image(data.astype(np.float32), 4 * np.eye(4))).dataobj) > 0


def _dice(first: np.ndarray, second: np.ndarray) -> float:
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


def _standardised(data: np.ndarray, where: np.ndarray) -> np.ndarray:
    return (data - data[where].mean()) / data[where].std()


EVERYWHERE = np.ones_like(BRAIN)
KINDS = {
    "padding of an air of 0": np.where(AIR, -1024, HEAD),
    "padding of the least number": np.where(AIR, -3.4e38, HEAD),
    "padding within the noise": np.where(AIR, -20, HEAD + 30 * NOISE),
    "all shifted": HEAD - 1024,
    "z-scores": _standardised(HEAD, EVERYWHERE),
    "z-scores of a masked head": _standardised(np.where(BRAIN, HEAD, 0), EVERYWHERE),
    "z-scores in a mask, 0 around it": np.where(BRAIN, _standardised(HEAD, BRAIN), 0),
    "from -1 to 1": HEAD / HEAD.max() * 2 - 1,
    "filtered back projection": HEAD + 40 * NOISE,
    "filtered back projection, rounded": np.round(HEAD + 40 * NOISE),
    "filtered back projection in a circle": np.where(AIR, 0, HEAD + 40 * NOISE),
    "uptake values": HEAD / 100 + 0.3 * NOISE,
    "one broken voxel": np.where(_RADIUS.max() == _RADIUS, -1e7, HEAD),
}


@pytest.mark.parametrize("kind", KINDS)
def test_begin_at_zero__mask_and_brain_are_the_clean_images(kind: str) -> None:
    data = KINDS[kind].astype(np.float32)
    found, notes = begin_at_zero(data)
    assert found.dtype == np.float32
    assert _dice(_mask(found), _mask(HEAD)) > 0.97
    assert np.corrcoef(found[BRAIN], data[BRAIN])[0, 1] > 0.99999
    assert (found[BRAIN] > 0).mean() > 0.999
    assert bool(notes) == (not kind.startswith(("filtered", "uptake")))


def test_begin_at_zero__mp2rage_ratio() -> None:
    ratio = np.where(_RADIUS < 14, np.clip(HEAD / 700 - 0.5, -0.5, 0.5), RNG.uniform(-0.5, 0.5, HEAD.shape))
    found, notes = begin_at_zero(ratio.astype(np.float32))
    np.testing.assert_allclose(found, ratio + 0.5, atol=1e-3)
    assert "begin at -0.4999, not at 0" in notes[0]


def test_begin_at_zero__nothing_below_zero_is_left_as_it_is() -> None:
    found, notes = begin_at_zero(HEAD)
    assert found is HEAD
    assert notes == ()


def test_begin_at_zero__zeros_inside_a_mask_are_values() -> None:
    ratio = np.where(BRAIN, np.round(_standardised(HEAD, BRAIN), 1), 0).astype(np.float32)
    found, _ = begin_at_zero(ratio)
    assert found[BRAIN].min() > 0
    assert found[~BRAIN].max() == 0


@pytest.mark.parametrize("kind", ["int8", "int16"])
def test_unwrap__only_what_wrapped(kind: str) -> None:
    unsigned = np.dtype(kind.replace("int", "uint"))
    top = np.iinfo(unsigned).max
    counts = np.round(HEAD / HEAD.max() * 0.9 * top)
    wrapped = counts.astype(unsigned).view(kind)
    found, n = unwrap(wrapped.astype(np.float32), wrapped)
    np.testing.assert_array_equal(found, counts)
    assert n == np.count_nonzero(counts > top // 2)
    for true in (
        0.1 * top * NOISE,
        np.where(AIR, np.iinfo(kind).min, counts // 2.1),
        HEAD / 700 * 0.4 * top - 0.3 * top,
    ):
        stored = np.clip(np.round(true), np.iinfo(kind).min, np.iinfo(kind).max).astype(kind)
        same, n = unwrap(stored.astype(np.float32), stored)
        np.testing.assert_array_equal(same, stored)
        assert n == 0


def test_negative_note__gives_number_and_share() -> None:
    assert negative_note(np.array([0.0, 1.0])) is None
    assert negative_note(np.array([-1.0, 1, 1, 1])) == "1 voxels of the brain (25.00%) are below 0 and become 0"


def test_begin_at_zero__of_padding_and_zeros_alone_nothing_is_left() -> None:
    data, notes = begin_at_zero(np.where(AIR, -1024, 0).astype(np.float32))
    assert not data.any()
    assert len(notes) == 1
