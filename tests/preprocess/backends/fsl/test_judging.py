"""When a second start of FLIRT is worth its time."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from bids_spectsynth.images.grid import new_image
from bids_spectsynth.preprocess.backends.fsl.judging import METRIC, BrainPair
from bids_spectsynth.preprocess.registration.result import Registration


def shifted(x: float) -> np.ndarray:
    return np.asarray(nib.affines.from_matvec(np.eye(3), [x, 0, 0]))


@pytest.fixture
def pair() -> BrainPair:
    """A brain of 5 mm voxels, white matter off its middle, to be registered to itself."""
    x, y, z = np.indices((32, 40, 30)) * 5.0 - np.array([78, 98, 73])[:, None, None, None]
    brain = (x / 60) ** 2 + (y / 75) ** 2 + (z / 55) ** 2 < 1
    white = ((x - 12) / 34) ** 2 + ((y + 12) / 46) ** 2 + ((z - 6) / 30) ** 2 < 1
    affine = nib.affines.from_matvec(5 * np.eye(3), [-78, -98, -73])
    image = new_image(np.where(white, 100, 60 * brain).astype(np.float32), affine)
    mask = new_image(brain.astype(np.uint8), affine)
    return BrainPair(image, image, mask, mask, 12)


@pytest.mark.parametrize(
    ("found", "start", "doubtful"),
    [(0, 0, False), (0, 15, False), (2, 15, False), (12, 0, True), (14, -14, True), (8, 8, False), (60, 90, True)],
    ids=["same", "start far off", "near", "start explains more", "two places alike", "same place", "poor"],
)
def test_is_doubtful(pair: BrainPair, found: float, start: float, doubtful: bool) -> None:
    assert pair.is_doubtful(pair.judged("search", shifted(found)), shifted(start)) is doubtful


def test_is_doubtful__a_poor_result_whatever_it_explains(pair: BrainPair) -> None:
    found = pair.judged("search", np.eye(4))
    assert (found.poor, found.metric, found.notes) == (False, METRIC, ("start: search",))
    assert pair.is_doubtful(replace(found, poor=True), np.eye(4))


def test_is_doubtful__alike_elsewhere(pair: BrainPair) -> None:
    def scored(score: float) -> Registration:
        return replace(pair.judged("search", np.eye(4)), score=score)

    there = pair.score(shifted(11))
    assert pair.is_doubtful(scored(there + 0.01), shifted(11))
    assert not pair.is_doubtful(scored(there + 0.03), shifted(11))
    near = pair.score(shifted(9))
    assert not pair.is_doubtful(scored(near + 0.01), shifted(9)), "one place"
