"""How far a predicted standard deviation can be trusted: the error that is found where a given one is predicted."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import INTERICTAL, T1W
from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.errors import ImageError
from bids_spectsynth.evaluation.columns import Dictionary, counted, unitless
from bids_spectsynth.images.reading import load_image

#: Bins of equally many voxels.
N_BINS = 10
ALL = "all"

#: Unit of errors and standard deviations.
RELATIVE = "fraction of the in-brain mean"
CALIBRATION_DICTIONARY: Dictionary = {
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
    "samples": counted("Networks or outputs."),
    "bin": {
        "Description": "Tenth of the voxels in the evaluation mask, from the smallest predicted standard deviation (1) "
        f"to the largest ({N_BINS}); {ALL}: all of them."
    },
    "predicted_sd": {"Description": "Root mean square of the predicted standard deviation.", "Units": RELATIVE},
    "rmse": {
        "Description": "Root mean square difference of synthetic and real SPECT, each over its own in-brain mean.",
        "Units": RELATIVE,
    },
    "ratio": unitless("rmse over predicted_sd: how many times larger the error is than predicted."),
    "rank_correlation": unitless(
        f"Spearman's correlation over voxels of predicted standard deviation and absolute error; only for {ALL}."
    ),
    "n_voxels": counted("Voxels of brain where the SPECT was measured."),
}


def calibration(
    real: npt.NDArray[np.floating],
    synthetic: npt.NDArray[np.floating],
    sd_map: npt.NDArray[np.floating],
    evaluation_mask: npt.NDArray[np.bool_],
) -> pd.DataFrame:
    """Error against predicted standard deviation, in tenths of the voxels.

    Parameters
    ----------
    real, synthetic : array, shape (I, J, K)
        In any units each: both are divided by their own mean over the evaluation mask, because the level of a synthetic
        SPECT is the training cohort's.
    sd_map : array, shape (I, J, K)
        Predicted standard deviation in the units of ``synthetic``.
    evaluation_mask : array of bool, shape (I, J, K)

    Returns
    -------
    DataFrame
        ``bin``, ``predicted_sd``, ``rmse``, ``ratio``, ``rank_correlation``, ``n_voxels``; the bins, then all voxels.

    Raises
    ------
    ValueError
        There are fewer voxels in the evaluation mask than bins, or an image has no signal in them.
    """
    x, y, sd = (np.asarray(volume[evaluation_mask], dtype=np.float64) for volume in (real, synthetic, sd_map))
    if x.size < N_BINS:
        raise ValueError(f"{x.size} voxels in the evaluation mask, {N_BINS} needed")
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


def calibrate_case(prepared: PreparedCase, synthetic: Path, sd_map: Path, table: Path, facts: dict[str, Any]) -> Path:
    """Write the calibration table of one case and model.

    Parameters
    ----------
    prepared : PreparedCase
        With an interictal SPECT.
    synthetic, sd_map, table : Path
        The synthetic SPECT, its standard-deviation map, and the table to write.
    facts : dict
        Values of the columns ``model``, ``configuration``, ``split``, ``sampled_by`` and ``samples``.

    Raises
    ------
    ImageError
        An image is missing or damaged, or the SPECT does not overlap with the brain.
    """
    volumes = [np.asarray(load_image(p)[0].dataobj) for p in (prepared.images[INTERICTAL], synthetic, sd_map)]
    evaluation_mask = np.asarray(load_image(prepared.masks[T1W])[0].dataobj) > 0
    if INTERICTAL in prepared.masks:
        evaluation_mask &= np.asarray(load_image(prepared.masks[INTERICTAL])[0].dataobj) > 0
    if len({volume.shape for volume in (*volumes, evaluation_mask)}) > 1:
        raise ImageError(f"{sd_map}: not on the grid of the prepared images; apply the model again")
    try:
        frame = calibration(volumes[0], volumes[1], volumes[2], evaluation_mask)
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
