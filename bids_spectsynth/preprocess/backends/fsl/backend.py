"""The backend of the article: BET and FLIRT."""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import scipy
from scipy.spatial.transform import Rotation

from bids_spectsynth.bids.roles import ICTAL, INTERICTAL, PET, T1W
from bids_spectsynth.errors import ImageError, size_text
from bids_spectsynth.images.grid import Grid, grid_of, new_image
from bids_spectsynth.images.masks import histogram_mask, solid_component
from bids_spectsynth.options.settings import CoregInit
from bids_spectsynth.preprocess.backends.fsl.environment import require_fsl
from bids_spectsynth.preprocess.backends.fsl.flirt_matrix import as_stored, fsl_ready, upright, world_from_flirt
from bids_spectsynth.preprocess.backends.fsl.options import DEFAULT_OPTIONS, FslOptions
from bids_spectsynth.preprocess.backends.fsl.tools import FslTools, fsl_version
from bids_spectsynth.preprocess.registration.agreement import (
    correlation_ratio,
    mask_dice,
    mirrored_ratio_gain,
    share_outside,
)
from bids_spectsynth.preprocess.registration.quality import (
    CUT_NOTE,
    CUT_POOR,
    LEAST_OVERLAP,
    MIRRORED,
    MOST_TURN_DEG,
    TURNED,
)
from bids_spectsynth.preprocess.registration.result import Registration

FloatArray = npt.NDArray[np.float64]

SPECT_ROLES = (INTERICTAL, ICTAL)
METRIC = "correlation ratio of the moving image given 64 intensity classes of the fixed brain"
#: Below this Dice coefficient of the two brains at the header's positions, the header is no start worth trying.
USEFUL_HEADER_OVERLAP = 0.3
#: Below this correlation ratio the images have nothing in common.
LEAST_RATIO = 0.1
#: A mirrored head whose correlation ratio is higher by this shows a header that swaps left and right. The ratio
#: is of the image as it is; ``MIRRORED_R_SQUARED_GAIN`` is for R squared of a smoothed image and no measure for this.
MIRRORED_RATIO_GAIN = 0.01
RIGID_DOF = 6
#: bet is a shell script that puts no quotes around its arguments; "," and ":" have a meaning in mounts of containers.
_PLAIN_PATH = re.compile(r"[\w@%+=./-]+", re.ASCII)


class FslBackend:
    """BET for T1w, other MR and PET, a histogram threshold for SPECT, FLIRT with correlation ratio.

    Parameters
    ----------
    options : FslOptions
        BET's options, and what starts the programs.
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
            return histogram_mask(image)
        if self._last_mask is not None and self._last_mask[0] is image and self._last_mask[1] == role:
            return self._last_mask[2]
        with tempfile.TemporaryDirectory(prefix="bet_", dir=self._folder()) as folder:
            source = Path(folder) / "head.nii.gz"
            turned = upright(image)
            nib.save(fsl_ready(turned), source)
            written = FslTools(Path(folder), self.fsl).bet(source, robust=self.fsl.robust and role != PET)
            inside = _read_mask(written, grid_of(turned))
        mask = new_image(solid_component(as_stored(inside, image)), image.affine)
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
        """FLIRT of the moving brain to the fixed brain.

        A moving T1w (to a template) is taken as brain-extracted already; other images are extracted here.
        ``auto`` searches 90 degrees about each axis, starts from the headers too (as they are where the brains overlap
        there, else with the brains' centres laid on each other), and keeps the better by correlation ratio;
        ``header`` refines the headers' positions; ``identity`` keeps them.

        Parameters of :meth:`bids_spectsynth.preprocess.backends.base.Backend.register`.

        Raises
        ------
        ImageError
            A program failed, or wrote what is no mask or matrix.
        """
        moving_mask = _positive(moving) if role == T1W else self.extract_brain(moving, role)
        brain = _masked(moving, moving_mask)
        target = _masked(fixed, fixed_mask)
        results = {"headers' positions as they are": np.eye(4)}
        if init != "identity":
            starts: dict[str, FloatArray | None] = {"headers' positions": np.zeros(3)}
            if init == "auto":
                if mask_dice(fixed_mask, moving_mask, np.eye(4)) < USEFUL_HEADER_OVERLAP:
                    starts = {"headers, brains centred": _centre(fixed_mask) - _centre(moving_mask)}
                starts = {"search": None, **starts}
            results = self._candidates(brain, target, dof, starts)
        scores = {start: correlation_ratio(target, fixed_mask, brain, matrix) for start, matrix in results.items()}
        best = max(scores, key=lambda start: scores[start])
        matrix, overlap = results[best], mask_dice(fixed_mask, moving_mask, results[best])
        flags, notes = _quality_flags(brain, target, fixed_mask, matrix, score=scores[best], overlap=overlap, dof=dof)
        return Registration(matrix, scores[best], METRIC, overlap, bool(flags), (f"start: {best}", *flags, *notes))

    def _candidates(
        self, brain: nib.Nifti1Image, target: nib.Nifti1Image, dof: int, starts: Mapping[str, FloatArray | None]
    ) -> dict[str, FloatArray]:
        """World matrices, fixed to moving, by the start that FLIRT had: None is a search, else a shift of the header.

        The shift (3,) in mm is added to the moving image's header before, and taken out of the result.
        """
        found: dict[str, FloatArray] = {}
        target = upright(target)
        with tempfile.TemporaryDirectory(prefix="flirt_", dir=self._folder()) as folder:
            tools = FslTools(Path(folder), self.fsl)
            moving_file, fixed_file = Path(folder) / "moving.nii.gz", Path(folder) / "fixed.nii.gz"
            nib.save(fsl_ready(target), fixed_file)
            for start, shift in starts.items():
                moved = _moved(upright(brain), np.zeros(3) if shift is None else shift)
                nib.save(fsl_ready(moved), moving_file)
                written = tools.flirt(moving_file, fixed_file, dof=dof, header_start=shift is not None)
                matrix = world_from_flirt(_read_matrix(tools.invert(written)), moved, target)
                found[start] = _shift(np.zeros(3) if shift is None else -shift) @ matrix
        return found

    def _folder(self) -> Path:
        folder = (self.folder or Path.cwd()).absolute()
        return folder if _PLAIN_PATH.fullmatch(str(folder)) else Path(tempfile.gettempdir())


def _quality_flags(
    brain: nib.Nifti1Image,
    target: nib.Nifti1Image,
    fixed_mask: nib.Nifti1Image,
    matrix: FloatArray,
    *,
    score: float,
    overlap: float,
    dof: int,
) -> tuple[list[str], list[str]]:
    """Why a registration is poor, and what is only worth knowing; one line each."""
    flags: list[str] = []
    notes: list[str] = []
    if overlap < LEAST_OVERLAP:
        flags.append(f"the brains overlap with a Dice coefficient of {overlap:.2f}, expected {LEAST_OVERLAP} or more")
    if score < LEAST_RATIO:
        flags.append(f"the correlation ratio is {score:.2f}, expected {LEAST_RATIO} or more")
    if dof == RIGID_DOF:
        turn = float(np.degrees(Rotation.from_matrix(matrix[:3, :3]).magnitude()))
        if turn > MOST_TURN_DEG:
            flags.append(f"turned by {turn:.0f} {TURNED}")
        if mirrored_ratio_gain(target, fixed_mask, brain, matrix) > MIRRORED_RATIO_GAIN:
            flags.append(MIRRORED)
    cut = share_outside(fixed_mask, brain, matrix)
    if cut > CUT_NOTE:
        (flags if cut > CUT_POOR else notes).append(f"{cut:.0%} of the brain lies outside the moving image")
    return flags, notes


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
