import pytest
from pydicom.dataset import Dataset

from bids_spectsynth.dicom.reading.identity import blanked, identifying_words


@pytest.fixture
def header() -> Dataset:
    made = Dataset()
    made.PatientName, made.PatientID, made.OperatorsName = "Li^Jane^A", "H77", "Op^One"
    return made


def test_identifying_words__parts_of_names_without_single_letters(header) -> None:
    assert identifying_words(header) == {"li", "jane", "h77", "op", "one"}


@pytest.mark.parametrize(
    ("text", "left"),
    [("Janes ictal", "... ictal"), ("LI_3D", "..._3D"), ("linear", "linear"), ("scan h77", "scan ..."), ("", "")],
)
def test_blanked__whole_words_and_long_ones_within_others(text, left, header) -> None:
    assert blanked(text, header) == left
