import dataclasses
import json

import torch

from bids_spectsynth.synthesis.models.card import (
    ModelCard,
    participant_hash,
)
from bids_spectsynth.synthesis.models.folder import save_model, weights_checksum
from bids_spectsynth.synthesis.network.networks import UNetGenerator, init_weights


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


def change_card(folder, **changes):
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
