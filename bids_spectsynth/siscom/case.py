"""One ictal scan and one baseline, from aligned images to maps and foci."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from bids_spectsynth.bids.roles import T1W
from bids_spectsynth.images.smoothing import MaskedSmoother
from bids_spectsynth.siscom.baselines.regional import first_voxel, regional_gain
from bids_spectsynth.siscom.baselines.request import Request
from bids_spectsynth.siscom.baselines.residuals import Difference
from bids_spectsynth.siscom.foci.clusters import find_foci
from bids_spectsynth.siscom.records import BaselineImage, CohortError, Float32, Float64, Focus, Maps, Mask
from bids_spectsynth.siscom.significance.null import Null
from bids_spectsynth.siscom.significance.patient_null import coarse_pair, on_prepared_grid, patient_null
from bids_spectsynth.siscom.significance.trend import RADIUS_MM
from bids_spectsynth.siscom.subtraction.alignment import inside_field, resample_ictal
from bids_spectsynth.siscom.subtraction.level import WARN_PERCENT, disagreement, levels
from bids_spectsynth.siscom.subtraction.maps import cohort_z, on_whole_grid, own_z, percent_difference, voxelwise_z
from bids_spectsynth.siscom.subtraction.mask import siscom_mask
from bids_spectsynth.siscom.subtraction.resolution import Matching, match
from bids_spectsynth.siscom.subtraction.route import IctalScan, Route, choose_route
from bids_spectsynth.siscom.subtraction.sharpness import AnatomicalBlur

#: Baselines to which a smooth gain, equal on both sides, is fitted; the PET has had its own.
FITTED = ("real", "synthetic", "cohort", "normals")
#: Baselines whose broad errors are foretold from the surroundings of each place; a measured one has none.
WITH_TREND = ("synthetic", "pet", "cohort", "normals")
_GAIN = "A smooth gain was fitted to the ictal scan: a change that is smooth and equal on both sides is lost."
_TREND = (
    f"What differs slowly over the brain was foretold at each place from what lies more than {RADIUS_MM:g} mm away, and "
    "taken off: a change of more than 30 mL is seen in part."
)
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
class Siscom:
    """The result for one ictal scan and one baseline.

    Parameters
    ----------
    baseline : BaselineImage
    route : Route
    fwhm_ictal, fwhm_baseline : float
        Estimated resolution, mm.
    matching : Matching
        What made both equally sharp.
    levels : mapping of str to float
        All estimates of the ratio of ictal to baseline.
    level_used : str
    maps : Maps
    null : Null
    error : CohortError or None
    foci : list of Focus
        Without names.
    notes : tuple of str
        What readers must know, one sentence each.
    """

    baseline: BaselineImage
    route: Route
    fwhm_ictal: float
    fwhm_baseline: float
    matching: Matching
    levels: Mapping[str, float]
    level_used: str
    maps: Maps
    null: Null
    error: CohortError | None
    foci: list[Focus]
    notes: tuple[str, ...]


def subtract(
    ictal: IctalScan,
    baseline: BaselineImage,
    t1w: Float32,
    brain: Mask,
    affine: Float64,
    choices: Choices,
    *,
    error: CohortError | None = None,
    cerebellum: Mask | None = None,
    to_template: Float64 | None = None,
) -> Siscom:
    """Subtract a baseline from an ictal scan.

    Parameters
    ----------
    ictal : IctalScan
    baseline : BaselineImage
    t1w : array, shape (I, J, K)
        Prepared T1w, for the resolutions.
    brain : array of bool, shape (I, J, K)
        Brain mask of the T1w.
    affine : array, shape (4, 4)
        Of the prepared grid, to the T1w's world, RAS+ mm.
    choices : Choices
    error : CohortError, optional
        What held-out participants' maps have without a seizure.
    cerebellum : array of bool, shape (I, J, K), optional
    to_template : array, shape (4, 4), optional
        World of the T1w to that of a template; without it there is no smooth gain.

    Returns
    -------
    Siscom

    Raises
    ------
    ValueError
        A scan is constant in the brain, or they have no brain in common; the message says which.
    """
    both = brain & baseline.mask & ictal.mask
    if not siscom_mask(both, tuple(np.linalg.norm(affine[:3, :3], axis=0))).any():
        raise ValueError("the brain that both scans have measured is nowhere thick enough")
    # The brain fills a quarter of the prepared grid.
    box = ndimage.find_objects(both.astype(np.uint8))[0]
    inside = replace(baseline, values=baseline.values[box], mask=baseline.mask[box])
    own = (
        None
        if error is None
        else replace(error, mean=error.mean[box], standard_deviation=error.standard_deviation[box])
    )
    near = None if cerebellum is None else cerebellum[box]
    found = _in_box(ictal, inside, t1w[box], both[box], affine @ first_voxel(box), choices, own, near, to_template)
    return replace(found, baseline=baseline, error=error, maps=on_whole_grid(found.maps, both.shape, box))


def _in_box(
    ictal: IctalScan,
    baseline: BaselineImage,
    t1w: Float32,
    both: Mask,
    affine: Float64,
    choices: Choices,
    error: CohortError | None,
    cerebellum: Mask | None,
    to_template: Float64 | None,
) -> Siscom:
    route = choose_route(ictal, baseline, both, affine)
    # Along this route the scan's field of view may end elsewhere than along that of the preparation.
    both = both & inside_field(ictal.image, route.matrix, both, affine)
    evaluated = siscom_mask(both, tuple(np.linalg.norm(affine[:3, :3], axis=0)))
    if not evaluated.any():
        raise ValueError("the brain that both scans have measured is nowhere thick enough")
    moved = resample_ictal(ictal.image, route.matrix, both, affine)
    pair = _comparable(moved, baseline, t1w, both, affine, choices, to_template)
    ratios = levels(*pair.smooth, evaluated, cerebellum)
    return _judged(baseline, route, pair, ratios, (both, evaluated), affine, choices, error)


def _judged(
    baseline: BaselineImage,
    route: Route,
    pair: "_Pair",
    ratios: dict[str, float],
    masks: tuple[Mask, Mask],
    affine: Float64,
    choices: Choices,
    error: CohortError | None,
) -> Siscom:
    """The maps of a comparable pair, and their foci beside what there is without a seizure."""
    both, evaluated = masks
    used = _usable(choices.level, ratios)
    difference = percent_difference(*pair.smooth, ratios[used], evaluated)
    coarse = coarse_pair(pair.equally_sharp(both, affine), ratios[used], both, evaluated, affine, choices.fwhm)
    trend, slow = None, None
    if choices.trend and baseline.kind in WITH_TREND:
        trend = coarse.fit_trend()
        slow = coarse.trend_of(trend, difference, evaluated, affine)
        difference = difference - slow
    null = patient_null(coarse, threshold=choices.threshold, seed=choices.seed, trend=trend)
    deviation = on_prepared_grid(null, null.standard_deviation, evaluated, affine)
    maps = _maps(difference, slow, evaluated, deviation, error)
    budget = {name: on_prepared_grid(null, part, evaluated, affine) for name, part in null.parts.items()}
    if error is not None:
        budget["synthesis"] = error.standard_deviation
    return Siscom(
        baseline=baseline,
        route=route,
        fwhm_ictal=pair.widths[0],
        fwhm_baseline=pair.widths[1],
        matching=pair.matching,
        levels=ratios,
        level_used=used,
        maps=maps,
        null=null,
        error=error,
        foci=_foci(maps, affine, null, budget, both, baseline, choices),
        notes=_notes(baseline, (pair.note, _TREND if trend else ""), route, ratios, used, choices),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pair:
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


def _comparable(
    scan: Float32,
    baseline: BaselineImage,
    t1w: Float32,
    mask: Mask,
    affine: Float64,
    choices: Choices,
    to_template: Float64 | None,
) -> _Pair:
    values = baseline.values
    fitted = choices.gain and baseline.kind in FITTED
    if fitted and to_template is not None:
        values = regional_gain(values, scan, mask, affine, choices.fwhm, to_template)
        # A gain of 1 on average: what the scans differ by as a whole is left to the level.
        values = values * np.float32(baseline.values[mask].mean(dtype=np.float64) / values[mask].mean(dtype=np.float64))
    blur = AnatomicalBlur(t1w, mask, affine)
    widths = blur.fwhm(scan), blur.fwhm(values)
    matching = match(*widths)
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    x, y = (
        MaskedSmoother(mask, sizes, float(np.hypot(choices.fwhm, kernel)))(one)
        for one, kernel in ((scan, matching.ictal), (values, matching.baseline))
    )
    note = "" if not fitted else _GAIN if to_template is not None else _NO_GAIN
    return _Pair(scan=scan, values=values, widths=widths, matching=matching, smooth=(x, y), note=note)


def _foci(
    maps: Maps,
    affine: Float64,
    null: Null,
    budget: Mapping[str, Float32],
    brain: Mask,
    baseline: BaselineImage,
    choices: Choices,
) -> list[Focus]:
    return find_foci(
        maps,
        affine,
        threshold=choices.threshold,
        least_ml=choices.least_ml,
        p_of=null.p_mass,
        budget=budget,
        brain=brain,
        seen=baseline.seen,
    )


def _maps(
    difference: Float32, trend: Float32 | None, mask: Mask, null_deviation: Float32, error: CohortError | None
) -> Maps:
    z, deviation = own_z(difference, mask)
    return Maps(
        mask=mask,
        difference=difference,
        trend=trend,
        z=z,
        znull=voxelwise_z(difference, null_deviation, mask),
        zcohort=cohort_z(difference, error, mask),
        sd_percent=deviation,
    )


def residual_difference(choices: Choices) -> Difference:
    """What makes the difference map of an aligned scan without a seizure, as :func:`subtract` makes an ictal one.

    Parameters
    ----------
    choices : Choices
    """

    def difference(scan: Float32, baseline: BaselineImage, mask: Mask, request: Request) -> Float32:
        t1w = request.image(T1W)
        pair = _comparable(scan, baseline, t1w, mask, request.affine, choices, request.to_template)
        # Level and percent as in a map, the rim as well: another head's edge lies elsewhere.
        evaluated = siscom_mask(mask, tuple(request.voxel_sizes))
        ratios = levels(*pair.smooth, evaluated)
        level = ratios[_usable(choices.level, ratios)]
        base = pair.smooth[1][evaluated].mean(dtype=np.float64) / pair.smooth[1][mask].mean(dtype=np.float64)
        found = percent_difference(*pair.smooth, level, mask) / np.float32(base)
        if choices.trend and baseline.kind in WITH_TREND:
            sharp = pair.equally_sharp(mask, request.affine)
            coarse = coarse_pair(sharp, level, mask, evaluated, request.affine, choices.fwhm)
            found = found - coarse.trend_of(coarse.fit_trend(), found, mask, request.affine)
        return found

    return difference


def _usable(level: str, ratios: Mapping[str, float]) -> str:
    """The level that is wanted, where it can be had; else the mode."""
    return level if np.isfinite(ratios[level]) else "mode"


def _notes(
    baseline: BaselineImage,
    fits: tuple[str, str],
    route: Route,
    ratios: Mapping[str, float],
    used: str,
    choices: Choices,
) -> tuple[str, ...]:
    notes = [*baseline.notes, *(note for note in (*fits, route.note) if note)]
    if used != choices.level:
        notes.append(f"the level by {choices.level} cannot be had; the mode is used")
    apart = disagreement(dict(ratios), used)
    if apart > WARN_PERCENT:
        notes.append(
            f"estimates of the level differ by {apart:.1f} % (levels in the sidecar): a large part has changed"
        )
    return tuple(notes)
