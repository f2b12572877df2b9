"""Options of the export as DICOM."""

from dataclasses import dataclass, field
from pathlib import Path

from bids_spectsynth.options.choices import DicomClass, Export
from bids_spectsynth.options.declarations.groups import DICOM
from bids_spectsynth.options.declare import option


@dataclass(frozen=True, kw_only=True)
class DicomOptions:
    """Whether and how results are written as DICOM."""

    export: tuple[Export, ...] = field(
        default=(),
        metadata=option(
            DICOM,
            "also write results as: dicom (needs bids_spectsynth[dicom])",
            "also write each participant's results as `dicom`, into `OUT/sub-<label>/dicom` ([DICOM](dicom.md)) [no]",
            metavar="FORMAT",
        ),
    )
    dicom_class: DicomClass = field(
        default="NM",
        metadata=option(
            DICOM,
            "images and maps as one multi-frame NM file each, or as single slices of MR on the voxels of the T1w, for "
            "navigation systems ({default})",
        ),
    )
    dicom_donor: Path | None = field(
        default=None,
        metadata=option(
            DICOM,
            "DICOM series of the participant's T1w, PET or SPECT, which give patient and study, or a folder with a "
            "folder for each label",
            "DICOM series (file or folder) of the participant's T1w, PET or SPECT, which give patient and study, the "
            "T1w also the frame of reference; or a folder with a folder for each label [nobody is named]",
            metavar="FILE|FOLDER",
        ),
    )
    force: bool = field(
        default=False,
        metadata=option(DICOM, "take a --dicom-donor that is not recognised, for patient and study alone"),
    )
