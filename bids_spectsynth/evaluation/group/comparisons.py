"""All tests between two methods, and which methods are compared."""

import itertools
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bids_spectsynth.errors import UsageError
from bids_spectsynth.evaluation.case.metrics import METRICS, by_measure
from bids_spectsynth.evaluation.case.volume_measures import VOLUME_MEASURES
from bids_spectsynth.evaluation.columns import NETWORK
from bids_spectsynth.evaluation.group.columns import NOT_INDEPENDENT, PRIMARY
from bids_spectsynth.evaluation.group.matching import PairedValues, average_seeds, joined, match, paired_values
from bids_spectsynth.evaluation.statistics.effect_size import (
    RepeatedDraws,
    bca_interval,
    cohens_dz,
    hedges_g,
    studentised_interval,
)
from bids_spectsynth.evaluation.statistics.mixed_model import mixed_model_test
from bids_spectsynth.evaluation.statistics.paired_tests import (
    PairedResult,
    equivalence_test,
    paired_t_test,
    signed_rank_test,
)
from bids_spectsynth.options.names import did_you_mean
from bids_spectsynth.options.settings import T1W_SPACE, Settings

_OTHER_ANATOMY = {
    "slice": "slices of the two spaces show different anatomy and are paired by position within the block",
    "subject": "means over each space's own slices",
}
#: What a network is, its seed aside.
_TRAITS = ("inputs", "space", "losses", "recipe", "training", "scaling")


@dataclass(frozen=True)
class StatisticsOptions:
    """What the tests depend on besides the metrics.

    Parameters
    ----------
    bootstrap_samples : int
        0: no bootstrap intervals.
    equivalence_margins : tuple of (str, float)
        By name of a metric, or of what a metric of the whole slice and one in the brain share (``rmse``); of the
        others it is their own.
    random_seed : int
    """

    bootstrap_samples: int = 10_000
    equivalence_margins: tuple[tuple[str, float], ...] = ()
    random_seed: int = 1234

    @classmethod
    def of(cls, settings: Settings) -> "StatisticsOptions":
        """The options among the settings of a run."""
        return cls(settings.bootstrap_samples, settings.equivalence_margins, settings.random_seed)

    def margin(self, metric: str) -> float:
        """Equivalence margin of a metric or a volume measure: that of its name, else of its measure, else its own."""
        requested = dict(self.equivalence_margins)
        if metric in VOLUME_MEASURES:
            return requested.get(metric, VOLUME_MEASURES[metric].margin)
        own = METRICS[metric]
        return requested.get(metric, requested.get(own.measure, own.margin))


def check_margins(names: Iterable[str]) -> None:
    """Refuse margins of metrics that there are not.

    Parameters
    ----------
    names : iterable of str
        As given with ``--equivalence-margins``.

    Raises
    ------
    UsageError
        There is no such metric; says which there are.
    """
    known = list(dict.fromkeys([*by_measure(), *METRICS, *VOLUME_MEASURES]))
    for name in names:
        if name not in known:
            near = did_you_mean(name, known) or f"; there are {', '.join(known)}"
            raise UsageError(f"--equivalence-margins {name}: there is no such metric{near}")


@dataclass(frozen=True, eq=False)
class Run:
    """A method of a configuration on one scale, its seeds averaged slice by slice.

    Parameters
    ----------
    configuration, method, scale : str
    traits : dict of str
        Inputs, space, losses, recipe, scaling and fingerprint of the training.
    rows : DataFrame
        One row per slice.
    n_models : int
        Models (seeds) that the rows are means of.
    complete : bool
        Whether every model was rated on every slice.
    """

    configuration: str
    method: str
    scale: str
    traits: dict[str, str]
    rows: pd.DataFrame
    n_models: int
    complete: bool

    @property
    def name(self) -> str:
        """What tells it from all others, for the seed of the bootstrap."""
        return f"{self.configuration} {self.method} {self.scale}"


def find_runs(rows: pd.DataFrame, metrics: Iterable[str] = METRICS) -> list[Run]:
    """Sort rows of metrics by configuration, method and scale, in the order in which they appear."""
    runs = []
    for (configuration, method, scale), own in rows.groupby(["configuration", "method", "scale"], sort=False):
        # Seeds that were not trained alike are like no other configuration.
        traits = {name: str(own[name].iloc[0]) for name in _TRAITS} | {"training": joined(own["training"])}
        averaged = average_seeds(own, list(metrics))
        n_models = int(own["model"].nunique())
        complete = len(own) == n_models * len(averaged)
        runs.append(Run(str(configuration), str(method), str(scale), traits, averaged, n_models, complete))
    return runs


def find_pairs(runs: Sequence[Run]) -> Iterator[tuple[str, Run, Run]]:
    """What is compared, with the kind of the comparison: networks among each other, then networks with baselines.

    Only runs on one scale are compared, and only networks that differ in one respect: ``space`` (native against
    template), ``loss``, ``inputs``, or ``recipe`` (recipe, scaling or other options of training, whatever the losses).
    """
    networks = [run for run in runs if run.method == NETWORK]
    for a, b in itertools.combinations(networks, 2):
        kind = _kind(a, b)
        if kind and a.scale == b.scale:
            yield kind, a, b
    for network in networks:
        for run in runs:
            if run.method != NETWORK and (run.configuration, run.scale) == (network.configuration, network.scale):
                yield "baseline", network, run


def _kind(a: Run, b: Run) -> str | None:
    differing = {name for name in _TRAITS if a.traits[name] != b.traits[name]}
    if differing == {"space"}:
        # Two templates are not native against template space.
        return "space" if T1W_SPACE in (a.traits["space"], b.traits["space"]) else None
    if differing in ({"losses"}, {"inputs"}):
        return "loss" if "losses" in differing else "inputs"
    return "recipe" if differing and not differing & {"inputs", "space"} else None


def compare(a: Run, b: Run, options: StatisticsOptions) -> Iterator[dict[str, Any]]:
    """All tests of all metrics between two runs, as rows of the table of tests without their corrections.

    Slices of one head resemble each other, so the slice-wise test counts the same subject many times and its p is
    far too small when the question is about subjects; the subject-wise tests, on the means of each subject, are not
    affected.

    Parameters
    ----------
    a, b : Run
        On one scale.
    options : StatisticsOptions

    Yields
    ------
    dict
        Values by column of ``group_ttests.tsv``.
    """
    same_slices = a.traits["space"] == b.traits["space"]
    tables = match(a.rows, b.rows, list(METRICS), same_slices=same_slices)
    caveats = _caveats(a, b)
    draws = RepeatedDraws([options.random_seed, zlib.crc32(f"{a.name} {b.name}".encode())])
    for metric in METRICS:
        values = paired_values(tables, metric, same_slices=same_slices)
        for row in (*subject_tests(values, options.margin(metric), options, draws), *_slice_tests(values)):
            notes = [row["note"], *([] if same_slices else [_OTHER_ANATOMY[row["unit"]]]), *caveats]
            yield {
                "metric": metric,
                "metric_unit": METRICS[metric].unit,
                **row,
                "note": "; ".join(note for note in notes if note),
            }


def _caveats(a: Run, b: Run) -> list[str]:
    caveats = ["data ranges differ"] if set(a.rows["data_range"].unique()) != set(b.rows["data_range"].unique()) else []
    if a.traits["scaling"] != b.traits["scaling"]:
        matched, other = ("b", "a") if a.traits["scaling"] == a.scale else ("a", "b")
        caveats.append(f"{matched} was level-matched to the real SPECT (rated on the other scale than trained on), "
                       f"{other} was not")  # fmt: skip
    return [*caveats, *seed_caveats(a, b)]


def seed_caveats(a: Run, b: Run) -> list[str]:
    """What readers must know of two runs of which one is the mean of several seeds."""
    caveats = []
    for name, run in (("a", a), ("b", b)):
        if run.n_models > 1:
            partly = "" if run.complete else ", not all of them on every slice"
            partly += ", not trained alike" if "+" in run.traits["training"] else ""
            caveats.append(f"{name}: mean of {run.n_models} seeds{partly}")
    return caveats


def subject_tests(
    values: PairedValues, margin: float, options: StatisticsOptions, draws: RepeatedDraws
) -> Iterator[dict[str, Any]]:
    """The tests over subjects of one metric, as rows of the table of tests without what they are of.

    Parameters
    ----------
    values : PairedValues
    margin : float
        Of equivalence.
    options : StatisticsOptions
    draws : RepeatedDraws
        Of the bootstrap.

    Yields
    ------
    dict
        Values by column of ``group_ttests.tsv``.
    """
    first, second = values.first_means, values.second_means
    common = _means(first, second) | {"unit": "subject", "n_subjects": first.size, "n_slices": values.n_slices}
    t = paired_t_test(first, second)
    yield {**common, **_numbers(PRIMARY, t), "primary": "true", **_effect(first - second, t, options, draws)}
    yield {**common, **_numbers("wilcoxon", signed_rank_test(first, second))}
    yield {**common, **_numbers("equivalence", equivalence_test(first, second, margin)), "margin": margin}


def _slice_tests(values: PairedValues) -> Iterator[dict[str, Any]]:
    first, second = values.first, values.second
    counts = {"unit": "slice", "n_subjects": np.unique(values.subjects).size, "n_slices": first.size}
    common = _means(first, second) | counts
    mixed = mixed_model_test(first, second, values.subjects)
    yield {**common, **_numbers("mixed", mixed), "mean_difference": mixed.estimate}
    t = paired_t_test(first, second)
    note = "; ".join(text for text in (t.note, NOT_INDEPENDENT) if text)
    yield {**common, **_numbers("slice_t", t), "note": note}


def _means(first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    if first.size == 0:
        return dict.fromkeys(("mean_a", "mean_b", "mean_difference"), np.nan)
    return {
        "mean_a": float(first.mean()),
        "mean_b": float(second.mean()),
        "mean_difference": float((first - second).mean()),
    }


def _numbers(test: str, result: PairedResult) -> dict[str, Any]:
    return {
        "test": test,
        "primary": "false",
        "statistic": result.statistic,
        "df": result.df,
        "p": result.p,
        "note": result.note,
    }


def _effect(
    differences: np.ndarray, test: PairedResult, options: StatisticsOptions, draws: RepeatedDraws
) -> dict[str, Any]:
    """Effect size and intervals, where there is a spread between subjects to measure by."""
    if test.note:
        return {}
    # Measured for 11 subjects (benchmarks/false_positives.py): BCa holds the true g, but not the true mean, as often
    # as it says.
    ci = studentised_interval(differences, options.bootstrap_samples, draws)
    g = bca_interval(differences, hedges_g, options.bootstrap_samples, draws)
    note = ci.note or (g.note and f"Hedges g: {g.note}")
    return {
        "ci_low": ci.low,
        "ci_high": ci.high,
        "cohens_dz": float(cohens_dz(differences)),
        "hedges_g": float(hedges_g(differences)),
        "g_low": g.low,
        "g_high": g.high,
        "note": note,
    }
