"""Where a brain is looked for in a long field of view."""

import nibabel as nib
import numpy as np

from bids_spectsynth.images.grid import new_image
from bids_spectsynth.preprocess.registration.cost import build_model
from bids_spectsynth.preprocess.registration.long_field import long_field_targets, overlap_around

AFFINE = nib.affines.from_matvec(6 * np.eye(3), [-120, -120, -600])
X, Y, Z = np.indices((40, 40, 120)) * 6.0 + np.array([-120, -120, -600])[:, None, None, None]


def _ball(z: float, radius: float) -> np.ndarray:
    return np.asarray(X**2 + Y**2 + (Z - z) ** 2 < radius**2)


BRAIN = _ball(0, 70)
BODY = np.where(BRAIN, 100, 0) + np.where(_ball(-400, 100), 150, 0) + np.where(_ball(-300, 50), 500, 0)
BODY = np.where((X**2 + Y**2 < 50**2) & (BODY == 0) & (Z < 0) & (Z > -400), 40, BODY).astype(np.float32)
VOLUME = 4 / 3 * np.pi * 70.0**3


def test_long_field_targets__one_is_the_brain_whichever_end_it_is_at() -> None:
    for data, centre in ((BODY, [0, 0, 0]), (BODY[:, :, ::-1], [0, 0, -486])):
        targets = long_field_targets(new_image(data, AFFINE), VOLUME)
        assert min(np.linalg.norm(target - centre) for target in targets) < 20


def test_long_field_targets__none_in_a_head() -> None:
    assert long_field_targets(new_image(np.where(BRAIN, BODY, 0), AFFINE), VOLUME) == []
    assert long_field_targets(new_image(np.zeros_like(BODY), AFFINE), VOLUME) == []


def test_overlap_around__looks_at_the_brain_alone() -> None:
    part = slice(80, 120)
    affine = AFFINE @ nib.affines.from_matvec(np.eye(3), [0, 0, 80])
    fixed = new_image(np.where(BRAIN, 80.0, 5.0)[:, :, part].astype(np.float32), affine)
    model = build_model(fixed, new_image(BRAIN[:, :, part].astype(np.uint8), affine))
    moving = new_image(BODY, AFFINE)
    assert overlap_around(model, moving, np.eye(4)) > 0.95
    assert overlap_around(model, moving, nib.affines.from_matvec(np.eye(3), [80, 0, 0])) < 0.75
    assert overlap_around(model, moving, nib.affines.from_matvec(np.eye(3), [900, 0, 0])) == 0
