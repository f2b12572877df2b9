"""One ictal scan and one baseline, from aligned images to maps and foci."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from bids_spectsynth.bids.output_files import volume_text
from bids_spectsynth.siscom.baselines.regional import first_voxel
from bids_spectsynth.siscom.comparable import WITH_TREND, Choices, Comparable, comparable, usable_level
from bids_spectsynth.siscom.foci.clusters import find_foci
from bids_spectsynth.siscom.records import BaselineImage, CohortError, Float32, Float64, Focus, Maps, Mask
from bids_spectsynth.siscom.significance.cohort_error import MIN_PARTICIPANTS, peak_chance
from bids_spectsynth.siscom.significance.null import Null
from bids_spectsynth.siscom.significance.patient_null import coarse_pair, on_prepared_grid, patient_null
from bids_spectsynth.siscom.significance.trend import RADIUS_MM, Trend
from bids_spectsynth.siscom.subtraction.alignment import inside_field, resample_ictal
from bids_spectsynth.siscom.subtraction.lesion import without_lesion
from bids_spectsynth.siscom.subtraction.level import WARN_PERCENT, disagreement, levels
from bids_spectsynth.siscom.subtraction.maps import cohort_z, on_whole_grid, own_z, percent_difference, voxelwise_z
from bids_spectsynth.siscom.subtraction.mask import siscom_mask
from bids_spectsynth.siscom.subtraction.resolution import Matching
from bids_spectsynth.siscom.subtraction.route import AGREE_MM, IctalScan, Route, choose_route

_TREND = (
    "Broad differences (wider than some 3 cm), which a computed baseline gets wrong, were estimated at each point from "
    f"the brain more than {RADIUS_MM:g} mm away, and taken off: a change of more than 30 mL looks weaker than it is "
    "(see --siscom-trend off)."
)
_LESION = (
    "The lesion mask ({} of the brain that both scans show) was kept out of alignment, level, fits, deviation and "
    "null. The map goes on in it, beside the null of the brain around; foci in it or near it are flagged."
)
_LESION_BESIDE = (
    "Nothing of the lesion mask lies in the brain that both scans show, and no statistic leaves anything out for it; "
    "alignment and interpolation do not look at it. Foci near it are flagged."
)
_NOTHING_LEFT = "the lesion mask leaves nothing of the brain that both scans have measured"
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
    lesion_ml : float or None
        Of the lesion mask, what lies in the brain that both scans show and so was left out, mL; None without one.
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
    lesion_ml: float | None = None


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
    lesion: Mask | None = None,
) -> Siscom:
    """Subtract a baseline from an ictal scan.

    Outside a lesion nothing depends on the scans in it: not the alignment, level, fits and standard deviation, nor the
    null. In it the map is what all of this makes of the scans there.

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
    lesion : array of bool, shape (I, J, K), optional
        Lesion mask, or that of a cavity. Foci near it are flagged where the scans do not show it, too.

    Returns
    -------
    Siscom

    Raises
    ------
    ValueError
        A scan is constant in the brain, or they have no brain in common; the message says which.
    """
    both = brain & baseline.mask & ictal.mask
    if lesion is not None and not lesion.any():
        lesion = None
    if not siscom_mask(both, tuple(np.linalg.norm(affine[:3, :3], axis=0))).any():
        raise ValueError("the brain that both scans have measured is nowhere thick enough")
    # The brain fills a quarter of the prepared grid; a lesion may reach out of it.
    box = ndimage.find_objects((both if lesion is None else both | lesion).astype(np.uint8))[0]
    inside = replace(baseline, values=baseline.values[box], mask=baseline.mask[box])
    own = None if error is None else _cut(error, box)
    near, apart = (None if mask is None else mask[box] for mask in (cerebellum, lesion))
    grid = affine @ first_voxel(box)
    found = _in_box(ictal, inside, t1w[box], (both[box], apart), grid, choices, own, near, to_template)
    return replace(found, baseline=baseline, error=error, maps=on_whole_grid(found.maps, both.shape, box))


def _cut(error: CohortError, box: tuple[slice, ...]) -> CohortError:
    return replace(error, mean=error.mean[box], standard_deviation=error.standard_deviation[box])


@dataclass(frozen=True, eq=False)
class _Masks:
    """Brain that both scans have measured, where the map is, and the lesion that has no say."""

    both: Mask
    evaluated: Mask
    lesion: Mask | None

    @property
    def healthy(self) -> Mask:
        return self.both if self.lesion is None else self.both & ~self.lesion

    def lesion_ml(self, affine: Float64) -> float | None:
        """What is left out."""
        if self.lesion is None:
            return None
        return np.count_nonzero(self.both & self.lesion) * float(abs(np.linalg.det(affine[:3, :3]))) / 1000

    @property
    def reference(self) -> Mask:
        return self.evaluated if self.lesion is None else self.evaluated & ~self.lesion


def _masks(both: Mask, lesion: Mask | None, affine: Float64) -> _Masks:
    """The masks of a map; around a lesion, beside which one looks, no edge is taken off."""
    found = _Masks(both, siscom_mask(both, tuple(np.linalg.norm(affine[:3, :3], axis=0))), lesion)
    if not found.evaluated.any():
        raise ValueError("the brain that both scans have measured is nowhere thick enough")
    if not found.reference.any():
        raise ValueError(_NOTHING_LEFT)
    return found


def _in_box(
    ictal: IctalScan,
    baseline: BaselineImage,
    t1w: Float32,
    both_and_lesion: tuple[Mask, Mask | None],
    affine: Float64,
    choices: Choices,
    error: CohortError | None,
    cerebellum: Mask | None,
    to_template: Float64 | None,
) -> Siscom:
    both, lesion = both_and_lesion
    if not _Masks(both, both, lesion).healthy.any():
        raise ValueError(_NOTHING_LEFT)
    route = choose_route(ictal, baseline, both, affine, lesion)
    # Along this route the scan's field of view may end elsewhere than along that of the preparation.
    masks = _masks(both & inside_field(ictal.image, route.matrix, both, affine), lesion, affine)
    moved = _moved(ictal, route, masks, affine)
    pair = comparable(moved, baseline, t1w, masks.both, affine, choices, to_template, lesion)
    ratios = levels(*pair.smooth, masks.reference, cerebellum)
    return _judged(baseline, route, pair, ratios, masks, affine, choices, error)


def _moved(ictal: IctalScan, route: Route, masks: _Masks, affine: Float64) -> Float32:
    """The ictal scan along a route; outside of a lesion, nothing that it has there is interpolated."""
    whole = resample_ictal(ictal.image, route.matrix, masks.both, affine)
    if masks.lesion is None:
        return whole
    # Whoever looks at the scan knows the way of the preparation: where that is as good, it has no say there either.
    ways = [route.matrix, *([ictal.matrix] if route.mean_mm <= AGREE_MM else [])]
    outside = without_lesion(ictal.image, masks.lesion, affine, *ways)
    return np.where(masks.lesion, whole, resample_ictal(outside, route.matrix, masks.both, affine))


def _judged(
    baseline: BaselineImage,
    route: Route,
    pair: Comparable,
    ratios: dict[str, float],
    masks: _Masks,
    affine: Float64,
    choices: Choices,
    error: CohortError | None,
) -> Siscom:
    """The maps of a comparable pair, and their foci beside what there is without a seizure."""
    evaluated, reference = masks.evaluated, masks.reference
    used, lesion_ml = usable_level(choices.level, ratios), masks.lesion_ml(affine)
    difference = percent_difference(*pair.smooth, ratios[used], evaluated, reference)
    sharp = pair.equally_sharp(masks.healthy, affine)
    coarse = coarse_pair(sharp, ratios[used], masks.healthy, reference, affine, choices.fwhm)
    trend, slow = None, None
    if choices.trend and baseline.kind in WITH_TREND:
        trend = coarse.fit_trend()
        slow = coarse.trend_of(trend, difference, evaluated, affine, masks.lesion)
        difference = difference - slow
    null = patient_null(coarse, threshold=choices.threshold, seed=choices.seed, trend=trend)
    own = [null.standard_deviation, *null.parts.values()]
    deviation, *parts = on_prepared_grid(null, own, evaluated, affine, masks.lesion)
    maps = _maps(difference, slow, masks, deviation, error)
    budget = dict(zip(null.parts, parts, strict=True))
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
            brain=masks.both,
            heights=coarse.on_coarse(maps.znull),
            seen=baseline.seen,
        ),
        notes=_notes(
            baseline, (pair.note, *_lesion_notes(lesion_ml), *_trend_notes(trend, error)), route, ratios, used, choices
        ),
        lesion_ml=lesion_ml,
    )  # fmt: skip


def _lesion_notes(volume: float | None) -> list[str]:
    if volume is None:
        return []
    return [_LESION.format(f"{volume_text(volume)} mL") if volume > 0 else _LESION_BESIDE]


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
    difference: Float32, trend: Float32 | None, masks: _Masks, null_deviation: Float32, error: CohortError | None
) -> Maps:
    mask = masks.evaluated
    z, deviation = own_z(difference, mask, masks.reference)
    return Maps(
        mask=mask,
        difference=difference,
        trend=trend,
        z=z,
        znull=voxelwise_z(difference, null_deviation, mask),
        zcohort=cohort_z(difference, error, mask),
        sd_percent=deviation,
        lesion=masks.lesion,
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
