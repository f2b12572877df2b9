"""Template brains, offline first: nilearn's wheel ships one, TemplateFlow serves the others."""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from bids_spectsynth.errors import UsageError
from bids_spectsynth.preprocess.grid import new_image
from bids_spectsynth.preprocess.intensity import load_image
from bids_spectsynth.preprocess.nifti import opened_image

#: The template that needs no download; T1w images are registered to it where no other template is asked for.
BUILT_IN_TEMPLATE = "MNI152NLin2009aSym"
#: Human adult templates with a T1w and a brain mask at 1 mm that TemplateFlow serves.
TEMPLATEFLOW_TEMPLATES = (
    "MNI152NLin6Sym",
    "MNI152NLin6Asym",
    "MNI152NLin2009cAsym",
    "MNI152NLin2009cSym",
    "MNI152NLin2009aAsym",
    "MNI152Lin",
)
_BUILT_IN_FILE = "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
_BASE_URL = "https://templateflow.s3.amazonaws.com"


@dataclass(frozen=True, eq=False)
class Template:
    """A brain-extracted template.

    Parameters
    ----------
    name : str
        TemplateFlow identifier, used as the value of ``space-``.
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


def check_template(name: str) -> None:
    """Raise an error at once, before anything is computed, if a template cannot be had.

    Raises
    ------
    UsageError
        The name is unknown, or the template is neither stored nor can it be downloaded.
    """
    if name != BUILT_IN_TEMPLATE:
        _template_files(name)
    elif not _built_in_file().is_file():
        _of_nilearn()


def fetch_template(name: str) -> Template:
    """Read a template by its name; another one is never taken in its place.

    Parameters
    ----------
    name : str
        ``MNI152NLin2009aSym`` (in nilearn's wheel, no network needed), or one of :data:`TEMPLATEFLOW_TEMPLATES`
        from the folder ``TEMPLATEFLOW_HOME``, downloaded there if it is missing. 1 mm.

    Raises
    ------
    UsageError
        The name is unknown, or the template is neither stored nor can it be downloaded.
    """
    if name == BUILT_IN_TEMPLATE:
        return _built_in()
    image_path, mask_path = _template_files(name)
    image, _ = load_image(image_path)
    mask, _ = load_image(mask_path)
    inside = np.asanyarray(mask.dataobj) > 0.5
    brain = np.where(inside, np.asanyarray(image.dataobj), 0).astype(np.float32)
    return Template(
        name,
        new_image(brain, image.affine),
        new_image(inside.astype(np.uint8), image.affine),
        f"{_BASE_URL}/tpl-{name}/{image_path.name}",
    )


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
    source = "MNI ICBM152 2009a nonlinear symmetric, brain-extracted, as distributed with nilearn"
    return Template(BUILT_IN_TEMPLATE, new_image(data, image.affine), new_image(inside, image.affine), source)


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


def templateflow_home() -> Path:
    """The folder of stored templates: ``TEMPLATEFLOW_HOME``, else TemplateFlow's cache folder of this user."""
    stored = os.environ.get("TEMPLATEFLOW_HOME")
    if stored:
        return Path(stored)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "templateflow"


def _template_files(name: str) -> tuple[Path, Path]:
    if name not in TEMPLATEFLOW_TEMPLATES:
        known = ", ".join((BUILT_IN_TEMPLATE, *TEMPLATEFLOW_TEMPLATES))
        plain = name.partition(":")[0]
        if plain in known.split(", "):
            raise UsageError(f"--output-spaces: {name!r}: write {plain}; --voxel-size sets the voxels of the output")
        raise UsageError(f"--output-spaces: unknown template {name!r}; choose from T1w, {known}")
    stored = _stored_files(name)
    return stored if stored is not None else _download(name)


def _stored_files(name: str) -> tuple[Path, Path] | None:
    """Image and mask if both are really there: TemplateFlow fills its folder with placeholders of 0 bytes."""
    folder = templateflow_home() / f"tpl-{name}"
    # Some templates pad the number of their resolution, others do not.
    for stem in (f"tpl-{name}_res-01", f"tpl-{name}_res-1"):
        files = (folder / f"{stem}_T1w.nii.gz", folder / f"{stem}_desc-brain_mask.nii.gz")
        if all(_is_real(file) for file in files):
            return files
    return None


def _is_real(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


def _download(name: str) -> tuple[Path, Path]:
    advice = (
        f"run once where there is network: python -c \"from templateflow.api import get; get('{name}', resolution=1, "
        f"suffix='T1w', desc=None); get('{name}', resolution=1, suffix='mask', desc='brain')\", and set "
        "TEMPLATEFLOW_HOME to that folder here"
    )
    try:
        # Importing TemplateFlow writes placeholders into its folder, so it is done only for a download.
        from templateflow import api

        _get(api, name, suffix="T1w", desc=None)
        _get(api, name, suffix="mask", desc="brain")
    # The client passes on whatever its HTTP library, file system or index raises.
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UsageError(
            f"--output-spaces: template {name} is not in {templateflow_home()} and cannot be downloaded ({reason}); "
            f"{advice}"
        ) from error
    stored = _stored_files(name)
    if stored is None:
        raise UsageError(
            f"--output-spaces: template {name}: the files in {templateflow_home()} are empty placeholders; {advice}"
        )
    return stored


def _get(api: Any, name: str, *, suffix: str, desc: str | None) -> None:
    api.get(name, resolution=1, suffix=suffix, desc=desc, extension=".nii.gz", raise_empty=True)
