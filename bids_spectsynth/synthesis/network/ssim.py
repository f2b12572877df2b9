"""A differentiable SSIM of slices."""

import torch
import torch.nn.functional as F
from torch import Tensor

#: Side of the Gaussian window and its standard deviation in pixels (Wang et al. 2004).
WINDOW = 11
SIGMA = 1.5
#: Network outputs lie in (-1, 1).
DATA_RANGE = 2.0
K1 = 0.01
K2 = 0.03


def ssim_map(first: Tensor, second: Tensor) -> Tensor:
    """Local structural similarity wherever the window fits inside the slice.

    Parameters
    ----------
    first, second : tensor, shape (N, 1, H, W)
        Slices in (-1, 1), at least 11 x 11 pixels.

    Returns
    -------
    tensor, shape (N, 1, H - 10, W - 10), float32
        -1 to 1. Element (0, 0) belongs to pixel (5, 5).

    Notes
    -----
    Gaussian window 11 x 11, sigma 1.5, population covariance, data range 2, K1 0.01, K2 0.03: the mean of the map
    equals ``skimage.metrics.structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)``,
    which leaves the same border out. Computed in float32 even under autocast: differences of squares need it.

    References
    ----------
    Wang Z et al. Image quality assessment: from error visibility to structural similarity. IEEE TIP 2004;13:600-612.
    """
    with torch.autocast(device_type=first.device.type, enabled=False):
        a, b = first.float(), second.float()
        window = _window(a.device)
        n = a.shape[0]
        moments = _blur(torch.cat([a, b, a * a, b * b, a * b]), window)
        mean_a, mean_b, square_a, square_b, product = moments.reshape(5, n, *moments.shape[1:])
        variance_a = square_a - mean_a * mean_a
        variance_b = square_b - mean_b * mean_b
        covariance = product - mean_a * mean_b
        c1, c2 = (K1 * DATA_RANGE) ** 2, (K2 * DATA_RANGE) ** 2
        numerator = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
        denominator = (mean_a * mean_a + mean_b * mean_b + c1) * (variance_a + variance_b + c2)
        similarity: Tensor = numerator / denominator
        return similarity


def _window(device: torch.device) -> Tensor:
    distance = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    weights = torch.exp(-0.5 * (distance / SIGMA) ** 2)
    return (weights / weights.sum()).to(device=device, dtype=torch.float32)


def _blur(image: Tensor, window: Tensor) -> Tensor:
    rows = F.conv2d(image, window.reshape(1, 1, -1, 1))
    return F.conv2d(rows, window.reshape(1, 1, 1, -1))


def ssim(first: Tensor, second: Tensor) -> Tensor:
    """Mean structural similarity of the slices (scalar tensor); see :func:`ssim_map`."""
    return ssim_map(first, second).mean()
