"""One axial slice of the images of an example participant, on the scale of the metrics that stand beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt

from bids_spectsynth.bids.output_files import find_synthetic
from bids_spectsynth.bids.prepared import PreparedCase, find_prepared
from bids_spectsynth.bids.roles import INTERICTAL, PET, T1W
from bids_spectsynth.bids.sidecars import sidecar
from bids_spectsynth.errors import ImageError, size_text
from bids_spectsynth.evaluation.case.scales import slice_on_paper_scale
from bids_spectsynth.evaluation.columns import LESION_KEY
from bids_spectsynth.evaluation.group.configurations import PAPER_SCALE
from bids_spectsynth.evaluation.paper.examples import Example
from bids_spectsynth.images.reading import load_image
from bids_spectsynth.synthesis.data.scaling import apply_scaling, scaling_coefficients

Plane = npt.NDArray[np.float32]

#: Prepared images that are shown beside the SPECT, whatever the models were given.
SHOWN_INPUTS = (T1W, PET)


@dataclass(frozen=True, eq=False)
class ExampleImages:
    """Axial slices (I, J) of one participant; the first axis grows to the patient's right, the second to the front.

    Parameters
    ----------
    example : Example
    inputs : mapping of role to array
        0 to 1 by the slice's maximum; a missing one is left out.
    real : array
        In (-1, 1), by the slice's own minimum and maximum.
    synthetic : mapping of model to array
        In (-1, 1), as rated on slice scale: the network's output, or of a model of another scaling what
        :func:`bids_spectsynth.evaluation.case.scales.on_one_scale` makes of it. A missing one is left out.
    brain : array of bool
    zooms : tuple of float
        Voxel size along both axes, mm.
    lesion_left_out : bool
        Whether a lesion was left out of the metrics of one of the models; the images show it, and are scaled with it.
    """

    example: Example
    inputs: Mapping[str, Plane]
    real: Plane
    synthetic: Mapping[str, Plane]
    brain: npt.NDArray[np.bool_]
    zooms: tuple[float, float]
    lesion_left_out: bool = False


def read_example(
    output_dir: Path, example: Example, scalings: Mapping[str, str], inputs: Sequence[str] = SHOWN_INPUTS
) -> ExampleImages:
    """Read an example's slice of every image.

    Parameters
    ----------
    output_dir : Path
    example : Example
    scalings : mapping of model to ``slice`` or ``volume``
        The models whose images are wanted, and how their networks were trained.
    inputs : sequence of str
        Roles of the prepared images that are wanted besides the SPECT.

    Raises
    ------
    ImageError
        The real SPECT or the brain mask is missing, or an image is damaged or on another grid.
    """
    case = _case(output_dir, example)
    brain, zooms = _read_plane(case.masks[T1W], example.slice)
    planes = {}
    for role in (*inputs, INTERICTAL):
        if role in case.images:
            planes[role] = _on_grid(case.images[role], example.slice, brain.shape)
    if INTERICTAL not in planes:
        raise ImageError(f"{case.name}: no prepared interictal SPECT in space {case.space}; prepare it again")
    real = _by_own_extremes(planes.pop(INTERICTAL))
    wanted = [found for found in find_synthetic(output_dir, case) if found.model in scalings]
    matched = any(scalings[found.model] != PAPER_SCALE for found in wanted)
    # Whole volumes are read only for those whose level depends on them.
    reference = _reference(case) if matched else None
    synthetic = {}
    for found in wanted:
        if scalings[found.model] == PAPER_SCALE or reference is None:
            synthetic[found.model] = _network_output(found.path, example.slice, brain.shape)
        else:
            synthetic[found.model] = _level_matched(found.path, example.slice, reference)
    shown = {role: _to_unit(plane) for role, plane in planes.items()}
    tables = [found.metrics for found in wanted if found.metrics is not None]
    left_out = any(sidecar(path).get(LESION_KEY) is True for path in tables)
    return ExampleImages(example, shown, real, synthetic, brain > 0, zooms, left_out)


def _case(output_dir: Path, example: Example) -> PreparedCase:
    session = None if example.session_id == "n/a" else example.session_id.removeprefix("ses-")
    for case in find_prepared(output_dir, example.space, (example.participant_id,)):
        if case.session == session:
            return case
    raise ImageError(f"{output_dir}: {example.participant_id} has no prepared images in {example.space}")


def _read_plane(path: Path, k: int) -> tuple[Plane, tuple[float, float]]:
    # Only this slice is read: whole volumes of all models would take minutes.
    try:
        image = nib.load(path)
        if not isinstance(image, nib.Nifti1Image) or len(image.shape) != 3:
            raise ValueError("no image of three dimensions")
        if nib.orientations.aff2axcodes(image.affine) != ("R", "A", "S"):  # type: ignore[no-untyped-call]
            raise ValueError("not in RAS+ order")
        if not 0 <= k < image.shape[2]:
            raise ValueError(f"{image.shape[2]} slices, there is none of number {k}")
        plane = np.asarray(image.dataobj[..., k], dtype=np.float32)
        zooms = np.sqrt((np.asarray(image.affine)[:3, :2] ** 2).sum(axis=0))
    except Exception as error:
        # A damaged file may surface as an error of nibabel, gzip, zlib or numpy.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{path}: cannot be shown ({reason}); run this participant again") from error
    return np.nan_to_num(plane, nan=0.0, posinf=0.0, neginf=0.0), (float(zooms[0]), float(zooms[1]))


def _on_grid(path: Path, k: int, shape: tuple[int, ...]) -> Plane:
    plane, _ = _read_plane(path, k)
    if plane.shape != shape:
        raise ImageError(
            f"{path}: slices of {size_text(plane.shape)}, those of the brain mask {size_text(shape)}; prepare it again"
        )
    return plane


def _by_own_extremes(plane: Plane) -> Plane:
    volume = plane[..., None]
    scaled = apply_scaling(volume, *scaling_coefficients(volume, np.ones(volume.shape, dtype=bool), "slice"))
    return np.asarray(scaled[..., 0], dtype=np.float32)


def _network_output(path: Path, k: int, shape: tuple[int, ...]) -> Plane:
    """Output of a network that was trained on slice scale."""
    plane = _on_grid(path, k, shape)
    content = sidecar(path)
    try:
        slope, intercept = (float(content[name][k]) for name in ("ScaleSlope", "ScaleIntercept"))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ImageError(f"{path}: its sidecar does not tell the scale of slice {k}; apply the model again") from error
    output = (plane - intercept) / slope if slope > 0 else np.full(shape, -1.0)
    return np.asarray(np.clip(output, -1, 1), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class _Reference:
    """The volumes that an evaluation rates by: real SPECT, brain, and the brain where the SPECT was measured."""

    real: npt.NDArray[np.float32]
    mask: npt.NDArray[np.bool_]
    evaluation_mask: npt.NDArray[np.bool_]


def _reference(case: PreparedCase) -> _Reference:
    real, mask = _volume(case.images[INTERICTAL]), _volume(case.masks[T1W]) > 0
    measured = _volume(case.masks[INTERICTAL]) > 0 if INTERICTAL in case.masks else mask
    if not real.shape == mask.shape == measured.shape:
        raise ImageError(f"{case.name}: SPECT and masks are on different grids; prepare it again")
    return _Reference(real, mask, mask & measured)


def _level_matched(path: Path, k: int, reference: _Reference) -> Plane:
    """As the evaluation rates it: brought to the real SPECT's in-brain mean, scaled with its coefficients."""
    synthetic = _volume(path)
    if synthetic.shape != reference.real.shape:
        raise ImageError(
            f"{path}: {size_text(synthetic.shape)} voxels, the real SPECT has {size_text(reference.real.shape)}; "
            "apply the model again"
        )
    return slice_on_paper_scale(reference.real, synthetic, reference.mask, reference.evaluation_mask, k)


def _volume(path: Path) -> npt.NDArray[np.float32]:
    return np.asarray(load_image(path)[0].dataobj, dtype=np.float32)


def _to_unit(plane: Plane) -> Plane:
    top = float(plane.max())
    return np.asarray(plane / top, dtype=np.float32) if top > 0 else plane
