"""Per-case tables of regional uptake, left-right asymmetry and volume measures."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bids_spectsynth.bids.output_files import rating_path
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.evaluation.case.region_columns import REGIONS_DICTIONARY, VOLUME_DICTIONARY
from bids_spectsynth.evaluation.case.regions import HEMISPHERE, Regions, asymmetry_index, case_regions
from bids_spectsynth.evaluation.case.residual import Sampling, residual, residual_by_region, residual_sampling
from bids_spectsynth.evaluation.case.volume import (
    relative_uptake,
    sharpness_ratio,
    through_slice_ratio,
    volume_correlation,
    volume_nmi,
    volume_rmse,
)
from bids_spectsynth.evaluation.case.volume_measures import BASELINE_SD
from bids_spectsynth.options.settings import T1W_SPACE

logger = logging.getLogger(__name__)

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def write_case_tables(
    output_dir: Path,
    prepared: PreparedCase,
    label: str,
    identity: Mapping[str, Any],
    volumes: Mapping[str, Float32],
    real: Float32,
    evaluation_mask: Mask,
    affine: Float64,
    facts: Mapping[str, Any] | None = None,
) -> tuple[Path, Path]:
    """Rate every method's volume by region and as a whole, and write both tables with their dictionaries.

    Parameters
    ----------
    output_dir : Path
    prepared : PreparedCase
    label : str
        Of the model.
    identity : mapping
        Values of the columns that say whose and what the rows are, without ``method``.
    volumes : mapping of method to array, shape (I, J, K)
        In any units, 0 for no signal. One without a mean above zero in the brain is left out.
    real : array, shape (I, J, K)
        The SPECT, unscaled.
    evaluation_mask : array of bool, shape (I, J, K)
        Brain where the SPECT was measured.
    affine : array, shape (4, 4)
        Of all of them, to world RAS+ mm.
    facts : mapping, optional
        What the JSON files say of the tables.

    Returns
    -------
    regions, volume : Path

    Raises
    ------
    ImageError
        The transform to the template cannot be read.
    """
    regions = case_regions(prepared, evaluation_mask, affine)
    template = (prepared.template if prepared.space == T1W_SPACE else prepared.space) or "n/a"
    measured, sampling = relative_uptake(real, evaluation_mask), _sampling(prepared, evaluation_mask, affine)
    by_region, by_volume = [], []
    for method, volume in volumes.items():
        synthetic = relative_uptake(volume, evaluation_mask)
        if measured is None or synthetic is None:
            continue
        table, measures = _rate(measured, synthetic, evaluation_mask, regions, sampling, f"{prepared.name}: {method}")
        by_region.append(table.assign(**identity, method=method, template=template))
        by_volume.append({**identity, "method": method, **measures})
        by_volume[-1]["sharpness_ratio"] = sharpness_ratio(measured, synthetic, evaluation_mask, _spacing(affine))
    rows = pd.concat(by_region, ignore_index=True) if by_region else pd.DataFrame(columns=list(REGIONS_DICTIONARY))
    measured_volumes = pd.DataFrame(by_volume, columns=list(VOLUME_DICTIONARY))
    first = rating_path(output_dir, prepared, label, "regions")
    second = rating_path(output_dir, prepared, label, "volume")
    write_table(first, rows[list(REGIONS_DICTIONARY)], REGIONS_DICTIONARY, facts, recorded=True)
    write_table(second, measured_volumes, VOLUME_DICTIONARY, facts, recorded=True)
    return first, second


def _spacing(affine: Float64) -> list[float]:
    sizes: list[float] = np.linalg.norm(affine[:3, :3], axis=0).tolist()
    return sizes


def _rate(
    real: Float32, synthetic: Float32, evaluation_mask: Mask, regions: Regions, sampling: Sampling | None, what: str
) -> tuple[pd.DataFrame, dict[str, Any]]:
    deviation, columns = rate_residual(real, synthetic, sampling, regions, what)
    table = rate_regions(real, synthetic, evaluation_mask, regions).assign(**columns)
    return table, rate_volume(real, synthetic, evaluation_mask, table) | {BASELINE_SD.name: deviation}


def rate_regions(real: Float32, synthetic: Float32, evaluation_mask: Mask, regions: Regions) -> pd.DataFrame:
    """Mean uptake and asymmetry of each region in two volumes of relative uptake.

    Parameters
    ----------
    real, synthetic : array, shape (I, J, K)
        Relative uptake: in-brain mean 1.
    evaluation_mask : array of bool, shape (I, J, K)
    regions : Regions
        Of the same mask.

    Returns
    -------
    DataFrame
        The regions' table with ``real``, ``synthetic``, ``asymmetry_real`` and ``asymmetry_synthetic``.
    """
    columns = {}
    for name, volume in (("real", real), ("synthetic", synthetic)):
        means = regions.means(volume[evaluation_mask])
        columns[name] = means
        # Left and right of a region follow each other.
        columns[f"asymmetry_{name}"] = np.repeat(asymmetry_index(means[::2], means[1::2]), 2)
    return regions.table.assign(**columns)


def rate_residual(
    real: Float32, synthetic: Float32, sampling: Sampling | None, regions: Regions, what: str
) -> tuple[float, dict[str, Float64]]:
    """Standard deviation of the smoothed residual of two volumes, with each region's share of it and mean residual.

    Parameters
    ----------
    real, synthetic : array, shape (I, J, K)
        Relative uptake.
    sampling : Sampling, optional
        None where the evaluation mask is too thin: nothing can be had.
    regions : Regions
        Of the same mask.
    what : str
        Whose volume it is, for the log.

    Returns
    -------
    standard_deviation : float
        In percent of the brain mean; NaN where it cannot be had, and the log says why.
    columns : dict of str to array, shape (rows of ``regions.table``,)
        ``baseline_variance_share`` and ``baseline_residual_percent``.
    """
    names = ("baseline_variance_share", "baseline_residual_percent")
    unknown = np.full(len(regions.table), np.nan)
    if sampling is None:
        return np.nan, dict.fromkeys(names, unknown)
    try:
        values = residual(real, synthetic, sampling)
    except ValueError as error:
        logger.warning("%s: no %s: %s", what, BASELINE_SD.name, error)
        return np.nan, dict.fromkeys(names, unknown)
    return float(values.std()), dict(zip(names, residual_by_region(values, sampling, regions), strict=True))


def _sampling(prepared: PreparedCase, evaluation_mask: Mask, affine: Float64) -> Sampling | None:
    try:
        return residual_sampling(evaluation_mask, np.linalg.norm(affine[:3, :3], axis=0).tolist())
    except ValueError as error:
        logger.warning("%s: no %s: %s", prepared.name, BASELINE_SD.name, error)
        return None


def rate_volume(real: Float32, synthetic: Float32, evaluation_mask: Mask, table: pd.DataFrame) -> dict[str, Any]:
    """Measures of two volumes of relative uptake, and of their regions.

    Parameters
    ----------
    real, synthetic : array, shape (I, J, K)
        Relative uptake: in-brain mean 1.
    evaluation_mask : array of bool, shape (I, J, K)
    table : DataFrame
        Of :func:`rate_regions`.

    Returns
    -------
    dict
        Values by column of ``*_volume.tsv``; NaN for what cannot be computed.
    """
    pairs = table[table["hemisphere"] == "L"]
    error = (pairs["asymmetry_synthetic"] - pairs["asymmetry_real"]).abs()[pairs["region"] != HEMISPHERE].dropna()
    whole = pairs[pairs["region"] == HEMISPHERE]
    halves = {
        f"hemisphere_{name}": float(whole[name].iloc[0]) if len(whole) else np.nan
        for name in ("asymmetry_real", "asymmetry_synthetic")
    }
    return {
        "volume_rmse": volume_rmse(real, synthetic, evaluation_mask),
        "volume_correlation": volume_correlation(real, synthetic, evaluation_mask),
        "volume_nmi": volume_nmi(real, synthetic, evaluation_mask),
        "through_slice_ratio": through_slice_ratio(real, synthetic, evaluation_mask),
        "asymmetry_error": float(error.mean()),
        "n_pairs": len(error),
        **halves,
        "rated_voxels": int(np.count_nonzero(evaluation_mask)),
        "rated_slices": int(np.count_nonzero(evaluation_mask.any(axis=(0, 1)))),
    }
