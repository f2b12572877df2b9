"""What every exported file says: whose it is, what made it, that it is synthetic, and what it was derived from.

No identity is made up: without a donor (:mod:`bids_spectsynth.dicom.export.donor`) the patient is the participant's
label, UIDs are of this software, and there are no dates.
"""

import copy
import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID, ExplicitVRLittleEndian

from bids_spectsynth import __version__
from bids_spectsynth.bids.dataset import CODE_NAME, PHANTOM_NAME

#: What a patient and a study are known by; the importer looks for none of it, a donor gives it.
PATIENT_KEYWORDS = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
    "TimezoneOffsetFromUTC",
)
#: Those that must be there, if only empty.
_REQUIRED = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
             "AccessionNumber", "ReferringPhysicianName")  # fmt: skip
SYNTHETIC, RESEARCH = "SYNTHETIC", "RESEARCH"
#: Root of the UIDs that are made of UUIDs, which anybody may use.
_UUID_ROOT = "2.25."
#: Longest text of a description.
_DESCRIPTION = 64


@dataclass(frozen=True, eq=False)
class Subject:
    """Whose the files are.

    Parameters
    ----------
    patient : Dataset
        Those of :data:`PATIENT_KEYWORDS` that are known.
    frame_of_reference : str
        UID of the patient's coordinates that all series share.
    sources : tuple of (str, str)
        Class and instance of the donor's images; empty without one.
    """

    patient: Dataset
    frame_of_reference: str
    sources: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Series:
    """What a series says of itself.

    Parameters
    ----------
    title : str
        Its description without the word that it begins with.
    synthetic : bool
        Whether a network or a simulation made it, or what it was computed from.
    derivation : str
        What was done, in words.
    number : int
    key : str
        What its UIDs are made from: all that makes it another series.
    burned_in : bool
        Whether words are drawn into its pixels.
    acquired : bool
        Whether it stands for a scan as a (simulated) scanner gives it.
    """

    title: str
    synthetic: bool
    derivation: str
    number: int
    key: str
    burned_in: bool = False
    acquired: bool = False

    @property
    def description(self) -> str:
        """Begins with SYNTHETIC or RESEARCH."""
        return f"{SYNTHETIC if self.synthetic else RESEARCH} {self.title}"[:_DESCRIPTION].rstrip()

    @property
    def uid(self) -> str:
        """Of the series."""
        return uid_of("series", self.key)

    @property
    def origin(self) -> list[str]:
        """The first two values of ImageType."""
        return ["ORIGINAL", "PRIMARY"] if self.acquired else ["DERIVED", "SECONDARY"]


def uid_of(*parts: str) -> str:
    """A UID that depends on texts alone: the same export twice gives the same files.

    Examples
    --------
    >>> uid_of("series", "a") == uid_of("series", "a"), uid_of("a", "b") == uid_of("ab"), uid_of("a")[:5]
    (True, False, '2.25.')
    """
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return _UUID_ROOT + str(uuid.UUID(bytes=digest[:16], version=4).int)


def own_subject(participant: str, key: str) -> Subject:
    """A subject of whom nothing is known but the label.

    Parameters
    ----------
    participant : str
        Label without ``sub-``.
    key : str
        What tells the participant from others of the same label, in other datasets.
    """
    patient = Dataset()
    patient.PatientID = participant
    # With a caret, as a name of one part has it.
    patient.PatientName = f"sub-{participant}^"
    patient.StudyInstanceUID = uid_of("study", participant, key)
    patient.StudyDescription = "Research"
    return Subject(patient, uid_of("frame of reference", participant, key))


def new_file(subject: Subject, series: Series, sop_class: UID, modality: str, instance: int = 1) -> Dataset:
    """The modules that all files share: patient, study, series, frame of reference, equipment, derivation, SOP common.

    Parameters
    ----------
    subject : Subject
    series : Series
    sop_class : UID
    modality : str
    instance : int
        From 1 within the series.
    """
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.SpecificCharacterSet = "ISO_IR 192"
    for keyword in _REQUIRED:
        setattr(file, keyword, "")
    for element in subject.patient:
        # Files must not share what one of them may change.
        file[element.tag] = copy.deepcopy(element)
    file.SOPClassUID = sop_class
    file.SOPInstanceUID = uid_of("instance", series.key, str(instance))
    file.file_meta.MediaStorageSOPClassUID = sop_class
    file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.file_meta.ImplementationClassUID = UID(uid_of("implementation", CODE_NAME))
    file.file_meta.ImplementationVersionName = CODE_NAME[:16]
    file.Modality = modality
    file.SeriesInstanceUID = series.uid
    file.SeriesNumber = series.number
    file.SeriesDescription = series.description
    file.BodyPartExamined = "BRAIN"
    file.InstanceNumber = instance
    file.FrameOfReferenceUID = subject.frame_of_reference
    file.PositionReferenceIndicator = ""
    _add_equipment(file, series)
    add_provenance(file, series)
    return file


def _add_equipment(file: Dataset, series: Series) -> None:
    # Nothing of the scanner: a file that names one would pretend to come from it.
    file.Manufacturer = CODE_NAME
    file.ManufacturerModelName = PHANTOM_NAME if series.acquired else CODE_NAME
    file.SoftwareVersions = __version__
    file.InstitutionName = ""


def add_provenance(file: Dataset, series: Series) -> None:
    """Whether it is synthetic, which software had a hand in it, what was done, whether words are in the pixels.

    Parameters
    ----------
    file : Dataset
    series : Series
    """
    # Content that is derived from synthetic data is synthetic data, too (DICOM PS3.3, C.12.1).
    file.SyntheticData = "YES" if series.synthetic else "NO"
    file.BurnedInAnnotation = "YES" if series.burned_in else "NO"
    file.DerivationDescription = series.derivation[:1024]
    purposes = [codes.DCM.SynthesizingEquipment] if series.synthetic else []
    purposes += [] if series.acquired else [codes.DCM.ProcessingEquipment]
    file.ContributingEquipmentSequence = [_equipment(purpose, series) for purpose in purposes]


def _equipment(purpose: Code, series: Series) -> Dataset:
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [coded(purpose)]
    item.Manufacturer = CODE_NAME
    item.ManufacturerModelName = PHANTOM_NAME if series.acquired else CODE_NAME
    item.SoftwareVersions = __version__
    item.ContributionDescription = series.derivation[:1024]
    return item


def add_sources(file: Dataset, sources: Iterable[tuple[str, str]]) -> None:
    """The donor's images, as those that the image was derived from.

    Parameters
    ----------
    file : Dataset
    sources : iterable of (str, str)
        Classes and instances.
    """
    items = []
    for sop_class, instance in sources:
        item = Dataset()
        item.ReferencedSOPClassUID = sop_class
        item.ReferencedSOPInstanceUID = instance
        item.PurposeOfReferenceCodeSequence = [coded(codes.DCM.SourceImageForImageProcessingOperation)]
        items.append(item)
    if items:
        file.SourceImageSequence = items


def coded(code: Code) -> Dataset:
    """A code as an item of a sequence."""
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item
