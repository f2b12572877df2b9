"""The proof that an option is declared once: one more is declared here, and is everywhere."""

import json
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pytest

from bids_spectsynth.app.boutiques import build_descriptor
from bids_spectsynth.app.usage import option_tables
from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.declarations.groups import COHORT, EVALUATION, GROUPS, RECIPE, SYNTHESIS
from bids_spectsynth.options.declare import declared, option, option_names, preset_values
from bids_spectsynth.options.parser import build_parser
from bids_spectsynth.options.ranges import within
from bids_spectsynth.options.settings import Settings, settings_of
from bids_spectsynth.options.toml import read_toml, to_toml
from bids_spectsynth.synthesis.training.config import TrainingConfig, training_config

REQUIRED: dict[str, Any] = {"bids_dir": "/data", "output_dir": "/out", "analysis_level": "participant"}
GIVEN_UP = (SYNTHESIS, RECIPE, COHORT)
POSITIONAL = ["/data", "/out", "participant"]


@dataclass(frozen=True, kw_only=True)
class Further:
    """The declaration; in the package it would be a field of ``TrainingOptions``."""

    sharpness: float = field(
        default=0.25,
        metadata=option(RECIPE, "how sharp ({default})", metavar="S", check=within(0, 1), presets={"best": 0.75}),
    )


@dataclass(frozen=True, kw_only=True)
class FurtherSettings(Settings, Further):
    """Settings with one more option."""


@dataclass(frozen=True, kw_only=True)
class FurtherConfig(TrainingConfig, Further):
    """A training configuration with one more option."""


def _settings(**values: Any) -> FurtherSettings:
    return settings_of(FurtherSettings, {**REQUIRED, **values})


def test_a_further_option__is_parsed_and_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    parser = build_parser(options=FurtherSettings)
    given = vars(parser.parse_args([*POSITIONAL, "--sharpness", "0.5"]))
    assert settings_of(FurtherSettings, given).sharpness == 0.5
    assert "sharpness" not in vars(parser.parse_args(POSITIONAL))
    recipe = parser.format_help().split(RECIPE.title)[1].split("study and split:")[0]
    assert "--sharpness S" in recipe
    assert "how sharp (0.25)" in recipe


def test_a_further_option__is_read_from_and_written_to_toml(tmp_path: Path) -> None:
    settings = _settings(sharpness=0.5)
    assert tomllib.loads(to_toml(settings))["sharpness"] == 0.5
    path = tmp_path / "settings.toml"
    path.write_text(to_toml(settings))
    assert settings_of(FurtherSettings, {**REQUIRED, **read_toml(path, FurtherSettings)}) == settings
    with pytest.raises(UsageError, match="unknown option sharpness"):
        read_toml(path, Settings)


@pytest.mark.parametrize("value", [-0.1, 1.5, "much"])
def test_a_further_option__has_its_range_and_type_checked(value: Any) -> None:
    with pytest.raises(UsageError, match=r"^--sharpness: "):
        _settings(sharpness=value)


def test_a_further_option__follows_the_preset_unless_it_is_given() -> None:
    assert preset_values(FurtherSettings, "best")["sharpness"] == 0.75
    assert _settings().sharpness == 0.25
    assert _settings(preset="best").sharpness == 0.75
    assert _settings(preset="best", sharpness=0.5).sharpness == 0.5


def test_a_further_option__of_the_recipe_is_refused_beside_a_model() -> None:
    assert _settings(model="m").sharpness == 0.25
    with pytest.raises(UsageError, match=r"^--sharpness: --model"):
        _settings(model="m", sharpness=0.5)


def test_a_further_option__of_training_is_refused_beside_a_model_by_its_group() -> None:
    @dataclass(frozen=True, kw_only=True)
    class More(Settings):
        patience: int = field(default=3, metadata=option(SYNTHESIS, "epochs without gain"))
        blend: str | None = field(default=None, metadata=option(EVALUATION, "no option of training"))

    assert settings_of(More, {**REQUIRED, "model": "m", "blend": "much"}, ["blend"]).patience == 3
    with pytest.raises(UsageError, match=r"^--patience: --model"):
        settings_of(More, {**REQUIRED, "model": "m", "patience": 4})
    with pytest.raises(UsageError, match=r"^--patience: --model"):
        settings_of(More, {**REQUIRED, "model": "m", "patience": 3}, ["patience"])


def test_of_training__what_a_model_that_is_given_has_settled() -> None:
    groups = {one.option.group for one in declared(Settings).values() if one.of_training}
    assert {SYNTHESIS, RECIPE, COHORT} <= groups
    others = {name for name, one in declared(Settings).items() if one.of_training and one.option.group not in GIVEN_UP}
    assert others == {"random_seed", "compile", "slice_storage"}
    assert not declared(Settings)["mode"].of_training
    assert not declared(Settings)["model"].of_training


def test_a_further_option__is_in_the_training_configuration_where_it_is_used() -> None:
    def config(**values: Any) -> TrainingConfig:
        return training_config(_settings(**values), ("T1w",), "T1w", kind=FurtherConfig)

    used, unused = config(sharpness=0.5), config()
    assert json.loads(json.dumps(used.as_json()))["sharpness"] == 0.5
    assert list(used.as_json())[:-1] == list(unused.as_json())
    # What does not use it is the same model as before there was the option.
    before = training_config(_settings(), ("T1w",), "T1w").as_json()
    assert unused.as_json() == before
    assert unused.same_as(before)
    assert unused.continues(before)
    assert not used.same_as(before)
    assert not used.continues(before)
    assert not unused.continues(used.as_json())
    assert used.same_as(used.as_json())


def test_a_further_option__is_an_input_of_the_boutiques_descriptor() -> None:
    descriptor = build_descriptor(FurtherSettings)
    (own,) = (one for one in descriptor["inputs"] if one["id"] == "sharpness")
    assert (own["type"], own["command-line-flag"], own["optional"]) == ("Number", "--sharpness", True)
    assert own["description"] == "how sharp (0.25)"
    assert "[SHARPNESS]" in descriptor["command-line"].split()


def test_a_further_option__is_a_row_of_the_usage_page() -> None:
    assert "| `--sharpness S` | how sharp [0.25] |" in option_tables(FurtherSettings)[RECIPE.title].splitlines()


def test_declared__every_field_of_the_settings_is_an_option_of_a_group() -> None:
    every = declared(Settings)
    assert list(every) == [f.name for f in fields(Settings)]
    positional = [name for name, one in every.items() if one.option.group is None]
    assert positional == ["bids_dir", "output_dir", "analysis_level"]
    assert all(one.option.group in GROUPS for name, one in every.items() if name not in positional)
    assert option_names(Settings) == tuple(name for name in every if name not in positional)


def test_text__fills_in_the_default_and_words() -> None:
    every = declared(Settings)
    assert every["inputs"].text("{default}, {word}", word="x") == "T1w pet, x"
    assert every["split"].text("{default}") == "30 6 12"
    assert every["l1_weight"].text("{default}") == "100"


def test_option__carries_only_what_it_is_told() -> None:
    plain = field(default=1, metadata=option(EVALUATION, "a text"))
    (own,) = plain.metadata.values()
    assert (own.group, own.help, own.page, own.presets, own.check) == (EVALUATION, "a text", "", None, None)
