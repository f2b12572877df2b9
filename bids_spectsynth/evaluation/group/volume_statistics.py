"""Tests of the measures of whole volumes between methods, in the manner of the metrics of slices."""

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from bids_spectsynth.evaluation.case.volume_measures import VOLUME_MEASURES
from bids_spectsynth.evaluation.columns import UPTAKE_SCALE
from bids_spectsynth.evaluation.group.comparisons import Run, StatisticsOptions, seed_caveats, subject_tests
from bids_spectsynth.evaluation.group.matching import match, paired_values
from bids_spectsynth.evaluation.statistics.effect_size import RepeatedDraws


def as_rows(volumes: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``group_volumes.tsv`` in the form of rows of metrics: each volume is one slice, the same in all spaces.

    Parameters
    ----------
    volumes : DataFrame
    """
    return volumes.assign(slice=0, z_mm=0.0, block_position=0, data_range=np.nan, scale=UPTAKE_SCALE)


def compare_volumes(a: Run, b: Run, options: StatisticsOptions) -> Iterator[dict[str, Any]]:
    """The tests over subjects of every volume measure between two runs, as rows of the table of tests.

    Parameters
    ----------
    a, b : Run
        Of :func:`as_rows`.
    options : StatisticsOptions

    Yields
    ------
    dict
        Values by column of ``group_ttests.tsv``, without their corrections; ``n_slices`` are the slices that the
        volumes have.
    """
    columns = [*VOLUME_MEASURES, "rated_slices"]
    tables = match(a.rows, b.rows, columns, same_slices=True)
    draws = RepeatedDraws([options.random_seed, zlib.crc32(f"{a.name} {b.name}".encode())])
    n_slices = min(table["rated_slices"].sum() for table in (tables.first, tables.second))
    for name, measure in VOLUME_MEASURES.items():
        values = paired_values(tables, name, same_slices=True)
        for row in subject_tests(values, options.margin(name), options, draws):
            notes = [note for note in (row["note"], *seed_caveats(a, b)) if note]
            yield {"metric": name, "metric_unit": measure.unit, **row, "n_slices": n_slices, "note": "; ".join(notes)}
