import dataclasses

from bids_spectsynth.options.settings import make_settings
from bids_spectsynth.synthesis.training.config import TrainingConfig, training_config
from tests.synthesis.training.conftest import CONFIG


def test_learning_rate_falls_over_the_last_epochs():
    config = dataclasses.replace(CONFIG, epochs=10, learning_rate=1.0, learning_rate_decay_epochs=4)
    assert [round(config.rate(epoch), 3) for epoch in range(10)] == [1, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2]
    assert {dataclasses.replace(config, learning_rate_decay_epochs=0).rate(epoch) for epoch in range(10)} == {1.0}


def test_config_from_settings(tmp_path):
    settings = make_settings(
        {
            "bids_dir": tmp_path, "output_dir": tmp_path, "analysis_level": "participant", "epochs": 7, "batch_size": 3,
            "learning_rate": 0.5, "learning_rate_decay_epochs": 2, "adversarial_weight": 0.5, "l1_weight": 4,
            "ssim_weight": 2, "base_filters": 11, "checkpoint_every": 4, "voxel_size": 2, "random_seed": 8,
            "intensity_scaling": "volume",
        }
    )  # fmt: skip
    config = training_config(settings, ("pet",), "MNI152NLin6Sym", "digest")
    assert config == TrainingConfig(
        label="pix2pixPetSsimVolumeMNI152NLin6Sym", inputs=("pet",), space="MNI152NLin6Sym", scaling="volume",
        voxel_size=2.0, slices_per_subject=50, epochs=7, batch_size=3, learning_rate=0.5, learning_rate_decay_epochs=2,
        adversarial_weight=0.5, l1_weight=4.0, ssim_weight=2.0, base_filters=11, checkpoint_every=4, seed=8,
        precision="auto", data="digest", configuration="pix2pixPetSsimVolumeMNI152NLin6Sym",
    )  # fmt: skip
