"""Individual cortical folds: sulci where nobody else of the cohort has them.

The template is an average of many heads, and a smooth deformation of it only shifts folds that all subjects share, so
that a cohort's mean image fits everybody well. Here the outer mantle of the cerebrum gets folds of its own: sulci are
the zero crossings of a band-limited random field, about 13 mm apart and up to 15 mm deep, with a grey ribbon on both
banks. Shapes are plausible at the resolution of PET and SPECT, not anatomy.
"""

import numpy as np

from bids_spectsynth.phantom.smooth import Array, random_field

#: Standard deviations (mm) of the two Gaussians whose difference limits the field's band: wavelength about 26 mm.
BAND = (4.0, 8.0)
#: Typical slope of the field (standard deviation 1) at its zero crossings, per mm.
SLOPE = 0.2
#: Depth below the brain's hull (mm) that sulci reach, and between which the template's tissue takes over.
SULCUS_DEPTH = 13.0
MANTLE = (15.0, 20.0)
#: Half the width of a sulcus at the age of 40 and its growth per year, and the cortex's thickness, mm.
SULCUS_HALF_WIDTH = 0.7
WIDENING_PER_YEAR = 0.015
CORTEX = 3.0
#: Width of the transitions between tissues, mm: partial volume.
BLUR = 1.5
#: Behind and below this plane in template millimetres lies the cerebellum, which keeps its tissue.
CEREBELLUM = (-38.0, -18.0)


def fold_cortex(
    rng: np.random.Generator, grey: Array, white: Array, shell: Array, coordinates: Array, step: float, age: int
) -> tuple[Array, Array]:
    """Replace the folds of the cerebrum's outer mantle by random ones.

    Parameters
    ----------
    rng : Generator
    grey, white : (i, j, k) arrays
        Tissue fractions with the template's folds.
    shell : (i, j, k) array
        Millimetres outside the brain's hull (negative inside).
    coordinates : (3, i, j, k) array
        Template coordinates, mm.
    step : float
        Voxel size, mm.
    age : int
        Years; widens the sulci.

    Returns
    -------
    grey, white : (i, j, k) arrays
        Fractions in [0, 1], their sum not above 1.
    """
    depth = -shell
    sheets = np.abs(_band_limited(rng, shell.shape, step)) / np.float32(SLOPE)
    beyond = np.clip(depth - SULCUS_DEPTH, 0, None)
    # Distance from the pia: the nearer of a sulcus (that ends at its depth) and the hull.
    from_pia = np.minimum(np.sqrt(sheets**2 + beyond**2), depth)
    half_width = SULCUS_HALF_WIDTH + WIDENING_PER_YEAR * (age - 40)
    tissue = _ramp(from_pia, half_width)
    inner = _ramp(from_pia, half_width + CORTEX)
    # Where the template has none to speak of (fissures, ventricles) there is no tissue to fold.
    tissue *= np.clip((grey + white - 0.2) / 0.3, 0, 1)
    mantle = 1 - np.clip((depth - MANTLE[0]) / (MANTLE[1] - MANTLE[0]), 0, 1)
    y, z = coordinates[1], coordinates[2]
    hindbrain = np.clip((CEREBELLUM[0] - y) / 6 + 1, 0, 1) * np.clip((CEREBELLUM[1] - z) / 6 + 1, 0, 1)
    weight = mantle * (1 - hindbrain)
    folded_grey = (1 - weight) * grey + weight * tissue * (1 - inner)
    folded_white = (1 - weight) * white + weight * tissue * inner
    return folded_grey.astype(np.float32), folded_white.astype(np.float32)


def _band_limited(rng: np.random.Generator, shape: tuple[int, ...], step: float) -> Array:
    """Random field of mean 0 and standard deviation 1 without long and short waves."""
    seed = int(rng.integers(2**32))
    fine, coarse = (random_field(np.random.default_rng(seed), shape, sigma / step) for sigma in BAND)
    # Both come from the same noise at a standard deviation of 1; undo that so that the difference limits the band.
    ratio = np.float32((BAND[0] / BAND[1]) ** 1.5)
    field: Array = fine - coarse * ratio
    return field / np.float32(field.std())


def _ramp(values: Array, edge: float) -> Array:
    ramp: Array = np.clip((values - np.float32(edge)) / np.float32(BLUR) + np.float32(0.5), 0, 1)
    return ramp
