"""From a model and a prepared case to the files of a synthetic SPECT."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bids_spectsynth.bids.names import source_uri
from bids_spectsynth.bids.output_files import (
    ORIGINAL_SPACE,
    standard_deviation_path,
    synthetic_path,
)
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import INTERICTAL, T1W
from bids_spectsynth.bids.writing import write_image
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.images.resampling import resample_linear
from bids_spectsynth.options.settings import T1W_SPACE, Settings
from bids_spectsynth.synthesis.computing.computation import prediction_computation
from bids_spectsynth.synthesis.data.harmonising import harmonised
from bids_spectsynth.synthesis.models.fit import check_fit
from bids_spectsynth.synthesis.models.folder import Model
from bids_spectsynth.synthesis.models.training_scans import input_widths, scan_entries
from bids_spectsynth.synthesis.prediction.case_prediction import (
    ErrorMaps,
    Prediction,
    predict_case,
    whole_card,
)
from bids_spectsynth.synthesis.prediction.reading import (
    original_grid,
)
from bids_spectsynth.synthesis.prediction.sidecar import (
    image_sidecar,
    standard_deviation_entries,
)

logger = logging.getLogger(__name__)

FloatArray = npt.NDArray[np.float64]
Volume = npt.NDArray[np.float32]


def synthesise(
    models: Sequence[Model],
    prepared: PreparedCase,
    output_dir: Path,
    settings: Settings,
    *,
    label: str | None = None,
    error_maps: Callable[[Prediction, PreparedCase], ErrorMaps] | None = None,
) -> Path:
    """Write the synthetic SPECT of a case.

    On the prepared grid and, in the T1w's space, also on the voxels of the participant's own T1w (trilinear). With
    ``--uncertainty`` its standard deviation too, on the prepared grid: of samples or of the error, with an interval.

    Parameters
    ----------
    models : sequence of Model
        One network, or those of an ensemble that serve this case; their outputs are averaged.
    prepared : PreparedCase
    output_dir : Path
    settings : Settings
        For ``voxel_size``, ``uncertainty``, ``precision``, ``memory_format``, ``harmonise`` and ``bids_dir`` (to name
        sources).
    label : str, optional
        Of the whole model; by default that of the first network.
    error_maps : callable, optional
        Makes standard deviation and interval of a prediction.

    Returns
    -------
    Path

    Raises
    ------
    ModelError
        The model does not fit the case.
    ImageError
        A prepared image or its sidecar is missing or damaged.
    """
    card, device = whole_card(models, label), models[0].device
    _check_all(models, prepared, settings)
    prepared, scans = _as_in_training(models, prepared, settings)
    how = prediction_computation(device, settings.precision, settings.memory_format)
    found = predict_case(models, prepared, card, samples=settings.samples, computation=how)
    facts = {"Precision": how.precision, **_size_warning(found, prepared), **scans}
    sidecar = image_sidecar(card, models, prepared, output_dir, settings) | facts
    path = synthetic_path(output_dir, prepared, card.label)
    source = source_uri(path, settings.bids_dir, output_dir)
    if prepared.space == T1W_SPACE:
        own_path = synthetic_path(output_dir, prepared, card.label, space=ORIGINAL_SPACE)
        _write_on_grid(own_path, found, *original_grid(prepared.images[T1W]), {**sidecar, "Sources": [source]})
    if error_maps is not None:
        _write_error_maps(error_maps(found, prepared), found.affine, path, {**sidecar, "Sources": [source]})
    elif found.standard_deviation is not None:
        entries = standard_deviation_entries(models, settings.samples) | {"Sources": [*sidecar["Sources"], source]}
        _write_deviation(standard_deviation_path(output_dir, prepared, card.label), found, {**sidecar, **entries})
    scale = {"ScaleSlope": found.slope.tolist(), "ScaleIntercept": found.intercept.tolist()}
    write_image(path, new_image(found.values, found.affine), {**sidecar, **scale})
    logger.info("%s: %s", prepared.name, path)
    return path


def _write_deviation(path: Path, found: Prediction, sidecar: Mapping[str, Any]) -> None:
    if found.standard_deviation is not None:
        write_image(path, new_image(found.standard_deviation, found.affine), sidecar)


def _check_all(models: Sequence[Model], prepared: PreparedCase, settings: Settings) -> None:
    for model in models:
        check_fit(model.card, prepared, settings.voxel_size)


def _as_in_training(
    models: Sequence[Model], prepared: PreparedCase, settings: Settings
) -> tuple[PreparedCase, dict[str, Any]]:
    """The case with inputs as blurred as those of the training, where so requested, and what is to be said of them."""
    cards = [model.card for model in models]
    targets = input_widths(cards, settings.harmonise)
    case = harmonised(prepared, targets)
    return case, scan_entries(cards, case, targets)


def _size_warning(found: Prediction, prepared: PreparedCase) -> dict[str, str]:
    if not found.warning:
        return {}
    logger.warning("%s: %s", prepared.name, found.warning)
    return {"SliceSizeWarning": found.warning}


def _write_error_maps(maps: ErrorMaps, affine: FloatArray, image: Path, sidecar: Mapping[str, Any]) -> None:
    """Write standard deviation and ends of the interval beside the image, whose label their names begin with."""
    coverage = f"{100 * maps.entries['IntervalCoverage']:g} %"
    units = "As of the synthetic SPECT that it belongs to; 0 outside the brain."
    described = (
        ("Sd", maps.standard_deviation, "Standard deviation of the error of a synthetic interictal SPECT",
         "StandardDeviationOf"),
        ("Lower", maps.lower, f"Lower end of the {coverage} interval of a synthetic interictal SPECT", "IntervalOf"),
        ("Upper", maps.upper, f"Upper end of the {coverage} interval of a synthetic interictal SPECT", "IntervalOf"),
    )  # fmt: skip
    for end, values, description, key in described:
        path = image.with_name(image.name.replace("_spect.nii.gz", f"{end}_spect.nii.gz"))
        entries = {**sidecar, "Description": f"{description}; not a measurement", "UnitsDescription": units}
        write_image(path, new_image(values, affine), {**entries, key: INTERICTAL, **maps.entries})


def _write_on_grid(
    path: Path, found: Prediction, shape: tuple[int, int, int], affine: FloatArray, sidecar: Mapping[str, Any]
) -> None:
    """Write an image on the voxels of the participant's own T1w."""
    values = resample_linear(found.values, found.affine, shape, affine)
    entries = {**sidecar, "SpatialReference": ORIGINAL_SPACE, "Interpolation": "trilinear"}
    write_image(path, new_image(values, affine), entries)
