import dataclasses
import json
from typing import Any

import pytest

from bids_spectsynth.options.declarations.training import TrainingOptions
from bids_spectsynth.options.settings import Settings, make_settings
from bids_spectsynth.synthesis.training.config import TrainingConfig, training_config


def _settings(**values: Any) -> Settings:
    return make_settings({"bids_dir": "/data", "output_dir": "/out", "analysis_level": "participant", **values})


def test_training_config__holds_every_option_of_training_as_the_settings_have_it() -> None:
    settings = _settings(preset="best", epochs=3, loss="edge=2", random_seed=7, slices_per_subject=9, crop="none")
    config = training_config(settings, ("T1w",), "T1w", "digest")
    for field in dataclasses.fields(TrainingOptions):
        assert getattr(config, field.name) == getattr(settings, field.name)
    assert (config.scaling, config.seed, config.slices_per_subject, config.data) == ("volume", 7, 9, "digest")
    assert training_config(settings, ("T1w",), "T1w", seed=8).seed == 8


def test_as_json__a_further_loss_is_an_object_and_left_out_where_there_is_none() -> None:
    plain, own = (training_config(_settings(loss=loss), ("T1w",), "T1w") for loss in ([], ["nmi=1", "edge=2"]))
    assert "loss" not in plain.as_json()
    assert json.loads(json.dumps(own.as_json()))["loss"] == {"edge": 2.0, "nmi": 1.0}
    assert list(plain.as_json()) == [name for name in own.as_json() if name != "loss"]
    assert own.continues(own.as_json())
    assert not own.continues(plain.as_json())
    assert not plain.same_as(own.as_json())


def test_as_json__keys_of_a_card_are_in_the_order_of_earlier_cards() -> None:
    keys = list(TrainingConfig(label="a", inputs=("T1w",)).as_json())
    assert keys[:6] == ["label", "inputs", "space", "scaling", "voxel_size", "slices_per_subject"]
    assert keys[-3:] == ["orientations", "orientation", "crop"]
    assert len(keys) == len(set(keys)) == len(dataclasses.fields(TrainingConfig)) - 7


def test_filled__an_earlier_card_is_the_same_model() -> None:
    config = training_config(_settings(), ("T1w",), "T1w")
    earlier = {name: value for name, value in config.as_json().items() if name not in ("crop", "orientation")}
    assert config.filled(earlier) == config.as_json()
    assert config.same_as(earlier)


def test_rate__rises_over_the_warm_up_and_falls_as_half_a_cosine() -> None:
    config = TrainingConfig(
        label="a", inputs=("T1w",), epochs=10, learning_rate=1.0, learning_rate_schedule="cosine", warmup_epochs=2
    )
    rates = [config.rate(epoch) for epoch in range(10)]
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1])
    assert rates[6] == pytest.approx(0.5)
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert 0 < rates[-1] < 0.05
    # Another last epoch is another training.
    assert not dataclasses.replace(config, epochs=11).continues(config.as_json())


def test_continues__with_patience_more_epochs_or_another_patience_are_the_same_training() -> None:
    config = TrainingConfig(label="a", inputs=("T1w",), epochs=10, patience=3)
    assert dataclasses.replace(config, epochs=20).continues(config.as_json())
    assert dataclasses.replace(config, patience=4).continues(config.as_json())
    cosine = dataclasses.replace(config, learning_rate_schedule="cosine")
    assert dataclasses.replace(cosine, patience=0).continues(cosine.as_json())
    assert not dataclasses.replace(config, patience=4).same_as(config.as_json())


@pytest.mark.parametrize(("inputs", "expected"), [(("T1w",), "none"), (("T1w", "pet"), "resolution")])
def test_training_config__harmonising_is_of_models_that_see_a_pet(inputs: tuple[str, ...], expected: str) -> None:
    config = training_config(_settings(harmonise="resolution"), inputs, "T1w")
    assert config.harmonise == expected
    plain = training_config(_settings(), inputs, "T1w").as_json()
    assert config.same_as(plain) is (expected == "none"), "the model that it was without the option is found again"
