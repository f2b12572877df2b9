"""Which half of the brain has more decreases, and whether decreases prevail."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]

_WORDS = {"L": "left", "R": "right"}


@dataclass(frozen=True, kw_only=True)
class HemisphericIndex:
    """Increases and decreases of a difference map in each half of the brain; volumes in mL.

    Parameters
    ----------
    increase_left_ml, increase_right_ml, decrease_left_ml, decrease_right_ml : float
        Volume of voxels beyond the threshold.
    index : float
        ``(left - right) / (left + right)`` of the share of each half that is decreased; -1 to 1, above 0 where the left
        half has more decreases. NaN where neither has any, or where a half has no voxel.
    hypo_share : float
        Share of decreases in the change of the whole brain: absolute percent, summed over the voxels beyond the
        threshold; NaN where there are none.
    """

    increase_left_ml: float
    increase_right_ml: float
    decrease_left_ml: float
    decrease_right_ml: float
    index: float
    hypo_share: float

    @property
    def side(self) -> Literal["L", "R", "n/a"]:
        """The half with more decreases: in postictal injections the side of the seizure's onset in about 80 %."""
        return "L" if self.index > 0 else "R" if self.index < 0 else "n/a"

    @property
    def is_postictal_pattern(self) -> bool:
        """Whether most of the change is hypoperfusion."""
        return self.hypo_share > 0.5

    @property
    def text(self) -> str:
        """One line for readers; empty where increases prevail."""
        if not self.is_postictal_pattern:
            return ""
        line = f"postictal pattern: {100 * self.hypo_share:.0f} % of the change is hypoperfusion"
        if self.side == "n/a":
            return line
        return (
            f"{line}, more of it on the {_WORDS[self.side]} (hemispheric index {self.index:+.2f}), the side of onset "
            "in about 80 % of postictal injections (McNally 2005)"
        )

    def as_sidecar(self) -> dict[str, Any]:
        """The numbers for the sidecar of a map; what is not a number is left out."""
        values = {"HemisphericIndex": self.index, "HypoperfusionShare": self.hypo_share}
        numbers = {key: round(value, 4) for key, value in values.items() if not math.isnan(value)}
        return {**numbers, "HemisphereOfDecreases": self.side, "PostictalPattern": self.is_postictal_pattern}


def hemispheric_index(
    difference: npt.NDArray[np.floating],
    mask: Mask,
    side_map: npt.NDArray[np.int8],
    threshold_percent: float,
    voxel_ml: float,
) -> HemisphericIndex:
    """Compare both halves of a difference map.

    After McNally et al. 2005, who took the hemisphere with more decreases for the side of onset where the injection was
    postictal. Here: the share of each half's voxels that decrease by the threshold or more, so that a field of view
    that cuts one half does not decide. Voxels in the middle count for neither half, but for the share of decreases.

    Parameters
    ----------
    difference : array, shape (I, J, K)
        Ictal minus baseline, percent of the brain mean.
    mask : array of bool, shape (I, J, K)
        Voxels that count.
    side_map : array, shape (I, J, K), int8
        -1 left, 1 right, 0 middle.
    threshold_percent : float
        Above 0; a change counts from here on, e.g. the threshold of the z map times its standard deviation.
    voxel_ml : float
        Volume of a voxel.

    References
    ----------
    McNally KA et al. 2005, Localizing value of ictal-interictal SPECT analyzed by SPM (ISAS), Epilepsia 46:1450-1464.
    """
    values, side = difference[mask].astype(np.float64), side_map[mask]
    increased, decreased = values >= threshold_percent, values <= -threshold_percent
    total = float(np.abs(values[increased | decreased]).sum())
    left, right = (
        float(np.count_nonzero(decreased & (side == half))) / max(1, int(np.count_nonzero(side == half)))
        for half in (-1, 1)
    )
    both_halves = bool(np.any(side < 0) and np.any(side > 0))
    volumes = {
        f"{name}_{half}_ml": float(np.count_nonzero(voxels & (side == sign))) * voxel_ml
        for name, voxels in (("increase", increased), ("decrease", decreased))
        for half, sign in (("left", -1), ("right", 1))
    }
    return HemisphericIndex(
        **volumes,
        index=(left - right) / (left + right) if both_halves and left + right > 0 else math.nan,
        hypo_share=float(np.abs(values[decreased]).sum()) / total if total > 0 else math.nan,
    )
