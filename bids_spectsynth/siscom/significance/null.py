"""What this patient's scans can produce without a seizure: a Monte Carlo of maps and of their largest clusters.

Each simulated map is the sum of random fields as this patient's scans have them
(:mod:`~bids_spectsynth.siscom.significance.variability`), of what a small error of the registration does to the
baseline, and of what a small difference of the resolution does. It is smoothed, masked and thresholded like the map.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import fft, ndimage

from bids_spectsynth.images.grid import MaskedGrid, apply_affine
from bids_spectsynth.images.resampling import FWHM_PER_SIGMA
from bids_spectsynth.images.smoothing import MaskedSmoother
from bids_spectsynth.siscom.records import Float32, Float64, Mask
from bids_spectsynth.siscom.significance.trend import Trend
from bids_spectsynth.siscom.significance.variability import (
    SMOOTHINGS_MM,
    WIDTHS_MM,
    Variability,
    estimate_variability,
    robust_variance,
)

#: Simulated maps.
SIMULATIONS = 400
#: Voxels of the grid on which maps are simulated, mm.
SPACING_MM = 4.0
#: Voxels that are added to the field, so that its two ends do not meet.
_PADDING = 8
_STEP_MM = 0.5


@dataclass(frozen=True)
class Errors:
    """What registration and resolution are known to be off by, as standard deviations.

    Parameters
    ----------
    shift_mm, rotation_deg : float
        Along and about each axis.
    resolution_mm2 : float
        Of the difference of the squared widths of both scans, mm^2.
    """

    shift_mm: float = 0.15
    rotation_deg: float = 0.15
    resolution_mm2: float = 10.0


@dataclass(frozen=True, eq=False)
class Null:
    """Maps without a seizure, summed up.

    Parameters
    ----------
    mask : array of bool, shape (i, j, k)
        Evaluation mask on the coarse grid.
    affine : array, shape (4, 4)
        Of the coarse grid.
    standard_deviation : array, shape (i, j, k), float32
        Of the simulated maps, percent of the brain mean; 0 outside the mask. With a trend that of
        :func:`expected_deviation`.
    parts : dict of str to array, shape (i, j, k), float32
        The same by cause: ``registration``, ``resolution``, ``noise`` (of the camera), ``variation`` (between two
        injections).
    extents, masses : array, shape (n,), sorted
        Of the largest cluster of each simulated map, of either sign: mL, and mL times z above the threshold.
    variability : Variability
    heights : array, shape (n,), sorted
        Largest absolute value of each simulated map over ``standard_deviation``; empty without a trend.
    """

    mask: Mask
    affine: Float64
    standard_deviation: Float32
    parts: dict[str, Float32]
    extents: Float64
    masses: Float64
    variability: Variability
    heights: Float64 = field(default_factory=lambda: np.zeros(0))

    def p_height(self, height: float) -> float:
        """Chance of a map without a seizure with a value of this absolute height or more."""
        return _tail(self.heights, height)

    def p_mass(self, mass: float) -> float:
        """Chance of a map without a seizure with a cluster of this mass or more."""
        return _tail(self.masses, mass)

    def p_extent(self, extent: float) -> float:
        """Chance of a map without a seizure with a cluster of this extent (mL) or more."""
        return _tail(self.extents, extent)


def _tail(sorted_values: Float64, value: float) -> float:
    # The observed map is one of the maps that could have been: never 0.
    above = len(sorted_values) - int(np.searchsorted(sorted_values, value - 1e-9))
    return (1 + above) / (1 + len(sorted_values))


def patient_variability(
    difference: Float32, baseline: Float32, brain: MaskedGrid, evaluation_mask: Mask, fwhm: float, errors: Errors
) -> Variability:
    """How two scans differ beyond what registration and resolution are known to be off by.

    Parameters
    ----------
    difference : array, shape (i, j, k)
        Of the two scans at one level, not smoothed, percent of the brain mean, on a coarse grid.
    baseline : array, shape (i, j, k)
        Not smoothed, any units.
    brain : MaskedGrid
        That grid, and the brain on it.
    evaluation_mask : array of bool, shape (i, j, k)
    fwhm : float
        Of the map's smoothing, mm.
    errors : Errors
    """
    image = _percent(baseline, brain)
    # How the patterns shrink with smoothing, to take them off what the fields must explain.
    known = [
        sum(robust_variance(p[evaluation_mask]) for p in _patterns(image, brain, width, errors)[0])
        for width in SMOOTHINGS_MM
    ]
    return estimate_variability(difference, brain.inside, evaluation_mask, brain.voxel_sizes, known)


def simulate_null(
    variability: Variability,
    baseline: Float32,
    brain: MaskedGrid,
    evaluation_mask: Mask,
    *,
    fwhm: float,
    threshold: float,
    errors: Errors,
    seed: int,
    trend: Trend | None = None,
    simulations: int = SIMULATIONS,
) -> Null:
    """Simulate maps without a seizure.

    Parameters
    ----------
    variability : Variability
        See :func:`patient_variability`.
    baseline : array, shape (i, j, k)
        Not smoothed, any units, on a coarse grid.
    brain : MaskedGrid
        That grid, and the brain on it.
    evaluation_mask : array of bool, shape (i, j, k)
    fwhm : float
        Of the map's smoothing, mm.
    threshold : float
        z from which a cluster counts.
    errors : Errors
    seed : int
        Equal seeds give equal results.
    trend : Trend, optional
        What is taken off the map is taken off each simulated one.
    simulations : int

    Returns
    -------
    Null
    """
    image = _percent(baseline, brain)
    patterns, causes = _patterns(image, brain, fwhm, errors)
    fields = _Fields(variability, brain, image)
    smoother = MaskedSmoother(brain.inside, brain.voxel_sizes, fwhm)
    rng = np.random.default_rng(seed)
    maps = _Maps(evaluation_mask, threshold)
    expected = None if trend is None else expected_deviation(trend, baseline, brain, fwhm, errors)
    for field_ in fields.draw(rng, simulations):
        found = smoother(field_) + sum(rng.standard_normal() * pattern for pattern in patterns)
        maps.add(found if trend is None else found - trend.of(found), expected)
    # Computed and not simulated, as it is for the held-out participants whose peaks are compared.
    deviation = maps.deviation() if expected is None else np.where(evaluation_mask, expected, np.float32(0))
    extents, masses = np.sort(np.array(maps.largest).T * float(np.prod(brain.voxel_sizes)) / 1000, axis=1)
    parts = {**causes, **fields.parts(fwhm, deviation, causes, evaluation_mask, less_trend=trend is not None)}
    return Null(evaluation_mask, brain.affine, deviation, parts, extents, masses, variability, np.sort(maps.heights))


class _Maps:
    """What is kept of simulated maps: sums of squares, largest clusters (voxels, mass), heights."""

    def __init__(self, mask: Mask, threshold: float) -> None:
        self._mask, self._threshold = mask, threshold
        self._squares = np.zeros(np.count_nonzero(mask))
        self.largest: list[tuple[int, float]] = []
        self.heights: list[float] = []

    def add(self, found: Float32, expected: Float32 | None) -> None:
        inside = found[self._mask]
        self._squares += np.square(inside)
        self.largest.append(largest_cluster(np.where(self._mask, found / inside.std(), 0), self._threshold))
        if expected is not None:
            self.heights.append(float(np.abs(inside / expected[self._mask]).max()))

    def deviation(self) -> Float32:
        out = np.zeros(self._mask.shape, dtype=np.float32)
        out[self._mask] = np.sqrt(self._squares / len(self.largest))
        return out


def expected_deviation(trend: Trend, baseline: Float32, brain: MaskedGrid, fwhm: float, errors: Errors) -> Float32:
    """Standard deviation of maps without a seizure, less their slow part: of the fields, registration and resolution.

    Parameters
    ----------
    trend : Trend
    baseline : array, shape (i, j, k)
        Not smoothed, any units, on the coarse grid.
    brain : MaskedGrid
    fwhm : float
        Of the map's smoothing, mm.
    errors : Errors

    Returns
    -------
    array, shape (i, j, k), float32
        Percent; above 0 everywhere.
    """
    patterns, _ = _patterns(_percent(baseline, brain), brain, fwhm, errors)
    squares = np.square(trend.expected()) + sum(np.square(pattern - trend.of(pattern)) for pattern in patterns)
    return np.asarray(np.sqrt(squares), dtype=np.float32)


def _percent(baseline: Float32, brain: MaskedGrid) -> Float32:
    level = baseline[brain.inside].mean(dtype=np.float64)
    return np.where(brain.inside, 100 * baseline / level, 0).astype(np.float32)


def largest_cluster(z: Float32, threshold: float) -> tuple[int, float]:
    """Voxels of the largest cluster of either sign beyond a threshold, and the largest sum of what is beyond it.

    Neighbours share a face.

    Parameters
    ----------
    z : array, shape (i, j, k)
    threshold : float
    """
    extent, mass = 0, 0.0
    for signed in (z, -z):
        labels, n = ndimage.label(signed >= threshold)
        if n:
            extent = max(extent, int(np.bincount(labels.ravel())[1:].max()))
            masses = np.bincount(labels.ravel(), weights=(signed - threshold).ravel())[1:]
            mass = max(mass, float(masses.max()))
    return extent, mass


def _patterns(
    image: Float32, brain: MaskedGrid, fwhm: float, errors: Errors
) -> tuple[list[Float32], dict[str, Float32]]:
    """Maps of one standard deviation of each shift, rotation and of the resolution; and their sums by cause."""
    smooth = MaskedSmoother(brain.inside, brain.voxel_sizes, fwhm)(image)
    # Derivatives along the axes of the voxels, inside the brain alone: half a voxel of edge is lost to the erosion.
    slopes = [np.asarray(slope, dtype=np.float32) for slope in np.gradient(smooth)]
    to_voxels = np.linalg.inv(brain.affine[:3, :3])
    gradient = np.stack([sum(slopes[i] * np.float32(to_voxels[i, axis]) for i in range(3)) for axis in range(3)])
    voxels = np.indices(brain.shape).reshape(3, -1).T
    points = apply_affine(brain.affine, voxels)
    centre = points[brain.inside.ravel()].mean(axis=0)
    offsets = (points - centre).T.reshape(3, *brain.shape).astype(np.float32)
    turns = np.cross(offsets, gradient, axis=0)
    motion = [np.float32(errors.shift_mm) * g for g in gradient]
    motion += [np.float32(np.deg2rad(errors.rotation_deg)) * turn for turn in turns]
    wider = MaskedSmoother(brain.inside, brain.voxel_sizes, float(np.sqrt(fwhm**2 + errors.resolution_mm2)))(image)
    sharpness = wider - smooth
    cut = [np.where(brain.inside, pattern, 0).astype(np.float32) for pattern in (*motion, sharpness)]
    registration = np.sqrt(sum(np.square(pattern) for pattern in cut[:-1]))
    return cut, {"registration": registration, "resolution": np.abs(cut[-1])}


class _Fields:
    """Random fields of a brain; noise of the camera follows the root of the counts."""

    def __init__(self, variability: Variability, brain: MaskedGrid, image: Float32) -> None:
        self._variability, self._brain = variability, brain
        self._shape = tuple(fft.next_fast_len(n + _PADDING) for n in brain.shape)
        smooth = MaskedSmoother(brain.inside, brain.voxel_sizes, 2 * SPACING_MM)(image)
        counts = np.sqrt(np.maximum(smooth, 0))
        self._counts = (counts / np.sqrt(np.mean(np.square(counts[brain.inside])))).astype(np.float32)
        frequencies = np.meshgrid(
            *(np.fft.fftfreq(n, d=size) for n, size in zip(self._shape, brain.voxel_sizes, strict=True)), indexing="ij"
        )
        squared = sum(np.square(f) for f in frequencies)
        self._noise = self._amplitude(squared, variability.noise_widths)
        self._slow = self._amplitude(squared, [w for w in WIDTHS_MM if w not in variability.noise_widths])

    def _amplitude(self, squared: Float64, widths: Sequence[float]) -> Float32:
        """Square root of the power at each frequency, for white noise of variance 1 on both complex parts."""
        power = np.zeros(self._shape)
        for width, deviation in zip(WIDTHS_MM, self._variability.deviations, strict=True):
            if width in widths and deviation > 0:
                own = np.exp(-np.square(2 * np.pi * width / FWHM_PER_SIGMA) * squared)
                power += deviation**2 * own / own.mean()
        return np.sqrt(power).astype(np.float32) * np.float32(np.sqrt(power.size))

    def draw(self, rng: np.random.Generator, n: int) -> Iterator[Float32]:
        """Fields before smoothing, one after the other, shape (i, j, k)."""
        i, j, k = self._brain.shape
        for _ in range((n + 1) // 2):
            noise, slow = (
                fft.ifftn(self._white(rng) * amplitude)[:i, :j, :k] for amplitude in (self._noise, self._slow)
            )
            yield noise.real * self._counts + slow.real
            n -= 1
            if n > 0:
                yield noise.imag * self._counts + slow.imag
                n -= 1

    def _white(self, rng: np.random.Generator) -> np.ndarray:
        parts = rng.standard_normal((2, *self._shape), dtype=np.float32)
        return np.asarray(parts[0] + 1j * parts[1], dtype=np.complex64)

    def parts(
        self, fwhm: float, total: Float32, patterns: dict[str, Float32], mask: Mask, *, less_trend: bool
    ) -> dict[str, Float32]:
        """What of the simulated deviation is noise, and what is variation between two injections."""
        own = self._variability
        left = np.maximum(np.square(total) - sum(np.square(pattern) for pattern in patterns.values()), 0)
        slow = [w for w in WIDTHS_MM if w not in own.noise_widths]
        # Where the slow part is taken off, the noise is what is left as it was.
        known = np.minimum(own.smoothed(fwhm, own.noise_widths if less_trend else slow) ** 2, left)
        rest = left - known
        noise, variation = (np.where(mask, part, 0) for part in ((known, rest) if less_trend else (rest, known)))
        return {"noise": np.sqrt(noise).astype(np.float32), "variation": np.sqrt(variation).astype(np.float32)}
