"""The backend of the article: BET and FLIRT."""

import re
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import scipy

from bids_spectsynth.bids.roles import ICTAL, INTERICTAL, PET, ROLES, T1W
from bids_spectsynth.errors import ImageError, size_text
from bids_spectsynth.images.grid import Grid, grid_of, new_image
from bids_spectsynth.images.masks import histogram_mask, solid_component
from bids_spectsynth.options.settings import CoregInit
from bids_spectsynth.preprocess.backends.fsl.environment import require_fsl
from bids_spectsynth.preprocess.backends.fsl.flirt_matrix import as_stored, fsl_ready, upright, world_from_flirt
from bids_spectsynth.preprocess.backends.fsl.judging import BrainPair
from bids_spectsynth.preprocess.backends.fsl.options import DEFAULT_OPTIONS, FlirtFunction, FslOptions
from bids_spectsynth.preprocess.backends.fsl.tools import FslTools, fsl_version
from bids_spectsynth.preprocess.registration.plausibility import checked_brain
from bids_spectsynth.preprocess.registration.result import Registration

FloatArray = npt.NDArray[np.float64]

SPECT_ROLES = (INTERICTAL, ICTAL)
HEADERS = "headers' positions"
#: Below this Dice coefficient of the two brains at the header's positions, the header is no start worth trying.
USEFUL_HEADER_OVERLAP = 0.3
#: bet is a shell script that puts no quotes around its arguments; "," and ":" have a meaning in mounts of containers.
_PLAIN_PATH = re.compile(r"[\w@%+=./-]+", re.ASCII)


class FslBackend:
    """BET for T1w, other MR and PET, a histogram threshold for SPECT, FLIRT with a cost function by role.

    Parameters
    ----------
    options : FslOptions
        BET's and FLIRT's options, and what starts the programs.
    folder : Path or None
        Where FSL's files lie while it runs; None is the current folder at the time of the call (the node's).

    Raises
    ------
    UsageError
        FSL, or what starts its container, is not installed.
    """

    name = "fsl"

    def __init__(self, options: FslOptions = DEFAULT_OPTIONS, *, folder: Path | None = None) -> None:
        require_fsl(options)
        self.fsl = options
        self.folder = folder
        self.options: Mapping[str, Any] = {
            "BetFractionalIntensity": options.fractional_intensity,
            "BetRobust": options.robust,
            "BetOfPet": options.pet_mask,
            "FlirtCost": {name: options.cost_of(name) for name in ROLES},
            "FlirtWholeSpect": options.whole_spect,
        }
        flirt = fsl_version(options, "fsl-flirt")
        self.tools: Mapping[str, str] = {
            "FSL BET": fsl_version(options, "fsl-bet2"),
            "FSL FLIRT": flirt,
            "FSL convert_xfm": flirt,
            "SciPy (resampling)": scipy.__version__,
        }
        # BET of a PET is asked for twice, for the registration and for its mask; the image is kept to compare identity.
        self._last_mask: tuple[nib.Nifti1Image, str, nib.Nifti1Image] | None = None

    def extract_brain(self, image: nib.Nifti1Image, role: str) -> nib.Nifti1Image:
        """Brain mask (uint8, 0 or 1) on the voxels of ``image``; BET, for MR robust; a threshold for SPECT."""
        if role in SPECT_ROLES:
            return checked_brain(histogram_mask(image), role)
        if self._last_mask is not None and self._last_mask[0] is image and self._last_mask[1] == role:
            return self._last_mask[2]
        with tempfile.TemporaryDirectory(prefix="bet_", dir=self._folder()) as folder:
            source = Path(folder) / "head.nii.gz"
            turned = upright(image)
            nib.save(fsl_ready(turned), source)
            written = FslTools(Path(folder), self.fsl).bet(source, robust=self.fsl.robust and role != PET)
            inside = _read_mask(written, grid_of(turned))
        mask = checked_brain(new_image(solid_component(as_stored(inside, image)), image.affine), role)
        self._last_mask = (image, role, mask)
        return mask

    def register(
        self,
        moving: nib.Nifti1Image,
        fixed: nib.Nifti1Image,
        fixed_mask: nib.Nifti1Image,
        *,
        dof: int,
        init: CoregInit,
        role: str,
    ) -> Registration:
        """FLIRT of the moving image to the fixed brain.

        A moving T1w (to a template) is taken as brain-extracted already; of other images the brain is taken here, but
        a SPECT goes as a whole unless the options say otherwise. ``auto`` searches 90 degrees about each axis. A
        second run of FLIRT that starts from the headers (as they are where the brains overlap there, else with the
        brains' centres laid on each other) takes as long again, so it is made only where the search leaves a doubt
        (:meth:`~bids_spectsynth.preprocess.backends.fsl.judging.BrainPair.is_doubtful`), and the better by correlation
        ratio is kept. ``header`` refines the headers' positions; ``identity`` keeps them.

        Parameters of :meth:`bids_spectsynth.preprocess.backends.base.Backend.register`.

        Raises
        ------
        ImageError
            A program failed, or wrote what is no mask or matrix; the moving image's own mask is no brain.
        """
        own = _positive(moving) if role == T1W else self.extract_brain(moving, role)
        pair = BrainPair(_masked(moving, own), _masked(fixed, fixed_mask), own, fixed_mask, dof)
        if init == "identity":
            return pair.judged("headers' positions as they are", np.eye(4))
        source = moving if role in SPECT_ROLES and self.fsl.whole_spect else pair.brain
        flirt = partial(self._flirt, source, pair.fixed_brain, dof=dof, cost=self.fsl.cost_of(role))
        if init == "header":
            return pair.judged(HEADERS, flirt(np.zeros(3)))
        found = pair.judged("search", flirt(None))
        start, shift = HEADERS, np.zeros(3)
        if pair.overlap(np.eye(4)) < USEFUL_HEADER_OVERLAP:
            start, shift = "headers, brains centred", _centre(fixed_mask) - _centre(own)
        if not pair.is_doubtful(found, _shift(-shift)):
            return found
        matrix = flirt(shift)
        return pair.judged(start, matrix) if pair.score(matrix) > found.score else found

    def _flirt(
        self,
        moving: nib.Nifti1Image,
        fixed: nib.Nifti1Image,
        shift: FloatArray | None,
        *,
        dof: int,
        cost: FlirtFunction,
    ) -> FloatArray:
        """World matrix, fixed to moving, that FLIRT finds by a search (None) or from the headers with a shift.

        The shift (3,) in mm is added to the moving image's header before, and taken out of the result.
        """
        offset = np.zeros(3) if shift is None else shift
        fixed, moved = upright(fixed), _moved(upright(moving), offset)
        with tempfile.TemporaryDirectory(prefix="flirt_", dir=self._folder()) as folder:
            tools = FslTools(Path(folder), self.fsl)
            moving_file, fixed_file = Path(folder) / "moving.nii.gz", Path(folder) / "fixed.nii.gz"
            nib.save(fsl_ready(fixed), fixed_file)
            nib.save(fsl_ready(moved), moving_file)
            written = tools.flirt(moving_file, fixed_file, dof=dof, cost=cost, header_start=shift is not None)
            matrix = world_from_flirt(_read_matrix(tools.invert(written)), moved, fixed)
        return _shift(-offset) @ matrix

    def _folder(self) -> Path:
        folder = (self.folder or Path.cwd()).absolute()
        return folder if _PLAIN_PATH.fullmatch(str(folder)) else Path(tempfile.gettempdir())


def _centre(mask: nib.Nifti1Image) -> FloatArray:
    """Centroid of a mask in world coordinates, shape (3,)."""
    points = np.argwhere(np.asanyarray(mask.dataobj) > 0)
    middle = points.mean(axis=0) if len(points) else (np.array(mask.shape) - 1) / 2
    return np.asarray(mask.affine[:3, :3] @ middle + mask.affine[:3, 3], dtype=np.float64)


def _shift(offset: FloatArray) -> FloatArray:
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    return matrix


def _moved(image: nib.Nifti1Image, offset: FloatArray) -> nib.Nifti1Image:
    return new_image(np.asanyarray(image.dataobj), _shift(offset) @ image.affine)


def _positive(image: nib.Nifti1Image) -> nib.Nifti1Image:
    return new_image((np.asanyarray(image.dataobj) > 0).astype(np.uint8), image.affine)


def _masked(image: nib.Nifti1Image, mask: nib.Nifti1Image) -> nib.Nifti1Image:
    inside = np.asanyarray(mask.dataobj) > 0
    return new_image(np.where(inside, np.asanyarray(image.dataobj), 0).astype(np.float32), image.affine)


def _read_mask(path: Path, grid: Grid) -> npt.NDArray[np.bool_]:
    """BET's mask on the voxels of an upright image, in whatever order it was stored."""
    mask = upright(nib.Nifti1Image.from_filename(path))
    if not grid_of(mask).equals(grid, tolerance=0.01):
        raise ImageError(
            f"bet wrote a mask of {size_text(mask.shape)} on other voxels than its image of {size_text(grid.shape)}"
        )
    return np.asanyarray(mask.dataobj) > 0


def _number(text: str) -> float:
    # Some versions of FSL write hexadecimal numbers.
    return float.fromhex(text) if "0x" in text else float(text)


def _read_matrix(path: Path) -> FloatArray:
    try:
        matrix = np.array([[_number(word) for word in line.split()] for line in path.read_text().splitlines() if line])
    except ValueError as error:
        raise ImageError(f"{path.name}: FSL wrote no matrix of numbers") from error
    if matrix.shape != (4, 4) or not np.all(np.isfinite(matrix)):
        raise ImageError(f"{path.name}: FSL wrote no 4 x 4 matrix of numbers; the registration failed")
    return matrix
