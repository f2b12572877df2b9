"""Prepared images of a case as arrays, scaled for the network."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import INTERICTAL, T1W
from bids_spectsynth.bids.sidecars import sidecar
from bids_spectsynth.errors import ImageError, size_text
from bids_spectsynth.images.nifti import content_checksum
from bids_spectsynth.images.reading import load_image
from bids_spectsynth.options.settings import Scaling
from bids_spectsynth.synthesis.data.harmonising import smoothed
from bids_spectsynth.synthesis.data.scaling import apply_scaling, scaling_coefficients

FloatArray = npt.NDArray[np.float64]

#: Units of a SPECT whose sidecar names none.
UNKNOWN_UNITS = "arbitrary"


@dataclass(frozen=True, eq=False)
class CaseArrays:
    """One case as the network sees it.

    Parameters
    ----------
    participant, session : str, str or None
    inputs : array, shape (C, I, J, K), float32
        Scaled to (-1, 1), in the order of the model's inputs.
    target : array, shape (I, J, K), float32, or None
        Interictal SPECT, scaled to (-1, 1).
    mask : array, shape (I, J, K), bool
        Brain mask of the T1w.
    evaluation_mask : array, shape (I, J, K), bool, or None
        The part of ``mask`` where the SPECT was measured: inside the SPECT's own mask, outside of which it was set
        to 0. None without a target.
    affine : array, shape (4, 4)
        Voxels to world, RAS+ mm.
    target_slope : array, shape (K,), or None
        Of ``target = clip(slope * SPECT + intercept, -1, 1)``, slice by slice.
    target_mean : float or None
        In-brain mean of the unscaled SPECT.
    target_units : str
    """

    participant: str
    session: str | None
    inputs: npt.NDArray[np.float32]
    target: npt.NDArray[np.float32] | None
    mask: npt.NDArray[np.bool_]
    affine: FloatArray
    target_slope: FloatArray | None = None
    target_mean: float | None = None
    target_units: str = UNKNOWN_UNITS
    evaluation_mask: npt.NDArray[np.bool_] | None = None


def load_case(prepared: PreparedCase, inputs: Sequence[str], scaling: Scaling, *, target: bool = True) -> CaseArrays:
    """Read the prepared images of a case once and scale them.

    Parameters
    ----------
    prepared : PreparedCase
    inputs : sequence of str
        Roles of the input channels, in order.
    scaling : {'slice', 'volume'}
    target : bool
        Whether to read the interictal SPECT too.

    Raises
    ------
    ImageError
        An image is missing, damaged, on another grid than the brain mask, or constant in the brain.
    """
    mask, affine = _brain(prepared)
    channels = [_scaled(prepared, role, mask, scaling)[0] for role in inputs]
    arrays = np.stack(channels)
    if not target:
        return CaseArrays(prepared.participant, prepared.session, arrays, None, mask, affine)
    spect, slope, mean = _scaled(prepared, INTERICTAL, mask, scaling)
    return CaseArrays(
        participant=prepared.participant,
        session=prepared.session,
        inputs=arrays,
        target=spect,
        mask=mask,
        affine=affine,
        target_slope=slope,
        target_mean=mean,
        target_units=_units(prepared.images[INTERICTAL]),
        evaluation_mask=_evaluation_mask(prepared, mask),
    )


def with_image(arrays: CaseArrays, image: npt.NDArray[np.float32]) -> CaseArrays:
    """The same case with one more input image, shape (I, J, K), after the others."""
    return replace(arrays, inputs=np.concatenate([arrays.inputs, image[np.newaxis]]))


def brain_and_evaluation_mask(
    prepared: PreparedCase,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], FloatArray]:
    """Brain mask of a case, the part of it where the SPECT was measured, and the affine of both.

    The ``mask``, ``evaluation_mask`` and ``affine`` of :func:`load_case`, without reading the images.

    Raises
    ------
    ImageError
        A mask is missing, damaged, or on another grid than the other.
    """
    mask, affine = _brain(prepared)
    return mask, _evaluation_mask(prepared, mask), affine


def lesion_mask(prepared: PreparedCase, shape: tuple[int, ...]) -> npt.NDArray[np.bool_] | None:
    """Lesion mask of a case, of the shape of its brain mask; None without one.

    Parameters
    ----------
    prepared : PreparedCase
    shape : tuple of int
        (I, J, K).

    Raises
    ------
    ImageError
        It is damaged, or on another grid than the brain mask.
    """
    if prepared.lesion is None:
        return None
    inside = np.asarray(load_image(prepared.lesion)[0].dataobj) > 0
    if inside.shape != shape:
        raise ImageError(f"{prepared.lesion}: {size_text(inside.shape)} voxels, the brain mask has {size_text(shape)}; "
                         "prepare it again")  # fmt: skip
    return np.asarray(inside)


def _evaluation_mask(prepared: PreparedCase, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    if INTERICTAL not in prepared.masks:
        return mask
    measured = np.asarray(_read(prepared, INTERICTAL, mask=True).dataobj) > 0
    if measured.shape != mask.shape:
        raise ImageError(
            f"{prepared.masks[INTERICTAL]}: {size_text(measured.shape)} voxels, the brain mask has "
            f"{size_text(mask.shape)}; prepare it again"
        )
    return np.asarray(mask & measured)


def _brain(prepared: PreparedCase) -> tuple[npt.NDArray[np.bool_], FloatArray]:
    """Brain mask (I, J, K) of a case, and its affine."""
    image = _read(prepared, T1W, mask=True)
    return np.asarray(image.dataobj) > 0, np.asarray(image.affine, dtype=np.float64)


def _read(prepared: PreparedCase, role: str, *, mask: bool = False) -> nib.Nifti1Image:
    paths = prepared.masks if mask else prepared.images
    if role not in paths:
        what = f"brain mask of the {role}" if mask else f"prepared {role} image"
        raise ImageError(f"{prepared.name}: no {what} in space {prepared.space}; prepare the participant first")
    return load_image(paths[role])[0]


def _scaled(
    prepared: PreparedCase, role: str, mask: npt.NDArray[np.bool_], scaling: Scaling
) -> tuple[npt.NDArray[np.float32], FloatArray, float]:
    volume = np.asarray(_read(prepared, role).dataobj, dtype=np.float32)
    if volume.shape != mask.shape:
        raise ImageError(
            f"{prepared.images[role]}: {size_text(volume.shape)} voxels, the brain mask has {size_text(mask.shape)}; "
            "prepare it again"
        )
    if not mask.any():
        raise ImageError(f"{prepared.masks[T1W]}: the brain mask is empty; prepare the participant again")
    inside = volume[mask]
    if inside.min() == inside.max():
        raise ImageError(
            f"{prepared.images[role]}: the same value ({inside[0]:g}) everywhere in the brain; look at "
            "the image that it was prepared from"
        )
    volume = smoothed(prepared, role, volume, mask)
    slope, intercept = scaling_coefficients(volume, mask, scaling)
    return apply_scaling(volume, slope, intercept), slope, float(inside.mean(dtype=np.float64))


def _units(path: Path) -> str:
    units = sidecar(path).get("Units")
    return str(units) if units else UNKNOWN_UNITS


@dataclass(frozen=True)
class PreparedCases:
    """Cases that are read from disk one at a time while they are iterated over, so that memory holds one volume set.

    ``prior`` makes a further, last input image from a case and its arrays; ``widths`` are the resolutions (FWHM, mm) to
    which inputs are brought, by role.
    """

    cases: tuple[PreparedCase, ...]
    inputs: tuple[str, ...]
    scaling: Scaling
    prior: Callable[[PreparedCase, CaseArrays], npt.NDArray[np.float32]] | None = field(default=None, compare=False)
    widths: Mapping[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[CaseArrays]:
        for case in self.cases:
            arrays = load_case(case, self.inputs, self.scaling)
            yield arrays if self.prior is None else with_image(arrays, self.prior(case, arrays))

    def masks(self) -> Iterator[npt.NDArray[np.bool_]]:
        """Brain masks (I, J, K), read one at a time.

        Raises
        ------
        ImageError
            A mask is missing or damaged.
        """
        for case in self.cases:
            yield _brain(case)[0]

    def __contains__(self, case: object) -> bool:
        return case in self.cases

    def digest(self, *, transforms: bool = False) -> str:
        """Hexadecimal digest that changes when a participant, an input or the content of an image changes.

        ``transforms``: also when the way to the template changes, which a cohort prior depends on.

        Raises
        ------
        ImageError
            An image is missing.
        """
        digest = hashlib.sha256(f"{self.inputs} {self.scaling}".encode())
        for case in self.cases:
            paths = {role: case.images.get(role) for role in (*self.inputs, INTERICTAL)}
            masks = {"mask": case.masks.get(T1W)}
            if INTERICTAL in case.masks:
                masks["interictal mask"] = case.masks[INTERICTAL]
            for role, path in {**paths, **masks}.items():
                if path is None:
                    raise ImageError(f"{case.name}: no prepared {role} image in space {case.space}; prepare it first")
                digest.update(f"{case.name} {role} {_checksum(path)}".encode())
            if transforms and case.template_xfm is not None:
                digest.update(f"{case.name} to {case.template} {_checksum(case.template_xfm)}".encode())
        return digest.hexdigest()


def _checksum(path: Path) -> str:
    try:
        return content_checksum(path)
    except OSError as error:
        raise ImageError(f"{path}: cannot read it ({error.strerror}); prepare the participant again") from error
