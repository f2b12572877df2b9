"""What a baseline gets wrong: mean and standard deviation of the residuals of scans without a seizure, voxel by voxel.

A residual is the real interictal scan minus the baseline, levelled and smoothed as the map is, of a participant whom
the baseline has not learned from. Sums are kept in template space, so that a participant can be taken out of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.images.grid import Grid
from bids_spectsynth.images.resampling import resample_linear
from bids_spectsynth.siscom.records import CohortError, Float32, Float64, Mask
from bids_spectsynth.siscom.significance.shrinkage import predicted_deviation
from bids_spectsynth.synthesis.baselines.cohort_mean import mean_grid
from bids_spectsynth.synthesis.baselines.template import template_matrix

#: Fewer participants at a voxel, or in all, say nothing of a spread.
MIN_PARTICIPANTS = 5
#: Voxels of the sums, as a share of the smoothing.
_SPACING = 1 / 3
#: Share of a voxel that a participant's mask must cover.
_COVERED = 0.5


@dataclass(frozen=True, eq=False)
class Residual:
    """The residual of one participant, on the grid of its prepared images.

    Parameters
    ----------
    case : PreparedCase
        In T1w space, with a transform to the template.
    values : array, shape (I, J, K), float32
        Percent of the brain mean, smoothed like the map.
    mask : array of bool, shape (I, J, K)
        Where it holds.
    affine : array, shape (4, 4)
        Voxels to world, RAS+ mm.
    peak : float
        Largest absolute value over what the participant's own null expects; NaN where that is not known.
    """

    case: PreparedCase
    values: Float32
    mask: Mask
    affine: Float64
    peak: float = float("nan")


@dataclass(frozen=True, eq=False)
class ErrorSums:
    """Sums of residuals on a grid in template space.

    Parameters
    ----------
    template : str
    fwhm : float
        Gaussian that smoothed them, mm.
    grid : Grid
    count, total, squares : array, shape of the grid, float64
        Participants at each voxel, and the sums of their residuals and of the squares.
    participants : tuple of str
        Labels of those who are in, without ``sub-``; or hashes of them, see
        :func:`bids_spectsynth.siscom.significance.error_files.load_error`.
    peaks : tuple of float
        Of each of them, see :class:`Residual`.
    """

    template: str
    fwhm: float
    grid: Grid
    count: Float64
    total: Float64
    squares: Float64
    participants: tuple[str, ...] = ()
    peaks: tuple[float, ...] = ()

    @classmethod
    def empty(cls, template: str, fwhm: float, grid: Grid) -> "ErrorSums":
        """Sums of nobody.

        Parameters
        ----------
        template : str
        fwhm : float
            mm.
        grid : Grid
        """
        count, total, squares = np.zeros((3, *grid.shape))
        return cls(template, fwhm, grid, count, total, squares)

    def plus(self, residual: Residual, name: str | None = None) -> "ErrorSums":
        """The sums with one more participant, who is named by its label or by another name."""
        people = (*self.participants, residual.case.participant if name is None else name)
        return replace(self._moved(residual, 1), participants=people, peaks=(*self.peaks, residual.peak))

    def without(self, residual: Residual, name: str | None = None) -> "ErrorSums":
        """The sums less a participant who went into them, to within rounding.

        Raises
        ------
        ValueError
            The participant is not in.
        """
        own = residual.case.participant if name is None else name
        if own not in self.participants:
            raise ValueError(f"{residual.case.name} is not among the participants")
        left = [(one, peak) for one, peak in zip(self.participants, self.peaks, strict=True) if one != own]
        people, peaks = (tuple(part) for part in zip(*left, strict=True)) if left else ((), ())
        return replace(self._moved(residual, -1), participants=people, peaks=peaks)

    def _moved(self, residual: Residual, sign: int) -> "ErrorSums":
        case = residual.case.through(self.template)
        wanted = template_matrix(case) @ self.grid.affine
        inside = residual.mask.astype(np.float32)
        values = np.where(residual.mask, residual.values, np.float32(0))
        cover = resample_linear(inside, residual.affine, self.grid.shape, wanted)
        found = cover >= _COVERED
        # Beyond the mask's edge there is nothing, not zero.
        there = np.zeros(self.grid.shape)
        there[found] = resample_linear(values, residual.affine, self.grid.shape, wanted)[found] / cover[found]
        return replace(
            self,
            count=self.count + sign * found,
            total=self.total + sign * there,
            squares=self.squares + sign * np.square(there),
        )


def error_grid(cases: Sequence[PreparedCase], template: str, fwhm: float) -> Grid:
    """Grid in template space that holds all brains, as coarse as smoothed maps allow.

    Parameters
    ----------
    cases : sequence of PreparedCase
        Of one space; not empty.
    template : str
    fwhm : float
        Gaussian of the maps, mm.

    Raises
    ------
    ImageError
        A mask or transform is missing or damaged.
    """
    fine = mean_grid([case.through(template) for case in cases])
    sizes = fine.voxel_sizes
    step = np.maximum(1, np.floor(fwhm * _SPACING / sizes + 1e-6))
    affine = fine.affine @ np.diag([*step, 1.0])
    i, j, k = (int(n) for n in (np.array(fine.shape) + step - 1) // step + 1)
    return Grid((i, j, k), affine)


def sum_residuals(residuals: Iterable[Residual], template: str, fwhm: float, grid: Grid) -> ErrorSums:
    """Sum up the residuals of several participants, of each the first.

    Parameters
    ----------
    residuals : iterable of Residual
        One is in memory at a time.
    template : str
        Those without a transform to it are passed over.
    fwhm : float
    grid : Grid
        See :func:`error_grid`.
    """
    sums = ErrorSums.empty(template, fwhm, grid)
    for residual in residuals:
        reachable = template in (residual.case.through(template).template, residual.case.space)
        if reachable and residual.case.participant not in sums.participants:
            sums = sums.plus(residual)
    return sums


def carry_error(
    sums: ErrorSums, case: PreparedCase, mask: Mask, affine: Float64, expected: Float32 | None = None
) -> CohortError | None:
    """Bring mean and standard deviation of the residuals to a head.

    Parameters
    ----------
    sums : ErrorSums
        Without the head's own participant.
    case : PreparedCase
        The head.
    mask : array of bool, shape (I, J, K)
        Brain of the head.
    affine : array, shape (4, 4)
        Of the mask, to world RAS+ mm.
    expected : array, shape (I, J, K), optional
        Standard deviation that is expected of the head's own residual, smoothed like it, in any unit: only its shape
        counts, towards which the cohort's variances are then drawn. NaN where nothing is expected.

    Returns
    -------
    CohortError or None
        The standard deviation is that of a further scan: with the uncertainty of the mean in it. None where fewer than
        :data:`MIN_PARTICIPANTS` are in, or the head has no transform to the template.
    """
    case = case.through(sums.template)
    reachable = sums.template in (case.template, case.space)
    if len(sums.participants) < MIN_PARTICIPANTS or not reachable:
        return None
    enough = sums.count >= MIN_PARTICIPANTS
    if not enough.any():
        return None
    mean, deviation = np.zeros((2, *sums.grid.shape))
    n = sums.count[enough]
    mean[enough] = sums.total[enough] / n
    variance = np.maximum(sums.squares[enough] - n * np.square(mean[enough]), 0) / (n - 1)
    shape = None if expected is None else _shape(expected, enough, template_matrix(case) @ sums.grid.affine, affine)
    usual = 1.0 if shape is None else shape
    deviation[enough] = usual * predicted_deviation(variance / np.square(usual), n)
    wanted = np.linalg.inv(template_matrix(case)) @ affine
    cover, *parts = (
        resample_linear(volume, sums.grid.affine, mask.shape, wanted)[mask]
        for volume in (enough.astype(np.float32), mean, deviation)
    )
    known = cover >= _COVERED
    maps = []
    for part in parts:
        values = np.full(len(known), np.nan, dtype=np.float32)
        values[known] = part[known] / cover[known]
        volume = np.full(mask.shape, np.nan, dtype=np.float32)
        volume[mask] = values
        maps.append(volume)
    return CohortError(
        mean=maps[0],
        standard_deviation=maps[1],
        n_participants=len(sums.participants),
        peaks=tuple(peak for peak in sums.peaks if np.isfinite(peak)),
        calibrated=shape is not None,
    )


def _shape(expected: Float32, enough: Mask, wanted: Float64, affine: Float64) -> Float64 | None:
    """Expected standard deviations at some voxels of a grid, over their geometric mean; 1 where none is expected.

    ``wanted`` and ``affine`` lead from voxels of the grid, and of what is expected, to the head's world. None where
    nothing is expected of any of the voxels.
    """
    known = expected > 0
    values = np.where(known, expected, np.float32(0))
    cover, moved = (
        resample_linear(volume, affine, enough.shape, wanted)[enough] for volume in (known.astype(np.float32), values)
    )
    found = cover >= _COVERED
    if not found.any():
        return None
    logs = np.zeros(len(cover))
    logs[found] = np.log(moved[found] / cover[found])
    logs[found] -= logs[found].mean()
    return np.exp(logs)


def peak_chance(peaks: Sequence[float], height: float) -> float:
    """Chance that the map of one more participant without a seizure has a value of some height.

    Parameters
    ----------
    peaks : sequence of float
        Largest absolute values of the maps of some participants without a seizure, above 0.
    height : float

    Returns
    -------
    float
        Logarithms of the peaks are taken to be normal, with the uncertainty of mean and spread: Student's t of a
        further value. NaN of fewer than :data:`MIN_PARTICIPANTS`.

    Examples
    --------
    >>> peak_chance([4.0, 5.0, 4.5, 4.2, 5.1], 4.5) > 0.4
    True
    >>> peak_chance([4.0, 5.0, 4.5, 4.2, 5.1], 9.0) < 0.01
    True
    """
    if len(peaks) < MIN_PARTICIPANTS:
        return float("nan")
    logs = np.log(np.asarray(peaks, dtype=np.float64))
    n, spread = len(logs), max(float(logs.std(ddof=1)), 1e-6)
    return float(special.stdtr(n - 1, -(np.log(max(height, 1e-6)) - logs.mean()) / (spread * np.sqrt(1 + 1 / n))))
