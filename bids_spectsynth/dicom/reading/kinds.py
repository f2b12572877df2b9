"""What a series is: a reconstructed SPECT, a PET, an MR image, or something that is left out, with the reason."""

from dataclasses import dataclass
from typing import Literal

from pydicom.uid import (
    EnhancedMRImageStorage,
    EnhancedPETImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    LegacyConvertedEnhancedPETImageStorage,
    MRImageStorage,
    NuclearMedicineImageStorage,
    PositronEmissionTomographyImageStorage,
)

from bids_spectsynth.bids.dataset import CODE_NAME
from bids_spectsynth.bids.roles import is_spect
from bids_spectsynth.dicom.reading.files import Header, Series
from bids_spectsynth.dicom.reading.radiopharmaceutical import nuclide

ENHANCED = frozenset(
    {
        EnhancedMRImageStorage,
        EnhancedPETImageStorage,
        LegacyConvertedEnhancedMRImageStorage,
        LegacyConvertedEnhancedPETImageStorage,
    }
)
_PET = frozenset(
    {
        PositronEmissionTomographyImageStorage,
        EnhancedPETImageStorage,
        LegacyConvertedEnhancedPETImageStorage,
    }
)
_MR = frozenset({MRImageStorage, EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage})

#: Third value of ImageType of what is no static, reconstructed volume.
_NUCLEAR_REASONS = {
    "TOMO": "raw projections: reconstruct them first",
    "GATED TOMO": "gated raw projections",
    "RECON GATED TOMO": "gated",
    "GATED": "gated and planar",
    "STATIC": "planar",
    "WHOLE BODY": "planar, of the whole body",
    "DYNAMIC": "planar, over time",
}


@dataclass(frozen=True)
class Kind:
    """What a series is taken for.

    Parameters
    ----------
    datatype : {'spect', 'pet', 'anat', None}
        None: it is left out.
    reason : str
        Why it is left out.
    """

    datatype: Literal["spect", "pet", "anat"] | None
    reason: str = ""


def kind_of(series: Series) -> Kind:
    """What a series is; a slice of MR may still be of no use, which reading it tells."""
    header = series.first
    sop_class = header.SOPClassUID
    image_type = [str(value).upper() for value in header.get("ImageType") or []]
    if "DERIVED" in image_type and header.get("SyntheticData") == "YES":
        return Kind(None, "synthetic: it was computed, not acquired")
    if "DERIVED" in image_type and header.get("Manufacturer") == CODE_NAME:
        return Kind(None, f"made by {CODE_NAME}: it was computed, not acquired")
    if sop_class == NuclearMedicineImageStorage:
        return _nuclear(image_type)
    if sop_class in _PET:
        return _positron(header)
    if sop_class in _MR:
        localizer = "LOCALIZER" in image_type or "PROJECTION IMAGE" in image_type
        return Kind(None, "a localiser or a projection") if localizer else Kind("anat")
    name = str(sop_class.name)
    if "Secondary Capture" in name:
        return Kind(None, "a secondary capture: a picture, no volume")
    return Kind(None, f"{name}: neither NM, PET nor MR")


def _nuclear(image_type: list[str]) -> Kind:
    what = image_type[2] if len(image_type) > 2 else ""
    if what == "RECON TOMO":
        emission = image_type[3] if len(image_type) > 3 else ""
        return Kind("spect") if emission in ("", "EMISSION") else Kind(None, "transmission (attenuation map)")
    return Kind(None, _NUCLEAR_REASONS.get(what, "not said to be reconstructed tomography (ImageType)"))


def _positron(header: Header) -> Kind:
    series_type = [str(value).upper() for value in header.get("SeriesType") or []]
    if "GATED" in series_type:
        return Kind(None, "gated")
    if "REPROJECTION" in series_type:
        return Kind(None, "projections")
    return Kind("spect" if is_spect("pet", {}, {"TracerRadionuclide": nuclide(header) or "?"}) else "pet")
