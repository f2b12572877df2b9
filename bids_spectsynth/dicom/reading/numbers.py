"""Numbers of headers, which may be damaged."""

import math

from pydicom.dataset import Dataset


def number(dataset: Dataset, keyword: str) -> float | None:
    """The one number that an element holds; None where it is missing, no number, not finite, or several.

    Examples
    --------
    >>> header = Dataset()
    >>> header.FlipAngle, header.EchoTime = "9", ["2", "3"]
    >>> number(header, "FlipAngle"), number(header, "EchoTime"), number(header, "SliceThickness")
    (9.0, None, None)
    """
    try:
        # Texts become numbers when they are asked for.
        found = float(dataset.get(keyword))
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
