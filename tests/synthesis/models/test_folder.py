import dataclasses
import json

import nibabel as nib
import numpy as np
import pytest
import torch

from bids_spectsynth.errors import ImageError, ModelError
from bids_spectsynth.synthesis.models.card import (
    ModelCard,
    is_selection_participant,
    is_training_participant,
    load_card,
    participant_hash,
)
from bids_spectsynth.synthesis.models.fit import check_fit
from bids_spectsynth.synthesis.models.folder import load_model, save_model, weights_checksum
from bids_spectsynth.synthesis.models.tensors import load_tensors, save_tensors
from bids_spectsynth.synthesis.network.networks import UNetGenerator, init_weights

CPU = torch.device("cpu")


def make_model(folder, **changes):
    network = UNetGenerator(2, 1, 2, 5)
    init_weights(network, torch.Generator().manual_seed(1))
    weights = network.state_dict()
    card = ModelCard(
        label="pix2pixT1wPet",
        inputs=("T1w", "pet"),
        target="interictal",
        space="T1w",
        voxel_size=2.0,
        grid_shape=(32, 32, 16),
        scaling="slice",
        architecture={"levels": 5, "base_filters": 2, "input_channels": 2, "output_channels": 1},
        losses={"adversarial": 1.0, "l1": 100.0, "ssim": 0.0},
        training={"epochs": 1},
        versions={"torch": "2"},
        target_statistics={"mean_in_brain": 40.0, "units": "counts", "heights": [0.0, 1.0], "log_gain": [0.0, 0.0],
                           "log_step": [0.0, 0.0]},
        validation={"rmse": 0.1, "ssim": 0.9},
        config={"epochs": 1},
        salt="salt",
        participants=(participant_hash("salt", "01"),),
        selection_participants=(participant_hash("salt", "02"),),
        weights_sha256=weights_checksum(weights),
        created="2025-01-01T00:00:00+00:00",
    )  # fmt: skip
    card = dataclasses.replace(card, **changes)
    save_model(folder, card, weights)
    return card, weights


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


def test_card_is_readable_json_without_names(tmp_path):
    make_model(tmp_path)
    content = json.loads((tmp_path / "model.json").read_text())
    assert content["format_version"] == 3
    assert content["licence"] == "unspecified; ask the authors"
    assert "not measurements" in content["statement"]
    assert content["participants"] != ["01"]


def test_training_participants_are_recognised_by_hash(tmp_path):
    card, _ = make_model(tmp_path)
    assert is_training_participant(card, "01")
    assert not is_training_participant(card, "02")
    assert is_selection_participant(card, "02")
    assert not is_selection_participant(card, "01")
    assert not is_training_participant(dataclasses.replace(card, salt="other"), "01")


def change_card(folder, **changes):
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 4}, "version 4, this software knows up to 3; update"),
        ({"format_version": "1"}, "not a model card"),
        ({"inputs": ["pet"]}, "number of inputs"),
        ({"scaling": "none"}, "scaling 'none'"),
        ({"grid_shape": [32, 32]}, "grid_shape"),
        ({"grid_shape": 5}, "damaged card"),
        ({"label": "../../etc"}, "letters and digits"),
        ({"target_statistics": {}}, "mean_in_brain"),
        ({"architecture": {"levels": 5, "base_filters": 10**6, "input_channels": 2, "output_channels": 1}}, "filters"),
    ],
)
def test_bad_cards(tmp_path, changes, message):
    make_model(tmp_path)
    change_card(tmp_path, **changes)
    with pytest.raises(ModelError, match=message) as error:
        load_card(tmp_path)
    assert str(tmp_path / "model.json") in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '"text"', "\x00"])
def test_a_card_that_is_no_card(tmp_path, text):
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(ModelError, match=r"model\.json"):
        load_card(tmp_path)


def test_card_without_a_field(tmp_path):
    make_model(tmp_path)
    content = json.loads((tmp_path / "model.json").read_text())
    del content["space"]
    (tmp_path / "model.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match="space"):
        load_card(tmp_path)


def test_fields_of_a_later_release_are_ignored(tmp_path):
    card, _ = make_model(tmp_path)
    change_card(tmp_path, later="x")
    assert load_card(tmp_path) == card


def test_fit(tmp_path, write_prepared):
    card, _ = make_model(tmp_path / "model")
    prepared = write_prepared(tmp_path / "out", "07", 1)
    check_fit(card, prepared, 2.0)
    with pytest.raises(ModelError, match=r"sub-07 has no pet; use a model"):
        check_fit(card, dataclasses.replace(prepared, images={"T1w": prepared.images["T1w"]}), 2.0)
    with pytest.raises(ModelError, match=r"sub-07 is in MNI152NLin6Sym; prepare it with --output-spaces T1w"):
        check_fit(card, dataclasses.replace(prepared, space="MNI152NLin6Sym"), 2.0)
    with pytest.raises(ModelError, match=r"voxels of 2 mm, not 1; prepare with --voxel-size 2"):
        check_fit(card, prepared, 1.0)
    nib.Nifti1Image(np.zeros((32, 32, 12)), np.eye(4)).to_filename(prepared.images["pet"])
    with pytest.raises(ModelError, match=r"\(32, 32, 16\) voxels, .*pet\.nii\.gz has \(32, 32, 12\)"):
        check_fit(card, prepared, 2.0)
    prepared.images["T1w"].write_bytes(b"")
    with pytest.raises(ImageError, match="prepare the participant again"):
        check_fit(card, prepared, 2.0)


def test_tensor_file_keeps_any_layout(tmp_path):
    tensors = {"a": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last), "b": torch.tensor(3)}
    save_tensors(tmp_path / "x.safetensors", tensors, {"n": [1, float("nan")]})
    loaded, header = load_tensors(tmp_path / "x.safetensors")
    assert torch.equal(loaded["a"], tensors["a"])
    assert loaded["b"].item() == 3
    assert header["n"][0] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]
