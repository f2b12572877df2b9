import dataclasses

import pytest
import torch

from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.models.folder import load_model, weights_checksum
from bids_spectsynth.synthesis.models.tensors import save_tensors
from tests.synthesis.models.conftest import change_card, make_model

CPU = torch.device("cpu")


def test_model_comes_back_as_it_was(tmp_path):
    card, weights = make_model(tmp_path)
    model = load_model(tmp_path, CPU)
    assert model.card == card
    assert model.folder == tmp_path
    assert not model.generator.training
    assert not any(parameter.requires_grad for parameter in model.generator.parameters())
    assert all(torch.equal(value, weights[name]) for name, value in model.generator.state_dict().items())
    assert card.template is None
    assert dataclasses.replace(card, space="MNI152NLin6Sym").template == "MNI152NLin6Sym"


def test_missing_files(tmp_path):
    with pytest.raises(ModelError, match="no such model folder"):
        load_model(tmp_path / "absent", CPU)
    with pytest.raises(ModelError, match=r"model\.json: no such file"):
        load_model(tmp_path, CPU)
    make_model(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors: no such file"):
        load_model(tmp_path, CPU)


@pytest.mark.parametrize("keep", [0, 5, 300, -1])
def test_truncated_weights(tmp_path, keep):
    make_model(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelError, match=r"model\.safetensors: damaged"):
        load_model(tmp_path, CPU)


def test_flipped_bit_in_the_weights(tmp_path):
    make_model(tmp_path)
    path = tmp_path / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not the weights that"):
        load_model(tmp_path, CPU)


def test_weights_of_another_shape(tmp_path):
    _, weights = make_model(tmp_path)
    change_card(tmp_path, architecture={"levels": 5, "base_filters": 3, "input_channels": 2, "output_channels": 1})
    with pytest.raises(ModelError, match=r"does not fit model\.json \(downs"):
        load_model(tmp_path, CPU)
    make_model(tmp_path)
    del weights["last.1.bias"]
    save_tensors(tmp_path / "model.safetensors", weights, {})
    with pytest.raises(ModelError, match=r"last\.1\.bias"):
        load_model(tmp_path, CPU)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e9])
def test_load_model__weights_that_are_no_numbers_of_a_network(tmp_path, value):
    _, weights = make_model(tmp_path)
    weights["last.1.bias"][:] = value
    save_tensors(tmp_path / "model.safetensors", weights, {})
    change_card(tmp_path, weights_sha256=weights_checksum(weights))
    with pytest.raises(ModelError, match=r"model\.safetensors: last\.1\.bias holds values that are no numbers"):
        load_model(tmp_path, CPU)
