"""What the discriminator's verdict costs the generator, and what it costs the discriminator itself."""

import torch
import torch.nn.functional as F
from torch import Tensor

from bids_spectsynth.options.settings import AdversarialLoss


def adversarial_loss(logits: Tensor, *, real: bool, kind: AdversarialLoss = "bce") -> Tensor:
    """Loss of patch logits against "all real" or "all synthetic".

    Parameters
    ----------
    logits : tensor, shape (N, 1, h, w)
    real : bool
        Whether they should all say real.
    kind : {'bce', 'lsgan'}
        ``bce``: binary cross-entropy, as in the article. ``lsgan``: mean squared distance from 1 (real) or 0 (Mao X et
        al. Least squares generative adversarial networks. ICCV 2017).

    Returns
    -------
    tensor, scalar, float32
        Not negative.
    """
    target = torch.ones_like(logits) if real else torch.zeros_like(logits)
    if kind == "lsgan":
        return F.mse_loss(logits.float(), target.float())
    return F.binary_cross_entropy_with_logits(logits.float(), target.float())


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor, kind: AdversarialLoss = "bce") -> Tensor:
    """Mean of the losses on real and on synthetic pairs, halved as published to slow the discriminator.

    Parameters
    ----------
    real_logits, fake_logits : tensor, shape (N, 1, h, w)
    kind : {'bce', 'lsgan'}
        See :func:`adversarial_loss`.
    """
    return 0.5 * (
        adversarial_loss(real_logits, real=True, kind=kind) + adversarial_loss(fake_logits, real=False, kind=kind)
    )
