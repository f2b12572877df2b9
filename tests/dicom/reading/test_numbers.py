import pytest
from pydicom.dataset import Dataset

from bids_spectsynth.dicom.reading.numbers import number


@pytest.mark.parametrize(
    ("value", "found"), [("2.5", 2.5), ("0", 0.0), ("", None), (None, None), (["2", "3"], None), ("nan", None)]
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_number__of_one_value_and_of_nothing_else(value, found) -> None:
    header = Dataset()
    header.EchoTime = value
    assert number(header, "EchoTime") == found
    assert number(header, "FlipAngle") is None
