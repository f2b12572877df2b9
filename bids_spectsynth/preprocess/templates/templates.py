"""Template brains, offline first: nilearn's wheel ships one, TemplateFlow's folder holds the others."""

import logging
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_spectsynth.errors import ImageError, UsageError
from bids_spectsynth.images.grid import mask_bounds, new_image
from bids_spectsynth.images.nifti import content_checksum, opened_image
from bids_spectsynth.images.reading import load_image
from bids_spectsynth.options.names import templateflow_home
from bids_spectsynth.options.spaces import BUILT_IN_TEMPLATE, Space, parse_space
from bids_spectsynth.preprocess.templates.download import advice, download
from bids_spectsynth.preprocess.templates.store import (
    NotListedError,
    TemplateFiles,
    check_kind,
    find_files,
)

log = logging.getLogger(__name__)

_BUILT_IN_FILE = "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
_BUILT_IN_SOURCE = "MNI ICBM152 2009a nonlinear symmetric, brain-extracted, as distributed with nilearn"
_BASE_URL = "https://templateflow.s3.amazonaws.com"
#: As far from x = 0 the middle of a template's brain may lie before a warning is logged, mm.
MIDLINE_MM = 10.0


@dataclass(frozen=True, eq=False)
class Template:
    """A brain-extracted template.

    Parameters
    ----------
    name : str
        Label of its space, the value of ``space-``.
    image : Nifti1Image, shape (i, j, k), float32
        T1w, 0 outside the brain.
    mask : Nifti1Image, shape (i, j, k), uint8
        Brain, 0 or 1, on the same voxels.
    source : str
        Where it comes from, for sidecars; no local path.
    """

    name: str
    image: nib.Nifti1Image
    mask: nib.Nifti1Image
    source: str


def check_template(requested: str) -> str:
    """Find a template by its file names, download it if it is missing, and log which file it is.

    Parameters
    ----------
    requested : str
        ``NAME[:cohort-X][:res-Y]``.

    Returns
    -------
    str
        The same with the resolution that is taken, for :func:`fetch_template` and for keys of caches.

    Raises
    ------
    UsageError
        There is no such template, it lacks a T1w or a brain mask, or it is neither stored nor can it be downloaded.
    """
    space = parse_space(requested)
    check_kind(space)
    if space.name == BUILT_IN_TEMPLATE:
        if not _built_in_file().is_file():
            _of_nilearn()
        return BUILT_IN_TEMPLATE
    files = _stored(space)
    log.info("Template %s: %s, brain mask %s", files.space.label, files.place, files.mask.name)
    return str(files.space)


def inspect_template(requested: str) -> None:
    """Read a template once before every participant needs it.

    Raises
    ------
    UsageError
        Its files are damaged, hold no brain, or do not lie on the same voxels.
    """
    space = parse_space(requested)
    if space.name == BUILT_IN_TEMPLATE:
        return
    files = _stored(space)
    try:
        _, mask = _read(files)
        low, high = mask_bounds(mask)
    except ImageError as error:
        raise UsageError(f"--output-spaces: template {space}: {error}") from error
    middle = float(low[0] + high[0]) / 2
    if abs(middle) > MIDLINE_MM:
        log.warning(
            "template %s: the middle of its brain lies at x = %.0f mm, not at 0: regions will be wrong or none",
            space.label,
            middle,
        )


def planned_template(requested: str) -> str:
    """Which file a run would use, in words; nothing is downloaded or written.

    Raises
    ------
    UsageError
        The template can never serve.
    """
    space = parse_space(requested)
    check_kind(space)
    if space.name == BUILT_IN_TEMPLATE:
        return f"template {BUILT_IN_TEMPLATE}: built in"
    try:
        files = find_files(space)
    except NotListedError as error:
        return f"{str(error).removeprefix('--output-spaces: ')}; a run would look for it with TemplateFlow's client"
    state = "" if files.are_stored else f", not stored: a run would download it, or {advice(space)}"
    return f"template {files.space.label}: {files.place} in {templateflow_home()}{state}"


def fetch_template(requested: str) -> Template:
    """Read a template; another one is never taken in its place.

    Parameters
    ----------
    requested : str
        ``MNI152NLin2009aSym`` (in nilearn's wheel, no network needed), or ``NAME[:cohort-X][:res-Y]`` of a template in
        the folder ``TEMPLATEFLOW_HOME``, downloaded there if it is missing.

    Raises
    ------
    UsageError
        See :func:`check_template`.
    ImageError
        Its files are damaged, or do not lie on the same voxels.
    """
    space = parse_space(requested)
    check_kind(space)
    if space.name == BUILT_IN_TEMPLATE:
        return _built_in()
    files = _stored(space)
    image, mask = _read(files)
    inside = np.asanyarray(mask.dataobj) > 0.5
    brain = np.where(inside, np.asanyarray(image.dataobj), 0).astype(np.float32)
    return Template(
        space.label,
        new_image(brain, image.affine),
        new_image(inside.astype(np.uint8), image.affine),
        f"{_BASE_URL}/{files.place}",
    )


def template_stamp(requested: str) -> str:
    """What tells a template's content from another one's of the same name, for keys of caches; empty if not stored.

    Parameters
    ----------
    requested : str
        As for :func:`fetch_template`.
    """
    space = parse_space(requested)
    if space.name == BUILT_IN_TEMPLATE:
        return f"nilearn {version('nilearn')}"
    try:
        files = find_files(space)
        return f"{content_checksum(files.image)} {content_checksum(files.mask)}"
    except (NotListedError, OSError):
        return ""


def _stored(space: Space) -> TemplateFiles:
    try:
        files = find_files(space)
    except NotListedError as error:
        return download(space, str(error))
    if files.are_stored:
        return files
    home = templateflow_home()
    return download(space, f"--output-spaces: template {space}: the files in {home} are empty placeholders")


def _read(files: TemplateFiles) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """T1w and brain mask, checked to lie on the same voxels."""
    image, _ = load_image(files.image)
    mask, _ = load_image(files.mask)
    if image.shape != mask.shape or not np.allclose(image.affine, mask.affine, atol=1e-3):
        raise ImageError(f"{files.image}: not on the voxels of its brain mask {files.mask.name}; store both anew")
    return image, mask


def _built_in() -> Template:
    file = _built_in_file()
    if file.is_file():
        with opened_image(file) as image:
            data = np.array(image.dataobj).astype(np.float32)
        data /= data.max()  # 0 to 1, as nilearn gives it
    else:
        image = _of_nilearn()
        data = np.array(image.dataobj).astype(np.float32)
    inside = (data > 0).astype(np.uint8)
    return Template(BUILT_IN_TEMPLATE, new_image(data, image.affine), new_image(inside, image.affine), _BUILT_IN_SOURCE)


def _built_in_file() -> Path:
    """Where nilearn has kept its template so far; its own loader takes seconds to import, in every process."""
    package = find_spec("nilearn")
    if package is None or package.origin is None:
        raise UsageError(f"template {BUILT_IN_TEMPLATE}: nilearn is missing; install it: pip install nilearn")
    return Path(package.origin).parent / _BUILT_IN_FILE


def _of_nilearn() -> nib.Nifti1Image:
    """The same by nilearn's own loader, for a version that keeps the file elsewhere."""
    try:
        from nilearn.datasets import load_mni152_template

        return load_mni152_template(resolution=1)  # type: ignore[no-any-return]
    # Whatever another version raises: it has no such template.
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UsageError(
            f"template {BUILT_IN_TEMPLATE}: not found in nilearn ({reason}); install it again: pip install nilearn"
        ) from error
