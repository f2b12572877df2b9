"""The interictal SPECT that each model has synthesised."""

import re
from pathlib import Path

import numpy as np
from scipy import ndimage

from bids_spectsynth.bids.output_files import (
    CALIBRATION,
    Synthetic,
    find_synthetic,
    standard_deviation_path,
    synthetic_path,
)
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.sidecars import sidecar
from bids_spectsynth.images.smoothing import MaskedSmoother
from bids_spectsynth.siscom.baselines.request import BaselineSource, Request
from bids_spectsynth.siscom.records import BaselineImage, Float32

#: What tells networks apart, in sidecars of what they have made.
_CHECKSUM = "ModelChecksum"
#: Labels of the other baselines, which no model may take.
RESERVED = ("Real", "Pet", "Cohort", "Normals")
#: What readers must know of a participant on this side of the model's split.
_SEEN = {
    "train": "The model has learned from this participant: the image may repeat what the interictal scan shows.",
    "validation": "This participant was among those that chose the model's epoch.",
}


def siscom_label(model: str) -> str:
    """A model's label as ``desc-siscom<label>`` has it: letters and digits, with a capital.

    Examples
    --------
    >>> siscom_label("pix2pixT1w"), siscom_label("my-model"), siscom_label("pet")
    ('Pix2pixT1w', 'Mymodel', 'PetModel')
    """
    bare = re.sub(r"[^0-9A-Za-z]", "", model)
    label = bare[:1].upper() + bare[1:]
    return f"{label}Model" if label in RESERVED else label


def usable_synthetic(request: Request) -> list[Synthetic]:
    """The synthetic images of which it is known whether their model has learned from the participant."""
    found = find_synthetic(request.output_dir, request.case)
    return [one for one in found if one.model in request.splits]


def left_out(request: Request) -> list[str]:
    """The others, and why they are no baselines; one line each."""
    return [
        f"synthetic SPECT of {one.model} left out: it is of no model of this run or of the output folder as it is now, "
        "so whether that has learned from the participant is not known"
        for one in find_synthetic(request.output_dir, request.case)
        if one.model not in request.splits
    ]


def _available(request: Request) -> str | None:
    if usable_synthetic(request):
        return None
    return "of no model that is known here" if left_out(request) else "no synthetic SPECT in T1w space"


def _image(request: Request, found: Synthetic) -> BaselineImage:
    split = request.splits[found.model]
    note = _SEEN.get(split)
    return BaselineImage(
        kind="synthetic",
        label=siscom_label(found.model),
        values=np.where(request.brain, request.read(found.path), np.float32(0)),
        mask=request.brain,
        synthetic=True,
        seen=split in _SEEN,
        model=found.model,
        sources=(found.path,),
        notes=(note,) if note else (),
    )


def _make(request: Request) -> list[BaselineImage]:
    return [_image(request, found) for found in usable_synthetic(request)]


def calibrated_path(output_dir: Path, case: PreparedCase, model: str) -> Path | None:
    """The calibrated standard deviation of a model's image; None where there is none, or one of samples.

    Parameters
    ----------
    output_dir : Path
    case : PreparedCase
    model : str
        Label of the model.
    """
    path = standard_deviation_path(output_dir, case, model)
    if not path.is_file():
        return None
    own, image = sidecar(path), sidecar(synthetic_path(output_dir, case, model))
    # What an interrupted run has left may be of an earlier training.
    same = own.get(_CHECKSUM) == image.get(_CHECKSUM)
    return path if same and own.get("SampledBy") == CALIBRATION else None


def expected_deviation(request: Request, baseline: BaselineImage) -> Float32 | None:
    """The calibrated standard deviation of a synthetic baseline, smoothed as a variance by the Gaussian of the map.

    Errors of neighbouring voxels are correlated to a degree that is not known, so that its shape alone tells something.

    Parameters
    ----------
    request : Request
    baseline : BaselineImage

    Returns
    -------
    array, shape (I, J, K), or None
        In the units of the image, NaN outside the baseline's mask; in a lesion that of the nearest voxel outside. None
        of other baselines, and where no deviation was calibrated or all are 0.

    Raises
    ------
    ImageError
        The file cannot be read, or lies on another grid than the brain mask.
    """
    path = calibrated_path(request.output_dir, request.case, baseline.model) if baseline.kind == "synthetic" else None
    if path is None:
        return None
    values = request.read(path)
    # Nobody expects an error of 0: there the file says nothing.
    known = request.healthy(baseline.mask) & (values > 0)
    if not known.any():
        return None
    smooth = np.sqrt(MaskedSmoother(known, request.voxel_sizes, request.fwhm)(np.square(values)))
    nearest = ndimage.distance_transform_edt(
        ~known, sampling=request.voxel_sizes.tolist(), return_distances=False, return_indices=True
    )
    return np.where(baseline.mask, smooth[tuple(nearest)], np.float32(np.nan))


SYNTHETIC = BaselineSource(
    name="synthetic",
    title="Synthetic interictal SPECT",
    description="What a model makes of the participant's MRI and PET; one for each model.",
    available=_available,
    make=_make,
)
