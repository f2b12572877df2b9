"""Whether what networks made of a case can be an image at all: finite, not constant, not far beyond its cohort."""

from typing import Any

import numpy as np
import numpy.typing as npt

from bids_spectsynth.errors import ImageError

#: Part of the brain that may lie at an end of the networks' range; a network that learned something leaves most of it
#: between them.
MOST_AT_END = 0.9
#: The ends of the range of the networks are this near.
_END = 1e-4
#: The highest value may be so many times the mean in the brain; in a perfusion image it is two to three times that.
MOST_TIMES_MEAN = 50.0


def check_synthetic(
    scaled: npt.NDArray[Any], values: npt.NDArray[Any], mask: npt.NDArray[np.bool_], name: str, model: str
) -> None:
    """Refuse a synthetic image that is none.

    Parameters
    ----------
    scaled : array, shape (I, J, K)
        Mean output of the networks, in [-1, 1].
    values : array, shape (I, J, K)
        The same in the units of the training cohort, with the cohort's mean in the brain.
    mask : array, shape (I, J, K), bool
        Brain, not empty.
    name, model : str
        Of the case and of the model, for the message.

    Raises
    ------
    ImageError
        The image holds no numbers, is constant, or is far beyond the training cohort's range.
    """
    inside, level = scaled[mask], values[mask]
    fault = ""
    if not (np.isfinite(scaled).all() and np.isfinite(values).all()):
        fault = "holds values that are no numbers"
    elif inside.size == 0 or inside.min() == inside.max():
        fault = "is the same everywhere in the brain"
    elif np.mean(np.abs(inside) >= 1 - _END) > MOST_AT_END:
        fault = f"lies at the end of the network's range in {np.mean(np.abs(inside) >= 1 - _END):.0%} of the brain"
    elif float(level.max()) > MOST_TIMES_MEAN * float(level.mean(dtype=np.float64)):
        fault = f"reaches {float(level.max() / level.mean(dtype=np.float64)):.3g} times its mean in the brain"
    if fault:
        raise ImageError(
            f"{name}: the synthetic image of model {model} {fault}, and is not written; look at the prepared images of "
            "the participant, or train the model anew"
        )
