"""Agreement of real and synthetic regional uptake and asymmetry over the participants: the group's tables."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bids_spectsynth.bids.output_files import GroupTable, group_table_path
from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.evaluation.case.region_columns import (
    AGREEMENT_DICTIONARY,
    IDENTITY,
    MEASURE_UNITS,
    REGIONS_DICTIONARY,
    RESIDUAL_COLUMNS,
    VOLUME_DICTIONARY,
)
from bids_spectsynth.evaluation.case.regions import HEMISPHERE
from bids_spectsynth.evaluation.columns import HELD_OUT
from bids_spectsynth.evaluation.group.regions import gather_regions, gather_volumes
from bids_spectsynth.evaluation.statistics.bland_altman import (
    concordance,
    grouped_correlation,
    limits_of_agreement,
    mean_correlation,
    sign_agreement,
)

logger = logging.getLogger(__name__)

#: Value of ``region`` in the rows that hold all blocks of all participants.
ALL_REGIONS = "all"

_TABLES: tuple[GroupTable, ...] = ("regions", "agreement", "volumes")
_RUN = [name for name in IDENTITY if name not in ("participant_id", "session_id")]
#: Of each measure: columns of the real and the synthetic value.
_MEASURES = {"uptake": ("real", "synthetic"), "asymmetry": ("asymmetry_real", "asymmetry_synthetic")}


@dataclass(frozen=True, eq=False)
class AgreementTables:
    """The three tables; without anything rated they have columns and no rows.

    Parameters
    ----------
    regions, volumes : DataFrame
        All rows of the cases' tables, of every part of the cohort.
    agreement : DataFrame
        Of the held-out participants alone; see :data:`AGREEMENT_DICTIONARY`.
    """

    regions: pd.DataFrame
    agreement: pd.DataFrame
    volumes: pd.DataFrame


def group_agreement(output_dir: Path) -> AgreementTables:
    """Gather the regional and volume tables in the output folder and compute the agreement; nothing else is read.

    Raises
    ------
    DatasetError
        A table is damaged.
    """
    regions = gather_regions(output_dir)
    return AgreementTables(regions, rate_agreement(held_out(regions)), gather_volumes(output_dir))


def write_agreement_tables(tables: AgreementTables, output_dir: Path) -> tuple[Path, Path, Path]:
    """Write ``group_regions.tsv``, ``group_agreement.tsv`` and ``group_volumes.tsv`` with their data dictionaries."""
    regions, agreement, volumes = (group_table_path(output_dir, name) for name in _TABLES)
    write_table(regions, tables.regions, REGIONS_DICTIONARY)
    write_table(agreement, tables.agreement, AGREEMENT_DICTIONARY)
    write_table(volumes, tables.volumes, VOLUME_DICTIONARY)
    return regions, agreement, volumes


def held_out(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of participants that the model was neither fitted to nor selected on."""
    return rows[rows["split"].isin(HELD_OUT)]


def rate_agreement(rows: pd.DataFrame) -> pd.DataFrame:
    """Agreement of real and synthetic values over all blocks, and in each region, by model, method and split.

    Each model stands for itself: models that differ by their seed are not averaged, because the mean of their images
    would be another image than any of theirs.

    Parameters
    ----------
    rows : DataFrame
        Held-out rows of ``group_regions.tsv``.

    Returns
    -------
    DataFrame
        Columns of :data:`AGREEMENT_DICTIONARY`.
    """
    found: list[dict[str, Any]] = []
    for key, group in rows.groupby(_RUN, sort=False):
        run = dict(zip(_RUN, key, strict=True))
        group = _of_one_template(group, str(run["model"]))
        residuals = _residuals(group)
        for place, values in _places(group):
            own = residuals.get((place["region"], place["hemisphere"]), {}) if place["measure"] == "uptake" else {}
            found.append({**run, **place, **_agreement(values), **own})
    return pd.DataFrame(found, columns=list(AGREEMENT_DICTIONARY))


def _of_one_template(group: pd.DataFrame, model: str) -> pd.DataFrame:
    """Rows whose regions are those of the template that most participants have: of two, no region is the same."""
    counts = group.groupby("template", dropna=False)["participant_id"].nunique().sort_index()
    if len(counts) < 2:
        return group
    kept = counts.idxmax()
    others = ", ".join(f"{n} of {name}" for name, n in counts.items() if name != kept)
    logger.warning(
        "model %s: agreement is of regions of %s; participants left out: %s; run the participant level again to rate "
        "them alike", model, kept, others
    )  # fmt: skip
    return group[group["template"] == kept]


@dataclass(frozen=True, eq=False)
class _Values:
    """Paired values (N,) of a measure; whose and where each is as numbers, because hundreds of regions ask for it."""

    measure: str
    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    subjects: npt.NDArray[np.intp]
    places: npt.NDArray[np.intp]

    def at(self, rows: npt.NDArray[Any]) -> "_Values":
        """Some of them."""
        return _Values(self.measure, self.x[rows], self.y[rows], self.subjects[rows], self.places[rows])


def _places(group: pd.DataFrame) -> Iterator[tuple[dict[str, str], _Values]]:
    """What the rows of a model and method are rated on: a measure and all blocks, or one region of it."""
    pairs = group[group["hemisphere"] == "L"]
    for measure, rows in (("uptake", group), ("asymmetry", pairs)):
        pair = rows[list(_MEASURES[measure])].to_numpy(dtype=np.float64)
        finite = np.isfinite(pair).all(axis=1)
        usable, (x, y) = rows[finite], pair[finite].T
        subjects, _ = pd.factorize(usable["participant_id"], sort=True)
        by_place = usable.groupby(["region", "hemisphere"])
        values = _Values(measure, x, y, subjects, by_place.ngroup().to_numpy(dtype=np.intp))
        blocks = (usable["region"] != HEMISPHERE).to_numpy()
        if blocks.any():
            yield {"measure": measure, "region": ALL_REGIONS, "hemisphere": "n/a"}, values.at(blocks)
        for (region, side), chosen in sorted(by_place.indices.items()):
            place = {"measure": measure, "region": str(region)}
            yield {**place, "hemisphere": str(side) if measure == "uptake" else "n/a"}, values.at(chosen)


def _residuals(group: pd.DataFrame) -> dict[Any, dict[str, float]]:
    """Means over participants of the residual's columns by region and hemisphere."""
    keys, names = ["region", "hemisphere"], list(RESIDUAL_COLUMNS)
    subjects = group.groupby([*keys, "participant_id"])[names].mean()
    means = subjects.groupby(keys).mean()
    return dict(zip(means.index, means.to_dict("records"), strict=True))


def _agreement(values: _Values) -> dict[str, Any]:
    x, y = values.x, values.y
    _, subjects = np.unique(values.subjects, return_inverse=True)
    regions, place_number = np.unique(values.places, return_inverse=True)
    limits = limits_of_agreement(y - x, subjects)
    within, ccc = mean_correlation(x, y, subjects), concordance(x, y, subjects)
    n_subjects = int(subjects.max()) + 1
    counts = np.bincount(subjects)
    n_marked, share = sign_agreement(x, y) if values.measure == "asymmetry" else (np.nan, np.nan)
    return {
        "measure_unit": MEASURE_UNITS[values.measure],
        "n_subjects": n_subjects,
        "n_regions": len(regions),
        "n_values": len(x),
        "bias": limits.bias.value,
        "bias_low": limits.bias.low,
        "bias_high": limits.bias.high,
        "sd_between": limits.sd_between,
        "sd_within": limits.sd_within,
        "sd_total": limits.sd_total,
        "loa_lower": limits.lower.value,
        "loa_lower_low": limits.lower.low,
        "loa_lower_high": limits.lower.high,
        "loa_upper": limits.upper.value,
        "loa_upper_low": limits.upper.low,
        "loa_upper_high": limits.upper.high,
        "mean_absolute": float(np.mean(np.bincount(subjects, weights=np.abs(y - x)) / counts)),
        "r_within": grouped_correlation(x, y, subjects),
        "r_within_mean": within.value,
        "r_within_low": within.low,
        "r_within_high": within.high,
        # Two deviations from a mean of two are equal but for their sign.
        "r_individual": grouped_correlation(x, y, place_number) if n_subjects > 2 else np.nan,
        "ccc": ccc.value,
        "ccc_low": ccc.low,
        "ccc_high": ccc.high,
        "n_marked": n_marked,
        "sign_agreement": share,
    }
