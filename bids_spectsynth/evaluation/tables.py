"""Group tables from the metric tables of the output folder: all rows, their summary, and tests between methods."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bids_spectsynth.bids.derivatives import find_metrics, write_table
from bids_spectsynth.errors import DatasetError
from bids_spectsynth.evaluation.columns import (
    HELD_OUT,
    METHODS,
    METRICS_DICTIONARY,
    NETWORK,
    SUMMARY_DICTIONARY,
    TTEST_DICTIONARY,
)
from bids_spectsynth.evaluation.metrics import METRICS
from bids_spectsynth.evaluation.statistics import Comparison, compare, holm

_NUMBERS = ("slice", "z_mm", "data_range", *METRICS, "mask_voxels")
_SUMMARY_KEYS = ["model", "method", "inputs", "space", "scaling", "split", "data_range"]


@dataclass(frozen=True, eq=False)
class GroupTables:
    """The three group tables; without any metrics they have columns and no rows.

    Parameters
    ----------
    metrics : DataFrame
        One row per participant, session, slice, model and method, of every part of the cohort.
    summary, ttests : DataFrame
        Of the held-out participants alone (split ``test`` or ``external``), and of the slices in the block that
        training would take from them (``in_block``).
    """

    metrics: pd.DataFrame
    summary: pd.DataFrame
    ttests: pd.DataFrame


def group_tables(output_dir: Path) -> GroupTables:
    """Gather the metric tables in the output folder and compute the other two; nothing else is read.

    Raises
    ------
    DatasetError
        A metric table is damaged.
    """
    metrics = gather_metrics(output_dir)
    held_out = compared_rows(metrics)
    return GroupTables(metrics, summarise(held_out), compare_methods(held_out))


def compared_rows(metrics: pd.DataFrame) -> pd.DataFrame:
    """The rows that methods are compared on: held-out participants, slices in the block."""
    return metrics[metrics["split"].isin(HELD_OUT) & (metrics["in_block"] == "true")]


def write_group_tables(tables: GroupTables, output_dir: Path) -> tuple[Path, Path, Path]:
    """Write ``group_metrics.tsv``, ``group_summary.tsv`` and ``group_ttests.tsv`` with their data dictionaries."""
    paths = tuple(output_dir / f"group_{name}.tsv" for name in ("metrics", "summary", "ttests"))
    write_table(paths[0], tables.metrics, METRICS_DICTIONARY)
    write_table(paths[1], tables.summary, SUMMARY_DICTIONARY)
    write_table(paths[2], tables.ttests, TTEST_DICTIONARY)
    return paths[0], paths[1], paths[2]


def gather_metrics(output_dir: Path) -> pd.DataFrame:
    """All per-case metric tables of the output folder, one below the other, ordered by model, method and slice.

    Raises
    ------
    DatasetError
        A file cannot be read as a metric table.
    """
    frames = [_read_metrics(path) for path in find_metrics(output_dir)]
    if not frames:
        return pd.DataFrame(columns=list(METRICS_DICTIONARY))
    rows = pd.concat(frames, ignore_index=True)
    rank = rows["method"].map({name: n for n, name in enumerate(METHODS)}).fillna(len(METHODS))
    order = ["space", "model", "rank", "method", "participant_id", "session_id", "slice"]
    return rows.assign(rank=rank).sort_values(order, kind="stable", ignore_index=True).drop(columns="rank")


def _read_metrics(path: Path) -> pd.DataFrame:
    columns = list(METRICS_DICTIONARY)
    try:
        # Only numbers may be missing: "n/a" in a name column is a value that rows are grouped by.
        frame = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)[columns]
        numbers = {name: pd.to_numeric(frame[name].replace("n/a", "nan")) for name in _NUMBERS}
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(f"{path}: not a metrics table ({reason}); delete it and evaluate again") from error
    # A program that reads and writes the table may spell it True.
    return frame.assign(**numbers, in_block=frame["in_block"].str.lower())


def summarise(held_out: pd.DataFrame) -> pd.DataFrame:
    """Mean, spread and counts of every metric, by model, method and part of the cohort.

    Parameters
    ----------
    held_out : DataFrame
        Rows of :func:`compared_rows`. A value that is not finite is left out and counted in ``n_infinite``.
        Spreads that one slice or one subject cannot have are NaN.
    """
    rows = []
    for key, group in held_out.groupby(_SUMMARY_KEYS, sort=False):
        rows += [dict(zip(_SUMMARY_KEYS, key, strict=True)) | _summary(group, metric) for metric in METRICS]
    return pd.DataFrame(rows, columns=list(SUMMARY_DICTIONARY))


def _summary(group: pd.DataFrame, metric: str) -> dict[str, Any]:
    finite = group[np.isfinite(group[metric])]
    values = finite[metric]
    subjects = values.groupby(finite["participant_id"]).mean()
    mean, sd = values.mean(), values.std(ddof=1)
    return {
        "metric": metric,
        "mean": mean,
        "sd": sd,
        "cv_percent": 100 * sd / abs(mean) if mean else np.nan,
        "subject_mean": subjects.mean(),
        "subject_sd": subjects.std(ddof=1),
        "n_subjects": len(subjects),
        "n_slices": len(values),
        "n_infinite": len(group) - len(finite),
    }


def compare_methods(held_out: pd.DataFrame) -> pd.DataFrame:
    """Paired t-tests between the networks of all models, and between each network and its model's baselines.

    Parameters
    ----------
    held_out : DataFrame
        Rows of :func:`compared_rows`.

    Returns
    -------
    DataFrame
        Two rows (slice-wise, subject-wise) for each pair and metric. ``p_holm`` is corrected within a comparison
        (between models, or against baselines), metric and unit.
    """
    runs = {
        (str(model), str(method)): rows for (model, method), rows in held_out.groupby(["model", "method"], sort=False)
    }
    rows = [row for kind, a, b in _pairs(list(runs)) for row in _test_rows(kind, a, b, runs[a], runs[b])]
    table = pd.DataFrame(rows, columns=list(TTEST_DICTIONARY))
    for _, family in table.groupby(["comparison", "metric", "unit"]):
        table.loc[family.index, "p_holm"] = holm(family["p"])
    return table


def _pairs(runs: list[tuple[str, str]]) -> Iterator[tuple[str, tuple[str, str], tuple[str, str]]]:
    networks = [run for run in runs if run[1] == NETWORK]
    for a, b in itertools.combinations(networks, 2):
        yield "models", a, b
    for network in networks:
        for run in runs:
            if run[0] == network[0] and run != network:
                yield "baseline", network, run


def _test_rows(
    kind: str, a: tuple[str, str], b: tuple[str, str], first: pd.DataFrame, second: pd.DataFrame
) -> Iterator[dict[str, Any]]:
    same_slices = set(first["space"]) == set(second["space"])
    caveats = [
        f"{text} differ"
        for column, text in (("scaling", "intensity scalings"), ("data_range", "data ranges"))
        if set(first[column]) != set(second[column])
    ]
    common = set(first["participant_id"]) & set(second["participant_id"])
    splits = {split for rows in (first, second) for split in rows.loc[rows["participant_id"].isin(common), "split"]}
    for result in compare(first, second, METRICS, same_slices=same_slices):
        yield {
            "comparison": kind,
            "model_a": a[0],
            "method_a": a[1],
            "model_b": b[0],
            "method_b": b[1],
            "split": "+".join(sorted(splits)) or "n/a",
            **_numbers(result),
            "note": "; ".join([*([result.test.reason] if result.test.reason else []), *caveats]) or "n/a",
        }


def _numbers(result: Comparison) -> dict[str, Any]:
    test = result.test
    return {
        "metric": result.metric,
        "unit": result.unit,
        "n_subjects": result.n_subjects,
        "n_slices": result.n_slices,
        "mean_a": test.mean_first,
        "mean_b": test.mean_second,
        "mean_difference": test.mean_difference,
        "t": test.t,
        "df": test.df,
        "p": test.p,
        "p_holm": np.nan,
        "cohens_dz": test.cohens_dz if result.unit == "subject" else np.nan,
    }
