"""Sidecars of imported images: how a scan was made, never whom it shows, and times without their day."""

import re
from collections.abc import Mapping
from typing import Any

from pydicom.dataset import Dataset

from bids_spectsynth import __version__
from bids_spectsynth.bids.dataset import CODE_NAME
from bids_spectsynth.bids.roles import SpectState
from bids_spectsynth.dicom.importer.words import attenuation, convolution, reconstruction, scatter, token
from bids_spectsynth.dicom.reading.files import Header
from bids_spectsynth.dicom.reading.numbers import number
from bids_spectsynth.dicom.reading.radiopharmaceutical import nuclide, tracer, tracer_item

_DAY = 86400
#: Activities above this are in Bq, below in MBq: vendors write either.
_BECQUEREL = 1e5
_UNITS = {"BQML": "Bq/mL", "CNTS": "counts", "PROPCNTS": "proportional to counts"}
_COLLIMATORS = {"PARA": "parallel", "FANB": "fan beam", "CONE": "cone beam", "PINH": "pinhole", "SLNT": "slant hole",
                "DIVG": "diverging", "CVGB": "converging"}  # fmt: skip
_RECONSTRUCTION = re.compile(r"\b(?:3d[- ]?)?(?:osem|mlem|oscgm|osag|fbp|bsrem|evolution|astonish|flash ?3d|iter\w*)\b")
#: What a T1w's sidecar may have of what dcm2niix writes.
T1W_KEYS = (
    "Modality", "MagneticFieldStrength", "Manufacturer", "ManufacturersModelName", "SoftwareVersions",
    "MRAcquisitionType", "SequenceName", "ScanningSequence", "SequenceVariant", "ScanOptions",
    "NonlinearGradientCorrection", "EchoTime", "RepetitionTime", "InversionTime", "FlipAngle",
    "SliceThickness", "PartialFourier", "ParallelReductionFactorInPlane", "ImageOrientationText",
)  # fmt: skip
#: Those of them that people may have typed.
_TYPED = ("SequenceName", "ScanOptions", "SoftwareVersions", "SequenceVariant", "ScanningSequence")
#: Those of them that a header has by the same name, and what its number is divided by: seconds for milliseconds.
_T1W_HEADER = {
    "MagneticFieldStrength": 1, "EchoTime": 1000, "RepetitionTime": 1000, "InversionTime": 1000, "FlipAngle": 1,
    "SliceThickness": 1,
}  # fmt: skip


def converted_by() -> dict[str, str]:
    """What made the file."""
    return {"ConversionSoftware": f"{CODE_NAME}-import", "ConversionSoftwareVersion": __version__}


def anatomical_sidecar(header: Header, written: Mapping[str, Any]) -> dict[str, Any]:
    """Sidecar of a T1w.

    Parameters
    ----------
    header : Header
    written : mapping
        What dcm2niix has written; empty without it.
    """
    own: dict[str, Any] = {"Modality": "MR", **_scanner(header)}
    for keyword, divisor in _T1W_HEADER.items():
        value = number(header, keyword)
        if value is not None:
            own[keyword] = value / divisor
    kept = {key: written[key] for key in T1W_KEYS if key in written}
    kept |= {key: token(kept[key], header) for key in _TYPED if key in kept}
    kept = {key: value for key, value in kept.items() if value not in ("", [])}
    # dcm2niix knows makers by the beginning of a name.
    return {**kept, **own, **_simulated(header)}


def nuclear_sidecar(header: Header, state: SpectState | None) -> dict[str, Any]:
    """Sidecar of a PET or SPECT, with keys as BIDS has them for PET.

    Parameters
    ----------
    header : Header
    state : {'ictal', 'interictal', None}
        Of a SPECT.
    """
    facts: dict[str, Any] = {"Modality": str(header.get("Modality", "")), **_scanner(header)}
    if state is not None:
        facts |= {"TaskName": state, "TaskDescription": f"tracer injected in the {state} state"}
    facts["Units"] = _UNITS.get(str(header.get("Units") or "CNTS"))
    facts |= {"TracerName": tracer(header), "TracerRadionuclide": nuclide(header)}
    facts |= _activity(header) | _times(header) | _reconstruction(header) | _collimator(header)
    known = {key: value for key, value in facts.items() if value not in (None, "", [])}
    return {**known, **_simulated(header)}


def _scanner(header: Header) -> dict[str, str]:
    names = {"Manufacturer": "Manufacturer", "ManufacturerModelName": "ManufacturersModelName"}
    return {key: str(header[keyword].value) for keyword, key in names.items() if header.get(keyword)}


def _simulated(header: Header) -> dict[str, bool]:
    return {"Simulated": True} if header.get("SyntheticData") == "YES" else {}


def _activity(header: Header) -> dict[str, Any]:
    dose = number(tracer_item(header), "RadionuclideTotalDose") or 0
    if dose <= 0:
        return {}
    megabecquerel = dose / 1e6 if dose > _BECQUEREL else dose
    return {"InjectedRadioactivity": round(megabecquerel, 6), "InjectedRadioactivityUnits": "MBq"}


def _times(header: Header) -> dict[str, Any]:
    """Seconds from the midnight before the scan; no date."""
    start = seconds_of_day(header.get("AcquisitionTime"))
    start = seconds_of_day(header.get("SeriesTime")) if start is None else start
    if start is None:
        return {}
    facts: dict[str, Any] = {"TimeZero": "00:00:00", "ScanStart": start, "FrameTimesStart": [start]}
    injected = _injection(header, start)
    if injected is not None:
        facts["InjectionStart"] = injected
    duration = _duration(header)
    if duration:
        facts["FrameDuration"] = [duration]
    correction = str(header.get("DecayCorrection") or "")
    corrected = {str(value) for value in header.get("CorrectedImage") or []}
    if correction or corrected:
        facts["ImageDecayCorrected"] = correction in ("START", "ADMIN") or "DECY" in corrected
    if correction in ("START", "ADMIN"):
        facts["ImageDecayCorrectionTime"] = start if correction == "START" else injected
    return facts


def _injection(header: Header, start: float) -> float | None:
    item = tracer_item(header)
    moment, day = str(item.get("RadiopharmaceuticalStartDateTime") or ""), str(header.get("AcquisitionDate") or "")
    if len(moment) >= 14 and len(day) == 8:
        time = seconds_of_day(moment[8:].partition("+")[0].partition("-")[0])
        if time is not None:
            return time if moment[:8] == day else time - _DAY if moment[:8] < day else time + _DAY
    time = seconds_of_day(item.get("RadiopharmaceuticalStartTime"))
    # Nobody is injected after the scan began: it was before midnight.
    return None if time is None else time - _DAY if time > start else time


def _duration(header: Header) -> float | None:
    rotations = header.get("RotationInformationSequence") or []
    if len(rotations):
        rotation = rotations[0]
        frame = number(rotation, "ActualFrameDuration") or 0
        return round(frame * (number(rotation, "NumberOfFramesInRotation") or 0) / 1000, 3) or None
    return round((number(header, "ActualFrameDuration") or 0) / 1000, 3) or None


def _reconstruction(header: Header) -> dict[str, Any]:
    corrections = {str(value) for value in header.get("CorrectedImage") or []}
    method = reconstruction(str(header.get("ReconstructionMethod") or ""))
    if not method:
        found = _RECONSTRUCTION.search(str(header.get("SeriesDescription") or "").lower().replace("_", " "))
        method = found[0].upper() if found else ""
    attenuated = attenuation(str(header.get("AttenuationCorrectionMethod") or ""))
    scattered = scatter(str(header.get("ScatterCorrectionMethod") or ""))
    return {
        "ReconMethodName": method,
        "ReconFilterType": convolution(str(header.get("ConvolutionKernel") or "")),
        "AttenuationCorrection": attenuated or ("yes" if "ATTN" in corrections else "none" if corrections else ""),
        "ScatterCorrection": scattered or ("yes" if "SCAT" in corrections else "none" if corrections else ""),
    }


def _collimator(header: Header) -> dict[str, Any]:
    detectors = header.get("DetectorInformationSequence") or [Dataset()]
    item = detectors[0] if len(detectors) else Dataset()
    kind = str(item.get("CollimatorType") or header.get("CollimatorType") or "")
    name = token(item.get("CollimatorGridName") or header.get("CollimatorGridName"), header)
    windows = header.get("EnergyWindowInformationSequence") or []
    ranges = [one.EnergyWindowRangeSequence[0] for one in windows if one.get("EnergyWindowRangeSequence")]
    limits = [[number(one, f"EnergyWindow{end}Limit") for end in ("Lower", "Upper")] for one in ranges[:1]]
    limits = [pair for pair in limits if None not in pair]
    return {
        "CollimatorType": _COLLIMATORS.get(kind),
        "CollimatorName": name,
        "EnergyWindow": limits[0] if limits else None,
        "EnergyWindowUnits": "keV" if limits else None,
    }


def seconds_of_day(time: object) -> float | None:
    """Seconds since midnight of a time of DICOM, ``HHMMSS.FFFFFF`` or a part of it.

    Examples
    --------
    >>> seconds_of_day("101530.5"), seconds_of_day("0815"), seconds_of_day("")
    (36930.5, 29700.0, None)
    """
    found = re.fullmatch(r"(\d{2})(?::?(\d{2}))?(?::?(\d{2}(?:\.\d*)?))?", str(time or "").strip())
    if found is None:
        return None
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds
