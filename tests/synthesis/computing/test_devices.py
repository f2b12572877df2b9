import pytest
import torch

from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.computing.devices import resolve_device


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match="--device cuda"):
        resolve_device("cuda")
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")


def test_the_device_is_logged(caplog):
    with caplog.at_level("INFO"):
        resolve_device("cpu")
    assert "on the CPU" in caplog.text
