"""Network output in the units of the training cohort."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bids_spectsynth.synthesis.data.slices import UNKNOWN_UNITS
from bids_spectsynth.synthesis.data.through_slice import slice_gains
from bids_spectsynth.synthesis.models.card import ModelCard

FloatArray = npt.NDArray[np.float64]
Volume = npt.NDArray[np.float32]


def to_units(output: Volume, mask: npt.NDArray[np.bool_], card: ModelCard) -> tuple[Volume, FloatArray, FloatArray]:
    """Network output in the units of the training cohort.

    With slice scaling each slice gets the gain that removes the steps between slices
    (:func:`bids_spectsynth.synthesis.data.through_slice.slice_gains`); with volume scaling one gain serves all.
    Then all is multiplied so that the mean in the brain is that of the training cohort's SPECTs: how much tracer this
    participant would have taken up as a whole cannot be known from the inputs.

    Parameters
    ----------
    output : array, shape (I, J, K), float32
        In [-1, 1]; -1 stands for 0.
    mask : array, shape (I, J, K), bool
    card : ModelCard

    Returns
    -------
    values : array, shape (I, J, K), float32
        ``slope * output + intercept`` slice by slice, not negative.
    slope, intercept : array, shape (K,), float64
        Equal, so that -1 becomes 0; both 0 in slices without brain.
    """
    statistics = card.target_statistics
    if card.scaling == "slice":
        gains = slice_gains(output, mask, np.array(statistics["log_gain"]), np.array(statistics["log_step"]))
    else:
        gains = np.asarray(mask.any(axis=(0, 1)), dtype=np.float64)
    slope = gains / 2
    mean = float((slope * (output + np.float32(1)))[mask].mean()) if mask.any() else 0.0
    if mean > 0:
        slope *= float(statistics["mean_in_brain"]) / mean
    values = (slope * output + slope).astype(np.float32)
    return values, slope, slope.copy()


def mean_statistics(cards: Sequence[ModelCard]) -> Mapping[str, Any]:
    """Target statistics of an ensemble: the mean over its networks' cohorts."""
    statistics = [card.target_statistics for card in cards]
    if len(statistics) == 1:
        return statistics[0]
    names = ("mean_in_brain", "log_gain", "log_step")
    means = {name: np.mean([one[name] for one in statistics], axis=0).tolist() for name in names}
    units = {one["units"] for one in statistics}
    return {**statistics[0], **means, "units": units.pop() if len(units) == 1 else UNKNOWN_UNITS}
