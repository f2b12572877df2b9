"""Group tables of regional agreement, left-right asymmetry and volume measures, from the tables of the cases."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bids_spectsynth.bids.derivatives import write_table
from bids_spectsynth.errors import DatasetError
from bids_spectsynth.evaluation.agreement import (
    concordance,
    grouped_correlation,
    limits_of_agreement,
    mean_correlation,
    sign_agreement,
)
from bids_spectsynth.evaluation.columns import HELD_OUT, METHODS
from bids_spectsynth.evaluation.region_columns import (
    AGREEMENT_DICTIONARY,
    IDENTITY,
    REGIONS_DICTIONARY,
    VOLUME_DICTIONARY,
)
from bids_spectsynth.evaluation.region_tables import find_regions, find_volumes
from bids_spectsynth.evaluation.regions import HEMISPHERE

#: Value of ``region`` in the rows that hold all blocks of all participants.
ALL_REGIONS = "all"

_RUN = [name for name in IDENTITY if name not in ("participant_id", "session_id")]
_TEXT = {*IDENTITY, "template", "region", "hemisphere"} - {"seed"}
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
    regions = _gather(find_regions(output_dir), REGIONS_DICTIONARY, "table of regions")
    volumes = _gather(find_volumes(output_dir), VOLUME_DICTIONARY, "table of volume measures")
    return AgreementTables(regions, rate_agreement(held_out(regions)), volumes)


def write_agreement_tables(tables: AgreementTables, output_dir: Path) -> tuple[Path, Path, Path]:
    """Write ``group_regions.tsv``, ``group_agreement.tsv`` and ``group_volumes.tsv`` with their data dictionaries."""
    paths = tuple(output_dir / f"group_{name}.tsv" for name in ("regions", "agreement", "volumes"))
    write_table(paths[0], tables.regions, REGIONS_DICTIONARY)
    write_table(paths[1], tables.agreement, AGREEMENT_DICTIONARY)
    write_table(paths[2], tables.volumes, VOLUME_DICTIONARY)
    return paths[0], paths[1], paths[2]


def held_out(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of participants that the model was neither fitted to nor selected on."""
    return rows[rows["split"].isin(HELD_OUT)]


def _gather(paths: Sequence[Path], dictionary: Mapping[str, Any], what: str) -> pd.DataFrame:
    frames = [_read(path, list(dictionary), what) for path in paths]
    frames = [frame for frame in frames if len(frame)]
    if not frames:
        return pd.DataFrame(columns=list(dictionary))
    rows = pd.concat(frames, ignore_index=True)
    rank = rows["method"].map({name: n for n, name in enumerate(METHODS)}).fillna(len(METHODS))
    order = ["space", "model", "rank", "method", "participant_id", "session_id"]
    return rows.assign(rank=rank).sort_values(order, kind="stable", ignore_index=True).drop(columns="rank")


def _read(path: Path, columns: list[str], what: str) -> pd.DataFrame:
    try:
        # Only numbers may be missing: "n/a" in a name column is a value that rows are grouped by.
        frame = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)[columns]
        named = [name for name in columns if name not in _TEXT]
        numbers = {name: pd.to_numeric(frame[name].mask(frame[name] == "n/a")) for name in named}
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(f"{path}: not a {what} ({reason}); delete it and evaluate again") from error
    return frame.assign(**numbers)


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
        for place, values in _places(group):
            found.append({**run, **place, **_agreement(values, place["measure"])})
    return pd.DataFrame(found, columns=list(AGREEMENT_DICTIONARY))


def _places(group: pd.DataFrame) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """What the rows of a model and method are rated on: a measure and all blocks, or one region of it."""
    pairs = group[group["hemisphere"] == "L"]
    for measure, rows in (("uptake", group), ("asymmetry", pairs)):
        names = _MEASURES[measure]
        usable = rows[np.isfinite(rows[list(names)].to_numpy(dtype=np.float64)).all(axis=1)]
        usable = usable.assign(x=usable[names[0]], y=usable[names[1]])
        blocks = usable[usable["region"] != HEMISPHERE]
        if len(blocks):
            yield {"measure": measure, "region": ALL_REGIONS, "hemisphere": "n/a"}, blocks
        for (region, side), values in usable.groupby(["region", "hemisphere"]):
            place = {"measure": measure, "region": str(region)}
            yield {**place, "hemisphere": str(side) if measure == "uptake" else "n/a"}, values


def _agreement(rows: pd.DataFrame, measure: str) -> dict[str, Any]:
    x, y = (rows[name].to_numpy(dtype=np.float64) for name in ("x", "y"))
    _, subjects = np.unique(rows["participant_id"].to_numpy(dtype=str), return_inverse=True)
    place = rows["region"].to_numpy(dtype=str) + " " + rows["hemisphere"].to_numpy(dtype=str)
    regions, place_number = np.unique(place, return_inverse=True)
    limits = limits_of_agreement(y - x, subjects)
    within, ccc = mean_correlation(x, y, subjects), concordance(x, y, subjects)
    n_subjects = int(subjects.max()) + 1
    counts = np.bincount(subjects)
    n_marked, share = sign_agreement(x, y) if measure == "asymmetry" else (np.nan, np.nan)
    return {
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
