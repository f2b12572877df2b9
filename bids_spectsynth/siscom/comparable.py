"""An ictal scan and a baseline made comparable: level by region, resolution, smoothing; and how that is chosen."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bids_spectsynth.bids.roles import T1W
from bids_spectsynth.images.resolution import AnatomicalBlur
from bids_spectsynth.images.smoothing import MaskedSmoother, smooth_apart
from bids_spectsynth.siscom.baselines.regional import regional_gain
from bids_spectsynth.siscom.baselines.request import Request
from bids_spectsynth.siscom.baselines.residuals import Difference
from bids_spectsynth.siscom.records import BaselineImage, Float32, Float64, Mask
from bids_spectsynth.siscom.significance.patient_null import coarse_pair
from bids_spectsynth.siscom.subtraction.level import levels
from bids_spectsynth.siscom.subtraction.maps import percent_difference
from bids_spectsynth.siscom.subtraction.mask import siscom_mask
from bids_spectsynth.siscom.subtraction.resolution import Matching, match

#: Counted up where other maps come of the same scans and options: what an earlier version has made is made again.
METHOD_VERSION = 2
#: Baselines to which a smooth gain, equal on both sides, is fitted; the PET has had its own.
FITTED = ("real", "synthetic", "cohort", "normals")
#: Baselines whose broad errors are foretold from the surroundings of each place: a measured one has none, and the
#: spread of normals is that of whole maps.
WITH_TREND = ("synthetic", "pet", "cohort")
_GAIN = "A smooth gain was fitted to the ictal scan: a change that is smooth and equal on both sides is lost."
_NO_GAIN = "No transform to a template: one level for the whole brain, no smooth gain."


@dataclass(frozen=True, kw_only=True)
class Choices:
    """How scans are compared.

    Parameters
    ----------
    fwhm : float
        Gaussian that smooths both scans once they are equally sharp, mm.
    threshold : float
        z from which a voxel belongs to a cluster.
    level : str
        Of :data:`~bids_spectsynth.siscom.subtraction.level.LEVELS`.
    least_ml : float
        Smaller clusters are left out.
    gain : bool
        Whether a smooth gain, equal on both sides, is fitted to the ictal scan first.
    trend : bool
        Whether what differs slowly from a baseline that was not measured is taken off.
    seed : int
        Of the Monte Carlo.
    """

    fwhm: float = 12.0
    threshold: float = 2.0
    level: str = "mode"
    least_ml: float = 1.0
    gain: bool = True
    trend: bool = True
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparable:
    """A scan and a baseline that can be compared: values, resolutions (FWHM, mm), both smoothed, a note for readers."""

    scan: Float32
    values: Float32
    widths: tuple[float, float]
    matching: Matching
    smooth: tuple[Float32, Float32]
    note: str

    def equally_sharp(self, mask: Mask, affine: Float64) -> tuple[Float32, Float32]:
        """Both on the grid, as blurred as each other and no more."""
        sizes = np.linalg.norm(affine[:3, :3], axis=0)
        pairs = ((self.scan, self.matching.ictal), (self.values, self.matching.baseline))
        x, y = (values if kernel == 0 else MaskedSmoother(mask, sizes, kernel)(values) for values, kernel in pairs)
        return x, y


def comparable(
    scan: Float32,
    baseline: BaselineImage,
    t1w: Float32,
    mask: Mask,
    affine: Float64,
    choices: Choices,
    to_template: Float64 | None,
    apart: Mask | None = None,
) -> Comparable:
    """Fit the gain, find what makes both equally sharp, and smooth them.

    Parameters
    ----------
    scan : array, shape (I, J, K)
        Ictal scan on the prepared grid, or one without a seizure.
    baseline : BaselineImage
    t1w : array, shape (I, J, K)
    mask : array of bool, shape (I, J, K)
        Brain that both have measured.
    affine : array, shape (4, 4)
    choices : Choices
    to_template : array, shape (4, 4), or None
        World of the T1w to that of a template; without it there is no gain.
    apart : array of bool, shape (I, J, K), optional
        A lesion: nothing outside of it depends on the scans in it.
    """
    healthy = mask if apart is None else mask & ~apart
    values = baseline.values
    fitted = choices.gain and baseline.kind in FITTED
    if fitted and to_template is not None:
        values = regional_gain(values, scan, mask, affine, choices.fwhm, to_template, apart)
        # A gain of 1 on average: what the scans differ by as a whole is left to the level.
        means = [float(one[healthy].mean(dtype=np.float64)) for one in (baseline.values, values)]
        values = values * np.float32(means[0] / means[1])
    blur = AnatomicalBlur(t1w, healthy, affine)
    widths = blur.fwhm(scan), blur.fwhm(values)
    matching = match(*widths)
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    x, y = (
        smooth_apart(one, mask, apart, sizes, float(np.hypot(choices.fwhm, kernel)))
        for one, kernel in ((scan, matching.ictal), (values, matching.baseline))
    )
    note = "" if not fitted else _GAIN if to_template is not None else _NO_GAIN
    return Comparable(scan=scan, values=values, widths=widths, matching=matching, smooth=(x, y), note=note)


def usable_level(level: str, ratios: Mapping[str, float]) -> str:
    """The level that is wanted, where it can be had; else the mode."""
    return level if np.isfinite(ratios[level]) else "mode"


def residual_difference(choices: Choices) -> Difference:
    """What makes the difference map of an aligned scan without a seizure, as :func:`subtract` makes an ictal one.

    Parameters
    ----------
    choices : Choices
    """

    def difference(scan: Float32, baseline: BaselineImage, mask: Mask, request: Request) -> tuple[Float32, float]:
        t1w, whole = request.image(T1W), mask
        mask = request.healthy(whole)
        pair = comparable(scan, baseline, t1w, mask, request.affine, choices, request.to_template)
        # Level and percent as in a map, the rim as well: another head's edge lies elsewhere.
        evaluated = siscom_mask(whole, tuple(request.voxel_sizes)) & mask
        ratios = levels(*pair.smooth, evaluated)
        level = ratios[usable_level(choices.level, ratios)]
        base = pair.smooth[1][evaluated].mean(dtype=np.float64) / pair.smooth[1][mask].mean(dtype=np.float64)
        found = percent_difference(*pair.smooth, level, mask) / np.float32(base)
        if choices.trend and baseline.kind in WITH_TREND:
            sharp = pair.equally_sharp(mask, request.affine)
            coarse = coarse_pair(sharp, level, mask, evaluated, request.affine, choices.fwhm)
            trend = coarse.fit_trend()
            found = found - coarse.trend_of(trend, found, mask, request.affine)
            return found, coarse.peak(trend, found)
        return found, float("nan")

    return difference
