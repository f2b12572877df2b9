"""What is refused before anything is computed: folders and processes."""

import dataclasses
from pathlib import Path
from typing import get_type_hints

import pytest

from bids_spectsynth.app.checks import check_folders, check_metrics, check_processes, make_folders, process_rank
from bids_spectsynth.app.run import run
from bids_spectsynth.errors import DatasetError, UsageError
from bids_spectsynth.options.settings import Settings, make_settings


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("output", "fine"),
    [
        ("data", False),
        ("data/out", False),
        ("data/derivatives", False),
        ("data/derivatives/bids_spectsynth", True),
        ("database", True),
        ("link/out", False),
    ],
)
def test_output_inside_the_dataset(folders: Path, output: str, fine: bool) -> None:
    (folders / "link").symlink_to(folders / "data")
    settings = make_settings(
        {"bids_dir": folders / "data", "output_dir": folders / output, "analysis_level": "participant"}
    )
    if fine:
        check_folders(settings)
        assert not (folders / output / "work").exists(), "nothing is made before all is checked"
        make_folders(settings)
        assert (folders / output / "work").is_dir()
    else:
        with pytest.raises(DatasetError, match="inside the dataset"):
            check_folders(settings)
        assert not (folders / "data" / "out").exists()


def test_check_folders__where_no_folder_can_be_made(folders: Path) -> None:
    (folders / "file").touch()
    values = {"bids_dir": folders / "data", "output_dir": folders / "file" / "a" / "out"}
    with pytest.raises(DatasetError, match=r"cannot write there \(.*file is no folder\)"):
        check_folders(make_settings({**values, "analysis_level": "participant"}))


def test_process_rank__without_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert process_rank() == (0, 1)
    # A variable that a scheduler left behind is no second process.
    monkeypatch.setenv("RANK", "3")
    assert process_rank() == (0, 1)
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert process_rank() == (3, 4)


@pytest.mark.parametrize(
    ("values", "fine"),
    [({"mode": "train"}, True), ({"mode": "auto"}, False), ({"mode": "train", "dry_run": True}, False)],
)
def test_check_processes__several_can_share_training_alone(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, object], fine: bool
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    settings = make_settings({"bids_dir": "/data", "output_dir": "/out", "analysis_level": "participant", **values})
    if fine:
        check_processes(settings)
    else:
        with pytest.raises(UsageError, match="--mode train alone"):
            check_processes(settings)


def test_check_processes__variables_that_are_no_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "two")
    settings = make_settings({"bids_dir": "/data", "output_dir": "/out", "analysis_level": "participant"})
    with pytest.raises(UsageError, match="start with torchrun or unset them"):
        check_processes(settings)


def test_check_metrics__a_margin_of_no_metric_is_refused_before_the_run(tmp_path: Path) -> None:
    required = {"bids_dir": tmp_path, "output_dir": tmp_path / "out", "analysis_level": "participant"}
    check_metrics(make_settings({**required, "equivalence_margins": "mask_psnr=1"}))
    with pytest.raises(UsageError, match="--equivalence-margins psrn: there is no such metric; did you mean psnr"):
        run(make_settings({**required, "equivalence_margins": "psrn=1"}))
    assert not (tmp_path / "out").exists()


def test_check_folders__index_of_the_dataset_is_not_kept_within_it(folders: Path) -> None:
    values = {"bids_dir": folders / "data", "output_dir": folders / "out", "analysis_level": "participant"}
    check_folders(make_settings({**values, "bids_database_dir": folders / "data" / "derivatives" / "index"}))
    with pytest.raises(DatasetError, match="the database folder lies inside the dataset"):
        check_folders(make_settings({**values, "bids_database_dir": folders / "data" / "index"}))


#: Folders that are made where they are missing.
MADE = {"bids_dir", "output_dir", "work_dir", "bids_database_dir", "reader_study"}
PATHS = [name for name, kind in get_type_hints(Settings).items() if "Path" in str(kind) and name not in MADE]


@pytest.mark.parametrize("option", PATHS)
def test_check_folders__a_file_that_an_option_names_is_looked_for_before_the_dataset_is_read(
    folders: Path, option: str
) -> None:
    values = {"bids_dir": folders / "data", "output_dir": folders / "out", "analysis_level": "participant"}
    settings = dataclasses.replace(make_settings(values), **{option: folders / "nowhere"})
    with pytest.raises(UsageError, match=rf"^--{option.replace('_', '-')}: .*nowhere does not exist$"):
        check_folders(settings)
