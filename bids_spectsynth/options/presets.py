"""Named recipes: values of the training options that belong together."""

from collections.abc import Mapping
from typing import Any, Literal

Preset = Literal["fard2024", "best"]

#: The recipe of Fard et al. 2024 as read in docs/method.md: the reference.
_FARD2024: Mapping[str, Any] = {
    "intensity_scaling": "slice",
    "adversarial_weight": 1.0,
    "adversarial_loss": "bce",
    "l1_weight": 100.0,
    "ssim_weight": 0.0,
    "neighbour_slices": 0,
    "cohort_prior": "none",
    "augmentation": (),
    "ema_decay": 0.0,
    "flip_average": "off",
    "orientations": "axial",
    "ensemble_members": 1,
}

#: What measured best on simulated cohorts; docs/method.md has the numbers.
_BEST: Mapping[str, Any] = {
    **_FARD2024,
    "intensity_scaling": "volume",
    "adversarial_weight": 0.0,
    "neighbour_slices": 1,
    "cohort_prior": "residual",
    "augmentation": ("flip", "affine", "intensity"),
    "ema_decay": 0.99,
    "flip_average": "on",
}

PRESETS: Mapping[Preset, Mapping[str, Any]] = {"fard2024": _FARD2024, "best": _BEST}
#: Millimetres that ``--preset`` takes where ``--voxel-size`` is not given: for the recommended one no loss was shown at
#: 2 mm, in a fifth to a tenth of the time (docs/performance.md). No part of the recipe: a study has one voxel size.
VOXEL_SIZES: Mapping[Preset, float] = {"fard2024": 1.0, "best": 2.0}
#: At this voxel size, in millimetres, the recommended preset crops slices to the brain where ``--crop`` is not given:
#: there no loss was shown. At 4 mm nothing of a usual head's slice is left to cut. No part of the recipe either.
_CROP_AT = 2.0
#: Options that a preset decides on, unless they are given one by one.
GOVERNED = tuple(_FARD2024)


def crop_of(preset: Preset, voxel_size: float) -> Literal["none", "brain"]:
    """Whether slices are cropped where ``--crop`` is not given."""
    return "brain" if preset == "best" and voxel_size == _CROP_AT else "none"
