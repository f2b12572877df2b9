import numpy as np
from scipy import ndimage

from bids_spectsynth.quality.mirror import mirror_of
from bids_spectsynth.quality.volumes import make_volumes
from tests.quality.conftest import Head


def test_mirror_of__head_that_is_turned_and_shifted(heads: list[Head]) -> None:
    # A symmetric head: its mirror image is itself, wherever it lies.
    half = heads[0].t1w
    symmetric = (half + half[::-1]) / 2
    turned = ndimage.rotate(symmetric, 7, axes=(0, 1), reshape=False, order=1)
    moved = ndimage.shift(turned, (2.5, 0, 0), order=1)
    brain = moved > 10
    volumes = make_volumes(moved, brain, {"pet": moved}, {}, 4.0)
    mirror = mirror_of(volumes)
    inside = ndimage.binary_erosion(brain, iterations=3)
    assert np.corrcoef(mirror(moved)[inside], moved[inside])[0, 1] > 0.9
    assert np.corrcoef(moved[::-1][inside], moved[inside])[0, 1] < 0.6


def test_mirror_of__twice_is_the_same(heads: list[Head]) -> None:
    volumes = heads[1].volumes()
    mirror = mirror_of(volumes)
    smooth = volumes.blurred(volumes.white, 12)
    assert np.corrcoef(mirror(mirror(smooth))[volumes.inside], smooth[volumes.inside])[0, 1] > 0.98
