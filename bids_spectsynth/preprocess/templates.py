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
TEMPLATEFLOW_TEMPLATES = ("MNI152NLin6Sym", "MNI152NLin6Asym", "MNI152NLin2009cAsym")
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
    with opened_image(_built_in_file()) as image:
        data = np.array(image.dataobj).astype(np.float32)
    data /= data.max()  # 0 to 1, as nilearn gives it
    inside = (data > 0).astype(np.uint8)
    source = "MNI ICBM152 2009a nonlinear symmetric, brain-extracted, as distributed with nilearn"
    return Template(BUILT_IN_TEMPLATE, new_image(data, image.affine), new_image(inside, image.affine), source)


def _built_in_file() -> Path:
    # nilearn's own loader gives the same values, but importing it takes seconds in every process.
    package = find_spec("nilearn")
    path = Path(package.origin).parent / _BUILT_IN_FILE if package is not None and package.origin is not None else None
    if path is None or not path.is_file():
        raise UsageError(f"template {BUILT_IN_TEMPLATE}: not found in nilearn; install it again: pip install nilearn")
    return path


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
        raise UsageError(f"--output-spaces: unknown template {name!r}; choose from T1w, {known}")
    stored = _stored_files(name)
    return stored if stored is not None else _download(name)


def _stored_files(name: str) -> tuple[Path, Path] | None:
    """Image and mask if both are really there: TemplateFlow fills its folder with placeholders of 0 bytes."""
    stem = templateflow_home() / f"tpl-{name}" / f"tpl-{name}_res-01"
    files = (stem.with_name(stem.name + "_T1w.nii.gz"), stem.with_name(stem.name + "_desc-brain_mask.nii.gz"))
    return files if all(_is_real(file) for file in files) else None


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
