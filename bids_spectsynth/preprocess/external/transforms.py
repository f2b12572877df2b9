"""Transforms of ITK, FLIRT and FreeSurfer, and our own text, read as world matrices with nitransforms.

Whatever the format, a file ``from-A_to-B_mode-image_xfm`` resamples an image of A into B. As a matrix for points it is
that from the world of B to the world of A, as everywhere here.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from bids_spectsynth.bids.access import read_problem
from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import FloatArray

_ITK_TEXT = "#Insight Transform File"
_DEFORMATION = "DisplacementFieldTransform"
_MOST_BYTES = 64 * 1024
# Between voxels, and between RAS coordinates.
_LTA_TYPES = (0, 1)
# A rigid transform of another program may be written with few digits; one that scales by more than this is not rigid.
_MOST_STRETCH = 0.02
# Volumes of a head and a template differ by less than these factors.
_TEMPLATE_SCALE = (0.3, 3.0)
#: What is said where only a part of a nonlinear transform is taken.
AFFINE_PART = "of the nonlinear transform the affine part alone is taken: images are resampled by one matrix"


def read_transform(
    path: Path, moving: nib.Nifti1Image, fixed: nib.Nifti1Image, *, rigid: bool
) -> tuple[FloatArray, tuple[str, ...]]:
    """Matrix of a transform from the moving to the fixed image.

    Parameters
    ----------
    path : Path
        ITK's ``.txt`` and ``.tfm``, ``.mat`` (binary) or ``.h5``; FLIRT's ``.mat`` (text); FreeSurfer's ``.lta``; or
        ``.txt`` with four rows of four numbers, as this program writes it.
    moving, fixed : Nifti1Image
        What FLIRT's coordinates are of; only shape and affine are used.
    rigid : bool
        Of one head; else of a head to a template, of whose nonlinear transform the affine part is taken.

    Returns
    -------
    matrix : array, shape (4, 4)
        World coordinates (RAS+ mm) of the fixed image to those of the moving image.
    notes : tuple of str

    Raises
    ------
    ImageError
        The file cannot be read, is of a kind that is not known or nonlinear, or its matrix is mirrored, stretched or
        cannot be inverted.
    """
    problem = read_problem(path)
    if problem is not None:
        raise ImageError(f"{path}: {problem}")
    notes: tuple[str, ...] = ()
    try:
        if path.suffix == ".h5":
            matrix, deforms = _read_h5(path)
            if deforms and rigid:
                raise ImageError(f"{path}: a nonlinear transform; give the rigid one of the same head")
            notes = (AFFINE_PART,) if deforms else ()
        else:
            matrix = _reader(path)(path, moving, fixed)
    except ImageError:
        raise
    # Whatever a damaged file leads to in its reader.
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise ImageError(f"{path}: cannot be read as a transform ({reason}); write it again") from error
    return _checked(path, np.asarray(matrix, dtype=np.float64), rigid), notes


def _reader(path: Path) -> Callable[[Path, nib.Nifti1Image, nib.Nifti1Image], Any]:
    if path.stat().st_size > _MOST_BYTES:
        raise ImageError(f"{path}: longer than {_MOST_BYTES} bytes, which no file of one matrix is; give another")
    if path.suffix == ".lta":
        return _read_lta
    with path.open("rb") as file:
        start = file.read(400)
    if path.suffix in (".txt", ".tfm"):
        return _read_itk_text if start.startswith(_ITK_TEXT.encode()) else _read_own
    return _read_flirt if _is_numbers(start) else _read_itk_binary


def _is_numbers(start: bytes) -> bool:
    try:
        return len([float(word) for word in start.decode("ascii").split()[:-1]]) > 0
    except ValueError:
        return False


def _read_own(path: Path, *_: Any) -> Any:
    return np.array([line.split() for line in path.read_text().splitlines() if line.strip()], dtype=np.float64)


def _read_itk_text(path: Path, *_: Any) -> Any:
    from nitransforms.io.itk import ITKLinearTransformArray

    text = path.read_text()
    kinds = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("Transform:")]
    _refuse_kinds(path, kinds)
    if len(kinds) > 1:
        # Readers differ in which of them comes first.
        raise ImageError(f"{path}: holds {len(kinds)} transforms that nothing composes; write them as one")
    return _composed(ITKLinearTransformArray.from_string(text).to_ras())


def _read_itk_binary(path: Path, *_: Any) -> Any:
    from nitransforms.io.itk import ITKLinearTransform
    from scipy.io import loadmat

    _refuse_kinds(path, [key for key in loadmat(path) if not key.startswith("_") and key != "fixed"])
    return ITKLinearTransform.from_filename(path).to_ras()


def _refuse_kinds(path: Path, kinds: list[str]) -> None:
    """Nitransforms takes the parameters of every kind for those of an affine."""
    wrong = [kind for kind in kinds if not kind.startswith(("AffineTransform", "MatrixOffsetTransformBase"))]
    if wrong or not kinds:
        kind = wrong[0] if wrong else "file without a transform"
        raise ImageError(
            f"{path}: a {kind.partition('_')[0]} of ITK, which is not read; write it as an affine: antsApplyTransforms "
            "-d 3 -t FILE -o Linear[NEW.mat]"
        )


def _read_flirt(path: Path, moving: nib.Nifti1Image, fixed: nib.Nifti1Image) -> Any:
    from nitransforms.io.fsl import FSLLinearTransform

    text = path.read_text()
    rows = [line.split() for line in text.splitlines() if line.strip()]
    if [len(row) for row in rows] != [4, 4, 4, 4]:
        raise ImageError(f"{path}: cannot be read as a transform of FLIRT: not four lines of four numbers")
    return FSLLinearTransform.from_string(text).to_ras(moving=moving, reference=fixed)


def _read_lta(path: Path, *_: Any) -> Any:
    from nitransforms.io.lta import FSLinearTransformArray

    text = path.read_text()
    kind = re.search(r"^type\s*=\s*(\d+)", text, re.MULTILINE)
    if kind and int(kind[1]) not in _LTA_TYPES:
        raise ImageError(f"{path}: an LTA of type {kind[1]}, which is not read; write it from RAS to RAS (type 1) with "
                         "lta_convert")  # fmt: skip
    if re.search(r"^valid\s*=\s*0", text, re.MULTILINE):
        raise ImageError(f"{path}: does not say of which volumes it is (valid = 0); write it with both of them")
    return _composed(FSLinearTransformArray.from_string(text).to_ras())


def _read_h5(path: Path) -> tuple[Any, bool]:
    import h5py
    from nitransforms.io.itk import ITKCompositeH5, ITKLinearTransform

    with h5py.File(path) as file:
        group = file["TransformGroup"]
        kinds = [group[key]["TransformType"][0].decode() for key in sorted(group, key=int)]
        _refuse_kinds(path, [kind for kind in kinds if not kind.startswith(("CompositeTransform", _DEFORMATION))])
        if kinds[0].startswith("CompositeTransform"):
            parts = [one.to_ras() for one in ITKCompositeH5.from_h5obj(file, only_linear=True)]
        else:
            values, fixed = (np.ravel(group["0"][_key(group["0"], word)]) for word in ("Parameters", "FixedParameters"))
            matrix = np.eye(4)
            matrix[:3, :3], matrix[:3, 3] = values[:9].reshape(3, 3), values[9:]
            parts = [ITKLinearTransform(parameters=matrix, offset=fixed).to_ras()]
    return _composed(parts), any(kind.startswith(_DEFORMATION) for kind in kinds)


def _key(group: Any, word: str) -> str:
    # Older versions of ITK misspell it.
    return next(str(key) for key in group if key in (f"Transform{word}", f"Tranform{word}"))


def _composed(matrices: Any) -> FloatArray:
    """One matrix of several, of which ITK applies the last one to a point first."""
    found = np.eye(4)
    for matrix in matrices:
        found = found @ np.asarray(matrix, dtype=np.float64)
    return found


def _checked(path: Path, matrix: FloatArray, rigid: bool) -> FloatArray:
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or not np.allclose(matrix[3], (0, 0, 0, 1), atol=1e-5):
        raise ImageError(f"{path}: not a finite 4x4 matrix whose last row is 0 0 0 1; write it again")
    determinant = float(np.linalg.det(matrix[:3, :3]))
    if determinant < 0:
        raise ImageError(f"{path}: mirrored (determinant {determinant:.2f}): it exchanges left and right; correct it")
    stretch = np.linalg.svd(matrix[:3, :3], compute_uv=False)
    if rigid and np.abs(stretch - 1).max() > _MOST_STRETCH:
        raise ImageError(
            f"{path}: not rigid: it stretches by {stretch.min():.2f} to {stretch.max():.2f} (determinant "
            f"{determinant:.2f}), and both images are of one head; give a transform of 6 parameters"
        )
    low, high = _TEMPLATE_SCALE
    if not rigid and not low < determinant < high:
        raise ImageError(f"{path}: its determinant is {determinant:.2g}, which no head and template have; correct it")
    return matrix
