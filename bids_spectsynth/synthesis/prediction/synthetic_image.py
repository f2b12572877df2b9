"""From a model and a prepared case to the files of a synthetic SPECT."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt

from bids_spectsynth.bids.names import source_uri
from bids_spectsynth.bids.output_files import ORIGINAL_SPACE, standard_deviation_path, synthetic_path
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import T1W
from bids_spectsynth.bids.writing import write_image
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.images.resampling import resample_linear
from bids_spectsynth.options.settings import T1W_SPACE, Settings
from bids_spectsynth.synthesis.computing.computation import prediction_computation
from bids_spectsynth.synthesis.data.slices import load_case
from bids_spectsynth.synthesis.models.card import ModelCard
from bids_spectsynth.synthesis.models.fit import check_fit
from bids_spectsynth.synthesis.models.folder import Model
from bids_spectsynth.synthesis.prediction.predict import network_input_size, predict_members
from bids_spectsynth.synthesis.prediction.reading import (
    original_grid,
)
from bids_spectsynth.synthesis.prediction.sidecar import (
    image_sidecar,
    standard_deviation_entries,
)
from bids_spectsynth.synthesis.prediction.units import mean_statistics, to_units

logger = logging.getLogger(__name__)

FloatArray = npt.NDArray[np.float64]
Volume = npt.NDArray[np.float32]


def synthesise(
    models: Sequence[Model], prepared: PreparedCase, output_dir: Path, settings: Settings, *, label: str | None = None
) -> Path:
    """Write the synthetic SPECT of a case.

    On the prepared grid and, in the T1w's space, also on the voxels of the participant's own T1w (trilinear). With
    ``--uncertainty`` its standard deviation too, on the prepared grid and in the same units
    (:func:`bids_spectsynth.synthesis.prediction.predict.predict_members`).

    Parameters
    ----------
    models : sequence of Model
        One network, or those of an ensemble that serve this case; their outputs are averaged.
    prepared : PreparedCase
    output_dir : Path
    settings : Settings
        For ``voxel_size``, ``uncertainty``, ``precision``, ``memory_format`` and ``bids_dir`` (to name sources).
    label : str, optional
        Of the whole model; by default that of the first network.

    Returns
    -------
    Path
        The image on the prepared grid; :func:`bids_spectsynth.synthesis.prediction.reading.network_output` reads it
        back.

    Raises
    ------
    ModelError
        The model does not fit the case.
    ImageError
        A prepared image or its sidecar is missing or damaged.
    """
    for model in models:
        check_fit(model.card, prepared, settings.voxel_size)
    card = _whole_card(models, label)
    native = original_grid(prepared.images[T1W]) if prepared.space == T1W_SPACE else None
    arrays = load_case(prepared, card.inputs, card.scaling, target=False)
    how = prediction_computation(models[0].device, settings.precision, settings.memory_format)
    output, sd_map = predict_members(models, prepared, arrays, samples=settings.uncertainty, computation=how)
    values, slope, intercept = to_units(output, arrays.mask, card)
    sidecar = image_sidecar(card, models, prepared, output_dir, settings) | {"Precision": how.precision}
    if size_warning := larger_slices(models, arrays.mask):
        logger.warning("%s: %s", prepared.name, size_warning)
        sidecar["SliceSizeWarning"] = size_warning
    path = synthetic_path(output_dir, prepared, card.label)
    source = source_uri(path, settings.bids_dir, output_dir)
    if native is not None:
        entries = {**sidecar, "SpatialReference": ORIGINAL_SPACE, "Sources": [source], "Interpolation": "trilinear"}
        native_path = synthetic_path(output_dir, prepared, card.label, space=ORIGINAL_SPACE)
        write_image(native_path, _on_grid(values, arrays.affine, *native), entries)
    if sd_map is not None:
        entries = {**sidecar, **standard_deviation_entries(models, settings.uncertainty)}
        entries["Sources"] = [*sidecar["Sources"], source]
        image = new_image((slope * sd_map * arrays.mask).astype(np.float32), arrays.affine)
        write_image(standard_deviation_path(output_dir, prepared, card.label), image, entries)
    scale = {"ScaleSlope": slope.tolist(), "ScaleIntercept": intercept.tolist()}
    write_image(path, new_image(values, arrays.affine), {**sidecar, **scale})
    logger.info("%s: %s", prepared.name, path)
    return path


def _on_grid(
    values: Volume, affine: FloatArray, shape: tuple[int, int, int], target_affine: FloatArray
) -> nib.Nifti1Image:
    return new_image(resample_linear(values, affine, shape, target_affine), target_affine)


def _whole_card(models: Sequence[Model], label: str | None) -> ModelCard:
    """Card of the whole model: its label, and its networks' mean statistics."""
    cards = [model.card for model in models]
    return dataclasses.replace(cards[0], label=label or cards[0].label, target_statistics=mean_statistics(cards))


def larger_slices(models: Sequence[Model], mask: npt.NDArray[np.bool_]) -> str:
    """A warning where networks are shown larger slices than they learned from; else nothing."""
    for model in models:
        size = network_input_size(model, mask)
        if model.card.is_cropped and size != model.card.slice_shape:
            learned = " x ".join(map(str, model.card.slice_shape))
            larger = " x ".join(map(str, size))
            return (
                f"the brain does not fit into the {learned} pixels that model {model.card.label} learned from; it was "
                f"shown {larger}, and its image is less reliable"
            )
    return ""
