import pytest
from pydicom.dataset import Dataset

from bids_spectsynth.dicom.importer.words import attenuation, convolution, reconstruction, scatter, token


@pytest.mark.parametrize(
    ("make", "text", "found"),
    [
        (reconstruction, "OSEM3D 4i8s Doe", "OSEM 4i8s"),
        (reconstruction, "osem_tof", "OSEM TOF"),
        (reconstruction, "Doe", "yes"),
        (reconstruction, "", ""),
        (convolution, "Butterworth, Doe", "Butterworth"),
        (convolution, "Gaussian", "Gaussian"),
        (attenuation, "CTAC Doe", "CTAC"),
        (attenuation, "CT", "CT"),
        (attenuation, "NONE", "none"),
        (attenuation, "Doctor", "yes"),
        (scatter, "TEW", "TEW"),
        (scatter, "Doe", "yes"),
    ],
)
def test_words__those_that_are_known_and_else_yes(make, text, found) -> None:
    assert make(text) == found


@pytest.mark.parametrize(("value", "found"), [("LEHR", "LEHR"), ("Doe LEHR", ""), (None, ""), (["FS", "Doe"], ["FS"])])
def test_token__short_names_of_vendors_without_those_of_people(value, found) -> None:
    header = Dataset()
    header.PatientName = "Doe^Jane"
    assert token(value, header) == found
