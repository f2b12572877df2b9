"""Residuals of participants without a seizure, real interictal minus baseline, and what they say of another head."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from bids_spectsynth.bids.roles import INTERICTAL
from bids_spectsynth.errors import ImageError, SpectSynthError
from bids_spectsynth.images.smoothing import MaskedSmoother
from bids_spectsynth.siscom.baselines.registry import SOURCES
from bids_spectsynth.siscom.baselines.request import Request
from bids_spectsynth.siscom.records import BaselineImage, BaselineKind, CohortError, Float32, Mask
from bids_spectsynth.siscom.significance.cohort_error import (
    MIN_PARTICIPANTS,
    ErrorSums,
    Residual,
    carry_error,
    error_grid,
)
from bids_spectsynth.siscom.significance.error_files import StoredError
from bids_spectsynth.threads import Threads

logger = logging.getLogger(__name__)

#: From real scan, baseline, mask in which both hold (all of one shape) and the request (for the grid, the T1w, the
#: lesion and the way to the template) to the difference map, percent of the brain mean: whatever the map of an ictal
#: scan is made by; and its largest absolute value over what is expected of it, NaN where that is not known.
Difference = Callable[[Float32, BaselineImage, Mask, Request], tuple[Float32, float]]
#: Baselines whose errors a cohort can tell; normals bring their own.
KINDS: tuple[BaselineKind, ...] = ("synthetic", "pet", "cohort")
#: Below this share of the brain's mean a ratio says nothing of the level (fluid).
_LEAST = 0.4


def median_difference(fwhm: float) -> Difference:
    """A plain difference map: both smoothed, the baseline brought to the level by the median of the ratio.

    Parameters
    ----------
    fwhm : float
        mm.
    """

    def difference(real: Float32, baseline: BaselineImage, mask: Mask, request: Request) -> tuple[Float32, float]:
        smoother = MaskedSmoother(mask, request.voxel_sizes, fwhm)
        first, second = smoother(real), smoother(baseline.values)
        mean = float(first[mask].mean(dtype=np.float64))
        usable = mask & (second > _LEAST * second[mask].mean())
        if not mean > 0 or not usable.any():
            raise ValueError("no signal in the brain")
        level = np.float32(np.median(first[usable] / second[usable]))
        return np.where(mask, 100 * (first - level * second) / np.float32(mean), np.float32(0)), float("nan")

    return difference


def own_baselines(request: Request, kinds: Iterable[BaselineKind] = KINDS) -> list[BaselineImage]:
    """The baselines that the participant's interictal scan can be compared with: those that have not seen it.

    Parameters
    ----------
    request : Request
        Of a case with an interictal SPECT, which takes the place of the ictal scan.
    kinds : iterable of str
    """
    request = replace(request, ictal=INTERICTAL)
    found = [one for kind in kinds if not SOURCES[kind].available(request) for one in SOURCES[kind].make(request)]
    return [one for one in found if not one.seen]


def residual_of(request: Request, baseline: BaselineImage, difference: Difference) -> Residual:
    """The participant's real interictal scan minus a baseline.

    Parameters
    ----------
    request : Request
        Of a case with an interictal SPECT.
    baseline : BaselineImage
        Of :func:`own_baselines`.
    difference : callable

    Raises
    ------
    ImageError
        An image cannot be read, or has no signal.
    """
    mask = np.asarray(request.measured & baseline.mask)
    try:
        values, peak = difference(request.image(INTERICTAL), baseline, mask, request)
    except ValueError as error:
        raise ImageError(f"{request.case.images[INTERICTAL]}: no residual can be made of it ({error})") from error
    return Residual(request.case, values, request.healthy(mask), request.affine, peak)


def gather_errors(
    requests: Iterable[Request],
    template: str,
    fwhm: float,
    difference: Difference,
    kinds: Iterable[BaselineKind] = KINDS,
    threads: int = 1,
) -> dict[str, ErrorSums]:
    """Sums of residuals over participants, by the label of the baseline.

    Parameters
    ----------
    requests : iterable of Request
        One for each case with an interictal SPECT; of each participant the first counts.
    template : str
        Those without a transform to it are passed over.
    fwhm : float
        Of the maps, mm.
    difference : callable
        What makes the map.
    kinds : iterable of str
    threads : int
        Cases that are worked on at the same time; the sums do not depend on it.

    Returns
    -------
    dict of str to ErrorSums
        With each participant who had a baseline that had not seen it; a participant whose images are damaged is logged.
    """
    usable = countable(requests, template)
    sums: dict[str, ErrorSums] = {}
    if not usable:
        return sums
    grid, kinds = error_grid([one.case for one in usable], template, fwhm), tuple(kinds)

    def residuals(request: Request) -> list[tuple[str, Residual | None]]:
        found = [(one, sums.get(one.label)) for one in _readable_baselines(request, kinds)]
        return [
            (one.label, _readable_residual(request, one, difference))
            for one, before in found
            if before is None or request.case.participant not in before.participants
        ]

    with Threads(threads) as pool:
        # As many at a time as there are threads: a residual is as large as an image.
        for start in range(0, len(usable), threads):
            for found in pool.map(residuals, usable[start : start + threads]):
                for label, residual in found:
                    before = sums.get(label, ErrorSums.empty(template, fwhm, grid))
                    counted = residual is None or residual.case.participant in before.participants
                    sums[label] = before if counted or residual is None else before.plus(residual)
    return {label: found for label, found in sums.items() if found.participants}


def countable(requests: Iterable[Request], template: str) -> list[Request]:
    """Those with an interictal SPECT that is known to be one, and a transform to the template."""
    found = [one for one in requests if INTERICTAL in one.case.images and not one.case.is_state_assumed]
    return [one for one in found if template in one.case.template_xfms or one.case.template == template]


def _readable_baselines(request: Request, kinds: Iterable[BaselineKind]) -> list[BaselineImage]:
    try:
        return own_baselines(request, kinds)
    except (SpectSynthError, ValueError) as error:
        _log_loss(request, error)
        return []


def _readable_residual(request: Request, baseline: BaselineImage, difference: Difference) -> Residual | None:
    try:
        return residual_of(request, baseline, difference)
    except ImageError as error:
        _log_loss(request, error)
        return None


def _log_loss(request: Request, error: Exception) -> None:
    logger.warning("%s: its residual does not count: %s", request.case.name, error)


def _counted(requests: Iterable[Request], label: str, difference: Difference) -> Residual | None:
    """The residual of a participant that :func:`gather_errors` has counted: the first that can be made."""
    kinds: tuple[BaselineKind, ...] = tuple(kind for kind in ("pet", "cohort") if kind.capitalize() == label)
    for request in requests:
        for baseline in _readable_baselines(request, kinds or ("synthetic",)):
            if baseline.label == label:
                residual = _readable_residual(request, baseline, difference)
                if residual is not None:
                    return residual
    return None


def error_on_head(
    stored: StoredError,
    request: Request,
    difference: Difference,
    own: Sequence[Request] = (),
    *,
    foreign: bool = False,
    expected: Float32 | None = None,
) -> tuple[CohortError | None, str | None]:
    """What a baseline gets wrong on a head, without the head's own share in it.

    Parameters
    ----------
    stored : StoredError
        Of this baseline.
    request : Request
        Of the ictal scan.
    difference : callable
        As it was gathered with.
    own : sequence of Request
        Of the participant's cases with an interictal SPECT, in the order in which they were gathered; by default
        ``request`` where it has one.
    foreign : bool
        Whether the errors came with a model of another place: a label that they know may be of somebody else, and the
        residual that was counted is not here.
    expected : array, shape (I, J, K), optional
        See :func:`bids_spectsynth.siscom.significance.cohort_error.carry_error`.

    Returns
    -------
    error : CohortError or None
    note : str or None
        One sentence: why there is none.

    Raises
    ------
    ImageError
        The transform to the template cannot be read.
    """
    sums, participant = stored.sums, request.case.participant
    if stored.has(participant):
        if foreign:
            return None, "No map against the cohort: the model's errors know a participant of this label."
        mine = _counted(own or ([request] if INTERICTAL in request.case.images else []), stored.baseline, difference)
        if mine is None:
            return None, "The participant's own error cannot be taken out of the cohort's: no map against the cohort."
        sums = sums.without(mine, stored.name_of(participant))
    n = len(sums.participants)
    if n < MIN_PARTICIPANTS:
        return None, too_few(n)
    found = carry_error(sums, request.case, request.brain, request.affine, expected)
    return found, None if found else "No map against the cohort: no transform to its template."


def too_few(n_participants: int) -> str:
    """The sentence for readers of a map that there is not, because so few participants were held out."""
    return f"No map against the cohort: {n_participants} held-out participants, {MIN_PARTICIPANTS} needed."
