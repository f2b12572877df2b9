"""The registry of the terms that the generator's loss is the weighted sum of.

Importing this module does not import torch: what only lists the losses (help texts, tables) stays quick. A new loss is
one entry of :data:`LOSSES`; training, history, model card and tables take it from there.
"""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.declarations.training import TrainingOptions
from bids_spectsynth.options.losses import SCALE as SCALE
from bids_spectsynth.options.settings import AdversarialLoss

if TYPE_CHECKING:
    from torch import Tensor


#: Logarithms of the smallest and the largest scale of an error, of slices in (-1, 1).
_LOG_SCALES = (math.log(1e-3), math.log(2.0))


@dataclass(frozen=True, eq=False)
class LossBatch:
    """What a loss can look at.

    Parameters
    ----------
    fake, real : tensor, shape (N, 1, H, W)
        Synthetic and real slices in (-1, 1); -1 outside the brain.
    fake_logits : tensor, shape (N, 1, h, w), or None
        The discriminator's verdict on ``fake``; None without a discriminator.
    adversarial_kind : {'bce', 'lsgan'}
        See :func:`bids_spectsynth.synthesis.network.adversarial.adversarial_loss`.
    log_scale : tensor, shape (N, 1, H, W), or None
        Logarithm of the predicted scale of ``fake``'s error; None of a network that predicts none.
    """

    fake: "Tensor"
    real: "Tensor"
    fake_logits: "Tensor | None" = None
    adversarial_kind: AdversarialLoss = "bce"
    log_scale: "Tensor | None" = None


@dataclass(frozen=True, kw_only=True)
class Loss:
    """One term of the generator's loss.

    Parameters
    ----------
    name : str
        Lower case letters and digits: key of the model card, and ``loss_<name>`` in ``history.tsv``.
    title : str
        Name in the tables.
    default_weight : float
        The weight that it usually has; the tables name any other.
    value : callable
        From a :class:`LossBatch` to a scalar tensor, which is what ``history.tsv`` has.
    is_similarity : bool
        Whether the value is 1 for equal slices and less for others: 1 minus it is then the term of the sum.
    needs_discriminator : bool
        Whether the value is made of the discriminator's logits.
    needs_scale : bool
        Whether the value is made of the predicted scale of the error. It changes no synthetic image, so that the tables
        do not name it.
    option : str
        The option of its own that has its weight; empty where that is ``--loss NAME=WEIGHT``.
    variants : mapping of str to str
        Titles by the value of the option ``<name>_loss``, for a loss of several forms.
    """

    name: str
    title: str
    default_weight: float
    value: "Callable[[LossBatch], Tensor]"
    is_similarity: bool = False
    needs_discriminator: bool = False
    needs_scale: bool = False
    option: str = ""
    variants: Mapping[str, str] = field(default_factory=dict)


def _adversarial(batch: LossBatch) -> "Tensor":
    from bids_spectsynth.synthesis.network.adversarial import adversarial_loss

    if batch.fake_logits is None:
        raise ValueError("the adversarial term needs the discriminator's logits")
    return adversarial_loss(batch.fake_logits, real=True, kind=batch.adversarial_kind)


def _l1(batch: LossBatch) -> "Tensor":
    from torch.nn.functional import l1_loss

    return l1_loss(batch.fake.float(), batch.real.float())


def _ssim(batch: LossBatch) -> "Tensor":
    from bids_spectsynth.synthesis.network.ssim import ssim

    return ssim(batch.fake, batch.real)


def _scale(batch: LossBatch) -> "Tensor":
    """Negative log-likelihood of the error under a Laplace distribution of the predicted scale, in the brain."""
    if batch.log_scale is None:
        raise ValueError("the scale's term needs a network that predicts one")
    log_scale = batch.log_scale.float().clamp(*_LOG_SCALES)
    error = (batch.fake - batch.real).detach().float().abs()
    # Outside the brain there is nothing to predict: the slices are -1 there.
    brain = (batch.real > -1).float()
    values = (log_scale + error * (-log_scale).exp()) * brain
    return values.sum() / brain.sum().clamp(min=1)


#: All losses by name, in the order in which they are added up.
LOSSES: dict[str, Loss] = {
    loss.name: loss
    for loss in (
        Loss(
            name="adversarial",
            title="BCE",
            default_weight=1.0,
            value=_adversarial,
            needs_discriminator=True,
            option="adversarial_weight",
            variants={"lsgan": "LSGAN"},
        ),
        Loss(name="l1", title="L1", default_weight=100.0, value=_l1, option="l1_weight"),
        Loss(name="ssim", title="SSIM", default_weight=1.0, value=_ssim, is_similarity=True, option="ssim_weight"),
        Loss(name=SCALE, title="scale", default_weight=1.0, value=_scale, needs_scale=True),
    )
}


def check_losses(names: Iterable[str]) -> None:
    """Refuse losses that there are not.

    Parameters
    ----------
    names : iterable of str
        As given with ``--loss``.

    Raises
    ------
    UsageError
        There is no such loss; says which there are.
    """
    for name in names:
        if name not in LOSSES:
            near = difflib.get_close_matches(name, LOSSES, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise UsageError(f"--loss {name}: there is no such loss{hint}; there are {', '.join(LOSSES)}")


def loss_weights(options: TrainingOptions) -> dict[str, float]:
    """Weights of the losses with an option of their own, and of the further ones that are used.

    Parameters
    ----------
    options : Settings or TrainingConfig
        Whose ``loss``, pairs of name and weight, holds the further ones.

    Returns
    -------
    dict of str to float
        In the order of :data:`LOSSES`.
    """
    further: Mapping[str, float] = dict(options.loss)
    weights = {}
    for name, loss in LOSSES.items():
        if name in further:
            weights[name] = float(further[name])
        elif loss.option:
            weights[name] = float(getattr(options, loss.option))
    return weights


def loss_titles(weights: Mapping[str, float], options: Mapping[str, Any]) -> dict[str, str]:
    """Titles of the losses that a model is trained by.

    Parameters
    ----------
    weights : mapping of str to float
        By name; a loss that this version does not know is called by its name.
    options : mapping
        Of the training; for the losses of several forms.

    Returns
    -------
    dict of str to str
        By name, of those with a weight above 0: the ones of the largest usual weight first. Without what changes no
        image.
    """
    known = sorted(LOSSES.values(), key=lambda loss: -loss.default_weight)
    titles = {loss.name: loss.variants.get(options.get(f"{loss.name}_loss", ""), loss.title) for loss in known}
    titles |= {name: name for name in weights if name not in titles}
    return {name: title for name, title in titles.items() if weights.get(name, 0) > 0 and not _is_of_scale(name)}


def _is_of_scale(name: str) -> bool:
    return name in LOSSES and LOSSES[name].needs_scale


def needs_discriminator(weights: Mapping[str, float]) -> bool:
    """Whether one of the losses with a weight above 0 is made of the discriminator's logits."""
    return any(weight > 0 and LOSSES[name].needs_discriminator for name, weight in weights.items())


def predicts_scale(weights: Mapping[str, float]) -> bool:
    """Whether one of the losses with a weight above 0 is made of the predicted scale of the error."""
    return any(weight > 0 and LOSSES[name].needs_scale for name, weight in weights.items())


@dataclass(frozen=True, eq=False)
class GeneratorLoss:
    """The generator's loss, and the values of its terms by name, unweighted; NaN for a term of weight 0."""

    total: "Tensor"
    values: "dict[str, Tensor]"


def generator_loss(batch: LossBatch, weights: Mapping[str, float]) -> GeneratorLoss:
    """Weighted sum of the losses.

    Parameters
    ----------
    batch : LossBatch
    weights : mapping of str to float
        By name of :data:`LOSSES`, not negative; a loss of weight 0 is not computed.

    Raises
    ------
    ValueError
        A loss needs the discriminator's logits and there are none.
    """
    total = batch.fake.new_zeros(()).float()
    absent = total + math.nan
    values = {}
    for name, weight in weights.items():
        values[name] = absent
        if weight > 0:
            value = LOSSES[name].value(batch)
            total = total + weight * (1 - value if LOSSES[name].is_similarity else value)
            values[name] = value.detach()
    return GeneratorLoss(total, values)
