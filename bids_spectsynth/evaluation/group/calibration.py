"""Group table of how far predicted standard deviations can be trusted, from the tables of the cases."""

import io
from pathlib import Path

import numpy as np
import pandas as pd

from bids_spectsynth.bids.output_files import CALIBRATION, group_table_path
from bids_spectsynth.bids.sidecars import sidecar_path
from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.evaluation.case.tables import read_case_tables
from bids_spectsynth.evaluation.columns import OF_MEASURE, Dictionary, counted, unitless
from bids_spectsynth.evaluation.group.usable import usable_ratings
from bids_spectsynth.evaluation.uncertainty.factors import LEVELS
from bids_spectsynth.evaluation.uncertainty.rating import ALL, CALIBRATION_DICTIONARY, N_BINS, VOXELS, coverage_column
from bids_spectsynth.evaluation.uncertainty.residuals import ASYMMETRY, UPTAKE
from bids_spectsynth.images.tissue import TISSUES

#: Columns of names: one that consists of digits is no number.
_NAMES = dict.fromkeys(
    (
        "participant_id",
        "session_id",
        "model",
        "configuration",
        "space",
        "split",
        "sampled_by",
        "measure",
        "measure_unit",
        "bin",
    ),
    "str",
)
GROUP_CALIBRATION_DICTIONARY: Dictionary = {
    **{
        name: CALIBRATION_DICTIONARY[name]
        for name in ("configuration", "space", "sampled_by", "samples", "measure", "measure_unit", "bin")
    },
    "n_subjects": counted("Held-out subjects behind the numbers."),
    "n_voxels": counted(
        "Voxels of brain behind the numbers, of all subjects (of several sessions or seeds of a subject "
        "their mean). What is binned and counted here are voxels, not slices."
    ),
    "predicted_sd": {"Description": "Mean over subjects of predicted_sd.", "Units": OF_MEASURE},
    "rmse": {"Description": "Mean over subjects of rmse.", "Units": OF_MEASURE},
    "rmse_sd": {"Description": "Standard deviation over subjects of rmse.", "Units": OF_MEASURE},
    "ratio": unitless("Mean over subjects of ratio."),
    "rank_correlation": unitless(f"Mean over subjects of rank_correlation; only for {ALL}."),
    **{
        coverage_column(level): {
            "Description": f"Mean over subjects of the coverage of the interval of nominal {100 * level:g} %.",
            "Units": "percent",
        }
        for level in LEVELS
    },
    "coverage_90_sd": {"Description": "Standard deviation over subjects of coverage_90.", "Units": "percent"},
    "coverage_90_least": {"Description": "Of the subject with the smallest coverage_90.", "Units": "percent"},
    "width_90": {"Description": "Mean over subjects of width_90.", "Units": OF_MEASURE},
}


def gather_calibration(output_dir: Path) -> pd.DataFrame:
    """All calibration tables of the output folder, one below the other.

    Raises
    ------
    DatasetError
        A table is damaged.
    """
    frames = read_case_tables(usable_ratings(output_dir, "calibration"), _parse, "calibration table")
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(CALIBRATION_DICTIONARY))


def _parse(source: Path | io.BytesIO) -> pd.DataFrame:
    frame = pd.read_csv(source, sep="\t", dtype=_NAMES, na_values="n/a", keep_default_na=False)
    return frame[list(CALIBRATION_DICTIONARY)]


def group_calibration(cases: pd.DataFrame) -> pd.DataFrame:
    """Mean over subjects of :func:`gather_calibration`; sessions and seeds of a subject are averaged first."""
    keys = ["configuration", "space", "sampled_by", "samples", "measure", "measure_unit", "bin"]
    coverages = [coverage_column(level) for level in LEVELS]
    measures = ["predicted_sd", "rmse", "ratio", "rank_correlation", *coverages, "width_90"]
    if cases.empty:
        return pd.DataFrame(columns=list(GROUP_CALIBRATION_DICTIONARY))
    cases = _one_calibration(cases)
    subjects = cases.groupby([*keys, "participant_id"], sort=False)[[*measures, "n_voxels"]].mean().reset_index()
    grouped = subjects.groupby(keys, sort=False)
    table = grouped[measures].mean()
    table["rmse_sd"] = grouped["rmse"].std(ddof=1)
    table["coverage_90_sd"] = grouped["coverage_90"].std(ddof=1)
    table["coverage_90_least"] = grouped["coverage_90"].min()
    table["n_subjects"] = grouped.size()
    table["n_voxels"] = grouped["n_voxels"].sum().round().astype(np.int64)
    table = table.reset_index()
    places = {name: place for place, name in enumerate([*map(str, range(1, N_BINS + 1)), *TISSUES, ALL])}
    order = {name: place for place, name in enumerate((VOXELS, UPTAKE, ASYMMETRY))}
    ordered = table.assign(number=table["bin"].map(places), place=table["measure"].map(order)).sort_values(
        ["configuration", "space", "sampled_by", "samples", "place", "number"]
    )
    return ordered[list(GROUP_CALIBRATION_DICTIONARY)].reset_index(drop=True)


def _one_calibration(cases: pd.DataFrame) -> pd.DataFrame:
    """Cases in which a model has one number of participants behind its calibration, the smallest.

    Those of its own cohort are judged by one fewer than others; that makes no two ways of judging.
    """
    calibrated = cases["sampled_by"] == CALIBRATION
    least = cases[calibrated].groupby(["configuration", "space"])["samples"].transform("min")
    return cases.assign(samples=cases["samples"].where(~calibrated, least))


def write_group_calibration(output_dir: Path) -> pd.DataFrame:
    """Write ``group_calibration.tsv`` where any uncertainty was rated; returns its rows.

    Raises
    ------
    DatasetError
        A case's table is damaged.
    """
    table = group_calibration(gather_calibration(output_dir))
    path = group_table_path(output_dir, "calibration")
    if table.empty:
        # Of an earlier output; nothing stands behind it any more.
        for stale in (path, sidecar_path(path)):
            stale.unlink(missing_ok=True)
        return table
    write_table(path, table, GROUP_CALIBRATION_DICTIONARY)
    return table
