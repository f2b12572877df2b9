import tomllib
from pathlib import Path

import pytest

from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.settings import Settings, make_settings, read_config
from bids_spectsynth.options.toml import read_toml, to_toml


def test_a_configuration_file_may_write_hyphens_or_underscores(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("batch-size = 3\nbase_filters = 8\n")
    assert read_config(path) == {"batch_size": 3, "base_filters": 8}


def test_a_configuration_file_cannot_set_something_unknown(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("nonsense = 1\n")
    with pytest.raises(UsageError, match="nonsense"):
        read_config(path)


def test_read_toml__positional_arguments_of_a_recorded_run_are_left_out(tmp_path: Path) -> None:
    settings = make_settings({"bids_dir": "/data", "output_dir": "/out", "analysis_level": "group"})
    path = tmp_path / "settings.toml"
    path.write_text(to_toml(settings))
    assert not {"bids_dir", "output_dir", "analysis_level"} & set(read_toml(path, Settings))


def test_to_toml__what_is_not_set_is_left_out_and_pairs_are_written_as_they_are_typed() -> None:
    values = {"bids_dir": "/data", "output_dir": "/out", "analysis_level": "group", "loss": "edge=2"}
    content = tomllib.loads(to_toml(make_settings(values)))
    assert "mem_mb" not in content
    assert content["loss"] == ["edge=2.0"]
    assert content["inputs"] == [["T1w", "pet"]]
