"""How well the generator does on the validation subjects while it is trained."""

import torch
from torch import Tensor

from bids_spectsynth.synthesis.devices import Precision, autocast, memory_format
from bids_spectsynth.synthesis.losses import WINDOW, ssim_map
from bids_spectsynth.synthesis.networks import UNetGenerator
from bids_spectsynth.synthesis.training_data import SliceData


def validate(
    generator: UNetGenerator, data: SliceData, batch_size: int, device: torch.device, precision: Precision
) -> dict[str, float]:
    """In-brain metrics on the (-1, 1) scale, in evaluation mode, without any change to the network.

    Parameters
    ----------
    generator : UNetGenerator
    data : SliceData
        Validation slices, with masks.
    batch_size : int
    device, precision
        As for training.

    Returns
    -------
    dict
        ``rmse`` (root of the mean square over a subject's brain voxels) and ``ssim`` (mean over them), each averaged
        over the subjects.
    """
    n_cases = int(data.cases.max()) + 1
    # Columns: sum of squares, voxels, sum of SSIM, voxels where SSIM's window fits.
    sums = torch.zeros(n_cases, 4, dtype=torch.float64)
    layout = memory_format(device, precision)
    was_training = generator.training
    generator.eval()
    with torch.inference_mode():
        for rows in torch.split(torch.arange(len(data)), batch_size):
            inputs = data.inputs[rows].to(device, memory_format=layout)
            with autocast(device, precision):
                made = generator(inputs).float()
            sums.index_add_(0, data.cases[rows], _sums(made, data.targets[rows], data.masks[rows]))
    generator.train(was_training)
    seen = sums[(sums[:, 1] > 0) & (sums[:, 3] > 0)]
    rmse, ssim = (seen[:, 0] / seen[:, 1]).sqrt().mean(), (seen[:, 2] / seen[:, 3]).mean()
    return {"rmse": float(rmse), "ssim": float(ssim)}


def _sums(made: Tensor, targets: Tensor, masks: Tensor) -> Tensor:
    targets, masks = targets.to(made.device), masks.to(made.device)
    margin = WINDOW // 2
    inner = masks[..., margin:-margin, margin:-margin].double()
    over = (1, 2, 3)
    squares = (((made - targets) ** 2) * masks).double().sum(over)
    similarity = (ssim_map(made, targets).double() * inner).sum(over)
    return torch.stack([squares, masks.sum(over).double(), similarity, inner.sum(over)], dim=1).cpu()
