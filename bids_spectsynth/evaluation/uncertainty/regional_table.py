"""The table of a participant's regional uptake and asymmetry in a synthetic SPECT, each with its interval."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bids_spectsynth.bids.output_files import regional_intervals_path, synthetic_path
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import INTERICTAL
from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.errors import ImageError
from bids_spectsynth.evaluation.case.region_columns import REGIONS_DICTIONARY
from bids_spectsynth.evaluation.case.regions import HEMISPHERE
from bids_spectsynth.evaluation.case.volume import relative_uptake
from bids_spectsynth.evaluation.columns import Dictionary, counted
from bids_spectsynth.evaluation.uncertainty.calibration_fit import Calibration
from bids_spectsynth.evaluation.uncertainty.intervals import COVERAGE
from bids_spectsynth.evaluation.uncertainty.residuals import ASYMMETRY, UPTAKE, measure_names, regional_measures
from bids_spectsynth.images.reading import load_image
from bids_spectsynth.synthesis.baselines.base import unscaled
from bids_spectsynth.synthesis.baselines.template import template_of
from bids_spectsynth.synthesis.data.slices import brain_and_evaluation_mask

Float64 = npt.NDArray[np.float64]

_INTERVAL = f"{100 * COVERAGE:g} % interval, from the errors of held-out participants, this one left out"
_YES_NO = {"yes": "Yes.", "no": "No."}
_UPTAKE_UNITS = REGIONS_DICTIONARY["synthetic"]["Units"]

REGIONAL_DICTIONARY: Dictionary = {
    **{name: REGIONS_DICTIONARY[name] for name in ("participant_id", "session_id", "model", "space", "template",
                                                   "region", "hemisphere", "x_mm", "y_mm", "z_mm", "volume_ml")},
    "uptake": REGIONS_DICTIONARY["synthetic"],
    "uptake_low": {"Description": f"Lower end of the {_INTERVAL}.", "Units": _UPTAKE_UNITS},
    "uptake_high": {"Description": "Upper end.", "Units": _UPTAKE_UNITS},
    "asymmetry": REGIONS_DICTIONARY["asymmetry_synthetic"],
    "asymmetry_low": {"Description": f"Lower end of the {_INTERVAL}.", "Units": "percent"},
    "asymmetry_high": {"Description": "Upper end.", "Units": "percent"},
    "asymmetry_flag": {
        "Description": "Whether the asymmetry lies beyond what errors of the synthetic SPECT explain: whether the "
        "interval leaves out 0.",
        "Levels": _YES_NO,
    },
    "real": {**REGIONS_DICTIONARY["real"], "Description": REGIONS_DICTIONARY["real"]["Description"] +
             " n/a without one."},
    "real_flag": {
        "Description": "Whether the uptake of the real SPECT lies beyond the interval.", "Levels": _YES_NO
    },
    "asymmetry_real": REGIONS_DICTIONARY["asymmetry_real"],
    "asymmetry_real_flag": {
        "Description": "Whether the asymmetry of the real SPECT lies beyond the interval.", "Levels": _YES_NO
    },
    "calibration_participants": counted("Held-out participants behind the intervals."),
}  # fmt: skip


def regional_intervals(measures: pd.DataFrame, calibration: Calibration, template: str | None) -> pd.DataFrame:
    """Uptake and asymmetry of each region with the ends of their intervals.

    Parameters
    ----------
    measures : DataFrame
        Of :func:`~bids_spectsynth.evaluation.uncertainty.residuals.regional_measures`, of the synthetic SPECT.
    calibration : Calibration
        That the participant did not go into.
    template : str or None
        In whose world the participant's regions lie; in another one than the calibration's, regions other than the
        hemispheres have the usual scale.

    Returns
    -------
    DataFrame
        With ``uptake_low``, ``uptake_high`` (not negative), ``asymmetry_low``, ``asymmetry_high`` and
        ``asymmetry_flag``.
    """
    table = measures.copy()
    level = calibration.levels.index(COVERAGE)
    for measure, names in measure_names(measures).items():
        scale = calibration.regional[measure]
        known = [name if template == calibration.template or name.startswith(HEMISPHERE) else "" for name in names]
        reach = scale.factors[level] * np.array([scale.scales.get(name, scale.usual) for name in known])
        table[f"{measure}_low"], table[f"{measure}_high"] = table[measure] - reach, table[measure] + reach
    table["uptake_low"] = table["uptake_low"].clip(lower=0)
    beyond = (table["asymmetry_low"] > 0) | (table["asymmetry_high"] < 0)
    return table.assign(asymmetry_flag=_flags(beyond, table["asymmetry"]))


def write_regional_intervals(output_dir: Path, prepared: PreparedCase, label: str, calibration: Calibration) -> Path:
    """Write the table of a synthetic image, beside the measured values where there is an interictal SPECT.

    Parameters
    ----------
    output_dir : Path
    prepared : PreparedCase
    label : str
        Of the model.
    calibration : Calibration
        That the participant did not go into.

    Raises
    ------
    ImageError
        An image cannot be read, or has no signal in the brain.
    """
    path = synthetic_path(output_dir, prepared, label)
    _, mask, affine = brain_and_evaluation_mask(prepared)
    synthetic = relative_uptake(np.asarray(load_image(path)[0].dataobj, dtype=np.float32), mask)
    if synthetic is None:
        raise ImageError(f"{path}: no signal in the brain")
    table = regional_intervals(regional_measures(synthetic, prepared, mask, affine), calibration, template_of(prepared))
    real = relative_uptake(unscaled(prepared, INTERICTAL), mask) if INTERICTAL in prepared.images else None
    measured = None if real is None else regional_measures(real, prepared, mask, affine)
    for measure, column in ((UPTAKE, "real"), (ASYMMETRY, "asymmetry_real")):
        values = pd.Series(np.nan, index=table.index) if measured is None else measured[measure]
        beyond = (values < table[f"{measure}_low"]) | (values > table[f"{measure}_high"])
        table[column], table[f"{column}_flag"] = values, _flags(beyond, values)
    identity: dict[str, Any] = {
        "participant_id": f"sub-{prepared.participant}",
        "session_id": f"ses-{prepared.session}" if prepared.session else "n/a",
        "model": label,
        "space": prepared.space,
        "template": template_of(prepared) or "n/a",
        "calibration_participants": calibration.n_participants,
    }
    target = regional_intervals_path(output_dir, prepared, label)
    write_table(target, table.assign(**identity)[list(REGIONAL_DICTIONARY)], REGIONAL_DICTIONARY, {"Synthetic": True})
    return target


def _flags(beyond: "pd.Series[bool]", values: "pd.Series[float]") -> "pd.Series[str]":
    return beyond.map({True: "yes", False: "no"}).where(values.notna(), "n/a")
