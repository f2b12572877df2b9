"""Group tables from the metric tables of the output folder: all rows, their summary, and tests between methods."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bids_spectsynth.bids.output_files import GroupTable, find_ratings, group_table_path
from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.evaluation.case.metrics import METRICS
from bids_spectsynth.evaluation.case.slice_columns import slice_dictionary
from bids_spectsynth.evaluation.case.tables import in_order, parse_table, read_case_tables
from bids_spectsynth.evaluation.columns import HELD_OUT
from bids_spectsynth.evaluation.group.columns import SUMMARY_DICTIONARY, ttest_dictionary
from bids_spectsynth.evaluation.group.comparisons import Run, StatisticsOptions, compare, find_pairs, find_runs
from bids_spectsynth.evaluation.group.subject_counts import subjects_fingerprint
from bids_spectsynth.evaluation.statistics.corrections import benjamini_hochberg, holm
from bids_spectsynth.evaluation.statistics.paired_tests import ALPHA

_TABLES: tuple[GroupTable, ...] = ("metrics", "summary", "ttests")
_SUMMARY_KEYS = ["model", "configuration", "method", "inputs", "space", "scaling", "losses", "recipe", "training",
                 "scale", "split", "data_range"]  # fmt: skip


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


def group_tables(output_dir: Path, options: StatisticsOptions | None = None) -> GroupTables:
    """Gather the metric tables in the output folder and compute the other two; nothing else is read.

    Parameters
    ----------
    output_dir : Path
    options : StatisticsOptions, optional
        Of the tests; the defaults of the command line if left out.

    Raises
    ------
    DatasetError
        A metric table is damaged.
    """
    metrics = gather_metrics(output_dir)
    held_out = compared_rows(metrics)
    return GroupTables(metrics, summarise(held_out), compare_methods(held_out, options or StatisticsOptions()))


def compared_rows(metrics: pd.DataFrame) -> pd.DataFrame:
    """The rows that methods are compared on: held-out participants, slices in the block."""
    return metrics[metrics["split"].isin(HELD_OUT) & (metrics["in_block"] == "true")]


def write_group_tables(tables: GroupTables, output_dir: Path) -> tuple[Path, Path, Path]:
    """Write ``group_metrics.tsv``, ``group_summary.tsv`` and ``group_ttests.tsv`` with their data dictionaries."""
    metrics, summary, ttests = (group_table_path(output_dir, name) for name in _TABLES)
    write_table(metrics, tables.metrics, slice_dictionary())
    write_table(summary, tables.summary, SUMMARY_DICTIONARY)
    write_table(ttests, tables.ttests, ttest_dictionary())
    return metrics, summary, ttests


def gather_metrics(output_dir: Path) -> pd.DataFrame:
    """All per-case metric tables of the output folder, one below the other, ordered by model, method and slice.

    Raises
    ------
    DatasetError
        A file cannot be read as a metric table.
    """
    frames = read_case_tables(find_ratings(output_dir, "metrics"), _parse_metrics, "metrics table")
    if not frames:
        return pd.DataFrame(columns=list(slice_dictionary()))
    return in_order(pd.concat(frames, ignore_index=True), ["scale", "participant_id", "session_id", "slice"])


def _parse_metrics(source: Path | io.BytesIO) -> pd.DataFrame:
    numbers = ("slice", "z_mm", "block_position", "data_range", *METRICS, "mask_voxels")
    frame = parse_table(source, list(slice_dictionary()), numbers)
    position = frame["block_position"].astype("Int64")
    # A program that reads and writes the table may spell it True.
    return frame.assign(block_position=position, in_block=frame["in_block"].str.lower())


def summarise(held_out: pd.DataFrame) -> pd.DataFrame:
    """Mean, spread and counts of every metric, by model, method, scale and part of the cohort.

    Parameters
    ----------
    held_out : DataFrame
        Rows of :func:`compared_rows`. A value that is not finite is left out and counted in ``n_infinite``.
        Spreads that one slice or one subject cannot have are NaN.
    """
    rows = []
    for key, group in held_out.groupby(_SUMMARY_KEYS, sort=False):
        # The folds of a cross-validation may have seeds of their own.
        own = dict(zip(_SUMMARY_KEYS, key, strict=True)) | {"seed": "+".join(sorted(group["seed"].unique()))}
        rows += [own | _summary(group, metric) for metric in METRICS]
    return pd.DataFrame(rows, columns=list(SUMMARY_DICTIONARY))


def _summary(group: pd.DataFrame, metric: str) -> dict[str, Any]:
    finite = group[np.isfinite(group[metric])]
    values = finite[metric]
    subjects = values.groupby(finite["participant_id"]).mean()
    mean, sd = values.mean(), values.std(ddof=1)
    return {
        "metric": metric,
        "metric_unit": METRICS[metric].unit,
        "mean": mean,
        "sd": sd,
        "cv_percent": 100 * sd / abs(mean) if mean else np.nan,
        "subject_mean": subjects.mean(),
        "subject_sd": subjects.std(ddof=1),
        "n_subjects": len(subjects),
        "n_slices": len(values),
        "subjects": subjects_fingerprint(finite["participant_id"]),
        "n_infinite": len(group) - len(finite),
    }


def compare_methods(held_out: pd.DataFrame, options: StatisticsOptions) -> pd.DataFrame:
    """All tests between the networks that differ in one respect, and between each network and its baselines.

    Models that differ by seed alone are averaged slice by slice first.

    Parameters
    ----------
    held_out : DataFrame
        Rows of :func:`compared_rows`.
    options : StatisticsOptions

    Returns
    -------
    DataFrame
        Five rows (one for each test) for each pair, scale and metric. ``p_holm`` and ``p_bh`` are corrected over the
        rows of the same comparison, test and scale: all pairs, and all whole-slice or all in-brain metrics.
    """
    rows: list[dict[str, Any]] = []
    for kind, a, b in find_pairs(find_runs(held_out)):
        named = _named(a, b)
        rows += [{"comparison": kind, **named, **row} for row in compare(a, b, options)]
    table = pd.DataFrame(rows, columns=list(ttest_dictionary()))
    region = table["metric"].map({name: metric.region for name, metric in METRICS.items()})
    for _, family in table.groupby(["comparison", "test", "scale", region]):
        table.loc[family.index, "p_holm"] = holm(family["p"])
        table.loc[family.index, "p_bh"] = benjamini_hochberg(family["p"])
    return table.assign(note=[_note(row) for row in table.to_dict("records")])


def _named(a: Run, b: Run) -> dict[str, str]:
    people = [run.rows[["participant_id", "split"]].drop_duplicates() for run in (a, b)]
    common = set(people[0]["participant_id"]) & set(people[1]["participant_id"])
    splits = {part for own in people for part in own.loc[own["participant_id"].isin(common), "split"]}
    return {
        "configuration_a": a.configuration,
        "method_a": a.method,
        "configuration_b": b.configuration,
        "method_b": b.method,
        "scale": a.scale,
        "split": "+".join(sorted(splits)) or "n/a",
    }


def _note(row: dict[Any, Any]) -> str:
    verdict = ""
    if row["test"] == "equivalence" and np.isfinite(row["p_holm"]):
        verdict = "equivalent" if row["p_holm"] < ALPHA else "equivalence not shown"
        verdict += f" (margin {row['margin']:g}, Holm p, alpha {ALPHA:g})"
    return "; ".join(text for text in (verdict, row["note"]) if text) or "n/a"
