import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bids_spectsynth.dicom.values import decimal_string, store

_values = arrays.arrays(np.float64, (3, 4), elements=st.floats(-1e30, 1e30))


@given(_values)
def test_store__nothing_is_off_by_more_than_half_a_slope_and_zero_stays(values: np.ndarray) -> None:
    stored = store(values)
    slope = float(stored.slope)
    # The text of the slope has nine digits or more, of which the last is multiplied by up to 65535.
    assert np.abs(stored.values - values).max() <= slope * (0.5 + 1e-3)
    assert (stored.pixels[values == 0] == 0).all()
    assert stored.is_signed == bool((values < 0).any())


@given(arrays.arrays(np.int64, 9, elements=st.integers(0, 65535)))
def test_store__whole_numbers_stay_as_they_are(values: np.ndarray) -> None:
    stored = store(values)
    assert stored.slope == "1"
    assert (stored.pixels == values).all()


def test_store__what_is_not_finite_becomes_zero() -> None:
    assert store(np.array([np.nan, np.inf, -np.inf, 3.5])).pixels.tolist() == [0, 0, 0, 65535]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_decimal_string__fits_into_16_characters_and_is_near(number: float) -> None:
    text = decimal_string(number)
    assert len(text) <= 16
    assert abs(float(text) - number) <= max(1e-8 * abs(number), 1e-13)
