"""Values and the whole numbers that DICOM stores for them: value = slope * stored."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

#: Largest whole numbers of 16 bits, without and with a sign.
_LARGEST = {False: 65535, True: 32767}


@dataclass(frozen=True, eq=False)
class Stored:
    """Whole numbers of 16 bits and what one of them is worth.

    Parameters
    ----------
    pixels : array of uint16 or int16
        Signed where a value is below 0.
    slope : str
        A decimal string of DICOM, 16 characters at most; the pixels were made with exactly this number.
    """

    pixels: npt.NDArray[np.uint16] | npt.NDArray[np.int16]
    slope: str

    @property
    def is_signed(self) -> bool:
        """Whether the pixels have a sign."""
        return self.pixels.dtype == np.int16

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """What a reader sees."""
        return np.asarray(self.pixels, dtype=np.float64) * float(self.slope)


def store(values: npt.NDArray[Any]) -> Stored:
    """Whole numbers of 16 bits for values: 0 stays 0, and nothing is off by more than half a slope.

    Whole numbers that fit are stored as they are.

    Parameters
    ----------
    values : array
        What is not finite becomes 0.

    Examples
    --------
    >>> stored = store(np.array([0.0, 1.0, 2.5]))
    >>> stored.pixels.tolist(), stored.slope
    ([0, 26214, 65535], '3.81475547e-05')
    """
    finite = np.nan_to_num(np.asarray(values, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    signed = bool((finite < 0).any())
    largest, highest = _LARGEST[signed], float(np.abs(finite).max(initial=0.0))
    fits = highest <= largest and bool((finite == np.rint(finite)).all())
    slope = "1" if fits else decimal_string(highest / largest)
    # The text may be a little smaller than the number that it stands for.
    pixels = np.clip(np.rint(finite / float(slope)), -largest, largest)
    return Stored(pixels.astype(np.int16) if signed else pixels.astype(np.uint16), slope)


def decimal_string(number: float) -> str:
    """A number as DICOM's decimal string: as many digits as fit into 16 characters.

    Examples
    --------
    >>> decimal_string(1 / 3), decimal_string(-123456.7890123456), decimal_string(4.0)
    ('0.33333333333333', '-123456.78901235', '4')
    """
    short = f"{number:.15g}"
    if len(short) <= 16:
        return short
    magnitude = abs(number)
    if 1e-4 <= magnitude < 1e14:
        whole = len(str(int(magnitude))) + (number < 0) + 1
        return f"{number:.{16 - whole}f}"
    # Beside eight digits there is room for two signs, a point and an exponent of three digits.
    return f"{number:.8e}"
