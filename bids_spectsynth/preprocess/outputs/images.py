"""Every image of a case resampled once into a space and written with its sidecar."""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from bids_spectsynth.bids.names import source_uri
from bids_spectsynth.bids.public import public_injection, public_metadata
from bids_spectsynth.bids.roles import T1W, is_ictal, role_of
from bids_spectsynth.bids.writing import write_image
from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import Grid, MaskedGrid, apply_affine, axial_grid, mask_bounds, new_image
from bids_spectsynth.images.reading import load_image
from bids_spectsynth.images.resampling import resample_image
from bids_spectsynth.options.settings import T1W_SPACE
from bids_spectsynth.options.spaces import option_of
from bids_spectsynth.preprocess.backends.base import Backend
from bids_spectsynth.preprocess.outputs.files import (
    backend_fields,
    case_field,
    image_path,
    mask_path,
    remove_other_scans,
    remove_superseded,
    sources,
    with_sidecar,
)
from bids_spectsynth.preprocess.outputs.inputs import PreparedInputs
from bids_spectsynth.preprocess.records import Written
from bids_spectsynth.preprocess.templates.templates import fetch_template

FloatArray = npt.NDArray[np.float64]

#: Cubic B-spline, as the article's for the T1w; with PET and SPECT it keeps what resolution there is.
IMAGE_ORDER = 3


@dataclass(frozen=True, eq=False)
class _Target:
    """The grid of the space, its coordinates to those of the T1w, the brain there, and what it refers to."""

    grid: Grid
    to_t1w: FloatArray
    brain: npt.NDArray[np.bool_]
    reference: str


def write_prepared(inputs: PreparedInputs, backend: Backend) -> Written:
    """Write the prepared images and masks of one case in one space.

    Each image is interpolated once, from its own voxels, through the composed transform. The T1w image is removed
    first and written last: without it, a case does not count as prepared.

    Returns
    -------
    Written
        Everything that was written, sidecars included; optional images that were left out, and why.

    Raises
    ------
    ImageError
        An image is not readable any more, or its mask does not reach into the grid.
    """
    image_path(inputs, T1W).unlink(missing_ok=True)
    target = _target(inputs)
    left_out: dict[str, str] = {}
    files: list[Path] = []
    for role in sorted(inputs.case.images, key=lambda role: (role == T1W, role)):
        try:
            files += _write_role(inputs, backend, target, role)
        except ImageError as error:
            if role not in inputs.optional:
                raise
            left_out[role] = str(error)
    remove_other_scans(inputs, files, inputs.space)
    return Written(tuple(files), left_out)


def _target(inputs: PreparedInputs) -> _Target:
    if inputs.space == T1W_SPACE:
        grid, to_t1w = axial_grid(inputs.t1w_mask, inputs.voxel_size), np.eye(4)
        reference = source_uri(inputs.case.images[T1W].path, inputs.bids_dir, inputs.output_dir)
    else:
        # That which the T1w was registered to, not what the folder holds by now.
        template = fetch_template(inputs.records[inputs.space].template or option_of(inputs.space))
        grid = axial_grid(template.mask, inputs.voxel_size)
        to_t1w, reference = inputs.registration(inputs.space).matrix, template.source
    brain = _resampled_mask(inputs.t1w_mask, grid, to_t1w)
    return _Target(grid, to_t1w, brain, reference)


def _resampled_mask(mask: nib.Nifti1Image, grid: Grid, matrix: FloatArray) -> npt.NDArray[np.bool_]:
    low, high = mask_bounds(mask)
    corners = apply_affine(np.linalg.inv(matrix), np.array(list(product(*zip(low, high, strict=True)))))
    share = new_image(np.asanyarray(mask.dataobj, dtype=np.float32), mask.affine)
    return _resampled_box(share, grid, matrix, order=1, corners=corners) >= 0.5


def _resampled_box(
    image: nib.Nifti1Image, grid: Grid, matrix: FloatArray, *, order: int, corners: FloatArray
) -> npt.NDArray[np.float32]:
    """Values on the whole grid, computed only between ``corners`` (n, 3; mm in the grid's world), 0 elsewhere.

    Of a :class:`MaskedGrid` only the voxels inside are computed. A brain fills half of its box, and the box an eighth
    to a quarter of the grid. In Fortran's order, as NIfTI files are, so that writing needs no reordering.
    """
    voxels = apply_affine(np.linalg.inv(grid.affine), corners)
    size = np.array(grid.shape)
    low = np.clip(np.floor(voxels.min(axis=0)) - 1, 0, size).astype(int)
    high = np.clip(np.ceil(voxels.max(axis=0)) + 2, low, size).astype(int)
    values = np.zeros(grid.shape, dtype=np.float32, order="F")
    box = slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])
    i, j, k = values[box].shape
    if i and j and k:
        shift = np.eye(4)
        shift[:3, 3] = low
        part = Grid((i, j, k), grid.affine @ shift)
        if isinstance(grid, MaskedGrid):
            part = MaskedGrid(part.shape, part.affine, grid.inside[box])
            values[box] = np.where(part.inside, resample_image(image, part, matrix, order).dataobj, 0)
        else:
            values[box] = resample_image(image, part, matrix, order).dataobj
    return values


def _write_role(inputs: PreparedInputs, backend: Backend, target: _Target, role: str) -> list[Path]:
    source = inputs.case.images[role]
    matrix = target.to_t1w if role == T1W else inputs.registration(role).matrix @ target.to_t1w
    mask = target.brain
    if role in inputs.own_masks:
        mask = _resampled_mask(inputs.own_masks[role], target.grid, matrix)
    if not mask.any():
        raise ImageError(
            f"{source.path}: its brain lies outside the field of view of space-{inputs.space} after the "
            "registration; check the image's header, or try --coreg-init header"
        )
    image, _ = load_image(source.path, source.frame_durations)
    corners = np.stack(mask_bounds(new_image(mask.astype(np.uint8), target.grid.affine)))
    wanted = MaskedGrid(target.grid.shape, target.grid.affine, mask)
    values = _resampled_box(image, wanted, matrix, order=IMAGE_ORDER, corners=corners)
    # Splines overshoot a little below zero; counts and MR magnitudes do not.
    prepared = np.maximum(values, 0, out=values)
    path = image_path(inputs, role)
    sidecar = _image_sidecar(inputs, backend, target, role)
    if role == T1W:
        # With these a synthetic image can be brought back to the voxels of the participant's own T1w.
        sidecar |= {"OriginalShape": list(image.shape), "OriginalAffine": np.asarray(image.affine).tolist()}
    written = _write_mask(inputs, role, target, mask) if role_of(role).mask != "T1w" else []
    write_image(path, new_image(prepared, target.grid.affine), sidecar)
    if not is_ictal(role):
        remove_superseded(path)
    return [*written, *with_sidecar(path)]


def _write_mask(inputs: PreparedInputs, role: str, target: _Target, mask: npt.NDArray[np.bool_]) -> list[Path]:
    path = mask_path(inputs, role)
    own = role == T1W or role in inputs.own_masks
    sidecar = {
        "Type": "Brain",
        "Description": f"Brain mask of the {_title(inputs, role)}."
        if own
        else "Brain mask of the T1w, which is used here.",
        "SpatialReference": target.reference,
        "Sources": sources(inputs, role if own else T1W),
        **_external_mask(inputs, role),
        **case_field(inputs, role),
    }
    write_image(path, new_image(mask.astype(np.uint8), target.grid.affine), sidecar)
    if not is_ictal(role):
        remove_superseded(path)
    return with_sidecar(path)


def _external_mask(inputs: PreparedInputs, role: str) -> dict[str, str]:
    external = inputs.records[T1W].external
    return {"ExternalSource": external} if external and role == T1W else {}


def _title(inputs: PreparedInputs, role: str) -> str:
    """What an image is; numbers of ictal scans change with the dataset, so that no file has them."""
    return role_of(inputs.case.images[role].role).title


def _image_sidecar(inputs: PreparedInputs, backend: Backend, target: _Target, role: str) -> dict[str, Any]:
    i, j, k = target.grid.shape
    metadata = inputs.case.images[role].metadata
    return {
        "Description": f"{_title(inputs, role)}, brain-extracted, on the common grid of this space.",
        "SpatialReference": target.reference,
        "SkullStripped": True,
        "Resolution": f"{inputs.voxel_size:g} mm isotropic, {i} x {j} x {k} voxels",
        "Interpolation": "once from the source voxels, cubic B-spline, clipped at 0",
        "Sources": sources(inputs, role),
        "SourceReason": inputs.case.images[role].reason,
        "Notes": [*inputs.records[role].notes],
        **backend_fields(backend),
        **case_field(inputs, role),
        **public_metadata(metadata),
        **(public_injection(metadata) if is_ictal(role) else {}),
    }
