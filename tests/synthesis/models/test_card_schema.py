import json
import math

import pytest

from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.models.card import load_card
from bids_spectsynth.synthesis.models.card_schema import FIELDS, PARTS, check_values
from tests.synthesis.models.conftest import change_card, make_model


def test_check_values__card_as_it_is_written(tmp_path):
    make_model(tmp_path)
    check_values(json.loads((tmp_path / "model.json").read_text()))


@pytest.mark.parametrize("name", sorted(FIELDS))
@pytest.mark.parametrize("value", [{"a": {}}, [[]], math.nan, math.inf, -1e300, "\x07", "x" * 10_000])
def test_check_values__no_field_takes_anything(tmp_path, name, value):
    make_model(tmp_path)
    content = json.loads((tmp_path / "model.json").read_text())
    if isinstance(value, dict) and name in (*PARTS, "training", "validation", "config"):
        value = []
    with pytest.raises(ValueError, match=f"{name} must be"):
        check_values(content | {name: value})


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("target_statistics", {"mean_in_brain": math.nan}, "mean_in_brain must be a number above 0"),
        ("target_statistics", {"mean_in_brain": math.inf}, "mean_in_brain"),
        ("target_statistics", {"mean_in_brain": -3.0}, "mean_in_brain"),
        ("target_statistics", {"mean_in_brain": True}, "mean_in_brain"),
        ("target_statistics", {"log_gain": [0.0, math.nan]}, "log_gain"),
        ("target_statistics", {"log_gain": [0.0, 1e9]}, "log_gain"),
        ("target_statistics", {"heights": []}, "heights"),
        ("architecture", {"levels": 40}, "levels"),
        ("architecture", {"base_filters": 2.5}, "base_filters"),
        ("architecture", {"output_channels": 3}, "output_channels"),
    ],
)
def test_load_card__absurd_numbers(tmp_path, part, changes, message):
    make_model(tmp_path)
    content = json.loads((tmp_path / "model.json").read_text())
    change_card(tmp_path, **{part: content[part] | changes})
    with pytest.raises(ModelError, match=message) as error:
        load_card(tmp_path)
    assert "\n" not in str(error.value)


def test_load_card__input_named_twice(tmp_path):
    make_model(tmp_path)
    change_card(tmp_path, inputs=["pet", "pet"])
    with pytest.raises(ModelError, match="inputs must be one role or more, each once"):
        load_card(tmp_path)


@pytest.mark.parametrize("value", ["T1w/..", "MNI\n", "", 5, None])
def test_load_card__space_that_is_none(tmp_path, value):
    make_model(tmp_path)
    change_card(tmp_path, space=value)
    with pytest.raises(ModelError, match="space must be"):
        load_card(tmp_path)


WIDTHS = {"min": 5.0, "p5": 5.2, "median": 6.0, "p95": 7.0, "max": 7.5, "n": 9}


def test_load_card__scans_and_harmonising_come_back(tmp_path):
    make_model(tmp_path)
    scans = {"T1w": {"scans": 9, "camera": {"A One": 9}}, "pet": {"scans": 9, "fwhm_mm": WIDTHS, "tracer": {"FDG": 9}}}
    change_card(tmp_path, scans=scans, harmonised={"pet": 7.0}, format_version=5)
    card = load_card(tmp_path)
    assert (card.scans, card.harmonised) == (scans, {"pet": 7.0})


@pytest.mark.parametrize(
    "changes",
    [
        {"fwhm_mm": {**WIDTHS, "p95": 5.0}},
        {"fwhm_mm": {**WIDTHS, "max": math.nan}},
        {"fwhm_mm": {**WIDTHS, "max": 1e5}},
        {"fwhm_mm": {**WIDTHS, "min": "5"}},
        {"fwhm_mm": {**WIDTHS, "n": 0}},
        {"fwhm_mm": {name: WIDTHS[name] for name in ("p5", "n")}},
        {"camera": {"DOE^JOHN": 1}},
        {"camera": {"A" * 500: 1}},
        {"tracer": {"FDG": 0.5}},
        {"tracer": ["FDG"]},
        {"scans": -1},
        {"station": {"CT7": 1}},
    ],
)
def test_load_card__absurd_scans(tmp_path, changes):
    make_model(tmp_path)
    change_card(tmp_path, scans={"pet": {"scans": 9, **changes}})
    with pytest.raises(ModelError, match="scans must be numbers, and counts of scans by names, of each role"):
        load_card(tmp_path)


@pytest.mark.parametrize("value", [{"pet": 0}, {"pet": "7"}, {"pet": math.inf}, {"../x": 7.0}, [7.0]])
def test_load_card__absurd_harmonising(tmp_path, value):
    make_model(tmp_path)
    change_card(tmp_path, harmonised=value)
    with pytest.raises(ModelError, match="harmonised must be"):
        load_card(tmp_path)
