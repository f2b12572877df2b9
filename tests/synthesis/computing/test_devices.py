import pytest
import torch

from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.computing.devices import as_device, resolve_device


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match="--device cuda"):
        resolve_device("cuda")
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")


def test_as_device__a_gpu_by_default_or_what_is_given(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert as_device() == as_device("auto") == as_device("cpu") == torch.device("cpu")
    assert as_device(torch.device("meta")) == torch.device("meta")
    assert as_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(ModelError, match="device 'gpu': torch knows none"):
        as_device("gpu")
    with pytest.raises(ModelError, match="--device cuda"):
        as_device("cuda")


def test_the_device_is_logged(caplog):
    with caplog.at_level("INFO"):
        resolve_device("cpu")
    assert "on the CPU" in caplog.text
