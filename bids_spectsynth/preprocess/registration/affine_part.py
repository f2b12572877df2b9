"""The affine part of the deformation that takes a template's brain to another one.

An affine that is chosen because a model explains most of a moving image (R squared) is biased: where the moving brain
shrinks in its frame of background, more of what varies is the easy contrast of brain and background, and two heads
differ by more than an affine, which pulls at it. So the deformation itself is estimated, from local displacements by
least squares in Gaussian windows (Lucas and Kanade 1981), and the affine is the one that is nearest to it over the
brain, as in registrations by block matching (Ourselin et al. 2001). Each edge counts where it is, at any scale.
"""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bids_spectsynth.images.grid import FloatArray, apply_affine
from bids_spectsynth.images.resampling import FWHM_PER_SIGMA
from bids_spectsynth.preprocess.registration.cost import SPACING_MM, IntensityModel, ModelSamples, monomials
from bids_spectsynth.preprocess.registration.sampler import Float32Array, Sampler, make_sampler

# Degrees of the polynomials by which all of the brain may be brighter or darker, as coils make it.
_DEGREES = (1, 2, 3)
# Standard deviations (mm) of the window of one displacement, and of the smoothing of all after each step.
_WINDOW_MM, _SMOOTHING_MM = 10.0, 5.0
# Part of the mean contrast that is added to each window's: where nothing is seen, nothing moves.
_DAMPING = 0.005
# One step is at most this long (mm); the steps end when the affine moves the brain by less than this (mm, mean).
_MAX_STEP_MM, _TOLERANCE_MM = 3.0, 0.01
_ITERATIONS = 24


def shaded_samples(model: IntensityModel, fwhm: float) -> ModelSamples:
    """Model at a resolution of ``fwhm`` mm, every 4 mm, whose brain may be brighter and darker as coils make it.

    Polynomials of higher degree, as PET and SPECT need them, would take part in the brain's outline.
    """
    samples = model.samples(fwhm, 1, varying=False)
    position = ((samples.points - model.centre) / 60.0).astype(np.float32)
    brain = samples.columns[:, : len(model.inside)].sum(axis=1, keepdims=True)
    columns = [samples.columns, *(brain * factor for factor in monomials(position, _DEGREES))]
    return ModelSamples(samples.points, np.concatenate(columns, axis=1))


def make_even_sampler(
    data: Float32Array, affine: FloatArray, blocks: FloatArray, matrix: FloatArray, fwhm: float
) -> Sampler:
    """Sampler of an image that is smoothed to the same resolution in the template's world, whatever its scale there.

    Parameters
    ----------
    data : array, shape (i, j, k)
        Means over blocks of voxels (:func:`~bids_spectsynth.preprocess.registration.sampler.shrink`).
    affine : array, shape (4, 4)
    blocks : array, shape (3,)
        Voxels per block along each axis: these means are a part of the smoothing.
    matrix : array, shape (4, 4)
        World coordinates of the template to those of the image, about.
    fwhm : float
        Smoothing in mm of the template's world.
    """
    voxels_per_mm = np.linalg.inv(affine[:3, :3]) @ matrix[:3, :3]
    variance = (fwhm / FWHM_PER_SIGMA) ** 2 * np.square(voxels_per_mm).sum(axis=1)
    variance -= (1 - 1 / np.square(blocks)) / 12
    smooth = ndimage.gaussian_filter(data, np.sqrt(np.maximum(variance, 0)))
    return make_sampler(smooth, affine, 0.0)


def fit_affine_part(sampler: Sampler, matrix: FloatArray, model: IntensityModel, fwhm: float) -> FloatArray:
    """Affine that is nearest, over the brain, to the deformation between a template and a moving image.

    Parameters
    ----------
    sampler : Sampler
        The moving image (:func:`make_even_sampler`).
    matrix : array, shape (4, 4)
        Start, within about 5 mm: world coordinates of the template to those of the moving image.
    model : IntensityModel
        Of the template.
    fwhm : float
        Resolution in mm to which the model is blurred: that of the sampler's image.

    Returns
    -------
    array, shape (4, 4)
        The start, where too little of the template's brain is in the moving image's field of view.
    """
    samples = shaded_samples(model, fwhm)
    shown = sampler.contains(matrix, samples.points)
    points = samples.points[shown]
    index = np.rint((points - model.grid.affine[:3, 3]) / SPACING_MM).astype(np.intp)
    brain = model.brain[tuple(index.T)]
    if np.count_nonzero(brain) < 2 * samples.columns.shape[1]:
        return matrix
    basis = samples.orthonormal(shown).basis
    lattice = _Lattice(points, 2 * SPACING_MM)
    displaced = points
    for _ in range(_ITERATIONS):
        step = _local_steps(sampler, matrix, displaced, basis, lattice)
        displaced = points + lattice.smooth(displaced + step - points)
        # The affine part goes over to the matrix, so that what is smoothed is the rest alone.
        affine = _nearest_affine(points[brain], displaced[brain])
        moved = float(np.linalg.norm(apply_affine(affine, points[brain]) - points[brain], axis=1).mean())
        displaced, matrix = apply_affine(np.linalg.inv(affine), displaced), matrix @ affine
        if moved < _TOLERANCE_MM:
            break
    return matrix


class _Lattice:
    """Gaussian means over points (n, 3) of a regular lattice, some of whose places may be empty."""

    def __init__(self, points: FloatArray, spacing: float) -> None:
        index = np.rint((points - points.min(axis=0)) / spacing).astype(np.intp)
        self._places = tuple(index.T)
        self._shape = tuple((index.max(axis=0) + 1).tolist())
        self._window, self._smoothing = _WINDOW_MM / spacing, _SMOOTHING_MM / spacing
        self._weight = self._blurred(np.ones(len(points), np.float32), self._smoothing)

    def _blurred(self, values: npt.NDArray[np.floating], sigma: float) -> Float32Array:
        volume = np.zeros(self._shape, dtype=np.float32)
        volume[self._places] = values
        blurred = ndimage.gaussian_filter(volume, sigma, mode="constant", truncate=3.0)
        return np.asarray(blurred[self._places], dtype=np.float32)

    def window(self, values: npt.NDArray[np.floating]) -> Float32Array:
        """Weighted sums of values (n,) in the window around each point."""
        return self._blurred(values, self._window)

    def smooth(self, vectors: FloatArray) -> FloatArray:
        """Weighted means of vectors (n, 3) around each point."""
        parts = [self._blurred(part, self._smoothing) / self._weight for part in vectors.T]
        return np.stack(parts, axis=1).astype(np.float64)


def _local_steps(
    sampler: Sampler, matrix: FloatArray, displaced: FloatArray, basis: Float32Array, lattice: _Lattice
) -> FloatArray:
    """Displacement of each point that best takes away what the model leaves unexplained around it; mm, (n, 3)."""
    values = sampler.read(matrix, displaced)
    slope = sampler.read_gradient(matrix, displaced)
    residual = values - basis @ (basis.T @ values)
    wanted = np.stack([lattice.window(-slope[:, a] * residual) for a in range(3)], axis=1).astype(np.float64)
    contrast = np.empty((len(values), 3, 3))
    for a in range(3):
        for b in range(a, 3):
            contrast[:, a, b] = contrast[:, b, a] = lattice.window(slope[:, a] * slope[:, b])
    damping = _DAMPING * float(np.trace(contrast, axis1=1, axis2=2).mean()) / 3
    step = np.linalg.solve(contrast + (damping + 1e-12) * np.eye(3), wanted[..., None])[..., 0]
    length = np.linalg.norm(step, axis=1, keepdims=True)
    return np.asarray(step * np.minimum(1, _MAX_STEP_MM / np.maximum(length, 1e-12)))


def _nearest_affine(points: FloatArray, displaced: FloatArray) -> FloatArray:
    """Least-squares affine (4, 4) of points (n, 3) to displaced ones."""
    rows = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    matrix = np.eye(4)
    matrix[:3] = np.linalg.lstsq(rows, displaced, rcond=None)[0].T
    return matrix
