"""Texts of the phantom's BIDS dataset: description, README, participants, and a sidecar for each image."""

from collections.abc import Mapping
from typing import Any

from bids_spectsynth import __version__
from bids_spectsynth.bids.names import BIDS_VERSION
from bids_spectsynth.phantom.seizures import IctalScans, Seizure

README = """\
Simulated phantom cohort
========================

Every image here is simulated. Nobody was scanned, and no number that is computed from these images is a clinical
number: they prove that software works, not that a method helps patients.

Each subject is the ICBM152 2009a template (nonlinear symmetric; tissue maps shipped with nilearn) through an
individual smooth deformation, with skull, scalp, face and neck around it. From the same tissue come the T1-weighted
image, the FDG-PET and the HMPAO-SPECT (interictal, in some also ictal). PET and SPECT share part of their regional
variation and the interictal focal deficit; an ictal SPECT has a hyperperfused focus; some subjects have a resection
cavity. Fields of view, matrices and voxel sizes follow Table 1 of Fard et al. 2024 (doi:10.3389/fneur.2024.1383773);
the size "small" keeps the fields of view at coarser voxels. The scans of a subject lie in worlds of their own: they
differ by rigid motion.

The truth (transforms, brain masks, foci, noise-free SPECT) is in the folder with "-truth" after its name, beside this
one. SPECT is not part of BIDS yet: the spect folders follow the entities and sidecars of PET.

ICBM152 templates: copyright (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological
Institute, McGill University; use, copying and modification with this notice are permitted.
"""

TRUTH_README = """\
Truth of the simulated phantom cohort beside this folder
=======================================================

*_from-A_to-T1w_mode-image_xfm.txt   4x4 matrix, millimetres, RAS+: maps world coordinates of the raw T1w to those of
                                     the raw scan A (x_A = matrix @ x_T1w)
*_desc-brain_mask.nii.gz             brain with ventricles and sulcal fluid, on the voxels of the raw T1w
anat/*_label-lesion_mask.nii.gz      resection cavity, on the voxels of the raw T1w; give this folder to bids_spectsynth
                                     with --derivatives, and it is used as a lesion mask
*_label-GM_probseg.nii.gz            grey matter fraction, 3 mm grid in the T1w's world
*_desc-noisefree_spect.nii.gz        SPECT as blurred by the camera, without noise, same grid; cortex is about 1
*_foci.tsv                           centre in the T1w's world (mm), radius (mm), and relative change of uptake in each
                                     scan; kind hypo (deficit), hyper (ictal focus) or cavity (resected)
"""


#: Added to `TRUTH_README` in a study.
STUDY_TRUTH_README = """
The ictal scans of this cohort (option --ictal) are two per subject: run-1 with a seizure's focus, run-2 without a
seizure (a second interictal scan under task-ictal: the null). Both differ from the interictal scan by motion, noise, a
smooth field of perfusion of 3 %, the level of white matter and what attenuation correction leaves, as two injections
do. In every second subject the ictal camera has another resolution or postfilter.

*_foci.tsv    has further columns in the row of the seizure's focus: scan, side, lobe (simple planes of the template;
              deep: insula, mesial and subcortical grey matter), volume_ml (brain inside the radius), strength (percent)
              and depth_mm (centre below the brain's hull). Deficits (hypo) stay during the seizure.
*_scans.tsv   of each SPECT: resolution of the camera, of the postfilter and of both (FWHM, mm), and level: the stored
              value where the uptake is 1
"""


def dataset_description(
    n: int, size: str, seed: int, folds: str = "average", ictal: IctalScans = "some"
) -> dict[str, Any]:
    """Content of ``dataset_description.json``.

    Parameters
    ----------
    n : int
        Number of subjects.
    size, folds, ictal : str
    seed : int
    """
    options = f"-n {n} --size {size} --seed {seed}" + (f" --folds {folds}" if folds != "average" else "")
    options += f" --ictal {ictal}" if ictal != "some" else ""
    return {
        "Name": f"Simulated phantom cohort (not patients): {n} subjects, size {size}, seed {seed}",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "raw",
        "License": "See README",
        "Authors": ["The bids_spectsynth developers"],
        "Acknowledgements": "Anatomy derived from the ICBM152 2009a template (McConnell Brain Imaging Centre).",
        "GeneratedBy": [
            {
                "Name": "bids_spectsynth-phantom",
                "Version": __version__,
                "Description": f"Simulated images; bids_spectsynth-phantom {options}",
            }
        ],
    }


PARTICIPANTS_DICTIONARY: Mapping[str, Any] = {
    "age": {"Description": "Simulated age; widens ventricles and sulci", "Units": "year"},
    "sex": {"Description": "Simulated sex; changes the brain's size", "Levels": {"F": "female", "M": "male"}},
    "resection": {
        "Description": "Whether a resection cavity was simulated",
        "Levels": {"yes": "cavity", "no": "no cavity"},
    },
}

#: Added to `PARTICIPANTS_DICTIONARY` in a study.
STUDY_PARTICIPANTS_DICTIONARY: Mapping[str, Any] = {
    "focus_side": {
        "Description": "Side on which the simulated seizure of the first ictal scan starts",
        "Levels": {"L": "left", "R": "right"},
    },
    "focus_lobe": {"Description": "Lobe in which it starts; deep: insula, mesial and subcortical grey matter"},
}


def t1w_sidecar() -> dict[str, Any]:
    """Sidecar of a simulated T1w."""
    return {
        "Manufacturer": "Simulated",
        "ManufacturersModelName": "Phantom MRI",
        "MagneticFieldStrength": 3,
        "MRAcquisitionType": "3D",
        "ScanningSequence": "GR",
        "SequenceVariant": "MP",
        "SequenceName": "MPRAGE",
        "Simulated": True,
    }


def pet_sidecar(frames: int, stored_4d: bool, filter_fwhm: float) -> dict[str, Any]:
    """Sidecar of a simulated FDG-PET: 20 minutes, 40 minutes after injection, in `frames` equal frames.

    Parameters
    ----------
    frames : int
    stored_4d : bool
        Whether the image has a fourth axis, also for one frame.
    filter_fwhm : float
        Gaussian postfilter, millimetres.
    """
    return {
        **_emission_sidecar(frames, stored_4d, 1200.0, 2400.0, filter_fwhm),
        "ManufacturersModelName": "Phantom PET",
        "Units": "Bq/mL",
        "TracerName": "FDG",
        "TracerRadionuclide": "F18",
        "InjectedRadioactivity": 185,
        "ReconMethodName": "OSEM",
        "ReconMethodParameterLabels": ["subsets", "iterations"],
        "ReconMethodParameterUnits": ["none", "none"],
        "ReconMethodParameterValues": [21, 4],
        "AttenuationCorrection": "CT-based, with a simulated residual error",
    }


def spect_sidecar(task: str, stored_4d: bool, filter_fwhm: float) -> dict[str, Any]:
    """Sidecar of a simulated HMPAO-SPECT: 30 minutes, one hour after injection; keys as for PET.

    Parameters
    ----------
    task : str
        ``interictal`` or ``ictal``.
    stored_4d : bool
        Whether the image has a fourth axis.
    filter_fwhm : float
        Gaussian postfilter, millimetres.
    """
    return {
        **_emission_sidecar(1, stored_4d, 1800.0, 3600.0, filter_fwhm),
        "ManufacturersModelName": "Phantom SPECT",
        "TaskName": task,
        "TaskDescription": f"tracer injected in the {task} state",
        "Units": "counts",
        "TracerName": "HMPAO",
        "TracerRadionuclide": "Tc99m",
        "InjectedRadioactivity": 740,
        "ReconMethodName": "OSEM",
        "ReconMethodParameterLabels": ["subsets", "iterations"],
        "ReconMethodParameterUnits": ["none", "none"],
        "ReconMethodParameterValues": [8, 4],
        "AttenuationCorrection": "Chang, with a simulated residual error",
    }


def injection(start: float, seizure: Seizure | None) -> dict[str, Any]:
    """Keys of an ictal scan's sidecar that say when the seizure was.

    Parameters
    ----------
    start : float
        The sidecar's ``InjectionStart``, seconds.
    seizure : Seizure or None
        None: there was none.
    """
    if seizure is None:
        return {"TaskDescription": "tracer injected without a seizure: one more interictal scan"}
    onset = round(start - seizure.latency, 1)
    return {"SeizureOnset": onset, "SeizureDuration": round(seizure.duration, 1)}


def _emission_sidecar(
    frames: int, stored_4d: bool, duration: float, delay: float, filter_fwhm: float
) -> dict[str, Any]:
    """What PET and SPECT have in common; times in seconds from the start of the scan."""
    length = duration / frames
    return {
        "Manufacturer": "Simulated",
        "InjectedRadioactivityUnits": "MBq",
        "InjectedMass": "n/a",
        "InjectedMassUnits": "n/a",
        "SpecificRadioactivity": "n/a",
        "SpecificRadioactivityUnits": "n/a",
        "ModeOfAdministration": "bolus",
        "TimeZero": "10:00:00",
        "ScanStart": 0,
        "InjectionStart": -delay,
        "FrameTimesStart": [index * length for index in range(frames)],
        "FrameDuration": [length] * frames,
        "AcquisitionMode": "list mode" if stored_4d and frames > 1 else "static",
        "ImageDecayCorrected": True,
        "ImageDecayCorrectionTime": 0,
        "ReconFilterType": "Gaussian",
        "ReconFilterSize": filter_fwhm,
        "Simulated": True,
    }
