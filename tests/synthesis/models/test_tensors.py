import os

import pytest
import torch

from bids_spectsynth.synthesis.models import tensors as tensor_files
from bids_spectsynth.synthesis.models.tensors import load_tensors, save_tensors, unusable


def test_tensor_files_are_whole_and_follow_the_umask(tmp_path, monkeypatch):
    path = tmp_path / "sub" / "x.safetensors"
    tensors = {"a": torch.arange(6.0).reshape(2, 3).T}
    before = os.umask(0o027)
    try:
        save_tensors(path, tensors, {"epoch": 3})
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640
    read, header = load_tensors(path)
    assert torch.equal(read["a"], tensors["a"])
    assert header == {"epoch": 3}

    def full(*args):
        raise OSError("disk full")

    monkeypatch.setattr(tensor_files, "save_file", full)
    with pytest.raises(OSError, match="disk full"):
        save_tensors(path, {"a": torch.zeros(2)}, {})
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert torch.equal(load_tensors(path)[0]["a"], tensors["a"])


def test_tensor_file_keeps_any_layout(tmp_path):
    tensors = {"a": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last), "b": torch.tensor(3)}
    save_tensors(tmp_path / "x.safetensors", tensors, {"n": [1, float("nan")]})
    loaded, header = load_tensors(tmp_path / "x.safetensors")
    assert torch.equal(loaded["a"], tensors["a"])
    assert loaded["b"].item() == 3
    assert header["n"][0] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]


def test_unusable__names_the_tensor():
    good = {"count": torch.tensor(10**9), "weight": torch.ones(3)}
    assert unusable(good, 1.0) == ""
    assert unusable(good | {"bias": torch.tensor([0.0, float("nan")])}) == "bias"
    assert unusable(good | {"bias": torch.tensor([0.0, float("-inf")])}) == "bias"
    assert unusable(good | {"bias": torch.tensor([-1.5])}, 1.0) == "bias"
