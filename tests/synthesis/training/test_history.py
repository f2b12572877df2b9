"""The table of a training's epochs, and how long it will still take."""

import json
from pathlib import Path

import pytest

from bids_spectsynth.synthesis.training.history import history_columns, remaining_words, write_history


@pytest.mark.parametrize(
    ("seconds", "epochs", "words"),
    [
        ([11.0] * 3, 1000, "11 s, 3.0 h left"),
        # The first epoch, in which things are compiled and memory is taken, counts as one of several.
        ([500.0, 10.0, 10.0], 13, "10 s, 2 min left"),
        ([60.0], 61, "60 s, 60 min left"),
        ([3.2], 1, "3 s, done"),
    ],
)
def test_remaining_words__median_of_the_last_epochs(seconds: list[float], epochs: int, words: str) -> None:
    assert remaining_words([{"seconds": one} for one in seconds], epochs) == words


def test_write_history__errors_and_times_have_units(tmp_path: Path) -> None:
    losses = ("generator", "l1")
    write_history(tmp_path, [dict.fromkeys(history_columns(losses), 1.0)], losses)
    dictionary = json.loads((tmp_path / "history.json").read_text())
    assert dictionary["seconds"]["Units"] == "s"
    assert {name for name, one in dictionary.items() if "Units" not in one} == {"epoch"}
