"""How well the generator does on the validation subjects while it is trained."""

from collections.abc import Callable

import torch
from torch import Tensor

from bids_spectsynth.synthesis.computing.computation import Computation
from bids_spectsynth.synthesis.computing.devices import smaller_batch
from bids_spectsynth.synthesis.data.cropping import crop_batch
from bids_spectsynth.synthesis.data.dataset import SliceData
from bids_spectsynth.synthesis.data.storage import decode, decoded_on
from bids_spectsynth.synthesis.network.channels import predict_slices
from bids_spectsynth.synthesis.network.networks import UNetGenerator
from bids_spectsynth.synthesis.network.recipe import Recipe
from bids_spectsynth.synthesis.network.ssim import WINDOW, ssim_map


def _go_on() -> bool:
    return False


def validate(
    generator: UNetGenerator,
    data: SliceData,
    batch_size: int,
    computation: Computation,
    stopped: Callable[[], bool] = _go_on,
    recipe: Recipe | None = None,
) -> dict[str, float] | None:
    """In-brain metrics on the (-1, 1) scale, in evaluation mode, without any change to the network.

    Parameters
    ----------
    generator : UNetGenerator
    data : SliceData
        Validation slices, with masks.
    batch_size : int
        Halved where a batch does not fit into a GPU's memory.
    computation : Computation
        As for training.
    stopped : callable
        Asked before every batch; True ends the validation without a result.
    recipe : Recipe, optional
        What is done around the network; nothing by default.

    Returns
    -------
    dict, or None where it was stopped
        ``rmse`` (root of the mean square over a subject's evaluation mask: brain where the SPECT was measured) and
        ``ssim`` (mean over them), each averaged over the subjects.

    Raises
    ------
    ModelError
        A single slice does not fit into the GPU's memory.
    """
    was_training = generator.training
    generator.eval()
    sums = _sums_by_case(generator, data, batch_size, computation, stopped, recipe)
    generator.train(was_training)
    if sums is None:
        return None
    seen = sums[(sums[:, 1] > 0) & (sums[:, 3] > 0)]
    rmse, ssim = (seen[:, 0] / seen[:, 1]).sqrt().mean(), (seen[:, 2] / seen[:, 3]).mean()
    return {"rmse": float(rmse), "ssim": float(ssim)}


def _sums_by_case(
    generator: UNetGenerator,
    data: SliceData,
    batch_size: int,
    computation: Computation,
    stopped: Callable[[], bool],
    recipe: Recipe | None,
) -> Tensor | None:
    """Sum of squares, voxels, sum of SSIM, and voxels where SSIM's window fits, of each case; None where stopped."""
    sums = torch.zeros(data.layout.n_cases, 4, dtype=torch.float64)
    recipe = recipe or Recipe(n_images=data.layout.channels)
    with torch.inference_mode():
        for size, left in data.by_size().items():
            while len(left):
                if stopped():
                    return None
                rows = left[:batch_size]
                try:
                    inputs = decoded_on(crop_batch(data.inputs(rows), size), computation)
                    with computation.autocast():
                        synthetic = predict_slices(generator, inputs, recipe)
                    targets, masks = (crop_batch(part[rows], size) for part in (data.targets, data.masks))
                    sums_of_rows = _sums(synthetic[:, :1], decode(targets), masks)
                except torch.cuda.OutOfMemoryError:
                    batch_size = smaller_batch(len(rows))
                    continue
                sums.index_add_(0, data.cases[rows], sums_of_rows)
                left = left[len(rows) :]
    return sums


def _sums(synthetic: Tensor, targets: Tensor, masks: Tensor) -> Tensor:
    targets, masks = targets.to(synthetic.device), masks.to(synthetic.device)
    margin = WINDOW // 2
    inner = masks[..., margin:-margin, margin:-margin].double()
    over = (1, 2, 3)
    squares = (((synthetic - targets) ** 2) * masks).double().sum(over)
    similarity = (ssim_map(synthetic, targets).double() * inner).sum(over)
    return torch.stack([squares, masks.sum(over).double(), similarity, inner.sum(over)], dim=1).cpu()
