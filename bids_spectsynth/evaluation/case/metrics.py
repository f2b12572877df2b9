"""The registry of metrics that tell how a synthetic SPECT agrees with the real one, slice by slice.

To add one, add a :class:`Metric` to :data:`METRICS`: tables, their data dictionaries, summaries, tests, figures and
reports iterate over it. A metric whose value belongs to one slice alone is written as a function of the two slices'
pixels (:func:`each_slice`); what several metrics need is computed once (:class:`SliceStack`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from bids_spectsynth.errors import size_text
from bids_spectsynth.evaluation.case.similarity import MARGIN, check_pair, ssim_maps

Region = Literal["whole", "brain"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

#: Names of metrics in the brain begin so.
MASK = "mask_"
#: Where a metric is taken, for readers.
REGION_TITLES: dict[Region, str] = {"whole": "whole slice", "brain": "in brain"}
#: The same in the descriptions of columns.
_WHOLE = "over the whole slice, background included"
#: Where the metrics in the brain are taken: the evaluation mask.
IN_EVALUATION_MASK = "in the brain where the SPECT was measured (brain mask of the T1w and the real SPECT's own mask)"


@dataclass(frozen=True, eq=False)
class SliceStack:
    """Slices of a real and a synthetic image with what several metrics need of them, computed at the first call.

    Parameters
    ----------
    real, synthetic : array, shape (n, I, J), float32
        Finite, on one scale.
    mask : array of bool, shape (n, I, J)
        Evaluation mask; every slice has a pixel in it.
    data_range : float
        Distance between the lowest and the highest value that the images can have.
    """

    real: Float32
    synthetic: Float32
    mask: npt.NDArray[np.bool_]
    data_range: float

    @cached_property
    def n_voxels(self) -> npt.NDArray[np.intp]:
        """Pixels in the evaluation mask, shape (n,)."""
        return np.asarray(np.count_nonzero(self.mask, axis=(1, 2)), dtype=np.intp)

    @cached_property
    def ssim_maps(self) -> Float32:
        """Structural similarity at every pixel, shape (n, I, J)."""
        return ssim_maps(self.real, self.synthetic, self.data_range)

    @cached_property
    def squared_errors(self) -> Float32:
        """Squared difference at every pixel, shape (n, I, J)."""
        return np.asarray(np.square(self.real - self.synthetic))

    @cached_property
    def mse(self) -> Float64:
        """Mean squared difference over each whole slice, shape (n,)."""
        return np.asarray(self.squared_errors.mean(axis=(1, 2), dtype=np.float64))

    @cached_property
    def mask_mse(self) -> Float64:
        """Mean squared difference in the evaluation mask, shape (n,)."""
        return self.mask_mean(self.squared_errors)

    def mask_mean(self, maps: Float32) -> Float64:
        """Mean of maps (n, I, J) over each slice's evaluation mask, shape (n,)."""
        return np.asarray(np.sum(maps, axis=(1, 2), where=self.mask, dtype=np.float64) / self.n_voxels)


@dataclass(frozen=True)
class Metric:
    """How a synthetic slice agrees with the real one, and how readers are told.

    Parameters
    ----------
    name : str
        Its column; begins with ``mask_`` if, and only if, it is taken in the evaluation mask.
    title : str
        Short name for headings and axes.
    full_title : str
        Name in full, for data dictionaries.
    description : str
        Of its column, in sentences: formula, options, where it is taken.
    unit : str
        ``1`` for none.
    digits : int
        Decimals for reading.
    lower_is_better : bool
    margin : float
        Largest mean difference that counts as none in a test of equivalence, in the metric's unit.
    values : callable
        From a :class:`SliceStack` to an array of shape (n,): one value for each slice. See :func:`each_slice`.
    short_unit : str
        The unit where it is short enough to stand behind a number or a title.
    heading : str
        Heading of its table in the group report, where it is another than ``full_title``.
    """

    name: str
    title: str
    full_title: str
    description: str
    unit: str
    digits: int
    lower_is_better: bool
    margin: float
    values: Callable[[SliceStack], npt.NDArray[np.floating]]
    short_unit: str = ""
    heading: str = ""

    @property
    def region(self) -> Region:
        """Whether it is taken over the whole slice or in the evaluation mask."""
        return "brain" if self.name.startswith(MASK) else "whole"

    @property
    def measure(self) -> str:
        """What it shares with the metric of the other region, e.g. ``rmse``."""
        return self.name.removeprefix(MASK)

    @property
    def axis_title(self) -> str:
        """Title of an axis or a figure: name, region and unit."""
        unit = "no unit" if self.unit == "1" else self.unit
        return f"{self.title}, {REGION_TITLES[self.region]} ({unit})"

    @property
    def column_title(self) -> str:
        """Heading of a column of a table that says elsewhere where the metric is taken: ``PSNR (dB)``."""
        return f"{self.title} ({self.short_unit})" if self.short_unit else self.title

    @property
    def label(self) -> str:
        """Heading of a column: ``PSNR (dB), in brain``."""
        return f"{self.column_title}, {REGION_TITLES[self.region]}"


def each_slice(function: Callable[[Float32, Float32, float], float], region: Region) -> Callable[[SliceStack], Float64]:
    """Make ``Metric.values`` of a function of one slice.

    Parameters
    ----------
    function : callable
        Takes the pixels of the real and of the synthetic slice, and the data range, to a number. In the region
        ``brain`` the pixels are those in the evaluation mask, shape (n_voxels,), else those of the slice, shape (I, J).
    region : {'whole', 'brain'}

    Returns
    -------
    callable
        From a :class:`SliceStack` to an array of shape (n,).
    """

    def values(stack: SliceStack) -> Float64:
        slices = zip(stack.real, stack.synthetic, stack.mask, strict=True)
        if region == "brain":
            return np.array([function(x[inside], y[inside], stack.data_range) for x, y, inside in slices])
        return np.array([function(x, y, stack.data_range) for x, y, _ in slices])

    return values


def _inner(maps: Float32) -> Float32:
    """Without the border in which windows are mirrored."""
    return maps[:, MARGIN:-MARGIN, MARGIN:-MARGIN]


def _psnr(mse: Float64, data_range: float) -> Float64:
    with np.errstate(divide="ignore"):
        return np.asarray(10 * np.log10(data_range**2 / mse), dtype=np.float64)


def _rmse_metric(name: str, where: str, values: Callable[[SliceStack], Float64]) -> Metric:
    return Metric(
        name=name,
        title="RMSE",
        full_title="Root mean square error",
        description=f"Root mean square error {where}.",
        unit="scaled intensity, -1 to 1",
        digits=3,
        lower_is_better=True,
        margin=0.01,
        values=values,
        heading="Root mean squared error",
    )


def _ssim_metric(name: str, where: str, values: Callable[[SliceStack], Float64]) -> Metric:
    window = "Structural similarity (Gaussian window 11 x 11, sigma 1.5, K1 0.01, K2 0.03), mean"
    return Metric(
        name=name,
        title="SSIM",
        full_title="Structural similarity",
        description=f"{window} {where}.",
        unit="1",
        digits=3,
        lower_is_better=False,
        margin=0.01,
        values=values,
    )


def _psnr_metric(name: str, where: str, values: Callable[[SliceStack], Float64]) -> Metric:
    formula = "10 log10(data_range^2 / mean squared error); inf where both images are identical,"
    return Metric(
        name=name,
        title="PSNR",
        full_title="Peak signal-to-noise ratio",
        description=f"Peak signal-to-noise ratio, {formula} {where}.",
        unit="dB",
        digits=2,
        lower_is_better=False,
        margin=0.5,
        values=values,
        short_unit="dB",
    )


#: All metrics by name, in the order of the tables' columns.
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _rmse_metric("rmse", _WHOLE, lambda stack: np.sqrt(stack.mse)),
        _ssim_metric(
            "ssim",
            f"{_WHOLE} (without a border of 5 pixels)",
            lambda stack: np.asarray(_inner(stack.ssim_maps).mean(axis=(1, 2), dtype=np.float64)),
        ),
        _psnr_metric("psnr", _WHOLE, lambda stack: _psnr(stack.mse, stack.data_range)),
        _rmse_metric("mask_rmse", IN_EVALUATION_MASK, lambda stack: np.sqrt(stack.mask_mse)),
        _ssim_metric("mask_ssim", IN_EVALUATION_MASK, lambda stack: stack.mask_mean(stack.ssim_maps)),
        _psnr_metric("mask_psnr", IN_EVALUATION_MASK, lambda stack: _psnr(stack.mask_mse, stack.data_range)),
    )
}
#: What verdicts rest on: in-brain error, which background does not flatter.
LEADING = "mask_rmse"


def metrics_in(region: Region) -> list[Metric]:
    """The metrics of one region, in the order of the tables."""
    return [metric for metric in METRICS.values() if metric.region == region]


def by_measure() -> dict[str, dict[Region, Metric]]:
    """The metrics of each measure (``rmse``, ``ssim``, ...) by region, in the order of the tables."""
    found: dict[str, dict[Region, Metric]] = {}
    for metric in METRICS.values():
        found.setdefault(metric.measure, {})[metric.region] = metric
    return found


def slice_metrics(
    real: npt.NDArray[Any], synthetic: npt.NDArray[Any], mask: npt.NDArray[Any], data_range: float = 2.0
) -> pd.DataFrame:
    """All metrics of every axial slice that holds voxels of the evaluation mask.

    Whole-slice SSIM is the mean of the map without a border of half a window (5 pixels), as scikit-image's
    ``structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)`` takes it.
    In-brain SSIM is the mean of the whole map over the mask's pixels; windows of pixels at the brain's edge
    still see what lies outside. PSNR is ``10 log10(data_range**2 / mean squared error)`` in dB; it is infinite
    where both images are identical.

    Parameters
    ----------
    real, synthetic : array, shape (I, J, K)
        On the same scale, (-1, 1) when ``data_range`` is 2; axial slices last.
    mask : array, shape (I, J, K)
        Evaluation mask, bool or above 0: brain, or the part of it where there is something to compare with.
    data_range : float
        2 for images in (-1, 1); see :func:`~bids_spectsynth.evaluation.case.similarity.ssim_maps`.

    Returns
    -------
    DataFrame
        One row per slice with such voxels: ``slice`` (index k), the metrics by name, ``mask_voxels``.

    Raises
    ------
    ValueError
        Shapes differ, a value is not finite, slices are smaller than 11 x 11, or ``data_range`` is not above zero.

    Examples
    --------
    >>> real = np.tile(np.linspace(-1, 1, 16), (16, 1))[..., np.newaxis]
    >>> mask = np.abs(real) < 0.5
    >>> table = slice_metrics(real, real + 0.1, mask)
    >>> table[["slice", "mask_rmse", "mask_psnr"]].round(2).to_dict("records")
    [{'slice': 0, 'mask_rmse': 0.1, 'mask_psnr': 26.02}]
    """
    check_pair(real, synthetic, data_range)
    if mask.shape != real.shape:
        raise ValueError(f"mask of {size_text(mask.shape)} voxels on images of {size_text(real.shape)}")
    mask = np.asarray(mask) > 0
    kept = np.flatnonzero(mask.any(axis=(0, 1)))
    inside = np.moveaxis(mask[..., kept], -1, 0)
    x, y = (np.moveaxis(volume[..., kept], -1, 0).astype(np.float32, order="C") for volume in (real, synthetic))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("an image has values that are not finite")
    stack = SliceStack(x, y, inside, data_range)
    columns: dict[str, npt.NDArray[Any]] = {"slice": kept}
    columns |= {name: metric.values(stack) for name, metric in METRICS.items()}
    return pd.DataFrame({**columns, "mask_voxels": stack.n_voxels})
