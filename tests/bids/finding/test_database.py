"""An index that is kept gives what one in memory gives, and is made anew when the dataset has changed."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bids_spectsynth.bids.finding import database as stored
from bids_spectsynth.bids.finding.cases import find_cases
from bids_spectsynth.bids.finding.database import INDEX, stored_layout
from bids_spectsynth.bids.finding.layout import build_layout
from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.settings import Settings

Dataset = Callable[..., Path]
IMAGES = (
    "sub-01/ses-a/anat/sub-01_ses-a_T1w",
    "sub-01/ses-b/anat/sub-01_ses-b_T1w",
    "sub-02/anat/sub-02_T1w",
    "sub-02/spect/sub-02_task-interictal_spect",
)


@pytest.fixture
def indexed(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each layout that was opened had an index to read."""
    had: list[bool] = []

    def build(root: Path, people: Any, sessions: Any, closed: Any, folder: Path) -> Any:
        had.append((folder / INDEX).exists())
        return build_layout(root, people, sessions, closed, folder)

    monkeypatch.setattr(stored, "build_layout", build)
    return had


def names(root: Path, folder: Path, people: tuple[str, ...], sessions: tuple[str, ...] = ()) -> set[str]:
    layout = stored_layout(root, people, sessions, (), folder)
    return {Path(path).name for path in layout.get(return_type="filename", extension=".nii.gz")}


def test_stored_layout__jobs_of_single_participants_share_it(
    dataset: Dataset, tmp_path: Path, indexed: list[bool]
) -> None:
    root = dataset(*IMAGES)
    assert names(root, tmp_path / "db", ("02",)) == {"sub-02_T1w.nii.gz", "sub-02_task-interictal_spect.nii.gz"}
    assert names(root, tmp_path / "db", ("01",), ("a",)) == {"sub-01_ses-a_T1w.nii.gz"}
    assert indexed == [False, True]


def test_stored_layout__changed_dataset_is_indexed_anew_and_that_is_said(
    dataset: Dataset, tmp_path: Path, indexed: list[bool], caplog: pytest.LogCaptureFixture
) -> None:
    root = dataset(*IMAGES)
    names(root, tmp_path / "db", ("02",))
    (root / "sub-02/anat/sub-02_T1w.nii.gz").rename(root / "sub-02/anat/sub-02_run-1_T1w.nii.gz")
    with caplog.at_level(logging.INFO, logger="bids_spectsynth"):
        assert "sub-02_run-1_T1w.nii.gz" in names(root, tmp_path / "db", ("02",))
    assert "is made anew" in caplog.text
    assert indexed == [False, False]
    assert "sub-02_run-1_T1w.nii.gz" in names(root, tmp_path / "db", ("02",))
    assert indexed[-1]


def test_stored_layout__damaged_index_is_made_anew(
    dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = dataset(*IMAGES)
    before = names(root, tmp_path / "db", ("02",))
    (tmp_path / "db" / INDEX).write_bytes(b"no database" * 100)
    assert names(root, tmp_path / "db", ("02",)) == before
    assert "cannot be read" in caplog.text


def test_stored_layout__folder_that_cannot_be_made_is_one_line(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"--bids-database-dir: .*file"):
        stored_layout(dataset(*IMAGES), ("02",), (), (), tmp_path / "file")


def test_stored_layout__index_of_a_killed_process_is_not_taken(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = dataset(*IMAGES)
    before = names(root, tmp_path / "db", ("02",))
    (tmp_path / "db" / INDEX).unlink()

    def killed(*arguments: Any) -> Any:
        build_layout(root, (), (), (), arguments[-1])
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(stored, "build_layout", killed)
        with pytest.raises(KeyboardInterrupt):
            names(root, tmp_path / "db", ("02",))
    assert (tmp_path / "db" / INDEX).exists()
    assert names(root, tmp_path / "db", ("02",)) == before


def test_stored_layout__index_that_pybids_cannot_make_is_one_line(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise RuntimeError("(sqlite3.OperationalError) disk I/O error\n[SQL: INSERT]")

    monkeypatch.setattr(stored, "build_layout", fails)
    with pytest.raises(UsageError, match=r"^--bids-database-dir: .*/db: \(sqlite3\.OperationalError\) disk I/O error"):
        names(dataset(*IMAGES), tmp_path / "db", ("02",))


def test_find_cases__dry_run_writes_no_index(
    dataset: Dataset, settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    root = dataset(*IMAGES)
    plain, _ = find_cases(settings_for(root))
    assert find_cases(settings_for(root, bids_database_dir=tmp_path / "db", dry_run=True))[0] == plain
    assert not (tmp_path / "db").exists()


def test_find_cases__same_with_an_index_that_is_kept(
    dataset: Dataset, settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    root = dataset(*IMAGES)
    plain, _ = find_cases(settings_for(root))
    for _ in range(2):
        assert find_cases(settings_for(root, bids_database_dir=tmp_path / "db"))[0] == plain
