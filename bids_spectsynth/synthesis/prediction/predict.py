"""Network output for a volume: one network, several, or one with its dropout left on."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.synthesis.baselines.fitted import Baselines
from bids_spectsynth.synthesis.computing.computation import Computation, prediction_computation
from bids_spectsynth.synthesis.computing.devices import smaller_batch
from bids_spectsynth.synthesis.computing.seeds import derived_seed, seed_dropout
from bids_spectsynth.synthesis.data.cropping import Size, brain_size, crop
from bids_spectsynth.synthesis.data.orientation import from_slices, to_slices
from bids_spectsynth.synthesis.data.slices import CaseArrays, with_image
from bids_spectsynth.synthesis.data.through_slice import brain_slices
from bids_spectsynth.synthesis.models.folder import Model
from bids_spectsynth.synthesis.network.channels import predict_slices
from bids_spectsynth.synthesis.network.prior_channel import cohort_prior

logger = logging.getLogger(__name__)

Volume = npt.NDArray[np.float32]

BATCH_SIZE = 8


def predict(
    model: Model, arrays: CaseArrays, *, batch_size: int = BATCH_SIZE, computation: Computation | None = None
) -> Volume:
    """Network output for every axial slice, in evaluation mode: nothing in the model changes.

    Parameters
    ----------
    model : Model
    arrays : CaseArrays
        Inputs (C, I, J, K) in (-1, 1) and the brain mask.
    batch_size : int
        Slices at a time; halved where they do not fit into a GPU's memory.
    computation : Computation, optional
        On the model's device; by default what suits that device.

    Returns
    -------
    array, shape (I, J, K), float32
        In [-1, 1]; -1 throughout in slices without brain, for which the network is not run, and outside the box of a
        network for cropped slices.

    Raises
    ------
    ModelError
        A single slice does not fit into the GPU's memory.
    """
    return predict_with_scale(model, arrays, batch_size=batch_size, computation=computation)[0]


def predict_with_scale(
    model: Model, arrays: CaseArrays, *, batch_size: int = BATCH_SIZE, computation: Computation | None = None
) -> tuple[Volume, Volume | None]:
    """Network output, and how large the network takes its error to be.

    Parameters
    ----------
    model, arrays, batch_size, computation
        See :func:`predict`.

    Returns
    -------
    output : array, shape (I, J, K), float32
        See :func:`predict`.
    log_scale : array, shape (I, J, K), float32, or None
        Logarithm of the scale of the output's error; -20 where the output is -1 by definition. None of a network that
        was trained without the loss ``scale``.

    Raises
    ------
    ModelError
        A single slice does not fit into the GPU's memory.
    """
    network, recipe = model.generator, model.recipe
    how = computation or prediction_computation(model.device)
    stack, mask = (to_slices(v, recipe.orientation, fill) for v, fill in ((arrays.inputs, -1), (arrays.mask, False)))
    size = network_input_size(model, arrays.mask)
    stack = crop(stack, size)
    outputs = [np.full(mask.shape, fill, dtype=np.float32) for fill in (-1, -20)[: 1 + model.predicts_scale]]
    within = [crop(output, size) for output in outputs]
    was_training = network.training
    network.eval()
    network.to(memory_format=how.memory_format)  # type: ignore[call-overload]
    with torch.inference_mode():
        slices = brain_slices(mask)
        while len(slices):
            k = slices[:batch_size]
            batch = torch.from_numpy(_channels(stack, k, recipe.neighbours))
            try:
                with how.autocast():
                    synthetic = predict_slices(network, batch.to(how.device, memory_format=how.memory_format), recipe)
                for channel, part in enumerate(within):
                    part[..., k] = np.moveaxis(synthetic[:, channel].cpu().numpy(), 0, -1)
            except torch.cuda.OutOfMemoryError:
                batch_size = smaller_batch(len(k))
                continue
            slices = slices[len(k) :]
    network.train(was_training)
    i, j, n = arrays.mask.shape
    volumes = [np.ascontiguousarray(from_slices(output, recipe.orientation, (i, j, n))) for output in outputs]
    return volumes[0], volumes[1] if model.predicts_scale else None


def network_input_size(model: Model, mask: npt.NDArray[np.bool_]) -> Size:
    """Height and width of the slices that a network is shown of a head.

    Those that it learned from; larger ones, by steps, where the brain does not fit into them.

    Parameters
    ----------
    model : Model
    mask : array, shape (I, J, K), bool
        Brain mask.
    """
    stack = to_slices(mask, model.recipe.orientation, False)
    whole = (stack.shape[0], stack.shape[1])
    return brain_size(stack, model.card.slice_shape) if model.card.is_cropped else whole


def _channels(stack: Volume, k: npt.NDArray[np.intp], neighbours: int) -> Volume:
    """Input channels (len(k), C (2 neighbours + 1), H, W) of slices k of a stack (C, H, W, S)."""
    around = (k[:, None] + np.arange(-neighbours, neighbours + 1)).clip(0, stack.shape[-1] - 1)
    # (C, H, W, len(k), 2 neighbours + 1), slices and their neighbours to the front.
    batch = np.moveaxis(stack[..., around], (3, 0, 4), (0, 1, 2))
    return np.ascontiguousarray(batch.reshape(len(k), -1, *stack.shape[1:3]))


def with_members_prior(model: Model, prepared: PreparedCase, arrays: CaseArrays) -> CaseArrays:
    """The case with the cohort prior of the model's own training participants, if the model sees one.

    Parameters
    ----------
    model : Model
    prepared : PreparedCase
    arrays : CaseArrays
        Its images, without a prior.

    Raises
    ------
    ModelError
        The model's baselines are missing, or the case has no transform to their template.
    """
    if not model.recipe.prior:
        return arrays
    return with_image(arrays, cohort_prior(Baselines.load(model.folder), prepared, arrays))


@dataclass(frozen=True, eq=False)
class Output:
    """What one or more networks make of a case.

    Parameters
    ----------
    mean : array, shape (I, J, K), float32
        In [-1, 1]. Of one network, its output without dropout.
    standard_deviation : array, shape (I, J, K), float32, or None
        On the same scale, not negative, 0 in slices without brain: of several networks' outputs or of one network's
        samples. None where no samples were asked for.
    log_scale : array, shape (I, J, K), float32, or None
        Mean over the networks of :func:`predict_with_scale`; None where one of them predicts none.
    """

    mean: Volume
    standard_deviation: Volume | None
    log_scale: Volume | None


def predict_members(
    models: Sequence[Model],
    prepared: PreparedCase,
    arrays: CaseArrays,
    *,
    samples: int = 0,
    computation: Computation | None = None,
) -> Output:
    """Mean network output of one or more networks, how much they disagree, and how large they take their error to be.

    Parameters
    ----------
    models : sequence of Model
        Of one scaling and the same input images.
    prepared : PreparedCase
    arrays : CaseArrays
        Inputs (C, I, J, K) in (-1, 1), without a cohort prior.
    samples : int
        0: no standard deviation. Otherwise, with several networks, that of their outputs (n - 1); with one, that of
        so many outputs with its dropout left on (Gal Y, Ghahramani Z. Dropout as a Bayesian approximation. ICML 2016).
    computation : Computation, optional
        See :func:`predict`.

    Returns
    -------
    Output
    """
    found = [
        predict_with_scale(model, with_members_prior(model, prepared, arrays), computation=computation)
        for model in models
    ]
    outputs, scales = [output for output, _ in found], [scale for _, scale in found if scale is not None]
    mean = np.asarray(np.mean(outputs, axis=0, dtype=np.float64), dtype=np.float32)
    log_scale = None
    if len(scales) == len(models):
        log_scale = np.asarray(np.mean(scales, axis=0, dtype=np.float64), dtype=np.float32)
    if not samples:
        return Output(mean, None, log_scale)
    if len(models) == 1:
        inputs = with_members_prior(models[0], prepared, arrays)
        outputs = [_dropout_sample(models[0], inputs, number, computation) for number in range(samples)]
    deviation = np.asarray(np.std(outputs, axis=0, ddof=1, dtype=np.float64), dtype=np.float32)
    return Output(mean, deviation, log_scale)


def _dropout_sample(model: Model, arrays: CaseArrays, number: int, computation: Computation | None) -> Volume:
    with torch.random.fork_rng([model.device] if model.device.type == "cuda" else []), _dropout_on(model.generator):
        seed_dropout(model.device, derived_seed(model.card.weights_sha256, "dropout", number))
        return predict(model, arrays, computation=computation)


def _into_training_mode(layer: nn.Module, inputs: object) -> None:
    layer.train()


@contextmanager
def _dropout_on(network: nn.Module) -> Iterator[None]:
    """While the block lasts, dropout stays on although the network predicts; batch norm does not change."""
    layers = [module for module in network.modules() if isinstance(module, nn.Dropout)]
    # Prediction puts the whole network into evaluation mode; each dropout layer is put back just before its turn.
    handles = [layer.register_forward_pre_hook(_into_training_mode) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for layer in layers:
            layer.eval()
