"""What a registration finds."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Registration:
    """Result of a registration.

    Parameters
    ----------
    matrix : array, shape (4, 4), float64
        World (RAS+ mm) coordinates of the fixed image to those of the moving image, as ITK does:
        ``x_moving = matrix @ x_fixed``. For BIDS names it is ``from-<moving>_to-<fixed>``.
    score : float
        Final value of the metric at that matrix; higher is better.
    metric : str
        What the score is, e.g. ``Mattes mutual information, 32 bins``.
    overlap : float
        Dice coefficient of the fixed image's brain and the moving image's own (histogram) brain mask, 0 to 1.
    poor : bool
        The result should not be trusted without looking.
    notes : tuple of str
        One line each: why it is poor, which start won.
    """

    matrix: npt.NDArray[np.float64]
    score: float
    metric: str
    overlap: float
    poor: bool
    notes: tuple[str, ...] = field(default=())
