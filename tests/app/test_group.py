from pathlib import Path
from types import SimpleNamespace

import pytest

from bids_spectsynth.app import group
from bids_spectsynth.bids.output_files import selection_file
from bids_spectsynth.errors import DatasetError
from bids_spectsynth.options.settings import make_settings


def test_write_group_level__restriction_ends_when_all_is_written_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    names = [name for name in vars(group) if name.startswith(("write_", "group_")) and name != "write_group_level"]
    nothing = SimpleNamespace(metrics=[], ttests=[], volumes=[])
    for name in (*names, "left_out_of_statistics", "to_be_rated"):
        result = nothing if name.startswith("group_") else []
        monkeypatch.setattr(group, name, lambda *_, result=result: result)
    monkeypatch.setattr("bids_spectsynth.app.group.StatisticsOptions.of", lambda _: None)
    monkeypatch.setattr(group, "mixed_harmonising", lambda _: ["model m: of different resolution"])
    there: list[bool] = []
    monkeypatch.setattr(group, "group_report", lambda folder: there.append(selection_file(folder).exists()))
    settings = make_settings({"bids_dir": tmp_path, "output_dir": tmp_path, "analysis_level": "group"})
    selection_file(tmp_path).touch()
    group.write_group_level(settings, of_everybody=False)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["model m: of different resolution"]

    def fails(*_: object) -> None:
        raise DatasetError("full")

    with monkeypatch.context() as patched:
        patched.setattr(group, "write_agreement_figures", fails)
        with pytest.raises(DatasetError):
            group.write_group_level(settings)
    assert selection_file(tmp_path).exists()
    group.write_group_level(settings)
    assert there == [True, False]
