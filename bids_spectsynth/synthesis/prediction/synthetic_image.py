"""From a model and a prepared case to a synthetic SPECT volume, and its way to and from the file."""

import dataclasses
import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bids_spectsynth.bids.names import source_uri
from bids_spectsynth.bids.output_files import ORIGINAL_SPACE, deviation_path, synthetic_path
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import T1W
from bids_spectsynth.bids.sidecars import load_object, sidecar_path
from bids_spectsynth.bids.writing import write_image
from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.images.nifti import READ_ERRORS, opened_image
from bids_spectsynth.images.resampling import resample_linear
from bids_spectsynth.options.settings import T1W_SPACE, Settings
from bids_spectsynth.synthesis.computing.computation import prediction_computation
from bids_spectsynth.synthesis.data.slices import UNKNOWN_UNITS, load_case
from bids_spectsynth.synthesis.data.through_slice import slice_gains
from bids_spectsynth.synthesis.models.folder import CARD_FILE, Model, ModelCard, check_fit
from bids_spectsynth.synthesis.prediction.predict import predict_members, shown_size

logger = logging.getLogger(__name__)

FloatArray = npt.NDArray[np.float64]
Volume = npt.NDArray[np.float32]

DESCRIPTION = "Synthetic interictal SPECT; not a measurement"
#: Sidecar keys of the prepared T1w that tell the voxels of the participant's own T1w.
SHAPE_KEY = "OriginalShape"
AFFINE_KEY = "OriginalAffine"


def to_units(output: Volume, mask: npt.NDArray[np.bool_], card: ModelCard) -> tuple[Volume, FloatArray, FloatArray]:
    """Network output in the units of the training cohort.

    With slice scaling each slice gets the gain that removes the steps between slices
    (:func:`bids_spectsynth.synthesis.data.through_slice.slice_gains`); with volume scaling one gain serves all.
    Then all is multiplied so that the mean in the brain is that of the training cohort's SPECTs: how much tracer this
    participant would have taken up as a whole cannot be known from the inputs.

    Parameters
    ----------
    output : array, shape (I, J, K), float32
        In [-1, 1]; -1 stands for 0.
    mask : array, shape (I, J, K), bool
    card : ModelCard

    Returns
    -------
    values : array, shape (I, J, K), float32
        ``slope * output + intercept`` slice by slice, not negative.
    slope, intercept : array, shape (K,), float64
        Equal, so that -1 becomes 0; both 0 in slices without brain.
    """
    statistics = card.target_statistics
    if card.scaling == "slice":
        gains = slice_gains(output, mask, np.array(statistics["log_gain"]), np.array(statistics["log_step"]))
    else:
        gains = np.asarray(mask.any(axis=(0, 1)), dtype=np.float64)
    slope = gains / 2
    mean = float((slope * (output + np.float32(1)))[mask].mean()) if mask.any() else 0.0
    if mean > 0:
        slope *= float(statistics["mean_in_brain"]) / mean
    values = (slope * output + slope).astype(np.float32)
    return values, slope, slope.copy()


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
        The image on the prepared grid; :func:`network_output` reads it back.

    Raises
    ------
    ModelError
        The model does not fit the case.
    ImageError
        A prepared image or its sidecar is missing or damaged.
    """
    for model in models:
        check_fit(model.card, prepared, settings.voxel_size)
    card = dataclasses.replace(
        models[0].card,
        label=label or models[0].card.label,
        target_statistics=mean_statistics([model.card for model in models]),
    )
    native = original_grid(prepared.images[T1W]) if prepared.space == T1W_SPACE else None
    arrays = load_case(prepared, card.inputs, card.scaling, target=False)
    how = prediction_computation(models[0].device, settings.precision, settings.memory_format)
    output, deviation = predict_members(models, prepared, arrays, samples=settings.uncertainty, computation=how)
    values, slope, intercept = to_units(output, arrays.mask, card)
    size_warning = larger_slices(models, arrays.mask)
    if size_warning:
        logger.warning("%s: %s", prepared.name, size_warning)
    sidecar = {
        **_sidecar(card, models, prepared, output_dir, settings),
        "Precision": how.precision,
        **({"SliceSizeWarning": size_warning} if size_warning else {}),
    }
    path = synthetic_path(output_dir, prepared, card.label)
    source = source_uri(path, settings.bids_dir, output_dir)
    if native is not None:
        shape, affine = native
        moved = new_image(resample_linear(values, arrays.affine, shape, affine), affine)
        own = {**sidecar, "SpatialReference": ORIGINAL_SPACE, "Sources": [source], "Interpolation": "trilinear"}
        write_image(synthetic_path(output_dir, prepared, card.label, space=ORIGINAL_SPACE), moved, own)
    if deviation is not None:
        spread = new_image((slope * deviation * arrays.mask).astype(np.float32), arrays.affine)
        sources = [*sidecar["Sources"], source]
        own = {**sidecar, **_deviation_facts(models, settings.uncertainty), "Sources": sources}
        write_image(deviation_path(output_dir, prepared, card.label), spread, own)
    scale = {"ScaleSlope": slope.tolist(), "ScaleIntercept": intercept.tolist()}
    write_image(path, new_image(values, arrays.affine), {**sidecar, **scale})
    logger.info("%s: %s", prepared.name, path)
    return path


def larger_slices(models: Sequence[Model], mask: npt.NDArray[np.bool_]) -> str:
    """A warning where networks are shown larger slices than they learned from; else nothing."""
    for model in models:
        shown = shown_size(model, mask)
        if model.card.is_cropped and shown != model.card.slice_shape:
            learned = " x ".join(map(str, model.card.slice_shape))
            given = " x ".join(map(str, shown))
            return (
                f"the brain does not fit into the {learned} pixels that model {model.card.label} learned from; it was "
                f"shown {given}, and its image is less reliable"
            )
    return ""


def _deviation_facts(models: Sequence[Model], samples: int) -> dict[str, Any]:
    """What the sidecar of a standard deviation says beyond that of the image."""
    among = f"the outputs of {len(models)} networks" if len(models) > 1 else f"{samples} outputs with dropout left on"
    return {
        "Description": f"Standard deviation of a synthetic interictal SPECT over {among}; not a measurement",
        "StandardDeviationOf": models[0].card.target,
        "Samples": len(models) if len(models) > 1 else samples,
        "SampledBy": "ensemble" if len(models) > 1 else "dropout",
        "UnitsDescription": "As of the synthetic SPECT that it belongs to; 0 outside the brain.",
        "UncertaintyDescription": (
            "How much networks disagree, not how far they all are from the truth: compare it with the calibration in "
            "the group report."
        ),
    }


def mean_statistics(cards: Sequence[ModelCard]) -> Mapping[str, Any]:
    """Target statistics of an ensemble: the mean over its networks' cohorts."""
    statistics = [card.target_statistics for card in cards]
    if len(statistics) == 1:
        return statistics[0]
    names = ("mean_in_brain", "log_gain", "log_step")
    means = {name: np.mean([one[name] for one in statistics], axis=0).tolist() for name in names}
    units = {one["units"] for one in statistics}
    return {**statistics[0], **means, "units": units.pop() if len(units) == 1 else UNKNOWN_UNITS}


def model_checksum(cards: Sequence[ModelCard]) -> str:
    """What tells the network, or the networks together, from all others: ``sha256:`` and hexadecimal digits.

    Of one network without a cohort prior it is the checksum of its weights.
    """
    own = [part for card in cards for part in (card.weights_sha256, card.prior_sha256) if part]
    return f"sha256:{own[0] if len(own) == 1 else hashlib.sha256(' '.join(own).encode()).hexdigest()}"


def _sidecar(
    card: ModelCard, models: Sequence[Model], prepared: PreparedCase, output_dir: Path, settings: Settings
) -> dict[str, Any]:
    used = [prepared.images[role] for role in card.inputs] + [prepared.masks[T1W]]
    units = card.target_statistics["units"]
    correction = "one factor for all slices"
    if card.scaling == "slice":
        correction = (
            "a factor for each axial slice, by least squares from the ratios of neighbouring slices' medians in the "
            "brain and from the training cohort's factors at the same relative height"
        )
    return {
        "Description": DESCRIPTION,
        "Synthetic": True,
        "Statement": card.statement,
        "Model": card.label,
        **_model_uri([model.folder for model in models], output_dir),
        "ModelChecksum": model_checksum([model.card for model in models]),
        "NumberOfNetworks": len(models),
        "ModelLicense": card.licence,
        **({"ModelTrainedOnPhantom": True} if card.phantom else {}),
        "Scaling": card.scaling,
        "Units": units,
        "UnitsDescription": (
            f"Multiplied so that the mean in the brain is {card.target_statistics['mean_in_brain']:.6g} ({units}), the "
            f"mean of the training cohort's SPECTs; {correction}. On the prepared grid, value = ScaleSlope * network "
            "output + ScaleIntercept, slice by slice."
        ),
        "SpatialReference": prepared.space,
        "SkullStripped": True,
        "Sources": [source_uri(path, settings.bids_dir, output_dir) for path in used],
    }


def _model_uri(folders: Sequence[Path], output_dir: Path) -> dict[str, str | list[str]]:
    """URIs of the cards, if the model lies in the output folder; another place would tell of this machine only."""
    root = output_dir.resolve()
    cards = [(folder / CARD_FILE).resolve() for folder in folders]
    if not all(card.is_relative_to(root) for card in cards):
        return {}
    uris = [f"bids::{card.relative_to(root).as_posix()}" for card in cards]
    return {"ModelURI": uris[0] if len(uris) == 1 else uris}


def original_grid(path: Path) -> tuple[tuple[int, int, int], FloatArray]:
    """Shape and affine of a participant's own T1w, from the sidecar of the prepared one.

    Raises
    ------
    ImageError
        The sidecar is missing or does not tell.
    """
    sidecar = sidecar_path(path)
    content = _read_sidecar(sidecar)
    try:
        i, j, k = (int(n) for n in content[SHAPE_KEY])
        affine = np.asarray(content[AFFINE_KEY], dtype=np.float64)
        if affine.shape != (4, 4) or not abs(np.linalg.det(affine)) > 0 or min(i, j, k) < 1:
            raise ValueError("not a usable grid")
    except (KeyError, TypeError, ValueError) as error:
        raise ImageError(
            f"{sidecar}: {SHAPE_KEY} or {AFFINE_KEY} missing or damaged ({error}); prepare the participant again"
        ) from error
    return (i, j, k), affine


def _read_sidecar(path: Path) -> Mapping[str, Any]:
    try:
        return load_object(path)
    except (OSError, ValueError) as error:
        raise ImageError(f"{path}: cannot read the sidecar ({error}); run this participant again") from error
    except TypeError as error:
        raise ImageError(f"{path}: not a JSON object; run this participant again") from error


def network_output(path: Path) -> Volume:
    """Network output (I, J, K) in [-1, 1] of a synthetic SPECT on the prepared grid, from image and sidecar.

    Slices without brain, whose scale is 0, are -1.

    Raises
    ------
    ImageError
        Image or sidecar are missing or damaged, or are not of :func:`synthesise`.
    """
    content = _read_sidecar(sidecar_path(path))
    try:
        with opened_image(path) as image:
            values = np.asarray(image.dataobj, dtype=np.float32)
        slope = np.asarray(content["ScaleSlope"], dtype=np.float64)
        intercept = np.asarray(content["ScaleIntercept"], dtype=np.float64)
        if values.ndim != 3 or slope.shape != (values.shape[2],) or intercept.shape != slope.shape:
            raise ValueError("the scales do not fit the image")
    except (*READ_ERRORS, KeyError) as error:
        raise ImageError(
            f"{path}: no synthetic SPECT of this software, or damaged ({error}); apply the model again"
        ) from error
    inverse = np.divide(1.0, slope, out=np.zeros_like(slope), where=slope > 0)
    output = np.where(slope > 0, (values - intercept) * inverse, -1.0)
    return np.clip(output, -1, 1).astype(np.float32)
