"""The backend of the paper: BET and FLIRT."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
import scipy

from bids_spectsynth.bids.cases import ICTAL, INTERICTAL, PET, T1W
from bids_spectsynth.errors import ImageError
from bids_spectsynth.preprocess.agreement import POOR_OVERLAP, correlation_ratio, mask_dice
from bids_spectsynth.preprocess.backend import Registration
from bids_spectsynth.preprocess.flirt_matrix import fsl_ready, world_from_flirt
from bids_spectsynth.preprocess.fsl_environment import require_fsl
from bids_spectsynth.preprocess.fsl_tools import FslTools
from bids_spectsynth.preprocess.grid import Grid, new_image
from bids_spectsynth.preprocess.intensity import histogram_mask, solid_component
from bids_spectsynth.preprocess.resampling import resample_image
from bids_spectsynth.settings import CoregInit

FloatArray = npt.NDArray[np.float64]

SPECT_ROLES = (INTERICTAL, ICTAL)
METRIC = "correlation ratio of the moving image given 64 intensity classes of the fixed brain"
#: BET's fractional intensity threshold, its default, also in the paper.
BET_THRESHOLD = 0.5
#: Below this Dice coefficient of the two brains at the header's positions, the header is no start worth trying.
USEFUL_HEADER_OVERLAP = 0.3


class FslBackend:
    """BET for T1w, other MR and PET, a histogram threshold for SPECT, FLIRT with correlation ratio.

    Parameters
    ----------
    threads : int
        Threads for the steps that are not FSL's (BET and FLIRT use one).
    seed : int
        Not used: BET and FLIRT are deterministic. Part of every backend's signature.
    threshold : float
        BET's ``-f`` for MR and PET, 0 to 1.
    folder : Path or None
        Where FSL's files lie while it runs; None is the current folder at the time of the call (the node's).

    Raises
    ------
    UsageError
        FSL is not installed.
    """

    name = "fsl"

    def __init__(
        self, threads: int = 1, seed: int = 1234, *, threshold: float = BET_THRESHOLD, folder: Path | None = None
    ) -> None:
        require_fsl()
        self.threads = threads
        self.seed = seed
        self.threshold = threshold
        self.folder = folder
        version = FslTools(Path(tempfile.gettempdir()).absolute()).version()
        self.tools: Mapping[str, str] = {
            "FSL BET": version,
            "FSL FLIRT": version,
            "FSL convert_xfm": version,
            "SciPy (resampling)": scipy.__version__,
        }
        # BET of a PET is asked for twice, for the registration and for its mask; the image is kept to compare identity.
        self._last_mask: tuple[nib.Nifti1Image, str, nib.Nifti1Image] | None = None

    def extract_brain(self, image: nib.Nifti1Image, role: str) -> nib.Nifti1Image:
        """Brain mask (uint8, 0 or 1) on the voxels of ``image``; BET, robust for MR; a threshold for SPECT."""
        if role in SPECT_ROLES:
            return histogram_mask(image)
        if self._last_mask is not None and self._last_mask[0] is image and self._last_mask[1] == role:
            return self._last_mask[2]
        with tempfile.TemporaryDirectory(prefix="bet_", dir=self._folder()) as folder:
            source = Path(folder) / "head.nii.gz"
            nib.save(fsl_ready(image), source)
            written = FslTools(Path(folder)).bet(source, threshold=self.threshold, robust=role != PET)
            inside = np.asanyarray(nib.Nifti1Image.from_filename(written).dataobj) > 0
        if inside.shape != image.shape:
            raise ImageError(f"bet wrote a mask of shape {inside.shape} for an image of shape {image.shape}")
        mask = new_image(solid_component(inside), image.affine)
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
        ``auto`` searches 90 degrees about each axis, tries the headers' positions too where the brains overlap there,
        and keeps the better by correlation ratio; ``header`` refines the headers' positions; ``identity`` keeps them.
        """
        moving_mask = _positive(moving) if role == T1W else self.extract_brain(moving, role)
        brain = _masked(moving, moving_mask)
        target = _masked(fixed, fixed_mask)
        results = {"headers' positions as they are": np.eye(4)}
        if init != "identity":
            overlap = mask_dice(fixed_mask, moving_mask, np.eye(4))
            header = init == "header" or overlap >= USEFUL_HEADER_OVERLAP
            results = self._candidates(brain, target, dof, search=init == "auto", header=header)
        scores = {start: correlation_ratio(target, fixed_mask, brain, matrix) for start, matrix in results.items()}
        best = max(scores, key=lambda start: scores[start])
        return _judged(results[best], scores[best], mask_dice(fixed_mask, moving_mask, results[best]), best)

    def resample(self, image: nib.Nifti1Image, grid: Grid, matrix: FloatArray, order: int) -> nib.Nifti1Image:
        """``image`` at the voxels of ``grid``: one interpolation through any affine, by SciPy.

        FLIRT's own resampling would need its matrix convention twice and has no low-pass filter for coarse grids.
        """
        return resample_image(image, grid, matrix, order)

    def _candidates(
        self, brain: nib.Nifti1Image, target: nib.Nifti1Image, dof: int, *, search: bool, header: bool
    ) -> dict[str, FloatArray]:
        """World matrices, fixed to moving, by the start that FLIRT had."""
        found: dict[str, FloatArray] = {}
        with tempfile.TemporaryDirectory(prefix="flirt_", dir=self._folder()) as folder:
            tools = FslTools(Path(folder))
            moving_file, fixed_file = Path(folder) / "moving.nii.gz", Path(folder) / "fixed.nii.gz"
            nib.save(fsl_ready(brain), moving_file)
            nib.save(fsl_ready(target), fixed_file)
            for start, wanted, from_header in (("search", search, False), ("headers' positions", header, True)):
                if wanted:
                    written = tools.flirt(moving_file, fixed_file, dof=dof, header_start=from_header)
                    inverse = _read_matrix(tools.invert(written))
                    found[start] = world_from_flirt(inverse, brain, target)
        return found

    def _folder(self) -> Path:
        return (self.folder or Path.cwd()).absolute()


def _judged(matrix: FloatArray, score: float, overlap: float, start: str) -> Registration:
    notes = [f"start: {start}"]
    poor = overlap < POOR_OVERLAP
    if poor:
        notes.append(
            f"the brains overlap with a Dice coefficient of {overlap:.2f} only (poor below {POOR_OVERLAP:.2f})"
        )
    return Registration(matrix, score, METRIC, overlap, poor, tuple(notes))


def _positive(image: nib.Nifti1Image) -> nib.Nifti1Image:
    return new_image((np.asanyarray(image.dataobj) > 0).astype(np.uint8), image.affine)


def _masked(image: nib.Nifti1Image, mask: nib.Nifti1Image) -> nib.Nifti1Image:
    inside = np.asanyarray(mask.dataobj) > 0
    return new_image(np.where(inside, np.asanyarray(image.dataobj), 0).astype(np.float32), image.affine)


def _read_matrix(path: Path) -> FloatArray:
    try:
        matrix = np.loadtxt(path, dtype=np.float64)
    except ValueError as error:
        raise ImageError(f"{path.name}: FSL wrote no matrix of numbers") from error
    if matrix.shape != (4, 4) or not np.all(np.isfinite(matrix)):
        raise ImageError(f"{path.name}: FSL wrote no 4 x 4 matrix of numbers; the registration failed")
    return matrix
