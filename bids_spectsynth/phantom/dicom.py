"""The simulated scans as DICOM series, as scanners of several vendors write them."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import PositronEmissionTomographyImageStorage

from bids_spectsynth.bids.names import parse_name
from bids_spectsynth.bids.sidecars import sidecar
from bids_spectsynth.dicom.export.headers import Series, Subject, coded, own_subject, uid_of
from bids_spectsynth.dicom.export.nuclear import Image, nuclear_file
from bids_spectsynth.dicom.export.slices import magnetic_files, plain_slices
from bids_spectsynth.dicom.geometry import Placement, axial, frames_of, placement_of

#: Every simulated patient was scanned on the first of January 2000, at the times of the sidecars.
_DAY = "20000101"
#: Codes of nuclides and their half-lives, seconds.
_NUCLIDES = {"F18": (codes.SCT._18Fluorine, 6586.2), "Tc99m": (codes.SCT._99mTechnetium, 21624.0)}
_DERIVATION = "Simulated by bids_spectsynth-phantom. Nobody was scanned."


def write_dicom(dataset: Path, folder: Path) -> None:
    """Write the scans of a simulated dataset as DICOM, a folder for each patient and in it one for each series.

    Every second patient's SPECT has its slices from the top down with a negative spacing, as some vendors write it.

    Parameters
    ----------
    dataset : Path
        Of :func:`bids_spectsynth.phantom.participants.make_cohort`.
    folder : Path
        Exists.
    """
    for number, subject in enumerate(sorted(path for path in dataset.glob("sub-*") if path.is_dir())):
        images = sorted(subject.rglob("*.nii.gz"))
        for place, path in enumerate(images, start=2):
            name = path.name.removesuffix(".nii.gz")
            target = folder / subject.name / name
            target.mkdir(parents=True)
            for count, file in enumerate(_files(path, place, downwards=number % 2 == 0), start=1):
                file.save_as(target / f"{count:04d}.dcm", enforce_file_format=True)


def _files(path: Path, number: int, *, downwards: bool) -> Iterable[Dataset]:
    """The files of a scan."""
    entities, suffix, _ = parse_name(path.name)
    label = entities["sub"]
    image = nib.Nifti1Image.from_filename(path)
    values = np.asarray(image.dataobj, dtype=np.float32)
    values = values.mean(axis=3) if values.ndim == 4 else values
    key = "\0".join((path.name, str(float(values.sum(dtype=np.float64)))))
    patient = own_subject(label, f"phantom {label}")
    patient.patient.StudyDate, patient.patient.StudyTime = _DAY, "100000"
    # Each scan has a world of its own.
    subject = replace(patient, frame_of_reference=uid_of("frame of reference", key))
    facts = sidecar(path)

    def series(title: str) -> Series:
        return Series(title=title, synthetic=True, derivation=_DERIVATION, number=number, key=key, acquired=True)

    high = float(np.percentile(values, 99.5))
    if suffix == "T1w":
        frames, placement = frames_of(values), placement_of(image.affine)
        return _mprage(Image(frames, placement, "arbitrary", (0.0, high)), subject, series("T1 MPRAGE"))
    units = str(facts.get("Units", "counts"))
    frames, placement = axial(values, np.asarray(image.affine))
    if suffix == "pet":
        return _positron(Image(frames, placement, units, (0.0, high)), subject, series("FDG PET brain AC"), facts)
    if downwards:
        frames, placement = _downwards(frames, placement)
    run = f" run {entities['run']}" if "run" in entities else ""
    title = f"HMPAO brain {entities['task']}{run}"
    return [_spect(Image(frames, placement, units, (0.0, high)), subject, series(title), facts)]


def _mprage(image: Image, subject: Subject, series: Series) -> Iterator[Dataset]:
    for file in magnetic_files(image, subject, series):
        file.ScanningSequence, file.SequenceVariant, file.MRAcquisitionType = "GR", "MP", "3D"
        file.MagneticFieldStrength, file.RepetitionTime, file.EchoTime, file.EchoTrainLength = "3", "2300", "2.98", "1"
        yield file


def _downwards(frames: npt.NDArray[Any], placement: Placement) -> tuple[npt.NDArray[Any], Placement]:
    """The same volume with its frames from the top down."""
    top = placement.frame_position(len(frames) - 1)
    return np.ascontiguousarray(frames[::-1]), replace(placement, position=top, spacing=-placement.spacing)


def _spect(image: Image, subject: Subject, series: Series, facts: dict[str, Any]) -> Dataset:
    file = nuclear_file(image, subject, series)
    _add_times(file, facts)
    item = _tracer(facts, "Tc99m", "Tc99m HMPAO")
    item.RadiopharmaceuticalStartTime = _time(float(facts["InjectionStart"]))
    # Of this class in MBq.
    item.RadionuclideTotalDose = str(facts["InjectedRadioactivity"])
    file.RadiopharmaceuticalInformationSequence = [item]
    file.CorrectedImage = ["UNIF", "DECY", "ATTN"]
    file.DetectorInformationSequence[0].CollimatorType = "FANB"
    rotation = Dataset()
    count = 60
    rotation.StartAngle, rotation.AngularStep, rotation.ScanArc, rotation.RotationDirection = "0", "6", "360", "CW"
    rotation.NumberOfFramesInRotation = count
    rotation.ActualFrameDuration = str(round(1000 * sum(facts["FrameDuration"]) / count))
    rotation.RadialPosition = "140"
    rotation.TableTraverse, rotation.TableHeight = "0", "0"
    file.RotationInformationSequence = [rotation]
    return file


def _positron(image: Image, subject: Subject, series: Series, facts: dict[str, Any]) -> Iterator[Dataset]:
    for number, file in enumerate(
        plain_slices(image, subject, series, PositronEmissionTomographyImageStorage, "PT"), start=1
    ):
        file.ImageType = [*series.origin]
        file.SeriesDate, file.SeriesTime = _DAY, "100000"
        _add_times(file, facts)
        file.Units, file.CountsSource, file.SeriesType = "BQML", "EMISSION", ["STATIC", "IMAGE"]
        file.CorrectedImage = ["DECY", "ATTN", "SCAT", "NORM"]
        file.AttenuationCorrectionMethod, file.ScatterCorrectionMethod = "CT", "Model-based"
        file.ReconstructionMethod, file.DecayCorrection, file.CollimatorType = "OSEM", "START", "NONE"
        file.NumberOfSlices, file.ImageIndex = len(image.frames), number
        del file.PatientPosition
        file.PatientOrientationCodeSequence = file.PatientGantryRelationshipCodeSequence = []
        file.FrameReferenceTime, file.DecayFactor = "0", "1"
        file.ActualFrameDuration = str(round(1000 * sum(facts["FrameDuration"])))
        item = _tracer(facts, "F18", "Fluorodeoxyglucose F18")
        item.RadiopharmaceuticalStartTime = _time(float(facts["InjectionStart"]))
        item.RadionuclideTotalDose = str(1e6 * facts["InjectedRadioactivity"])
        file.RadiopharmaceuticalInformationSequence = [item]
        yield file


def _add_times(file: Dataset, facts: dict[str, Any]) -> None:
    file.AcquisitionDate = file.ContentDate = _DAY
    file.AcquisitionTime = file.ContentTime = _time(float(facts["ScanStart"]))


def _time(seconds: float) -> str:
    """A time of day as DICOM has it, of seconds after the zero of the phantom's sidecars."""
    since_midnight = round(10 * 3600 + seconds)
    return f"{since_midnight // 3600:02d}{since_midnight // 60 % 60:02d}{since_midnight % 60:02d}"


def _tracer(facts: dict[str, Any], nuclide: str, name: str) -> Dataset:
    code, half_life = _NUCLIDES[nuclide]
    item = Dataset()
    item.RadionuclideCodeSequence = [coded(code)]
    item.RadionuclideHalfLife = str(half_life)
    item.Radiopharmaceutical = name
    return item
