"""Margins of equivalence as users write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.options.declarations.margins import read_margins, write_margins

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True)


@given(st.dictionaries(NAMES, st.floats(0, exclude_min=True, allow_infinity=False)))
def test_margins__come_back_as_they_were_written(margins: dict[str, float]) -> None:
    read = read_margins(list(margins.items()))
    assert dict(read) == margins
    assert read_margins(write_margins(read)) == read


def test_read_margins__three_numbers_are_those_of_version_0_1() -> None:
    wanted = (("psnr", 1.0), ("rmse", 0.02), ("ssim", 0.03))
    assert read_margins([0.02, 0.03, 1]) == read_margins(["0.02", "0.03", "1"]) == wanted


def test_read_margins__numbers_and_names_do_not_mix() -> None:
    with pytest.raises(ValueError, match="NAME=MARGIN needed"):
        read_margins(["rmse=0.02", "0.03", "1"])
    with pytest.raises(ValueError, match="or three numbers, of RMSE, SSIM and PSNR"):
        read_margins(["0.02", "0.03"])
