from pathlib import Path
from typing import Any, get_args

import pytest

from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.choices import SiscomBaseline, SiscomLevel
from bids_spectsynth.options.declarations.siscom import ALL_BASELINES, SiscomOptions
from bids_spectsynth.options.settings import Settings, make_settings
from bids_spectsynth.siscom.baselines.registry import SOURCES
from bids_spectsynth.siscom.subtraction.level import LEVELS


def settings(**values: Any) -> Settings:
    return make_settings({"bids_dir": "/data", "output_dir": "/out", "analysis_level": "participant", **values})


def test_siscom_options__by_default_every_baseline_is_subtracted() -> None:
    plain = settings()
    assert isinstance(plain, SiscomOptions)
    assert plain.siscom == "on"
    assert plain.siscom_baselines == ALL_BASELINES
    assert (plain.siscom_fwhm, plain.siscom_threshold, plain.siscom_extent, plain.siscom_level) == (12, 2, 1, "mode")
    assert plain.normals is None


def test_siscom_options__choices_are_those_of_the_registries() -> None:
    assert get_args(SiscomBaseline) == ALL_BASELINES == tuple(SOURCES)
    assert get_args(SiscomLevel) == tuple(LEVELS)


def test_siscom_options__folder_is_a_path() -> None:
    assert settings(normals="/n").normals == Path("/n")


@pytest.mark.parametrize(
    "wrong",
    [
        {"siscom": "maybe"},
        {"siscom_baselines": []},
        {"siscom_baselines": ["real", "normal"]},
        {"siscom_fwhm": 0},
        {"siscom_threshold": -2},
        {"siscom_extent": -1},
        {"siscom_level": "mood"},
        {"make_normals": "group"},
    ],
)
def test_siscom_options__what_makes_no_sense_is_refused_with_its_name(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(UsageError, match=f"^--{name.replace('_', '-')}: "):
        settings(**wrong)
