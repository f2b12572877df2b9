"""Whether FLIRT's results can be trusted, which of two is better, and when a second start is worth its time."""

from dataclasses import dataclass

import nibabel as nib
import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from bids_spectsynth.images.grid import apply_affine
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
    OTHER_MM,
    TURNED,
)
from bids_spectsynth.preprocess.registration.result import Registration

FloatArray = npt.NDArray[np.float64]

METRIC = "correlation ratio of the moving image given 64 intensity classes of the fixed brain"
#: Below this correlation ratio the images have nothing in common.
LEAST_RATIO = 0.1
#: A mirrored head whose correlation ratio is higher by this shows a header that swaps left and right. The ratio
#: is of the image as it is; ``MIRRORED_R_SQUARED_GAIN`` is for R squared of a smoothed image and no measure for this.
MIRRORED_RATIO_GAIN = 0.01
#: A place elsewhere whose correlation ratio, not refined, is lower by no more than this is as good a start.
CLOSE_RATIO = 0.02
RIGID_DOF = 6


@dataclass(frozen=True, eq=False)
class BrainPair:
    """The two brains of one registration, by which its results are judged whatever FLIRT itself was given.

    Parameters
    ----------
    brain, fixed_brain : Nifti1Image, shape (i, j, k)
        Brain-extracted images: what moves, and what it is brought to.
    mask, fixed_mask : Nifti1Image
        Their brain masks.
    dof : {6, 12}
        Rigid, or affine.
    """

    brain: nib.Nifti1Image
    fixed_brain: nib.Nifti1Image
    mask: nib.Nifti1Image
    fixed_mask: nib.Nifti1Image
    dof: int

    def score(self, matrix: FloatArray) -> float:
        """Correlation ratio, 0 to 1, at a matrix (4, 4) from fixed to moving world coordinates."""
        return correlation_ratio(self.fixed_brain, self.fixed_mask, self.brain, matrix)

    def overlap(self, matrix: FloatArray) -> float:
        """Dice coefficient of the two brains, 0 to 1."""
        return mask_dice(self.fixed_mask, self.mask, matrix)

    def judged(self, start: str, matrix: FloatArray) -> Registration:
        """A result of FLIRT with its score, and why it is poor.

        Parameters
        ----------
        start : str
            Where it began, for the notes.
        matrix : array, shape (4, 4)
        """
        score, overlap = self.score(matrix), self.overlap(matrix)
        flags, notes = self._flags(matrix, score, overlap)
        return Registration(matrix, score, METRIC, overlap, bool(flags), (f"start: {start}", *flags, *notes))

    def is_doubtful(self, found: Registration, start: FloatArray) -> bool:
        """Whether the search's result leaves a doubt that a second run of FLIRT, from another start, may settle.

        It does where the result is poor; where the start, as it is and not refined, already explains more; and where
        it explains nearly as much but lies elsewhere, so that two places compete.

        Parameters
        ----------
        found : Registration
            Of the search.
        start : array, shape (4, 4)
            Where the second run would begin, fixed to moving world coordinates.
        """
        if found.poor:
            return True
        lead = found.score - self.score(start)
        return lead < 0 or (lead < CLOSE_RATIO and self._distance(found.matrix, start) > OTHER_MM)

    def _distance(self, first: FloatArray, second: FloatArray) -> float:
        """Mean distance in mm, over the fixed brain, of where two matrices lead."""
        points = apply_affine(self.fixed_mask.affine, np.argwhere(np.asanyarray(self.fixed_mask.dataobj) > 0)[::101])
        return float(np.linalg.norm(apply_affine(first, points) - apply_affine(second, points), axis=1).mean())

    def _flags(self, matrix: FloatArray, score: float, overlap: float) -> tuple[list[str], list[str]]:
        """Why a registration is poor, and what is only worth knowing; one line each."""
        flags: list[str] = []
        notes: list[str] = []
        if overlap < LEAST_OVERLAP:
            flags.append(
                f"the brains overlap with a Dice coefficient of {overlap:.2f}, expected {LEAST_OVERLAP} or more"
            )
        if score < LEAST_RATIO:
            flags.append(f"the correlation ratio is {score:.2f}, expected {LEAST_RATIO} or more")
        if self.dof == RIGID_DOF:
            turn = float(np.degrees(Rotation.from_matrix(matrix[:3, :3]).magnitude()))
            if turn > MOST_TURN_DEG:
                flags.append(f"turned by {turn:.0f} {TURNED}")
            if mirrored_ratio_gain(self.fixed_brain, self.fixed_mask, self.brain, matrix) > MIRRORED_RATIO_GAIN:
                flags.append(MIRRORED)
        cut = share_outside(self.fixed_mask, self.brain, matrix)
        if cut > CUT_NOTE:
            (flags if cut > CUT_POOR else notes).append(f"{cut:.0%} of the brain lies outside the moving image")
        return flags, notes
