"""Group tables from the metric tables of the output folder: all rows, their summary, and tests between methods."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from bids_spectsynth.bids.output_files import GroupTable, group_table_path
from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.evaluation.case.metrics import METRICS
from bids_spectsynth.evaluation.case.slice_columns import slice_dictionary
from bids_spectsynth.evaluation.case.tables import in_order, parse_table, read_case_tables
from bids_spectsynth.evaluation.case.volume_measures import VOLUME_MEASURES
from bids_spectsynth.evaluation.columns import HELD_OUT
from bids_spectsynth.evaluation.group.columns import SUMMARY_DICTIONARY, ttest_dictionary
from bids_spectsynth.evaluation.group.comparisons import Run, StatisticsOptions, compare, find_pairs, find_runs
from bids_spectsynth.evaluation.group.regions import gather_volumes
from bids_spectsynth.evaluation.group.subject_counts import subjects_fingerprint
from bids_spectsynth.evaluation.group.usable import usable_ratings
from bids_spectsynth.evaluation.group.volume_statistics import as_rows, compare_volumes
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
        training would take from them (``in_block``), or of whole volumes.
    """

    metrics: pd.DataFrame
    summary: pd.DataFrame
    ttests: pd.DataFrame


def group_tables(output_dir: Path, options: StatisticsOptions | None = None) -> GroupTables:
    """Gather the tables of metrics and of volume measures and compute the other two; nothing else is read.

    Parameters
    ----------
    output_dir : Path
    options : StatisticsOptions, optional
        Of the tests; the defaults of the command line if left out.

    Raises
    ------
    DatasetError
        A table is damaged.
    """
    metrics = gather_metrics(output_dir)
    held_out = compared_rows(metrics)
    volumes = gather_volumes(output_dir)
    volumes = volumes[volumes["split"].isin(HELD_OUT)]
    tests = compare_methods(held_out, options or StatisticsOptions(), volumes)
    return GroupTables(metrics, summarise(held_out, volumes), tests)


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
    frames = read_case_tables(usable_ratings(output_dir, "metrics"), _parse_metrics, "metrics table")
    if not frames:
        return pd.DataFrame(columns=list(slice_dictionary()))
    return in_order(pd.concat(frames, ignore_index=True), ["scale", "participant_id", "session_id", "slice"])


def _parse_metrics(source: Path | io.BytesIO) -> pd.DataFrame:
    numbers = ("slice", "z_mm", "block_position", "data_range", *METRICS, "mask_voxels")
    frame = parse_table(source, list(slice_dictionary()), numbers)
    position = frame["block_position"].astype("Int64")
    # A program that reads and writes the table may spell it True.
    return frame.assign(block_position=position, in_block=frame["in_block"].str.lower())


def summarise(held_out: pd.DataFrame, volumes: pd.DataFrame | None = None) -> pd.DataFrame:
    """Mean, spread and counts of every metric and volume measure, by model, method, scale and part of the cohort.

    Parameters
    ----------
    held_out : DataFrame
        Rows of :func:`compared_rows`. A value that is not finite is left out and counted in ``n_infinite``.
        Spreads that one slice or one subject cannot have are NaN.
    volumes : DataFrame, optional
        Held-out rows of ``group_volumes.tsv``.
    """
    rows = []
    kinds: list[tuple[pd.DataFrame | None, Mapping[str, Any]]] = [(held_out, METRICS), (volumes, VOLUME_MEASURES)]
    for values, measures in kinds:
        if values is None or values.empty:
            continue
        of_volumes = measures is VOLUME_MEASURES
        for key, group in (as_rows(values) if of_volumes else values).groupby(_SUMMARY_KEYS, sort=False, dropna=False):
            # The folds of a cross-validation may have seeds of their own.
            seeds = sorted(group["seed"].astype(str).unique())
            own = dict(zip(_SUMMARY_KEYS, key, strict=True)) | {"seed": "+".join(seeds)}
            rows += [own | _summary(group, name, one.unit, of_volumes=of_volumes) for name, one in measures.items()]
    return pd.DataFrame(rows, columns=list(SUMMARY_DICTIONARY))


def _summary(group: pd.DataFrame, metric: str, unit: str, *, of_volumes: bool) -> dict[str, Any]:
    finite = group[np.isfinite(group[metric].to_numpy(dtype=np.float64))]
    values = finite[metric]
    subjects = values.groupby(finite["participant_id"]).mean()
    mean, sd = values.mean(), values.std(ddof=1)
    subject_mean, subject_sd = subjects.mean(), subjects.std(ddof=1)
    # Of one subject the standard deviation is NaN, and so is what follows.
    n = max(len(subjects), 2)
    margin = stats.t.ppf(0.975, n - 1) * subject_sd / np.sqrt(n)
    return {
        "metric": metric,
        "metric_unit": unit,
        "mean": mean,
        "sd": sd,
        "cv_percent": 100 * sd / abs(mean) if mean else np.nan,
        "subject_mean": subject_mean,
        "subject_sd": subject_sd,
        "subject_low": subject_mean - margin,
        "subject_high": subject_mean + margin,
        "n_subjects": len(subjects),
        "n_slices": int(finite["rated_slices"].sum()) if of_volumes else len(values),
        "subjects": subjects_fingerprint(finite["participant_id"]),
        "n_infinite": len(group) - len(finite),
    }


def compare_methods(
    held_out: pd.DataFrame, options: StatisticsOptions, volumes: pd.DataFrame | None = None
) -> pd.DataFrame:
    """All tests between the networks that differ in one respect, and between each network and its baselines.

    Models that differ by seed alone are averaged slice by slice first.

    Parameters
    ----------
    held_out : DataFrame
        Rows of :func:`compared_rows`.
    options : StatisticsOptions
    volumes : DataFrame, optional
        Held-out rows of ``group_volumes.tsv``.

    Returns
    -------
    DataFrame
        Five rows (one for each test) for each pair, scale and metric, three for each pair and volume measure.
        ``p_holm`` and ``p_bh`` are corrected over the rows of the same comparison, test and scale: all pairs, and all
        whole-slice or all in-brain metrics, or all volume measures.
    """
    rows: list[dict[str, Any]] = []
    for kind, a, b in find_pairs(find_runs(held_out)):
        rows += [{"comparison": kind, **_named(a, b), **row} for row in compare(a, b, options)]
    if volumes is not None and len(volumes):
        for kind, a, b in find_pairs(find_runs(as_rows(volumes), [*VOLUME_MEASURES])):
            rows += [{"comparison": kind, **_named(a, b), **row} for row in compare_volumes(a, b, options)]
    table = pd.DataFrame(rows, columns=list(ttest_dictionary()))
    regions = {name: metric.region for name, metric in METRICS.items()} | dict.fromkeys(VOLUME_MEASURES, "volume")
    region = table["metric"].map(regions)
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
