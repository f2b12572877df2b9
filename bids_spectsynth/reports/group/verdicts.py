"""The verdict of the group report: whether a model beats its baselines, with what certainty."""

import math
from dataclasses import dataclass

import pandas as pd

from bids_spectsynth.evaluation.columns import NETWORK
from bids_spectsynth.evaluation.group.columns import PRIMARY
from bids_spectsynth.evaluation.group.subject_counts import split_text
from bids_spectsynth.evaluation.statistics.paired_tests import ALPHA
from bids_spectsynth.reports.group.leads import RMSE, Lead
from bids_spectsynth.reports.html import Block, Level, Note, p_value
from bids_spectsynth.reports.wording import left_out_text, method_name

#: With fewer subjects, a difference that is not significant says nothing either way.
FEW_SUBJECTS = 10


@dataclass(frozen=True)
class _PairwiseComparison:
    """A network against one baseline: what it leads by, of the network minus that of the baseline."""

    baseline: str
    difference: float
    n_subjects: int
    p: float


def verdicts(summary: pd.DataFrame, ttests: pd.DataFrame | None, lead: Lead = RMSE) -> list[Block]:
    """Say for each configuration whether a baseline has a lower error, on all held-out subjects together.

    Parameters
    ----------
    summary : DataFrame
        ``group_summary.tsv``.
    ttests : DataFrame, optional
        ``group_ttests.tsv``; its primary tests, corrected by Holm, decide whether a lead counts.
    lead : Lead
        What is compared. Where no baseline has it, nothing is said.

    Returns
    -------
    list of Note
        Green only where the network is ahead of every baseline with p < 0.01.
    """
    notes: list[Block] = []
    for configuration, group in lead.of(summary).groupby("configuration", sort=False):
        rows = _pooled(group)
        if NETWORK in rows.index and len(rows) > 1:
            # The tests are on test and external subjects together, and say so in this way.
            comparisons = _against_baselines(
                rows, _tests(ttests, lead, str(configuration), "+".join(sorted(set(group["split"]))))
            )
            network = group[group["method"] == NETWORK].groupby("split")["n_subjects"].min()
            counts = split_text(int(network.get("test", 0)), int(network.get("external", 0)))
            notes.append(_note(f"{configuration} ({counts})", lead, comparisons, left_out_text(map(str, rows.index))))
    return notes


def _pooled(group: pd.DataFrame) -> pd.DataFrame:
    """Mean over all held-out subjects by method: of models that differ by seed the mean, of both splits by subjects."""
    by_split = group.groupby(["method", "split"], sort=False).agg({"subject_mean": "mean", "n_subjects": "min"})
    total = by_split.assign(total=by_split["subject_mean"] * by_split["n_subjects"])
    rows = total.groupby("method", sort=False)[["total", "n_subjects"]].sum()
    return rows.assign(subject_mean=rows["total"] / rows["n_subjects"])


def _tests(ttests: pd.DataFrame | None, lead: Lead, configuration: str, split: str) -> pd.DataFrame:
    if ttests is None or ttests.empty:
        return pd.DataFrame()
    chosen = (ttests["comparison"] == "baseline") & (ttests["configuration_a"] == configuration)
    chosen &= (ttests["metric"] == lead.metric) & (ttests["test"] == PRIMARY) & (ttests["split"] == split)
    return ttests[chosen].set_index("method_b")


def _against_baselines(rows: pd.DataFrame, tests: pd.DataFrame) -> list[_PairwiseComparison]:
    means, counts = (dict(zip(rows.index, rows[name], strict=True)) for name in ("subject_mean", "n_subjects"))
    comparisons = []
    for name in rows.index:
        if name == NETWORK:
            continue
        if name in tests.index:
            # On the subjects that both were rated on.
            test = tests.loc[name]
            comparisons.append(
                _PairwiseComparison(
                    str(name), float(test["mean_difference"]), int(test["n_subjects"]), float(test["p_holm"])
                )
            )
        else:
            n_subjects = int(min(counts[name], counts[NETWORK]))
            comparisons.append(
                _PairwiseComparison(str(name), float(means[NETWORK] - means[name]), n_subjects, math.nan)
            )
    return comparisons


def _note(where: str, lead: Lead, comparisons: list[_PairwiseComparison], absent: str) -> Note:
    behind = [one for one in comparisons if not one.difference < 0]
    if behind:
        named = ", ".join(
            f"{method_name(d.baseline)} (n = {d.n_subjects} subjects, subject-wise Holm p {p_value(d.p)})"
            for d in behind
        )
        return Note(
            f"{where}: no lower {lead.named} than without a network: {named}.{absent}",
            "warning",
            "Baseline ahead",
        )
    least = min(one.n_subjects for one in comparisons)
    # A test that could not be made counts as not significant.
    p = max(1.0 if math.isnan(one.p) else one.p for one in comparisons)
    tested = (
        "no subject-wise test"
        if any(math.isnan(d.p) for d in comparisons)
        else f"subject-wise Holm p at most {p_value(p)}"
    )
    level: Level = "good" if p < ALPHA else "info"
    caveat = "" if p < ALPHA else ": too few to conclude" if least < FEW_SUBJECTS else ": not conclusive"
    text = f"{where}: lower {lead.named} than every baseline (n = {least} subjects, {tested}{caveat}).{absent}"
    return Note(text, level)
