"""Which rows of two tables of metrics belong together: by slice, and by subject."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Float64 = npt.NDArray[np.float64]

_CASE = ["participant_id", "session_id"]
#: What tells one slice from another; the position guards against grids of two voxel sizes.
_SAME_ANATOMY = [*_CASE, "slice", "z_mm"]
_SAME_POSITION = [*_CASE, "block_position"]


@dataclass(frozen=True, eq=False)
class MatchedTables:
    """The rows of two methods on the cases, or slices, that both were rated on.

    Parameters
    ----------
    first, second : DataFrame
        Metrics of every row that counts for subjects' means, with an index whose level ``participant_id`` says whose.
    slices_first, slices_second : DataFrame
        Metrics of pairs of slices; equal indices.
    """

    first: pd.DataFrame
    second: pd.DataFrame
    slices_first: pd.DataFrame
    slices_second: pd.DataFrame


@dataclass(frozen=True, eq=False)
class PairedValues:
    """One metric of two methods.

    Parameters
    ----------
    first, second : array, shape (n_slices,)
        Paired slices.
    subjects : array, shape (n_slices,)
        Whose slices they are.
    first_means, second_means : array, shape (n_subjects,)
        Each subject's mean over slices, in the order of the participants' names.
    n_slices : int
        Slices behind the subjects' means (the smaller of both numbers, where they differ).
    """

    first: Float64
    second: Float64
    subjects: npt.NDArray[np.str_]
    first_means: Float64
    second_means: Float64
    n_slices: int


def average_seeds(rows: pd.DataFrame, metrics: list[str]) -> pd.DataFrame:
    """Mean of the metrics over the models of one configuration and method, slice by slice.

    Parameters
    ----------
    rows : DataFrame
        Of one configuration, method and scale; one row per model and slice.
    metrics : list of str

    Returns
    -------
    DataFrame
        One row per slice that any of the models was rated on, in order; of the other columns the first model's.
    """
    # Positions went through text; a tenth of a micrometre is no other slice.
    rows = rows.assign(z_mm=rows["z_mm"].round(4))
    if rows["model"].nunique() == 1:
        return rows.sort_values(_SAME_ANATOMY)
    others = [name for name in rows.columns if name not in (*_SAME_ANATOMY, *metrics)]
    how = {**dict.fromkeys(metrics, "mean"), **dict.fromkeys(others, "first")}
    return rows.groupby(_SAME_ANATOMY, as_index=False).agg(how)


def joined(values: "pd.Series[str]") -> str:
    """The different values of a column, joined by ``+``.

    Examples
    --------
    >>> joined(pd.Series(["b", "a", "b"]))
    'a+b'
    """
    return "+".join(sorted(set(map(str, values.unique()))))


def match(first: pd.DataFrame, second: pd.DataFrame, metrics: list[str], *, same_slices: bool) -> MatchedTables:
    """Find the slices, or where slices show other anatomy the cases, that both tables hold.

    Parameters
    ----------
    first, second : DataFrame
        One row per slice of the block: ``participant_id``, ``session_id``, ``slice``, ``z_mm``, ``block_position`` and
        the metrics.
    metrics : list of str
    same_slices : bool
        Whether slices of both tables show the same anatomy. If not (native and template space), slices are paired by
        their position within the block, from its first slice, and every slice counts for its subject's mean.
    """
    tables = [_indexed(table, metrics, same_slices=same_slices) for table in (first, second)]
    common = tables[0].index.intersection(tables[1].index, sort=True)
    pairs = [table.loc[common] for table in tables]
    if not same_slices:
        cases = [pd.MultiIndex.from_frame(table.index.to_frame()[_CASE]) for table in tables]
        tables = [table[own.isin(other)] for table, own, other in zip(tables, cases, cases[::-1], strict=True)]
    else:
        tables = pairs
    return MatchedTables(*tables, *pairs)


def _indexed(table: pd.DataFrame, metrics: list[str], *, same_slices: bool) -> pd.DataFrame:
    if same_slices:
        return table.set_index(_SAME_ANATOMY)[metrics]
    # Not the rank among the rated slices: where the lowest were not rated, all others would be paired wrongly.
    position = table["block_position"].astype(np.int64)
    return table.assign(block_position=position).set_index(_SAME_POSITION)[metrics]


def paired_values(tables: MatchedTables, metric: str, *, same_slices: bool) -> PairedValues:
    """The pairs of one metric; values that are not finite (the PSNR of identical images) are left out.

    Parameters
    ----------
    tables : MatchedTables
    metric : str
    same_slices : bool
        As of :func:`match`. If true, a slice without a finite value in one table is left out in both.
    """
    slices = [tables.slices_first[metric], tables.slices_second[metric]]
    usable = np.isfinite(slices[0].to_numpy()) & np.isfinite(slices[1].to_numpy())
    slices = [values[usable] for values in slices]
    counted = slices if same_slices else [tables.first[metric], tables.second[metric]]
    counted = [values[np.isfinite(values.to_numpy())] for values in counted]
    means = [values.groupby(level="participant_id").mean() for values in counted]
    common = means[0].index.intersection(means[1].index, sort=True)
    numbers = [int(values.index.get_level_values("participant_id").isin(common).sum()) for values in counted]
    first, second = (values.to_numpy(dtype=np.float64) for values in slices)
    first_means, second_means = (values.loc[common].to_numpy(dtype=np.float64) for values in means)
    subjects = slices[0].index.get_level_values("participant_id").to_numpy(dtype=np.str_)
    return PairedValues(first, second, subjects, first_means, second_means, min(numbers))
