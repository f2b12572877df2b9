"""Paired t-tests between two ways of synthesis, over slices (as in the paper) and over subjects."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

Unit = Literal["slice", "subject"]

#: What tells one slice from another in a table of metrics; the position guards against grids of two voxel sizes.
SLICE_KEYS = ("participant_id", "session_id", "slice", "z_mm")
_OTHER_SLICES = "slices of different spaces show different anatomy and cannot be paired"

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PairedTest:
    """Two-tailed paired t-test; numbers that do not exist are NaN and ``reason`` says why.

    ``mean_difference`` is first minus second, ``cohens_dz`` that over the standard deviation of the differences.
    """

    n: int
    mean_first: float
    mean_second: float
    mean_difference: float
    t: float
    df: float
    p: float
    cohens_dz: float
    reason: str


@dataclass(frozen=True)
class Comparison:
    """A test of one metric over slices or over subjects, with the number of both that went into it."""

    metric: str
    unit: Unit
    n_subjects: int
    n_slices: int
    test: PairedTest


def paired_t_test(first: npt.ArrayLike, second: npt.ArrayLike) -> PairedTest:
    """Two-tailed paired t-test that answers degenerate data with a reason instead of a number.

    Parameters
    ----------
    first, second : array, shape (n,)
        Paired values. Pairs with a value that is not finite (the PSNR of identical images) are left out.

    Returns
    -------
    PairedTest
        Without t, df, p and dz where fewer than two pairs are left or all differences are equal.

    Raises
    ------
    ValueError
        The lengths differ.
    """
    a, b = (np.asarray(values, dtype=np.float64).ravel() for values in (first, second))
    if a.shape != b.shape:
        raise ValueError(f"{a.size} values cannot be paired with {b.size}")
    finite = np.isfinite(a) & np.isfinite(b)
    a, b = a[finite], b[finite]
    n = int(a.size)
    if n == 0:
        return _no_test(0, a, b, "no pairs")
    if n < 2:
        return _no_test(n, a, b, "fewer than two pairs")
    difference = a - b
    spread = float(difference.std(ddof=1))
    # Differences that are equal but for rounding have no spread to test against.
    if spread <= 1e-12 * max(float(np.abs(a).max()), float(np.abs(b).max())):
        return _no_test(n, a, b, "all differences are equal")
    result = stats.ttest_rel(a, b)
    mean = float(difference.mean())
    return PairedTest(
        n=n,
        mean_first=float(a.mean()),
        mean_second=float(b.mean()),
        mean_difference=mean,
        t=float(result.statistic),
        df=float(result.df),
        p=float(result.pvalue),
        cohens_dz=mean / spread,
        reason="",
    )


def _no_test(n: int, first: Float64, second: Float64, reason: str) -> PairedTest:
    nan = math.nan
    means = (float(first.mean()), float(second.mean())) if n else (nan, nan)
    return PairedTest(n, *means, means[0] - means[1], nan, nan, nan, nan, reason)


def compare(
    first: pd.DataFrame, second: pd.DataFrame, metrics: Sequence[str], *, same_slices: bool = True
) -> list[Comparison]:
    """Compare two methods on the subjects and slices that both were rated on.

    Slices of one head resemble each other, so the slice-wise test counts the same subject many times and its p is
    far too small when the question is about subjects; the subject-wise test, on the means of each subject, is not
    affected.

    Parameters
    ----------
    first, second : DataFrame
        One row per slice: ``participant_id``, ``session_id``, ``slice``, ``z_mm`` and the metrics.
    metrics : sequence of str
        Columns to compare.
    same_slices : bool
        Whether slices of both tables show the same anatomy. If not (native and template space), slices are not
        paired, and the subjects' means are those over each table's own slices.

    Returns
    -------
    list of Comparison
        A slice-wise and a subject-wise one for each metric.
    """
    keys = list(SLICE_KEYS)
    # Positions went through text; a tenth of a micrometre is no other slice.
    left, right = (
        table.assign(z_mm=table["z_mm"].round(4)).set_index(keys)[list(metrics)] for table in (first, second)
    )
    if same_slices:
        common = left.index.intersection(right.index)
        left, right = left.loc[common], right.loc[common]
    out = []
    for metric in metrics:
        a, b = left[metric], right[metric]
        if same_slices:
            usable = np.isfinite(a) & np.isfinite(b)
            a, b = a[usable], b[usable]
            by_slice = Comparison(metric, "slice", _count_subjects(a), len(a), paired_t_test(a, b))
        else:
            a, b = a[np.isfinite(a)], b[np.isfinite(b)]
            empty = np.empty(0)
            by_slice = Comparison(metric, "slice", 0, 0, _no_test(0, empty, empty, _OTHER_SLICES))
        out += [by_slice, _compare_subjects(metric, a, b)]
    return out


def _compare_subjects(metric: str, first: "pd.Series[float]", second: "pd.Series[float]") -> Comparison:
    means = [values.groupby(level="participant_id").mean() for values in (first, second)]
    common = means[0].index.intersection(means[1].index)
    n_slices = [int(values.index.get_level_values("participant_id").isin(common).sum()) for values in (first, second)]
    test = paired_t_test(means[0].loc[common], means[1].loc[common])
    return Comparison(metric, "subject", len(common), min(n_slices), test)


def _count_subjects(values: "pd.Series[float]") -> int:
    return int(values.index.get_level_values("participant_id").nunique())


def holm(p_values: npt.ArrayLike) -> Float64:
    """Holm's (1979) step-down adjustment of a family of p-values.

    Parameters
    ----------
    p_values : array, shape (n,)
        NaN marks a test that could not be made; it stays NaN and does not count.

    Returns
    -------
    array, shape (n,)
        Adjusted values, at most 1; below alpha where the family-wise error is controlled at alpha.
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    order = np.argsort(p, kind="stable")[: np.count_nonzero(np.isfinite(p))]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p[order]), 1)
    return adjusted
