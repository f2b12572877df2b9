"""From the residuals of held-out participants to a calibration: of how large the error of a voxel and a region is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from bids_spectsynth.evaluation.case.regions import HEMISPHERE
from bids_spectsynth.evaluation.uncertainty.factors import LEVELS, MIN_PARTICIPANTS, interval_factors, summary
from bids_spectsynth.evaluation.uncertainty.residual_map import ResidualSums, added
from bids_spectsynth.evaluation.uncertainty.residuals import ASYMMETRY, UPTAKE, Residuals
from bids_spectsynth.evaluation.uncertainty.variance_model import fit_coefficients, normal_equations, predicted_scale

Float64 = npt.NDArray[np.float64]

#: The predictor that comes from where in the template's world a voxel lies.
PLACE = "place"


@dataclass(frozen=True, kw_only=True, eq=False)
class RegionalScale:
    """How large errors of one regional measure are.

    Parameters
    ----------
    scales : mapping of str to float
        Root mean square error by region, drawn towards that of all regions; in the measure's unit.
    usual : float
        Of regions that no participant had.
    factors : tuple of float
        Of the intervals, one for each of :data:`~bids_spectsynth.evaluation.uncertainty.factors.LEVELS`.
    """

    scales: Mapping[str, float]
    usual: float
    factors: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """How large the errors of a model's images are, and by how much intervals must reach beyond them.

    Parameters
    ----------
    predictors : tuple of str
        Of :func:`~bids_spectsynth.evaluation.uncertainty.predictors.voxel_predictors`, and ``place``.
    coefficients : array, shape (p + 1,)
        Of the regression of log squared errors on the predictors.
    place : ResidualSums
        Of the participants behind the calibration.
    sd_factor : float
        Standard deviation of the error over the predicted scale.
    factors : tuple of float
        Of the intervals, in predicted scales, one for each of
        :data:`~bids_spectsynth.evaluation.uncertainty.factors.LEVELS`.
    regional : mapping of str to RegionalScale
        By measure.
    n_participants : int
    template : str or None
        In whose world ``place`` and the regions lie; None where no participant had a transform to one.
    """

    predictors: tuple[str, ...]
    coefficients: Float64
    place: ResidualSums
    sd_factor: float
    factors: tuple[float, ...]
    regional: Mapping[str, RegionalScale]
    n_participants: int
    template: str | None = None
    levels: tuple[float, ...] = field(default=LEVELS)

    def standard_deviation(self, predictors: Mapping[str, Float64], points: Float64 | None) -> Float64:
        """Standard deviation of the error of voxels, fraction of the in-brain mean.

        Parameters
        ----------
        predictors : mapping of str to array, shape (n,)
        points : array, shape (3, n), or None
            In the template's world; None where the way there is not known.

        Returns
        -------
        array, shape (n,)
        """
        table = _design(self.predictors, predictors, points, self.place)
        return self.sd_factor * predicted_scale(self.coefficients, table)

    @property
    def sd_factors(self) -> tuple[float, ...]:
        """Of the intervals of voxels, in standard deviations."""
        return tuple(factor / self.sd_factor for factor in self.factors)


def fit_calibration(residuals: Sequence[Residuals], left_out: str | None = None) -> Calibration:
    """Calibration from the residuals of participants, without one of them where that is the one it is for.

    Parameters
    ----------
    residuals : sequence of Residuals
        Of participants that the networks have not seen; several of one participant are its sessions.
    left_out : str, optional
        Label of a participant of whom nothing goes in.

    Raises
    ------
    ValueError
        There are fewer participants than :data:`~bids_spectsynth.evaluation.uncertainty.factors.MIN_PARTICIPANTS`.
    """
    template = _main_template(residuals)
    names = _shared_predictors(residuals, template)
    used = _same_weight([_in_template(one, template) for one in residuals if one.participant != left_out])
    people = {one.participant for one in used}
    sessions = Counter(one.participant for one in used)
    if len(people) < MIN_PARTICIPANTS:
        raise ValueError(f"{len(people)} held-out participants, {MIN_PARTICIPANTS} needed")
    everywhere = added([one.sums for one in used if one.sums is not None])
    # A participant's own residuals say nothing of how well the place predicts them.
    designs = [
        _design(names, one.predictors, one.points, _of_others(everywhere, used, one.participant)) for one in used
    ]
    coefficients = fit_coefficients(
        [
            normal_equations(design, one.errors, 1 / sessions[one.participant])
            for design, one in zip(designs, used, strict=True)
        ]
    )
    ratios = {name: [] for name in sorted(people)}  # type: dict[str, list[Float64]]
    for design, one in zip(designs, used, strict=True):
        ratios[one.participant].append(np.abs(one.errors) / predicted_scale(coefficients, design))
    joined = [np.concatenate(parts) for parts in ratios.values()]
    return Calibration(
        predictors=names,
        coefficients=coefficients,
        place=everywhere,
        sd_factor=float(np.sqrt(np.mean([np.mean(values**2) for values in joined]))),
        factors=interval_factors([summary(values) for values in joined]),
        regional={measure: _regional_scale(used, measure) for measure in (UPTAKE, ASYMMETRY)},
        n_participants=len(people),
        template=template,
    )


def _main_template(residuals: Sequence[Residuals]) -> str | None:
    """The template that most of the residuals have; the first by name among equals."""
    counts = Counter(one.template for one in residuals if one.template is not None)
    return min(counts, key=lambda name: (-counts[name], name)) if counts else None


def _in_template(one: Residuals, template: str | None) -> Residuals:
    """Residuals without what is told of places in another template: all but the hemispheres."""
    if one.template == template:
        return one
    whole = {
        measure: {name: error for name, error in errors.items() if name.startswith(HEMISPHERE)}
        for measure, errors in one.regional.items()
    }
    return replace(one, points=None, sums=None, regional=whole)


def _same_weight(residuals: Sequence[Residuals]) -> list[Residuals]:
    """Residuals in whose sums the sessions of a participant weigh as much as the one session of another."""
    sessions = Counter(one.participant for one in residuals)
    return [
        one if one.sums is None else replace(one, sums=one.sums.weighted(1 / sessions[one.participant]))
        for one in residuals
    ]


def _shared_predictors(residuals: Sequence[Residuals], template: str | None) -> tuple[str, ...]:
    """What is known of everybody, those included whom the calibration is for."""
    shared = set.intersection(*(set(one.predictors) for one in residuals))
    placed = all(one.points is not None and one.template == template for one in residuals)
    return (*sorted(shared), *((PLACE,) if placed else ()))


def _of_others(everywhere: ResidualSums, residuals: Sequence[Residuals], participant: str) -> ResidualSums:
    own = [one.sums for one in residuals if one.participant == participant and one.sums is not None]
    return everywhere.without(*own)


def _design(
    names: Sequence[str], predictors: Mapping[str, Float64], points: Float64 | None, place: ResidualSums
) -> Float64:
    columns = []
    for name in names:
        if name != PLACE:
            columns.append(predictors[name])
        elif points is not None:
            columns.append(place.log_rms(points))
        else:
            n = len(next(iter(predictors.values())))
            columns.append(np.full(n, place.usual_log_rms))
    return np.column_stack(columns)


def _regional_scale(residuals: Sequence[Residuals], measure: str) -> RegionalScale:
    """Scales by region, and factors for which each participant is judged by the others' scales."""
    squares: dict[str, dict[str, float]] = {}
    for one in residuals:
        own = squares.setdefault(one.participant, {})
        for name, error in one.regional[measure].items():
            own[name] = max(own.get(name, 0.0), error**2)
    scales, usual = _scales(list(squares.values()))
    summaries = []
    for participant, own in squares.items():
        others, usual_of_others = _scales([found for name, found in squares.items() if name != participant])
        ratios = [np.sqrt(value) / others.get(name, usual_of_others) for name, value in own.items()]
        if ratios:
            summaries.append(summary(np.array(ratios)))
    return RegionalScale(scales=scales, usual=usual, factors=interval_factors(summaries))


def _scales(squares: Sequence[Mapping[str, float]]) -> tuple[dict[str, float], float]:
    """Root mean squares by region; the mean over all regions counts as two participants more."""
    weight = 2.0
    usual = float(np.mean([value for own in squares for value in own.values()]))
    names = sorted({name for own in squares for name in own})
    found = {}
    for name in names:
        values = [own[name] for own in squares if name in own]
        found[name] = float(np.sqrt((sum(values) + weight * usual) / (len(values) + weight)))
    return found, float(np.sqrt(usual))
