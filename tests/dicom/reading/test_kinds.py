import pytest
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, PositronEmissionTomographyImageStorage, SecondaryCaptureImageStorage

from bids_spectsynth.dicom.reading.files import Series
from bids_spectsynth.dicom.reading.kinds import kind_of
from bids_spectsynth.dicom.reading.radiopharmaceutical import nuclide, tracer


def one(header: Dataset) -> Series:
    return Series(1, "", "", (header,))


@pytest.mark.parametrize(
    ("image_type", "datatype", "word"),
    [
        (["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"], "spect", ""),
        (["ORIGINAL", "PRIMARY", "TOMO", "EMISSION"], None, "raw projections"),
        (["ORIGINAL", "PRIMARY", "RECON GATED TOMO", "EMISSION"], None, "gated"),
        (["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"], None, "planar"),
        (["ORIGINAL", "PRIMARY", "DYNAMIC", "EMISSION"], None, "planar, over time"),
        (["ORIGINAL", "PRIMARY", "RECON TOMO"], "spect", ""),
        (["ORIGINAL", "PRIMARY", "RECON TOMO", "TRANSMISSION"], None, "transmission (attenuation map)"),
        (["ORIGINAL", "PRIMARY"], None, "not said to be"),
    ],
)
def test_kind_of__nuclear_medicine_by_its_image_type(image_type, datatype, word, nuclear) -> None:
    kind = kind_of(one(nuclear(ImageType=image_type)))
    assert kind.datatype == datatype
    assert word in kind.reason


@pytest.mark.parametrize(
    ("sop_class", "word"), [(SecondaryCaptureImageStorage, "secondary capture"), (CTImageStorage, "CT Image Storage")]
)
def test_kind_of__what_is_no_scan_of_use_is_left_out(sop_class, word, nuclear) -> None:
    kind = kind_of(one(nuclear(SOPClassUID=sop_class)))
    assert kind.datatype is None
    assert word in kind.reason


def test_kind_of__a_localiser_is_left_out(slices) -> None:
    (header, *_) = slices()
    assert kind_of(one(header)).datatype == "anat"
    header.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    assert "localiser" in kind_of(one(header)).reason


def test_kind_of__a_computed_image_is_never_taken_for_a_scan(nuclear) -> None:
    derived = nuclear(SyntheticData="YES", ImageType=["DERIVED", "PRIMARY", "RECON TOMO", "EMISSION"])
    assert kind_of(one(derived)).reason == "synthetic: it was computed, not acquired"
    registered = nuclear(SyntheticData="NO", ImageType=["DERIVED", "PRIMARY", "RECON TOMO", "EMISSION"])
    assert kind_of(one(registered)).reason == "made by bids_spectsynth: it was computed, not acquired"
    registered.Manufacturer = "GE"
    assert kind_of(one(registered)).datatype == "spect"
    # A simulated scan stands for one that was acquired.
    assert kind_of(one(nuclear(SyntheticData="YES"))).datatype == "spect"


@pytest.mark.parametrize(("code", "datatype"), [(codes.SCT._18Fluorine, "pet"), (codes.SCT._99mTechnetium, "spect")])
def test_kind_of__pet_class_is_spect_by_its_nuclide(code, datatype, nuclear) -> None:
    item, radionuclide = Dataset(), Dataset()
    radionuclide.CodeMeaning = code.meaning
    item.RadionuclideCodeSequence = [radionuclide]
    header = nuclear(SOPClassUID=PositronEmissionTomographyImageStorage)
    header.RadiopharmaceuticalInformationSequence = [item]
    assert kind_of(one(header)).datatype == datatype
    header.SeriesType = ["GATED", "IMAGE"]
    assert kind_of(one(header)).reason == "gated"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Tc-99m HMPAO", "HMPAO"), ("TcECD", "ECD"), ("Technetium Tc99m exametazime", "HMPAO"), ("I-123 IMP", "IMP"),
        ("Fluorodeoxyglucose F18", "FDG"), ("simple", None), ("", None),
    ],
)  # fmt: skip
def test_tracer__by_name(text, name, nuclear) -> None:
    item = Dataset()
    item.Radiopharmaceutical = text
    header = nuclear(RadiopharmaceuticalInformationSequence=[item], SeriesDescription="brain", StudyDescription="")
    assert tracer(header) == name


def test_tracer__by_description_and_nuclide_by_half_life(nuclear) -> None:
    item = Dataset()
    item.RadionuclideHalfLife = "21620"
    header = nuclear(RadiopharmaceuticalInformationSequence=[item], SeriesDescription="BRAIN_ECD_IRAC")
    assert (tracer(header), nuclide(header)) == ("ECD", "Tc99m")
