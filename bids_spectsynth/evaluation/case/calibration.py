"""How far a predicted standard deviation can be trusted: the error that is found where a given one is predicted."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from bids_spectsynth.bids.output_files import find_calibrations, group_table
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import INTERICTAL, T1W
from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.errors import ImageError
from bids_spectsynth.evaluation.case.tables import read_case_tables
from bids_spectsynth.images.reading import load_image

#: Bins of equally many voxels.
N_BINS = 10
ALL = "all"

_RELATIVE = "fraction of the in-brain mean"
CALIBRATION_DICTIONARY: dict[str, dict[str, Any]] = {
    "participant_id": {"Description": "Participant, with sub-."},
    "session_id": {"Description": "Session, with ses-; n/a where the dataset has none."},
    "model": {"Description": "Label of the model."},
    "configuration": {"Description": "Label of the model without its seed."},
    "space": {"Description": "Space of the images."},
    "split": {"Description": "Part of the cohort that the participant belongs to for this model: test or external."},
    "sampled_by": {
        "Description": "What the standard deviation is taken over.",
        "Levels": {"ensemble": "Networks.", "dropout": "Outputs of one network with its dropout left on."},
    },
    "samples": {"Description": "Networks or outputs."},
    "bin": {
        "Description": f"Tenth of the rated voxels, from the smallest predicted standard deviation (1) to the largest "
        f"({N_BINS}); {ALL}: all of them."
    },
    "predicted_sd": {"Description": "Root mean square of the predicted standard deviation.", "Units": _RELATIVE},
    "rmse": {
        "Description": "Root mean square difference of synthetic and real SPECT, each over its own in-brain mean.",
        "Units": _RELATIVE,
    },
    "ratio": {"Description": "rmse over predicted_sd: how many times larger the error is than predicted."},
    "rank_correlation": {
        "Description": "Spearman's correlation over voxels of predicted standard deviation and absolute error; "
        f"only for {ALL}."
    },
    "n_voxels": {"Description": "Voxels of brain where the SPECT was measured."},
}
#: Columns of names: one that consists of digits is no number.
_NAMES = dict.fromkeys(
    ("participant_id", "session_id", "model", "configuration", "space", "split", "sampled_by", "bin"), "str"
)
GROUP_CALIBRATION_DICTIONARY: dict[str, dict[str, Any]] = {
    **{name: CALIBRATION_DICTIONARY[name] for name in ("configuration", "space", "sampled_by", "samples", "bin")},
    "n_subjects": {"Description": "Held-out subjects behind the numbers."},
    "n_voxels": {
        "Description": "Voxels of brain behind the numbers, of all subjects (of several sessions or seeds of a subject "
        "their mean). What is binned and counted here are voxels, not slices."
    },
    "predicted_sd": {"Description": "Mean over subjects of predicted_sd.", "Units": _RELATIVE},
    "rmse": {"Description": "Mean over subjects of rmse.", "Units": _RELATIVE},
    "rmse_sd": {"Description": "Standard deviation over subjects of rmse.", "Units": _RELATIVE},
    "ratio": {"Description": "Mean over subjects of ratio."},
    "rank_correlation": {"Description": f"Mean over subjects of rank_correlation; only for {ALL}."},
}


def calibration(
    real: npt.NDArray[np.floating],
    synthetic: npt.NDArray[np.floating],
    deviation: npt.NDArray[np.floating],
    rated: npt.NDArray[np.bool_],
) -> pd.DataFrame:
    """Error against predicted standard deviation, in tenths of the voxels.

    Parameters
    ----------
    real, synthetic : array, shape (I, J, K)
        In any units each: both are divided by their own mean over the rated voxels, because the level of a synthetic
        SPECT is the training cohort's.
    deviation : array, shape (I, J, K)
        Predicted standard deviation in the units of ``synthetic``.
    rated : array of bool, shape (I, J, K)

    Returns
    -------
    DataFrame
        ``bin``, ``predicted_sd``, ``rmse``, ``ratio``, ``rank_correlation``, ``n_voxels``; the bins, then all voxels.

    Raises
    ------
    ValueError
        There are fewer rated voxels than bins, or an image has no signal in them.
    """
    x, y, sd = (np.asarray(volume[rated], dtype=np.float64) for volume in (real, synthetic, deviation))
    if x.size < N_BINS:
        raise ValueError(f"{x.size} rated voxels, {N_BINS} needed")
    if not (x.mean() > 0 and y.mean() > 0):
        raise ValueError("no signal in the brain")
    error, spread = y / y.mean() - x / x.mean(), sd / y.mean()
    order = np.argsort(spread, kind="stable")
    parts = [(str(number), rows) for number, rows in enumerate(np.array_split(order, N_BINS), start=1)]
    rows = [_row(name, error[chosen], spread[chosen]) for name, chosen in [*parts, (ALL, order)]]
    correlation = stats.spearmanr(spread, np.abs(error)).statistic if np.ptp(spread) > 0 else np.nan
    rows[-1]["rank_correlation"] = float(correlation)
    return pd.DataFrame(rows)


def _row(name: str, error: npt.NDArray[np.float64], spread: npt.NDArray[np.float64]) -> dict[str, Any]:
    predicted, found = (float(np.sqrt(np.mean(values**2))) for values in (spread, error))
    ratio = found / predicted if predicted > 0 else np.nan
    return {
        "bin": name,
        "predicted_sd": predicted,
        "rmse": found,
        "ratio": ratio,
        "rank_correlation": np.nan,
        "n_voxels": len(error),
    }


def calibrate_case(
    prepared: PreparedCase, synthetic: Path, deviation: Path, table: Path, facts: dict[str, Any]
) -> Path:
    """Write the calibration table of one case and model.

    Parameters
    ----------
    prepared : PreparedCase
        With an interictal SPECT.
    synthetic, deviation, table : Path
        The synthetic SPECT, its standard deviation, and the table to write.
    facts : dict
        Values of the columns ``model``, ``configuration``, ``split``, ``sampled_by`` and ``samples``.

    Raises
    ------
    ImageError
        An image is missing or damaged, or the SPECT does not overlap with the brain.
    """
    volumes = [np.asarray(load_image(p)[0].dataobj) for p in (prepared.images[INTERICTAL], synthetic, deviation)]
    rated = np.asarray(load_image(prepared.masks[T1W])[0].dataobj) > 0
    if INTERICTAL in prepared.masks:
        rated &= np.asarray(load_image(prepared.masks[INTERICTAL])[0].dataobj) > 0
    if len({volume.shape for volume in (*volumes, rated)}) > 1:
        raise ImageError(f"{deviation}: not on the grid of the prepared images; apply the model again")
    try:
        frame = calibration(volumes[0], volumes[1], volumes[2], rated)
    except ValueError as error:
        raise ImageError(f"{synthetic}: the uncertainty cannot be rated ({error}); look at the registration") from error
    frame = frame.assign(
        participant_id=f"sub-{prepared.participant}",
        session_id=f"ses-{prepared.session}" if prepared.session else "n/a",
        space=prepared.space,
        **facts,
    )
    write_table(table, frame[list(CALIBRATION_DICTIONARY)], CALIBRATION_DICTIONARY)
    return table


def gather_calibration(output_dir: Path) -> pd.DataFrame:
    """All calibration tables of the output folder, one below the other.

    Raises
    ------
    DatasetError
        A table is damaged.
    """
    paths = find_calibrations(output_dir)
    frames = read_case_tables(paths, _parse, "calibration table")
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(CALIBRATION_DICTIONARY))


def _parse(source: Path | io.BytesIO) -> pd.DataFrame:
    frame = pd.read_csv(source, sep="\t", dtype=_NAMES, na_values="n/a", keep_default_na=False)
    return frame[list(CALIBRATION_DICTIONARY)]


def group_calibration(cases: pd.DataFrame) -> pd.DataFrame:
    """Mean over subjects of :func:`gather_calibration`; sessions and seeds of a subject are averaged first."""
    keys = ["configuration", "space", "sampled_by", "samples", "bin"]
    measures = ["predicted_sd", "rmse", "ratio", "rank_correlation"]
    if cases.empty:
        return pd.DataFrame(columns=list(GROUP_CALIBRATION_DICTIONARY))
    subjects = cases.groupby([*keys, "participant_id"], sort=False)[[*measures, "n_voxels"]].mean().reset_index()
    grouped = subjects.groupby(keys, sort=False)
    table = grouped[measures].mean()
    table["rmse_sd"] = grouped["rmse"].std(ddof=1)
    table["n_subjects"] = grouped.size()
    table["n_voxels"] = grouped["n_voxels"].sum().round().astype(np.int64)
    table = table.reset_index()
    number = pd.to_numeric(table["bin"].replace(ALL, str(N_BINS + 1)))
    ordered = table.assign(number=number).sort_values(["configuration", "space", "sampled_by", "samples", "number"])
    return ordered[list(GROUP_CALIBRATION_DICTIONARY)].reset_index(drop=True)


def write_group_calibration(output_dir: Path) -> pd.DataFrame:
    """Write ``group_calibration.tsv`` where any uncertainty was rated; returns its rows.

    Raises
    ------
    DatasetError
        A case's table is damaged.
    """
    table = group_calibration(gather_calibration(output_dir))
    path = group_table(output_dir, "calibration")
    if table.empty:
        # Of an earlier output; nothing stands behind it any more.
        for stale in (path, path.with_suffix(".json")):
            stale.unlink(missing_ok=True)
        return table
    write_table(path, table, GROUP_CALIBRATION_DICTIONARY)
    return table
