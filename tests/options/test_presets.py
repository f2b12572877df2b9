from pathlib import Path
from typing import Any, get_args

import pytest

from bids_spectsynth.options.presets import CONFIG_NAMES, GOVERNED, LOSS_OPTIONS, PRESETS, RECIPE_OPTIONS, Preset
from bids_spectsynth.options.settings import Settings, make_settings

REQUIRED: dict[str, Any] = {"bids_dir": "/data", "output_dir": "/out", "analysis_level": "participant"}


def _settings(**values: Any) -> Settings:
    return make_settings({**REQUIRED, **values})


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_decides_on_what_is_not_given(preset: Preset) -> None:
    settings = _settings(preset=preset)
    assert {name: getattr(settings, name) for name in GOVERNED} == PRESETS[preset]
    assert _settings(preset=preset, l1_weight=3).l1_weight == 3
    assert _settings(preset=preset, l1_weight=None) == settings


def test_a_preset_brings_a_voxel_size_that_an_option_overrules() -> None:
    assert _settings().voxel_size == 1
    assert _settings(preset="fard2024").voxel_size == 1
    assert _settings(preset="best").voxel_size == 2
    assert _settings(preset="best", voxel_size=1).voxel_size == 1


@pytest.mark.parametrize(
    ("values", "crop"),
    [
        ({}, "none"),
        ({"voxel_size": 2}, "none"),
        ({"preset": "best"}, "brain"),
        ({"preset": "best", "voxel_size": 4}, "none"),
        ({"preset": "best", "voxel_size": 1}, "none"),
        ({"preset": "best", "voxel_size": 1, "crop": "brain"}, "brain"),
        ({"preset": "best", "crop": "none"}, "none"),
        ({"crop": "brain"}, "brain"),
    ],
    ids=str,
)
def test_the_recommended_preset_crops_where_no_loss_was_shown(values: dict[str, Any], crop: str) -> None:
    assert _settings(**values).crop == crop


def test_presets_hold_what_the_options_would() -> None:
    """A value of a preset that no option could give would differ from itself when read back."""
    for preset, values in PRESETS.items():
        given = make_settings({**REQUIRED, **{name: value or "none" if name == "augmentation" else value
                                              for name, value in values.items()}})  # fmt: skip
        assert {name: getattr(given, name) for name in GOVERNED} == values, preset


def test_without_a_preset_the_recipe_is_the_papers() -> None:
    plain = Settings(bids_dir=Path("/data"), output_dir=Path("/out"), analysis_level="participant")
    assert {name: getattr(plain, name) for name in GOVERNED} == PRESETS["fard2024"]


def test_presets__options_of_loss_and_recipe_are_apart_and_governed() -> None:
    assert tuple(PRESETS) == get_args(Preset)
    assert set(LOSS_OPTIONS) == {"adversarial_weight", "l1_weight", "ssim_weight", "loss", "adversarial_loss"}
    assert set(RECIPE_OPTIONS) | set(LOSS_OPTIONS) | {"ensemble_members"} == set(GOVERNED)
    assert not set(RECIPE_OPTIONS) & set(LOSS_OPTIONS)
    assert CONFIG_NAMES == {"random_seed": "seed", "intensity_scaling": "scaling"}
