"""The terms of the generator's and the discriminator's loss, and a differentiable SSIM."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bids_spectsynth.options.settings import AdversarialLoss

#: Side of the Gaussian window and its standard deviation in pixels (Wang et al. 2004).
WINDOW = 11
SIGMA = 1.5
#: Network outputs lie in (-1, 1).
DATA_RANGE = 2.0
K1 = 0.01
K2 = 0.03


@dataclass(frozen=True)
class GeneratorLoss:
    """The generator's loss and its terms, unweighted; a term of weight 0 is not computed and is NaN."""

    total: Tensor
    adversarial: Tensor
    l1: Tensor
    ssim: Tensor


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


def masked_ssim(first: Tensor, second: Tensor, mask: Tensor) -> Tensor:
    """Mean of :func:`ssim_map` over the pixels of ``mask`` (N, 1, H, W; bool) where the window fits; NaN if none."""
    margin = WINDOW // 2
    inner = mask[..., margin:-margin, margin:-margin]
    return ssim_map(first, second)[inner].mean()


def adversarial_loss(logits: Tensor, *, real: bool, kind: AdversarialLoss = "bce") -> Tensor:
    """Loss of patch logits against "all real" or "all synthetic" (scalar, >= 0).

    ``bce``: binary cross-entropy, as in the paper. ``lsgan``: mean squared distance from 1 (real) or 0 (Mao X et al.
    Least squares generative adversarial networks. ICCV 2017).
    """
    wanted = torch.ones_like(logits) if real else torch.zeros_like(logits)
    if kind == "lsgan":
        return F.mse_loss(logits.float(), wanted.float())
    return F.binary_cross_entropy_with_logits(logits.float(), wanted.float())


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor, kind: AdversarialLoss = "bce") -> Tensor:
    """Mean of the losses on real and on synthetic pairs, halved as published to slow the discriminator."""
    return 0.5 * (
        adversarial_loss(real_logits, real=True, kind=kind) + adversarial_loss(fake_logits, real=False, kind=kind)
    )


def generator_loss(
    fake: Tensor,
    target: Tensor,
    fake_logits: Tensor | None,
    *,
    adversarial_weight: float,
    l1_weight: float,
    ssim_weight: float,
    adversarial_kind: AdversarialLoss = "bce",
) -> GeneratorLoss:
    """Weighted sum of the adversarial term, the mean absolute error and 1 - SSIM.

    Parameters
    ----------
    fake, target : tensor, shape (N, 1, H, W)
        Synthetic and real slices in (-1, 1).
    fake_logits : tensor or None
        What the discriminator says of ``fake``; needed if ``adversarial_weight`` is above 0.
    adversarial_weight, l1_weight, ssim_weight : float
        Not negative; a term of weight 0 is left out.
    adversarial_kind : {'bce', 'lsgan'}
        See :func:`adversarial_loss`.

    Raises
    ------
    ValueError
        The adversarial term is wanted but there are no logits.
    """
    absent = torch.full((), math.nan, device=fake.device)
    total = torch.zeros((), device=fake.device)
    adversarial = l1 = structure = absent
    if adversarial_weight > 0:
        if fake_logits is None:
            raise ValueError("the adversarial term needs the discriminator's logits")
        adversarial = adversarial_loss(fake_logits, real=True, kind=adversarial_kind)
        total = total + adversarial_weight * adversarial
    if l1_weight > 0:
        l1 = F.l1_loss(fake.float(), target.float())
        total = total + l1_weight * l1
    if ssim_weight > 0:
        structure = ssim(fake, target)
        total = total + ssim_weight * (1 - structure)
    return GeneratorLoss(total, adversarial.detach(), l1.detach(), structure.detach())
