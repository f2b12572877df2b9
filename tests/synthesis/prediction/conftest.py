import pytest
import torch

from bids_spectsynth.options.settings import make_settings
from bids_spectsynth.synthesis.data.slices import PreparedCases
from bids_spectsynth.synthesis.models.folder import load_model
from bids_spectsynth.synthesis.training.config import TrainingConfig
from bids_spectsynth.synthesis.training.train import train


@pytest.fixture(scope="module", params=["slice", "volume"])
def trained(request, tmp_path_factory, write_prepared):
    """A model after one epoch, the output folder that it lies in, and a participant that it has not seen."""
    output = tmp_path_factory.mktemp("out")
    prepared = [write_prepared(output, label, seed) for label, seed in (("01", 1), ("02", 2), ("03", 3), ("04", 4))]
    config = TrainingConfig(
        label="demo", inputs=("T1w", "pet"), scaling=request.param, voxel_size=2.0, slices_per_subject=8, epochs=1,
        base_filters=2, seed=1,
    )  # fmt: skip
    training, validation = (
        PreparedCases(tuple(part), config.inputs, config.scaling) for part in (prepared[:2], prepared[2:3])
    )
    train(training, validation, config, output / "models" / "demo", device="cpu", progress=False)
    return load_model(output / "models" / "demo", torch.device("cpu")), output, prepared[3]


def settings_for(output, voxel_size=2.0):
    return make_settings(
        {"bids_dir": output / "none", "output_dir": output, "analysis_level": "participant", "voxel_size": voxel_size}
    )
