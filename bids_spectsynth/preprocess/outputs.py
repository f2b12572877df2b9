"""The last step of preprocessing: every image resampled once into a space and written with its sidecar."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from bids_spectsynth.bids.cases import ICTAL, INTERICTAL, PET, T1W, Case, SourceImage
from bids_spectsynth.bids.names import output_path, parse_name, source_uri
from bids_spectsynth.bids.writing import public_metadata, write_image, write_matrix
from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import Grid, MaskedGrid, apply_affine, axial_grid, mask_bounds, new_image
from bids_spectsynth.images.intensity import load_image
from bids_spectsynth.images.resampling import resample_image
from bids_spectsynth.options.settings import T1W_SPACE
from bids_spectsynth.options.spaces import option_of
from bids_spectsynth.preprocess.backends.base import Backend
from bids_spectsynth.preprocess.records import StepRecord, Written
from bids_spectsynth.preprocess.registration.result import Registration
from bids_spectsynth.preprocess.templates.templates import fetch_template

FloatArray = npt.NDArray[np.float64]

#: Cubic B-spline, as the paper's for the T1w; with PET and SPECT it keeps what resolution there is.
IMAGE_ORDER = 3
CONVENTION = (
    "4 x 4 matrix for points: world coordinates (RAS+, mm) of the target space (to-) to those of the source space "
    "(from-), as ITK does. To resample an image of the source space, apply it to the target's coordinates."
)
_DATATYPES = {T1W: ("anat", "T1w"), PET: ("pet", "pet"), INTERICTAL: ("spect", "spect"), ICTAL: ("spect", "spect")}


@dataclass(frozen=True, kw_only=True, eq=False)
class CaseRecords:
    """What is known of a case when its images are aligned.

    Parameters
    ----------
    case : Case
    bids_dir, output_dir : Path
    records : mapping
        By role: notes and, except for ``T1w``, the registration to the T1w. By label of a template: the registration of
        the T1w to it (template to T1w world coordinates).
    """

    case: Case
    bids_dir: Path
    output_dir: Path
    records: Mapping[str, StepRecord]


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedInputs(CaseRecords):
    """What :func:`write_prepared` needs to know besides.

    Parameters
    ----------
    space : str
        ``T1w`` or the label of a template's space.
    voxel_size : float
        mm.
    t1w_mask : Nifti1Image
        On the voxels of the T1w.
    own_masks : mapping
        By role, on the voxels of that image; a role without one takes the T1w's mask.
    optional : tuple of str
        Roles of images that no model needs: one that cannot be used is left out.
    """

    space: str
    voxel_size: float
    t1w_mask: nib.Nifti1Image
    own_masks: Mapping[str, nib.Nifti1Image]
    optional: tuple[str, ...] = ()


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
    _image_path(inputs, T1W).unlink(missing_ok=True)
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
    return Written(tuple(files), left_out)


def write_transforms(inputs: CaseRecords, backend: Backend, names: Iterable[str]) -> Written:
    """Write both directions of the transforms of roles to the T1w, and of the T1w to templates.

    Parameters
    ----------
    inputs : CaseRecords
    backend : Backend
        Named in the sidecars.
    names : iterable of str
        Roles, and labels of templates' spaces.
    """
    return Written(tuple(path for name in names for path in _write_transforms(inputs, backend, name)))


def _target(inputs: PreparedInputs) -> _Target:
    if inputs.space == T1W_SPACE:
        grid, to_t1w = axial_grid(inputs.t1w_mask, inputs.voxel_size), np.eye(4)
        reference = source_uri(inputs.case.images[T1W].path, inputs.bids_dir, inputs.output_dir)
    else:
        # That which the T1w was registered to, not what the folder holds by now.
        template = fetch_template(inputs.records[inputs.space].template or option_of(inputs.space))
        grid = axial_grid(template.mask, inputs.voxel_size)
        to_t1w, reference = _registration(inputs, inputs.space).matrix, template.source
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


def _registration(inputs: CaseRecords, name: str) -> Registration:
    found = inputs.records[name].registration
    if found is None:
        raise KeyError(f"no registration of {name}")
    return found


def _write_role(inputs: PreparedInputs, backend: Backend, target: _Target, role: str) -> list[Path]:
    source = inputs.case.images[role]
    matrix = target.to_t1w if role == T1W else _registration(inputs, role).matrix @ target.to_t1w
    mask = target.brain
    if role in inputs.own_masks:
        mask = _resampled_mask(inputs.own_masks[role], target.grid, matrix)
    if not mask.any():
        raise ImageError(
            f"{source.path}: its brain lies outside the field of view of space-{inputs.space} after the "
            "registration; check the image's header, or try --coreg-init header"
        )
    image, _ = load_image(source.path, frame_durations(source))
    corners = np.stack(mask_bounds(new_image(mask.astype(np.uint8), target.grid.affine)))
    wanted = MaskedGrid(target.grid.shape, target.grid.affine, mask)
    values = _resampled_box(image, wanted, matrix, order=IMAGE_ORDER, corners=corners)
    # Splines overshoot a little below zero; counts and MR magnitudes do not.
    prepared = np.maximum(values, 0, out=values)
    path = _image_path(inputs, role)
    sidecar = _image_sidecar(inputs, backend, target, role)
    if role == T1W:
        # With these a synthetic image can be brought back to the voxels of the participant's own T1w.
        sidecar |= {"OriginalShape": list(image.shape), "OriginalAffine": np.asarray(image.affine).tolist()}
    written = _write_mask(inputs, role, target, mask) if role in (T1W, PET, INTERICTAL, ICTAL) else []
    write_image(path, new_image(prepared, target.grid.affine), sidecar)
    remove_rivals(path)
    return [*written, *_with_sidecar(path)]


def _image_path(inputs: PreparedInputs, role: str) -> Path:
    return _path(inputs, role, {"space": inputs.space, "desc": "preproc"}, _names(role)[1], ".nii.gz")


def remove_rivals(path: Path) -> None:
    """Delete what another choice of source image left: the same kind of file beside ``path``, of another run, say.

    Otherwise a later run could take the old file for this case's.
    """
    own = _kind(path)
    for other in path.parent.iterdir():
        if other.name.partition(".")[0] != path.name.partition(".")[0] and _kind(other) == own:
            other.unlink(missing_ok=True)


def _kind(path: Path) -> tuple[str | None, ...]:
    entities, suffix, _ = parse_name(path.name)
    return (suffix, *(entities.get(key) for key in ("task", "from", "to", "space", "desc")))


def _write_mask(inputs: PreparedInputs, role: str, target: _Target, mask: npt.NDArray[np.bool_]) -> list[Path]:
    path = _path(inputs, role, {"space": inputs.space, "desc": "brain"}, "mask", ".nii.gz")
    own = role == T1W or role in inputs.own_masks
    sidecar = {
        "Type": "Brain",
        "Description": f"Brain mask of the {role_words(role)}."
        if own
        else "Brain mask of the T1w, which is used here.",
        "SpatialReference": target.reference,
        "Sources": _sources(inputs, role if own else T1W),
    }
    write_image(path, new_image(mask.astype(np.uint8), target.grid.affine), sidecar)
    remove_rivals(path)
    return _with_sidecar(path)


def _image_sidecar(inputs: PreparedInputs, backend: Backend, target: _Target, role: str) -> dict[str, Any]:
    i, j, k = target.grid.shape
    return {
        "Description": f"{role_words(role)}, brain-extracted, on the common grid of this space.",
        "SpatialReference": target.reference,
        "SkullStripped": True,
        "Resolution": f"{inputs.voxel_size:g} mm isotropic, {i} x {j} x {k} voxels",
        "Interpolation": "once from the source voxels, cubic B-spline, clipped at 0",
        "Sources": _sources(inputs, role),
        "SourceReason": inputs.case.images[role].reason,
        "Notes": [*inputs.records[role].notes],
        **_backend_fields(backend),
        **public_metadata(inputs.case.images[role].metadata),
    }


def _backend_fields(backend: Backend) -> dict[str, Any]:
    fields = {"Backend": backend.name, "Tools": dict(backend.tools)}
    return {**fields, "BackendOptions": dict(backend.options)} if backend.options else fields


def _sources(inputs: PreparedInputs, role: str) -> list[str]:
    files = [inputs.case.images[role].path]
    if role != T1W:
        files.append(_transform_path(inputs, role, inverse=False))
    if inputs.space != T1W_SPACE:
        files.append(_transform_path(inputs, inputs.space, inverse=False))
    return [source_uri(file, inputs.bids_dir, inputs.output_dir) for file in files]


def _write_transforms(inputs: CaseRecords, backend: Backend, name: str) -> list[Path]:
    """Both directions of the transform of a role to the T1w, or of the T1w to a template."""
    found = _registration(inputs, name)
    rigid, template = name in inputs.case.images, inputs.records[name].template
    moving = name if rigid else T1W
    sidecar = {
        "Type": "rigid" if rigid else "affine",
        "Units": "mm",
        "Convention": CONVENTION,
        **_backend_fields(backend),
        "Metric": found.metric,
        "Score": found.score,
        "Overlap": found.overlap,
        "Poor": found.poor,
        "Notes": [*found.notes],
        **({"Template": template} if template else {}),
        "Sources": [
            source_uri(inputs.case.images[role].path, inputs.bids_dir, inputs.output_dir)
            for role in dict.fromkeys((moving, T1W))
        ],
    }
    written: list[Path] = []
    for inverse, matrix in ((False, found.matrix), (True, np.linalg.inv(found.matrix))):
        path = _transform_path(inputs, name, inverse=inverse)
        start, end = _ends(inputs, name, inverse=inverse)
        write_matrix(path, matrix, {"Description": f"Transform from {start} to {end}.", **sidecar})
        remove_rivals(path)
        written += _with_sidecar(path)
    return written


def _transform_path(inputs: CaseRecords, name: str, *, inverse: bool) -> Path:
    start, end = _ends(inputs, name, inverse=inverse)
    entities = {"from": start, "to": end, "mode": "image"}
    # Which T1w it was stands in the sidecar; other images keep their entities, because there may be two SPECTs.
    own = inputs.case.images[name].entities if name in inputs.case.images else {}
    datatype = _names(name)[0] if name in inputs.case.images else "anat"
    case = inputs.case
    return output_path(inputs.output_dir, case.participant, case.session, datatype, {**own, **entities}, "xfm", ".txt")


def _ends(inputs: CaseRecords, name: str, *, inverse: bool) -> tuple[str, str]:
    ends = (_names(name)[1], T1W) if name in inputs.case.images else (T1W, name)
    return (ends[1], ends[0]) if inverse else ends


def _path(inputs: PreparedInputs, role: str, entities: Mapping[str, str], suffix: str, extension: str) -> Path:
    case, own = inputs.case, inputs.case.images[role].entities
    return output_path(
        inputs.output_dir, case.participant, case.session, _names(role)[0], {**own, **entities}, suffix, extension
    )


def frame_durations(source: SourceImage) -> list[float] | None:
    """Seconds of each frame of a PET or SPECT, as its sidecar gives them; None where it does not."""
    stated = source.metadata.get("FrameDuration")
    if not isinstance(stated, list) or not all(isinstance(one, int | float) for one in stated):
        return None
    return [float(one) for one in stated]


def _names(role: str) -> tuple[str, str]:
    """Datatype and suffix of a role; what is not known is another MR image."""
    return _DATATYPES.get(role, ("anat", role))


def role_words(role: str) -> str:
    """A role as users read it."""
    return {PET: "PET", INTERICTAL: "Interictal SPECT", ICTAL: "Ictal SPECT"}.get(role, role)


def _with_sidecar(path: Path) -> list[Path]:
    return [path, path.with_name(path.name.partition(".")[0] + ".json")]
