"""One ictal scan and one baseline, from aligned images to maps and foci."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from bids_spectsynth.siscom.baselines.regional import first_voxel
from bids_spectsynth.siscom.comparable import WITH_TREND, Choices, Comparable, comparable, usable_level
from bids_spectsynth.siscom.foci.clusters import find_foci
from bids_spectsynth.siscom.records import BaselineImage, CohortError, Float32, Float64, Focus, Maps, Mask
from bids_spectsynth.siscom.significance.cohort_error import MIN_PARTICIPANTS, peak_chance
from bids_spectsynth.siscom.significance.null import Null
from bids_spectsynth.siscom.significance.patient_null import coarse_pair, on_prepared_grid, patient_null
from bids_spectsynth.siscom.significance.trend import RADIUS_MM, Trend
from bids_spectsynth.siscom.subtraction.alignment import inside_field, resample_ictal
from bids_spectsynth.siscom.subtraction.level import WARN_PERCENT, disagreement, levels
from bids_spectsynth.siscom.subtraction.maps import cohort_z, on_whole_grid, own_z, percent_difference, voxelwise_z
from bids_spectsynth.siscom.subtraction.mask import siscom_mask
from bids_spectsynth.siscom.subtraction.resolution import Matching
from bids_spectsynth.siscom.subtraction.route import IctalScan, Route, choose_route

_TREND = (
    "Broad differences (wider than some 3 cm), which a computed baseline gets wrong, were estimated at each point from "
    f"the brain more than {RADIUS_MM:g} mm away, and taken off: a change of more than 30 mL looks weaker than it is "
    "(see --siscom-trend off)."
)
_UNCHECKED = (
    "The corrected p rests on simulated maps alone, not on held-out participants: with this baseline it is too small."
)


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
    pair = comparable(moved, baseline, t1w, both, affine, choices, to_template)
    ratios = levels(*pair.smooth, evaluated, cerebellum)
    return _judged(baseline, route, pair, ratios, (both, evaluated), affine, choices, error)


def _judged(
    baseline: BaselineImage,
    route: Route,
    pair: Comparable,
    ratios: dict[str, float],
    masks: tuple[Mask, Mask],
    affine: Float64,
    choices: Choices,
    error: CohortError | None,
) -> Siscom:
    """The maps of a comparable pair, and their foci beside what there is without a seizure."""
    both, evaluated = masks
    used = usable_level(choices.level, ratios)
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
        foci=find_foci(
            maps,
            affine,
            threshold=choices.threshold,
            least_ml=choices.least_ml,
            p_of=_chance(null, trend is not None, error),
            budget=budget,
            brain=both,
            heights=coarse.on_coarse(maps.znull),
            seen=baseline.seen,
        ),
        notes=_notes(baseline, (pair.note, *_trend_notes(trend, error)), route, ratios, used, choices),
    )


def _chance(null: Null, trended: bool, error: CohortError | None) -> Callable[[float, float], float]:
    """From mass and height of a cluster to its corrected p."""
    if not trended:
        return lambda mass, height: null.p_mass(mass)
    peaks = () if error is None else error.peaks
    # The larger of both; a chance that is not known has no say.
    return lambda mass, height: float(np.fmax(null.p_height(height), peak_chance(peaks, height)))


def _trend_notes(trend: Trend | None, error: CohortError | None) -> list[str]:
    if trend is None:
        return []
    checked = error is not None and len(error.peaks) >= MIN_PARTICIPANTS
    return [_TREND] if checked else [_TREND, _UNCHECKED]


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


def _notes(
    baseline: BaselineImage,
    fits: Sequence[str],
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
