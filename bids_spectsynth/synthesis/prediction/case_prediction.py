"""From networks and a prepared case to a synthetic SPECT in memory: on the networks' scale and in units."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.synthesis.computing.computation import Computation
from bids_spectsynth.synthesis.data.harmonising import harmonised
from bids_spectsynth.synthesis.data.slices import UNKNOWN_UNITS, load_case
from bids_spectsynth.synthesis.models.card import ModelCard
from bids_spectsynth.synthesis.models.folder import Model
from bids_spectsynth.synthesis.models.training_scans import input_widths
from bids_spectsynth.synthesis.prediction.plausible import check_synthetic
from bids_spectsynth.synthesis.prediction.predict import network_input_size, predict_members
from bids_spectsynth.synthesis.prediction.units import mean_statistics, to_units

FloatArray = npt.NDArray[np.float64]
Volume = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Prediction:
    """A synthetic SPECT on the prepared grid.

    Parameters
    ----------
    scaled : array, shape (I, J, K), float32
        Mean output of the networks, in [-1, 1]; -1 throughout in slices without brain. On this scale networks are
        trained and rated: compare it with ``CaseArrays.target``.
    values : array, shape (I, J, K), float32
        The same in units: ``slope * scaled + intercept`` slice by slice, not negative. The mean in the brain is that
        of the training cohort; how much tracer this participant would have taken up as a whole is not known.
    standard_deviation : array, shape (I, J, K), float32, or None
        In units, 0 outside the brain; None where no samples were asked for.
    predicted_scale : array, shape (I, J, K), float32, or None
        How large the networks take their error to be, in units, 0 outside the brain; not calibrated. None where one of
        them predicts none.
    slope, intercept : array, shape (K,), float64
        Of each axial slice; 0 in slices without brain.
    mask : array, shape (I, J, K), bool
        Brain mask of the T1w.
    affine : array, shape (4, 4)
        Voxels to world, RAS+ mm.
    units : str
        Of the training cohort's SPECT; ``arbitrary`` where its sidecars named none.
    warning : str
        Why the image is less reliable than others; empty where nothing is known.
    """

    scaled: Volume
    values: Volume
    standard_deviation: Volume | None
    predicted_scale: Volume | None
    slope: FloatArray
    intercept: FloatArray
    mask: npt.NDArray[np.bool_]
    affine: FloatArray
    units: str
    warning: str = ""

    @property
    def image(self) -> nib.Nifti1Image:
        """The values in units as a NIfTI image, to be shown, or saved by ``nibabel.save``."""
        image = new_image(self.values, self.affine)
        image.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
        return image


@dataclass(frozen=True, eq=False)
class ErrorMaps:
    """How large the error of each voxel of a synthetic SPECT may be.

    Parameters
    ----------
    standard_deviation, lower, upper : array, shape (I, J, K), float32
        In the units of the image, 0 outside the brain; ``lower`` is not negative.
    entries : mapping of str to JSON values
        What the sidecars say of them.
    """

    standard_deviation: Volume
    lower: Volume
    upper: Volume
    entries: Mapping[str, Any]


def predict_case(
    models: Sequence[Model],
    prepared: PreparedCase,
    card: ModelCard,
    *,
    samples: int = 0,
    computation: Computation | None = None,
) -> Prediction:
    """The synthetic SPECT of a case; nothing is written.

    Parameters
    ----------
    models : sequence of Model
        One network, or those of an ensemble that serve this case; their outputs are averaged.
    prepared : PreparedCase
        That the models fit (:func:`bids_spectsynth.synthesis.models.fit.check_fit`). Of models that were trained with
        harmonised inputs, its PET is harmonised here where the case has no ``smoothing`` yet.
    card : ModelCard
        Of the whole model (:func:`whole_card`).
    samples : int
        Behind a standard deviation, 0 for none; see
        :func:`bids_spectsynth.synthesis.prediction.predict.predict_members`.
    computation : Computation, optional
        On the models' device; by default what suits that device.

    Raises
    ------
    ModelError
        The baselines of which a cohort prior is made are missing, or a slice does not fit into the GPU's memory.
    ImageError
        A prepared image is missing or damaged, or what the networks make of it is no image: not finite, constant, or
        far beyond the training cohort's range.
    """
    if not prepared.smoothing:
        prepared = harmonised(prepared, input_widths([model.card for model in models], "none"))
    arrays = load_case(prepared, card.inputs, card.scaling, target=False)
    output = predict_members(models, prepared, arrays, samples=samples, computation=computation)
    values, slope, intercept = to_units(output.mean, arrays.mask, card)
    check_synthetic(output.mean, values, arrays.mask, prepared.name, card.label)
    spreads = output.standard_deviation, None if output.log_scale is None else np.exp(output.log_scale)
    deviation, scale = (None if one is None else (slope * one * arrays.mask).astype(np.float32) for one in spreads)
    return Prediction(
        scaled=output.mean,
        values=values,
        standard_deviation=deviation,
        predicted_scale=scale,
        slope=slope,
        intercept=intercept,
        mask=arrays.mask,
        affine=arrays.affine,
        units=str(card.target_statistics.get("units", UNKNOWN_UNITS)),
        warning=larger_slices(models, arrays.mask),
    )


def whole_card(models: Sequence[Model], label: str | None) -> ModelCard:
    """Card of the whole model: its label (by default the first network's), and its networks' mean statistics."""
    cards = [model.card for model in models]
    return replace(cards[0], label=label or cards[0].label, target_statistics=mean_statistics(cards))


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
