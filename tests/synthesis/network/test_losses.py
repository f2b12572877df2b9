import dataclasses
import json
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from bids_spectsynth.errors import UsageError
from bids_spectsynth.evaluation.case.model_identity import model_identity
from bids_spectsynth.options.settings import make_settings
from bids_spectsynth.synthesis.computing.computation import Computation
from bids_spectsynth.synthesis.computing.devices import Processes
from bids_spectsynth.synthesis.models.card import load_card
from bids_spectsynth.synthesis.network.losses import LOSSES, Loss, LossBatch, check_losses, generator_loss
from bids_spectsynth.synthesis.network.ssim import ssim
from bids_spectsynth.synthesis.study import planned_models
from bids_spectsynth.synthesis.training.config import TrainingConfig
from bids_spectsynth.synthesis.training.steps import Stepper, loss_names
from bids_spectsynth.synthesis.training.train import train

CONFIG = TrainingConfig(
    label="m",
    inputs=("T1w", "pet"),
    voxel_size=2.0,
    slices_per_subject=5,
    epochs=1,
    base_filters=2,
    precision="float32",
)


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(5)
    first = torch.tanh(torch.randn(3, 1, 32, 40, generator=generator))
    return first, (first + 0.3 * torch.randn(3, 1, 32, 40, generator=generator)).clamp(-1, 1)


def test_generator_loss_is_the_weighted_sum(pair):
    fake, target = pair
    logits = torch.zeros(3, 1, 2, 2)
    loss = generator_loss(LossBatch(fake, target, logits), {"adversarial": 2, "l1": 100, "ssim": 3})
    l1 = (fake - target).abs().mean().item()
    wanted = 2 * math.log(2) + 100 * l1 + 3 * (1 - ssim(fake, target).item())
    assert loss.total.item() == pytest.approx(wanted, rel=1e-6)
    assert loss.values["ssim"].item() == pytest.approx(ssim(fake, target).item())


def test_terms_of_weight_zero_are_left_out(pair):
    loss = generator_loss(LossBatch(*pair), {"adversarial": 0, "l1": 1, "ssim": 0})
    assert loss.total.item() == loss.values["l1"].item()
    assert math.isnan(loss.values["adversarial"])
    assert math.isnan(loss.values["ssim"])
    with pytest.raises(ValueError, match="logits"):
        generator_loss(LossBatch(*pair), {"adversarial": 1, "l1": 1, "ssim": 0})


def test_losses__every_entry_stands_under_its_name():
    assert all(name == loss.name and name.isalnum() and name.islower() for name, loss in LOSSES.items())
    assert all(hasattr(CONFIG, loss.option) for loss in LOSSES.values() if loss.option)


def test_losses__listing_them_imports_no_torch():
    code = (
        "import sys\nfrom bids_spectsynth.synthesis.network.losses import LOSSES\n"
        "assert LOSSES and not {'torch', 'numpy'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_check_losses__an_unknown_one_is_refused_with_the_one_that_was_meant():
    check_losses(LOSSES)
    with pytest.raises(UsageError, match=r"--loss sssim: there is no such loss \(did you mean ssim\?\); there are adv"):
        check_losses(["l1", "sssim"])
    with pytest.raises(UsageError, match="--loss x: there is no such loss; there are adversarial, l1, ssim"):
        check_losses(["x"])


@dataclasses.dataclass(frozen=True)
class _Further:
    """Settings with a loss that has no option of its own."""

    settings: object
    loss: tuple[tuple[str, float], ...]

    def __getattr__(self, name):
        return getattr(self.settings, name)


def test_planned_models__unknown_loss_is_refused(monkeypatch, tmp_path):
    settings = make_settings({"bids_dir": tmp_path, "output_dir": tmp_path / "out", "analysis_level": "participant"})
    monkeypatch.setattr(
        "bids_spectsynth.synthesis.study._own_settings", lambda *args: _Further(settings, (("charbonier", 1.0),))
    )
    with pytest.raises(UsageError, match="--loss charbonier: there is no such loss"):
        planned_models(settings)


EPSILON = 1e-3


def charbonnier(batch: LossBatch) -> torch.Tensor:
    """Barron JT. A general and adaptive robust loss function. CVPR 2019: alpha 1."""
    return ((batch.fake - batch.real) ** 2 + EPSILON**2).sqrt().mean()


@pytest.fixture
def _charbonnier(monkeypatch):
    entry = Loss(name="charbonnier", title="Charbonnier", default_weight=50.0, value=charbonnier)
    monkeypatch.setitem(LOSSES, "charbonnier", entry)


@pytest.mark.usefixtures("_charbonnier")
def test_new_loss__the_step_adds_it_with_its_weight():
    generator = torch.Generator().manual_seed(0)
    inputs, targets = (torch.rand(4, c, 32, 32, generator=generator) * 2 - 1 for c in (2, 1))
    config = dataclasses.replace(CONFIG, adversarial_weight=0.0, l1_weight=3.0, loss=(("charbonnier", 7.0),))
    assert loss_names(config) == ("generator", "adversarial", "l1", "ssim", "charbonnier", "discriminator")
    stepper = Stepper(config, 2, 5, Computation(torch.device("cpu")), Processes())
    fakes = []
    stepper.generator.register_forward_hook(lambda *args: fakes.append(args[-1].detach().double().numpy()))
    losses = dict(zip(loss_names(config), stepper.step(inputs, targets, 1).tolist(), strict=True))
    difference = fakes[0] - targets.double().numpy()
    wanted = np.mean(np.hypot(difference, EPSILON))
    assert losses["charbonnier"] == pytest.approx(wanted, rel=1e-5)
    assert losses["generator"] == pytest.approx(3 * np.abs(difference).mean() + 7 * wanted, rel=1e-5)


@pytest.mark.usefixtures("_charbonnier")
def test_new_loss__stands_in_history_card_and_tables(tmp_path, make_case, write_prepared):
    cohort = [make_case("01", 1)], [make_case("02", 2)]
    for name, loss in (("plain", ()), ("used", (("charbonnier", 7.0),)), ("usual", (("charbonnier", 50.0),))):
        config = dataclasses.replace(CONFIG, loss=loss)
        train(*cohort, config, tmp_path / name, device="cpu", progress=False)
    plain, used, usual = (load_card(tmp_path / name) for name in ("plain", "used", "usual"))
    histories = {name: pd.read_csv(tmp_path / name / "history.tsv", sep="\t") for name in ("plain", "used")}
    assert set(histories["used"]) - set(histories["plain"]) == {"loss_charbonnier"}
    assert histories["used"]["loss_charbonnier"].between(0, 2).all()
    dictionary = json.loads((tmp_path / "used" / "history.json").read_text())
    assert dictionary["loss_charbonnier"]["Description"].startswith("Mean charbonnier loss")
    assert used.losses == {"adversarial": 1.0, "l1": 100.0, "ssim": 0.0, "charbonnier": 7.0}
    assert used.config["loss"] == {"charbonnier": 7.0}
    assert plain.losses == {"adversarial": 1.0, "l1": 100.0, "ssim": 0.0}
    assert "loss" not in plain.config
    case = write_prepared(tmp_path / "derivatives", "02", 2)
    rows = [model_identity(case, card, tmp_path / "used", "m") for card in (plain, used, usual)]
    assert [row["losses"] for row in rows] == ["L1+BCE", "L1+Charbonnier(7)+BCE", "L1+Charbonnier+BCE"]
    assert len({row["training"] for row in rows}) == 1


@pytest.mark.usefixtures("_charbonnier")
def test_new_loss__a_finished_training_is_known_again_by_it(tmp_path, make_case):
    config = dataclasses.replace(CONFIG, loss=(("charbonnier", 7.0),))
    saved = json.loads(json.dumps(config.as_json()))
    assert config.same_as(saved)
    assert config.continues(saved)
    assert not CONFIG.continues(saved)
    assert not config.continues(json.loads(json.dumps(CONFIG.as_json())))
    assert CONFIG.same_as(json.loads(json.dumps(CONFIG.as_json())))
