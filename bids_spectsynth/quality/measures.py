"""What is measured of PET and SPECT in the brain: resolution, contrasts, own anatomy, and how the two agree.

All of it is of one case alone; nothing depends on the unit of an image.
"""

import numpy as np

from bids_spectsynth.images.masks import without_edge
from bids_spectsynth.quality.mirror import Mirror
from bids_spectsynth.quality.volumes import VOXEL_MM, Float64, Mask, Volumes

#: Widths at which the tissue is compared with an image, mm.
WIDTHS = (3.0, 5.0, 7.0, 9.0, 11.5, 14.5, 18.0, 22.0)
#: Smoothing of the two images whose asymmetry is compared, mm, on top of what makes their resolutions equal.
_FOCUS_MM = 10.0
#: What is broader than this is no focus, mm; and how deep below the surface one is looked for.
_BROAD_MM, _FOCUS_DEPTH_MM = 40.0, 4.0
#: The logarithm begins here, as a share of the mean in the brain: cavities and ventricles have no uptake.
_FLOOR = 0.2
#: Quantile that stands for a maximum: a focus of one millilitre in a brain.
_TOP = 99.9
#: The hindbrain is this low and this far behind, as a share of the brain's box.
_LOW, _BEHIND = 0.3, 0.4
#: Voxels that a measurement needs.
_LEAST_VOXELS = 200
_TINY = 1e-12


def image_measures(volumes: Volumes, role: str, mirror: Mirror) -> dict[str, float]:
    """Measurements of one image.

    Parameters
    ----------
    volumes : Volumes
    role : str
    mirror : callable
        Of :func:`bids_spectsynth.quality.mirror.mirror_of`.

    Returns
    -------
    dict
        ``spread`` (standard deviation over mean), ``peak`` (99.5th percentile over median), ``fwhm`` (mm, at which the
        T1w's tissue explains most), ``tissue`` (R squared of that), ``own_anatomy`` (logarithm of the unexplained
        variance with the mirrored tissue over that with the tissue: 0 for somebody else's brain), ``grey_white`` and
        ``hindbrain`` (ratios of means). Empty where too little of the brain was measured.
    """
    inside = volumes.inside & volumes.measured[role]
    if inside.sum() < _LEAST_VOXELS:
        return {}
    image = volumes.images[role]
    values = image[inside]
    mean = max(float(values.mean()), _TINY)
    found = {
        "spread": float(values.std()) / mean,
        "peak": float(np.percentile(values, 99.5)) / max(float(np.median(values)), _TINY),
    }
    low = _hindbrain(volumes) & inside
    found["hindbrain"] = float(image[low].mean()) / mean if low.any() else float("nan")
    if volumes.white.any() and values.std() > 0:
        found["tissue"], found["fwhm"] = _tissue_fit(volumes, values, inside)
        found["own_anatomy"] = _own_anatomy(volumes, role, mirror, found["fwhm"])
        ends = [values[share >= np.percentile(share, 75)].mean() for share in _shares(volumes, inside)]
        found["grey_white"] = float(ends[0] / max(float(ends[1]), _TINY))
    return found


def pair_measures(
    volumes: Volumes, pet: str, spect: str, widths: tuple[float, float], mirror: Mirror
) -> dict[str, float]:
    """How a SPECT and a PET of one head agree.

    Parameters
    ----------
    volumes : Volumes
    pet, spect : str
        Roles.
    widths : tuple of float
        Resolution of the two, mm.
    mirror : callable

    Returns
    -------
    dict
        ``agreement`` (correlation of their details of 6 to 12 mm), ``sharper`` (logarithm of the SPECT's width over the
        PET's) and ``focus`` (the largest narrow asymmetry of the SPECT that the PET does not share: its natural
        logarithm times the root of how many robust standard deviations it is).
    """
    inside = volumes.inside & volumes.measured[pet] & volumes.measured[spect]
    if inside.sum() < _LEAST_VOXELS or any(volumes.images[role][inside].std() == 0 for role in (pet, spect)):
        return {}
    details = [
        volumes.blurred(volumes.images[role], 6) - volumes.blurred(volumes.images[role], 12) for role in (pet, spect)
    ]
    # The sharper one is brought to the other's resolution, so that folds do not look like foci.
    square = max(widths[0] ** 2, widths[1] ** 2)
    extra = [float(np.sqrt(max(square - width**2, 0) + _FOCUS_MM**2)) for width in widths]
    # Foci lie near the surface more often than not.
    near = (
        without_edge(volumes.brain, (VOXEL_MM,) * 3, _FOCUS_DEPTH_MM) & volumes.measured[pet] & volumes.measured[spect]
    )
    logs = [_log_uptake(volumes, role, near, width) for role, width in zip((pet, spect), extra, strict=True)]
    return {
        "agreement": float(np.corrcoef(details[0][inside], details[1][inside])[0, 1]),
        "sharper": float(np.log(widths[1] / widths[0])),
        "focus": _focus(volumes, logs[1] - logs[0], near, mirror),
    }


def _focus(volumes: Volumes, ratio: Float64, inside: Mask, mirror: Mirror) -> float:
    """How much the highest narrow asymmetry of a logarithm stands out, in itself and among all of them."""
    weight = np.maximum(volumes.blurred(inside.astype(np.float64), _BROAD_MM), 1e-3)
    narrow = ratio - volumes.blurred(np.where(inside, ratio, 0), _BROAD_MM) / weight
    both = inside & (mirror(inside.astype(np.float64)) > 0.9)
    if both.sum() < _LEAST_VOXELS:
        return float("nan")
    differences = (narrow - mirror(narrow))[both]
    height, spread = float(np.percentile(differences, _TOP)), 1.4826 * float(np.median(np.abs(differences)))
    return height * float(np.sqrt(max(height, 0) / max(spread, _TINY)))


def _log_uptake(volumes: Volumes, role: str, inside: Mask, width: float) -> Float64:
    weight = volumes.blurred(volumes.measured[role].astype(np.float64), width)
    smooth = volumes.blurred(volumes.images[role], width) / np.maximum(weight, 1e-3)
    return np.asarray(np.log(np.maximum(smooth, 0) / max(float(smooth[inside].mean()), _TINY) + _FLOOR))


def _shares(volumes: Volumes, inside: Mask) -> tuple[Float64, Float64]:
    return volumes.grey[inside], volumes.white[inside]


def _tissue_fit(volumes: Volumes, values: Float64, inside: Mask) -> tuple[float, float]:
    """R squared of the tissue at its best width, and that width, interpolated."""
    fits = [_r_squared(values, volumes, inside, width, (volumes.grey, volumes.white)) for width in WIDTHS]
    best = int(np.argmax(fits))
    if not 0 < best < len(WIDTHS) - 1:
        return fits[best], WIDTHS[best]
    around = slice(best - 1, best + 2)
    a, b, _ = np.polyfit(np.log(WIDTHS[around]), fits[around], 2)
    return fits[best], float(np.exp(np.clip(-b / (2 * a), *np.log([WIDTHS[best - 1], WIDTHS[best + 1]]))))


def _own_anatomy(volumes: Volumes, role: str, mirror: Mirror, width: float) -> float:
    inside = volumes.inside & volumes.measured[role]
    inside &= mirror(inside.astype(np.float64)) > 0.5
    values = volumes.images[role][inside]
    if values.size < _LEAST_VOXELS or values.std() == 0:
        return float("nan")
    tissues = (volumes.grey, volumes.white)
    own, mirrored = (
        1 - _r_squared(values, volumes, inside, width, pair) for pair in (tissues, tuple(map(mirror, tissues)))
    )
    return float(np.log(max(mirrored, _TINY) / max(own, _TINY)))


def _r_squared(values: Float64, volumes: Volumes, inside: Mask, width: float, tissues: tuple[Float64, ...]) -> float:
    """Share of variance that a sum of tissues explains, each with a linear trend over the head."""
    place = (np.argwhere(inside) - np.array(inside.shape) / 2) * VOXEL_MM / 80
    trends = np.column_stack([np.ones(len(place)), place])
    columns = [np.ones(len(place)), *(volumes.blurred(tissue, width)[inside] for tissue in tissues)]
    design = np.hstack([trends * column[:, None] for column in columns])
    # Normal equations: a dozen columns of like size.
    products = design.T @ design + 1e-9 * len(place) * np.eye(design.shape[1])
    fitted = design @ np.linalg.solve(products, design.T @ values)
    return 1 - float(((values - fitted) ** 2).sum()) / max(float(((values - values.mean()) ** 2).sum()), _TINY)


def _hindbrain(volumes: Volumes) -> Mask:
    """The low and hind part of the brain, most of which is cerebellum: axes are RAS."""
    found = np.argwhere(volumes.brain)
    low, high = found.min(axis=0), found.max(axis=0)
    _, j, k = np.indices(volumes.brain.shape)
    behind = j < low[1] + _BEHIND * (high[1] - low[1])
    return np.asarray(volumes.brain & behind & (k < low[2] + _LOW * (high[2] - low[2])))
