import dataclasses
import hashlib
import json

import pytest

from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.models.card import (
    _HISTORY,
    card_checksum,
    is_selection_participant,
    is_training_participant,
    load_card,
)
from tests.synthesis.models.conftest import change_card, make_model


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 6}, "version 6, this software knows up to 5; update"),
        ({"format_version": "1"}, "not a model card"),
        ({"inputs": ["pet"]}, "number of inputs"),
        ({"scaling": "none"}, "scaling must be slice or volume, not .none."),
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


def test_card_checksum__a_card_without_harmonising_keeps_that_of_earlier_versions(tmp_path):
    make_model(tmp_path)
    card = load_card(tmp_path)
    earlier = {name: value for name, value in dataclasses.asdict(card).items() if name not in (*_HISTORY, "harmonised")}
    text = json.dumps(earlier, sort_keys=True, default=str)
    assert card_checksum(card) == hashlib.sha256(text.encode()).hexdigest()
    assert card_checksum(dataclasses.replace(card, scans={"pet": {"scans": 3}})) == card_checksum(card)
    assert card_checksum(dataclasses.replace(card, harmonised={"pet": 8.0})) != card_checksum(card)
