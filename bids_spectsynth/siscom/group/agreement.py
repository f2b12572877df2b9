"""``group_siscom_concordance.tsv``: how often two baselines tell the same, over participants.

Units are participants: of several ictal scans of one, the first by file name counts. Whoever a model has learned from
does not count.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from bids_spectsynth.evaluation.statistics.categories import Kappa, cohen_kappa, exact_share
from bids_spectsynth.evaluation.statistics.paired_tests import equivalence_test
from bids_spectsynth.siscom.concordance import ALIKE, UNKNOWN, VERDICTS
from bids_spectsynth.siscom.group.results import Result, by_participant, number
from bids_spectsynth.siscom.group.scans import Dictionary

#: Two baselines are equivalent where more than this share of participants gets the same lobe from both.
ALIKE_MARGIN = 0.8
#: Margin of the standard deviation of the difference, percent of the brain mean.
SD_MARGIN = 1.0
#: Verdicts as they stand in names of columns.
VERDICT_NAMES = {verdict: verdict.replace(" ", "_").replace("n/a", "unknown") for verdict in VERDICTS}
_BOUND = "{} bound of the 95 % interval of {} by Clopper and Pearson."
_SD = "StandardDeviationPercent"
Pair = tuple[Result, Result, Mapping[str, str]]


def _share_columns(name: str, text: str) -> Dictionary:
    return {
        f"n_{name}": {"Description": f"Participants with {text}."},
        f"share_{name}": {"Description": f"Share of participants with {text}.", "Units": "1"},
        f"share_{name}_low": {"Description": _BOUND.format("Lower", f"share_{name}"), "Units": "1"},
        f"share_{name}_high": {"Description": _BOUND.format("Upper", f"share_{name}"), "Units": "1"},
    }


def _kappa_columns(what: str) -> Dictionary:
    name = f"kappa_{what}"
    return {
        f"n_{name}": {"Description": f"Participants of whom both baselines give a top focus with a {what}."},
        name: {"Description": f"Cohen's kappa of the {what} of the top foci; n/a where only one {what} occurs."},
        f"{name}_low": {"Description": f"Lower bound of the 95 % interval of {name} (large samples)."},
        f"{name}_high": {"Description": f"Upper bound of the 95 % interval of {name}."},
    }


GROUP_CONCORDANCE_DICTIONARY: Dictionary = {
    "baseline_a": {"Description": "The one baseline."},
    "baseline_b": {"Description": "The other baseline."},
    "n_participants": {"Description": "Participants that count: the first ictal scan, by file name, of each."},
    "n_scans": {"Description": "Ictal scans that there are of them."},
    "n_seen": {
        "Description": "Participants left out because a model behind one of the baselines has learned from them."
    },
    **{
        key: value
        for verdict in VERDICTS
        for key, value in _share_columns(VERDICT_NAMES[verdict], f"verdict {verdict}").items()
    },
    **_share_columns("alike", f"verdict {' or '.join(ALIKE)}"),
    "p_alike": {
        "Description": f"One-sided exact binomial p that the share of alike is not above {ALIKE_MARGIN:g}: below 0.05, "
        "the baselines are equivalent by participant in where they point.",
        "Units": "1",
    },
    **_kappa_columns("side"),
    **_kappa_columns("lobe"),
    "distance_median_mm": {"Description": "Median distance of the top foci.", "Units": "mm"},
    "correlation_mean": {"Description": "Mean correlation of the difference maps.", "Units": "1"},
    "dice_mean": {"Description": "Mean Dice overlap of hyperperfusion.", "Units": "1"},
    "sd_difference_percent": {
        "Description": "Mean over participants of the standard deviation of the difference map, baseline_a minus b.",
        "Units": "percent",
    },
    "sd_p_equivalence": {
        "Description": f"p of two one-sided t-tests that this difference is within {SD_MARGIN:g} percent of the brain "
        "mean.",
        "Units": "1",
    },
}


def group_concordance(pairs: Sequence[Pair]) -> pd.DataFrame:
    """One row per pair of baselines, with the columns of :data:`GROUP_CONCORDANCE_DICTIONARY`.

    Parameters
    ----------
    pairs : sequence of tuple of Result, Result, mapping
        As :func:`~bids_spectsynth.siscom.group.results.read_concordance` gives them.
    """
    grouped: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        grouped.setdefault((pair[0].label, pair[1].label), []).append(pair)
    rows = [_row(*labels, own) for labels, own in grouped.items()]
    return pd.DataFrame(rows, columns=list(GROUP_CONCORDANCE_DICTIONARY))


def _row(label_a: str, label_b: str, pairs: Sequence[Pair]) -> dict[str, Any]:
    unseen = [pair for pair in pairs if not (pair[0].seen or pair[1].seen)]
    chosen = {result.found.ictal for result in by_participant([pair[0] for pair in unseen])}
    own = [pair for pair in unseen if pair[0].found.ictal in chosen]
    rows = [row for _, _, row in own]
    verdicts = [row["verdict"] for row in rows]
    n = len(verdicts)
    alike = sum(verdicts.count(verdict) for verdict in ALIKE)
    values: dict[str, Any] = {
        "baseline_a": label_a,
        "baseline_b": label_b,
        "n_participants": n,
        "n_scans": len(unseen),
        "n_seen": len({pair[0].participant for pair in pairs} - {pair[0].participant for pair in unseen}),
    }
    for verdict in VERDICTS:
        values |= _share_values(VERDICT_NAMES[verdict], verdicts.count(verdict), n)
    values |= _share_values("alike", alike, n)
    values["p_alike"] = float(stats.binomtest(alike, n, ALIKE_MARGIN, "greater").pvalue) if n else math.nan
    for what in ("side", "lobe"):
        values |= _kappa_values(what, rows)
    spread = [(number(a.facts.get(_SD)), number(b.facts.get(_SD))) for a, b, _ in own]
    first, second = np.array(spread, dtype=np.float64).reshape(-1, 2).T
    finite = np.isfinite(first - second)
    return {
        **values,
        "distance_median_mm": _of("distance_mm", rows, np.median),
        "correlation_mean": _of("correlation", rows, np.mean),
        "dice_mean": _of("dice", rows, np.mean),
        "sd_difference_percent": float((first - second)[finite].mean()) if finite.any() else math.nan,
        "sd_p_equivalence": equivalence_test(first, second, SD_MARGIN).p,
    }


def _share_values(name: str, k: int, n: int) -> dict[str, Any]:
    found = exact_share(k, n)
    share = f"share_{name}"
    return {f"n_{name}": k, share: found.share, f"{share}_low": found.low, f"{share}_high": found.high}


def _kappa_values(what: str, rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    pairs = [(row.get(f"{what}_a", UNKNOWN), row.get(f"{what}_b", UNKNOWN)) for row in rows]
    known = [pair for pair in pairs if UNKNOWN not in pair and "" not in pair]
    found: Kappa = cohen_kappa([a for a, _ in known], [b for _, b in known])
    name = f"kappa_{what}"
    return {f"n_{name}": found.n, name: found.kappa, f"{name}_low": found.low, f"{name}_high": found.high}


def _of(column: str, rows: Sequence[Mapping[str, str]], statistic: Any) -> float:
    values = [value for row in rows if math.isfinite(value := number(row.get(column)))]
    return float(statistic(values)) if values else math.nan
