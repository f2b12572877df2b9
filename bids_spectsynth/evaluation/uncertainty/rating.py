"""How far a predicted standard deviation can be trusted: the error that is found where a given one is predicted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from bids_spectsynth.bids.output_files import CALIBRATION
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import INTERICTAL, T1W
from bids_spectsynth.bids.sidecars import sidecar
from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.errors import ImageError
from bids_spectsynth.evaluation.case.volume import relative_uptake
from bids_spectsynth.evaluation.columns import LESION_KEY, OF_MEASURE, Dictionary, counted, unitless
from bids_spectsynth.evaluation.uncertainty.calibration_fit import RegionalScale
from bids_spectsynth.evaluation.uncertainty.factors import LEVELS
from bids_spectsynth.evaluation.uncertainty.residuals import ASYMMETRY, UPTAKE, regional_errors, regional_measures
from bids_spectsynth.images.reading import load_image
from bids_spectsynth.images.tissue import TISSUES, tissue_classes
from bids_spectsynth.synthesis.data.slices import brain_and_evaluation_mask, lesion_mask

#: Bins of equally many voxels.
N_BINS = 10
ALL = "all"
#: What is told of: voxels, and what is read from a SPECT in the reading room.
VOXELS = "voxels"
#: Half widths of intervals in standard deviations where nothing else is known: of a normal distribution.
NORMAL_FACTORS = {level: float(stats.norm.isf((1 - level) / 2)) for level in LEVELS}

_REGIONAL_UNITS = ((UPTAKE, "fraction of the in-brain mean"), (ASYMMETRY, "percent"))


def coverage_column(level: float) -> str:
    """Column of the coverage of an interval."""
    return f"coverage_{100 * level:g}"


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
        "Levels": {
            "ensemble": "Networks.",
            "dropout": "Outputs of one network with its dropout left on.",
            CALIBRATION: "Errors of held-out participants, the participant itself left out.",
        },
    },
    "samples": counted("Networks, outputs or participants."),
    "measure": {
        "Description": "What has the standard deviation.",
        "Levels": {
            VOXELS: f"Uptake of voxels; unit: {RELATIVE}.",
            UPTAKE: f"Mean uptake of regions; unit: {RELATIVE}.",
            ASYMMETRY: "Asymmetry index of pairs of regions; unit: percent.",
        },
    },
    "measure_unit": {"Description": "Unit of predicted_sd, rmse and width_90 in this row."},
    "bin": {
        "Description": "Tenth of the voxels in the evaluation mask, from the smallest predicted standard deviation (1) "
        f"to the largest ({N_BINS}); a tissue ({', '.join(TISSUES)}), as the brightness of the T1w tells it; {ALL}: "
        "all of them."
    },
    "predicted_sd": {"Description": "Root mean square of the predicted standard deviation.", "Units": OF_MEASURE},
    "rmse": {
        "Description": "Root mean square difference of synthetic and real SPECT, each over its own in-brain mean.",
        "Units": OF_MEASURE,
    },
    "ratio": unitless("rmse over predicted_sd: how many times larger the error is than predicted."),
    "rank_correlation": unitless(
        f"Spearman's correlation over voxels of predicted standard deviation and absolute error; only for {ALL}."
    ),
    **{
        coverage_column(level): {
            "Description": f"Share of the real values that lie within the interval of nominal {100 * level:g} %.",
            "Units": "percent",
        }
        for level in LEVELS
    },
    "width_90": {"Description": "Mean width of the interval of nominal 90 %.", "Units": OF_MEASURE},
    "n_voxels": counted("Voxels of brain where the SPECT was measured; regions or pairs of them for those measures."),
}


def calibration(
    real: npt.NDArray[np.floating],
    synthetic: npt.NDArray[np.floating],
    sd_map: npt.NDArray[np.floating],
    evaluation_mask: npt.NDArray[np.bool_],
    *,
    t1w: npt.NDArray[np.floating] | None = None,
    factors: Mapping[float, float] = NORMAL_FACTORS,
) -> pd.DataFrame:
    """Error against predicted standard deviation, in tenths of the voxels and by tissue.

    Parameters
    ----------
    real, synthetic : array, shape (I, J, K)
        In any units each: both are divided by their own mean over the evaluation mask, because the level of a synthetic
        SPECT is the training cohort's.
    sd_map : array, shape (I, J, K)
        Predicted standard deviation in the units of ``synthetic``.
    evaluation_mask : array of bool, shape (I, J, K)
    t1w : array, shape (I, J, K), optional
        Tells the tissues.
    factors : mapping of float to float
        Half widths of the intervals in standard deviations, by nominal coverage.

    Returns
    -------
    DataFrame
        ``bin``, ``predicted_sd``, ``rmse``, ``ratio``, ``rank_correlation``, the coverages, ``width_90``,
        ``n_voxels``; the tenths, tissues, then all voxels.

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
    if t1w is not None:
        classes = tissue_classes(t1w[evaluation_mask])
        parts += [(name, np.flatnonzero(classes == number)) for number, name in enumerate(TISSUES)]
    parts = [(name, chosen) for name, chosen in [*parts, (ALL, order)] if len(chosen)]
    rows = [_row(name, error[chosen], spread[chosen], factors) for name, chosen in parts]
    correlation = stats.spearmanr(spread, np.abs(error)).statistic if np.ptp(spread) > 0 else np.nan
    rows[-1]["rank_correlation"] = float(correlation)
    return pd.DataFrame(rows)


def regional_calibration(errors: Mapping[str, float], scale: RegionalScale, measure: str, unit: str) -> dict[str, Any]:
    """One row: errors of a regional measure against the scales that were predicted for it.

    Parameters
    ----------
    errors : mapping of str to float
        Real minus synthetic, by region.
    scale : RegionalScale
        From other participants.
    measure : {'uptake', 'asymmetry'}
    unit : str
    """
    found = np.array(list(errors.values()))
    predicted = np.array([scale.scales.get(name, scale.usual) for name in errors])
    row = _row(ALL, found, predicted, dict(zip(LEVELS, scale.factors, strict=True)))
    return {**row, "measure": measure, "measure_unit": unit}


def _row(
    name: str,
    error: npt.NDArray[np.float64],
    spread: npt.NDArray[np.float64],
    factors: Mapping[float, float],
) -> dict[str, Any]:
    predicted, found = (float(np.sqrt(np.mean(values**2))) for values in (spread, error))
    ratio = found / predicted if predicted > 0 else np.nan
    return {
        "bin": name,
        "predicted_sd": predicted,
        "rmse": found,
        "ratio": ratio,
        "rank_correlation": np.nan,
        **{
            coverage_column(level): 100 * float(np.mean(np.abs(error) <= factor * spread))
            for level, factor in factors.items()
        },
        "width_90": 2 * factors[0.90] * float(spread.mean()),
        "measure": VOXELS,
        "measure_unit": RELATIVE,
        "n_voxels": len(error),
    }


def _interval_factors(sd_map: Path) -> Mapping[float, float]:
    """Half widths of the intervals in standard deviations, as the sidecar has them; of a normal distribution else."""
    told = sidecar(sd_map).get("IntervalFactors")
    if not isinstance(told, dict):
        return NORMAL_FACTORS
    return {level: float(told[f"{level:g}"]) for level in LEVELS}


def calibrate_case(
    prepared: PreparedCase,
    synthetic: Path,
    sd_map: Path,
    table: Path,
    facts: dict[str, Any],
    regional: Mapping[str, RegionalScale] | None = None,
) -> Path:
    """Write the calibration table of one case and model.

    Parameters
    ----------
    prepared : PreparedCase
        With an interictal SPECT; its lesion mask, where it has one, is left out.
    synthetic, sd_map, table : Path
        The synthetic SPECT, its standard-deviation map, and the table to write.
    facts : dict
        Values of the columns ``model``, ``configuration``, ``split``, ``sampled_by`` and ``samples``.
    regional : mapping of str to RegionalScale, optional
        How large regional errors may be, by measure; the table then has rows of them.

    Raises
    ------
    ImageError
        An image is missing or damaged, or the SPECT does not overlap with the brain.
    """
    paths = (prepared.images[INTERICTAL], synthetic, sd_map, prepared.images[T1W])
    volumes = [np.asarray(load_image(path)[0].dataobj) for path in paths]
    _, evaluation_mask, affine = brain_and_evaluation_mask(prepared)
    if len({volume.shape for volume in (*volumes, evaluation_mask)}) > 1:
        raise ImageError(f"{sd_map}: not on the grid of the prepared images; apply the model again")
    lesion = lesion_mask(prepared, evaluation_mask.shape)
    if lesion is not None:
        evaluation_mask = evaluation_mask & ~lesion
    try:
        factors = _interval_factors(sd_map)
        frame = calibration(volumes[0], volumes[1], volumes[2], evaluation_mask, t1w=volumes[3], factors=factors)
    except ValueError as error:
        raise ImageError(f"{synthetic}: the uncertainty cannot be rated ({error}); look at the registration") from error
    if regional is not None:
        real, made = (relative_uptake(volume, evaluation_mask) for volume in volumes[:2])
        measures = [
            regional_measures(one, prepared, evaluation_mask, affine) for one in (real, made) if one is not None
        ]
        errors = regional_errors(*measures)
        rows = [regional_calibration(errors[name], regional[name], name, unit) for name, unit in _REGIONAL_UNITS]
        frame = pd.concat([frame, pd.DataFrame(rows)], ignore_index=True)
    frame = frame.assign(
        participant_id=f"sub-{prepared.participant}",
        session_id=f"ses-{prepared.session}" if prepared.session else "n/a",
        space=prepared.space,
        **facts,
    )
    left_out = {} if lesion is None else {LESION_KEY: True}
    write_table(table, frame[list(CALIBRATION_DICTIONARY)], CALIBRATION_DICTIONARY, left_out, recorded=True)
    return table
