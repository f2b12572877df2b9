"""The article's Tables 2, 3 and 4 and its comparisons, for whatever models there are."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bids_spectsynth.bids.output_files import GroupTable, group_table_path
from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.evaluation.case.metrics import metrics_in
from bids_spectsynth.evaluation.columns import Dictionary
from bids_spectsynth.evaluation.group.configurations import configurations, paper_rows, seed_means
from bids_spectsynth.evaluation.group.subject_counts import split_counts, subjects_fingerprint
from bids_spectsynth.evaluation.group.tables import GroupTables
from bids_spectsynth.evaluation.paper.columns import comparisons_dictionary, examples_dictionary, table_4_dictionary
from bids_spectsynth.evaluation.paper.comparisons import paper_comparisons
from bids_spectsynth.evaluation.paper.examples import choose_examples, shown_models
from bids_spectsynth.options.settings import T1W_SPACE


def write_paper_tables(tables: GroupTables, output_dir: Path) -> tuple[Path, ...]:
    """Write ``group_table2.tsv``, ``group_table3.tsv``, ``group_table4.tsv`` and ``group_comparisons.tsv``.

    Each with its data dictionary; without models to show they have columns and no rows.

    Parameters
    ----------
    tables : GroupTables
        Its ``metrics`` and ``ttests``.
    output_dir : Path

    Returns
    -------
    tuple of Path
        In the order above.
    """
    rows = paper_rows(tables.metrics)
    spaces = sorted(set(rows["space"].unique()) - {T1W_SPACE})
    contents: tuple[tuple[GroupTable, pd.DataFrame, Dictionary], ...] = (
        ("table2", example_table(rows, [T1W_SPACE]), examples_dictionary()),
        ("table3", example_table(rows, spaces), examples_dictionary()),
        ("table4", table_4(rows), table_4_dictionary()),
        ("comparisons", paper_comparisons(configurations(rows), tables.ttests), comparisons_dictionary()),
    )
    for name, frame, dictionary in contents:
        write_table(group_table_path(output_dir, name), frame, dictionary)
    return tuple(group_table_path(output_dir, name) for name, _, _ in contents)


def table_4(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean and coefficient of variation over slices of every configuration, whole slices first.

    Parameters
    ----------
    rows : DataFrame
        Rows of :func:`bids_spectsynth.evaluation.group.configurations.paper_rows`.

    Returns
    -------
    DataFrame
        One row per region, configuration and metric. Values that are not finite are left out and counted.
    """
    means = {str(name): group for name, group in seed_means(rows).groupby("configuration")}
    seeds = rows.groupby("configuration")["model"].nunique()
    out = []
    for metric in (*metrics_in("whole"), *metrics_in("brain")):
        for one in configurations(rows):
            own = means[one.name]
            out.append(
                {
                    "region": metric.region,
                    "metric": metric.measure,
                    "metric_unit": metric.unit,
                    "space": one.space,
                    "losses": one.losses,
                    "recipe": one.recipe,
                    "training": one.training,
                    "scaling": one.scaling,
                    "inputs": one.inputs,
                    "configuration": one.name,
                    "n_seeds": int(seeds[one.name]),
                    **_over_slices(own, metric.name),
                }
            )
    return pd.DataFrame(out, columns=list(table_4_dictionary()))


def _over_slices(rows: pd.DataFrame, column: str) -> dict[str, float | int | str]:
    finite = rows[np.isfinite(rows[column])]
    values = finite[column]
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    n_test, n_external = split_counts(finite)
    return {
        "mean": mean,
        "sd": sd,
        "cv_percent": 100 * sd / abs(mean) if mean else np.nan,
        "n_subjects": int(finite["participant_id"].nunique()),
        "n_test": n_test,
        "n_external": n_external,
        "subjects": subjects_fingerprint(finite["participant_id"]),
        "n_slices": len(finite),
        "n_infinite": len(rows) - len(finite),
    }


def example_table(rows: pd.DataFrame, spaces: Iterable[str]) -> pd.DataFrame:
    """Metrics of the slices of :func:`~bids_spectsynth.evaluation.paper.examples.choose_examples`, a row per model.

    Parameters
    ----------
    rows : DataFrame
        Rows of :func:`bids_spectsynth.evaluation.group.configurations.paper_rows`.
    spaces : iterable of str
        The T1w's own for Table 2, templates for Table 3.
    """
    out: list[dict[Any, Any]] = []
    for space in spaces:
        models = {model: place for place, (_, model) in enumerate(shown_models(rows, space))}
        for example in choose_examples(rows, space):
            same = (
                (rows["space"] == space)
                & (rows["participant_id"] == example.participant_id)
                & (rows["session_id"] == example.session_id)
                & (rows["slice"] == example.slice)
                & rows["model"].isin(models)
            )
            found = rows[same].assign(example=example.number, place=rows["model"].map(models))
            out += found.sort_values("place").to_dict("records")
    return pd.DataFrame(out, columns=list(examples_dictionary()))
