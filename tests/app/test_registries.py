import dataclasses

import pytest

from bids_spectsynth.app.registries import registered_losses, registered_margins
from bids_spectsynth.evaluation.case.metrics import METRICS
from bids_spectsynth.options.declare import declared
from bids_spectsynth.options.settings import Settings


def test_registered_losses__hold_those_with_an_option_of_their_own() -> None:
    losses = registered_losses()
    own = {name.removesuffix("_weight") for name in declared(Settings) if name.endswith("_weight")}
    assert own <= set(losses)
    assert all(losses.values())


def test_registered_margins__one_name_where_brain_and_whole_slice_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert registered_margins() == {"rmse": "0.01", "ssim": "0.01", "psnr": "0.5 dB"}
    monkeypatch.setitem(METRICS, "mask_ssim", dataclasses.replace(METRICS["mask_ssim"], margin=0.03))
    assert registered_margins() == {"rmse": "0.01", "ssim": "0.01", "mask_ssim": "0.03", "psnr": "0.5 dB"}
