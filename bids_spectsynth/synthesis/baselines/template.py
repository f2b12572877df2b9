"""The template's world that a cohort's mean image lies in, and a case's way there."""

import numpy as np
import numpy.typing as npt

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.writing import read_matrix
from bids_spectsynth.errors import ImageError
from bids_spectsynth.options.settings import T1W_SPACE

Float64 = npt.NDArray[np.float64]


def template_of(case: PreparedCase) -> str | None:
    """The template whose world a case's mean images lie in; None without a transform to one."""
    return case.template if case.space == T1W_SPACE else case.space


def template_matrix(case: PreparedCase) -> Float64:
    """4x4 matrix from world coordinates of the template to those of the case's images, mm.

    The identity for a case in template space, whose world is the template's.

    Raises
    ------
    ImageError
        The case has no transform to a template, or it cannot be read.
    """
    if case.space != T1W_SPACE:
        return np.eye(4)
    if case.template_xfm is None:
        raise ImageError(f"{case.name}: no transform to a template; prepare the participant again")
    return read_matrix(case.template_xfm)
