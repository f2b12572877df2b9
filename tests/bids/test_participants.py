"""The table of participants under many writers."""

import json
import multiprocessing
from pathlib import Path

import pytest

from bids_spectsynth.bids import writing
from bids_spectsynth.bids.participants import (
    forget_unrated,
    note_unrated,
    read_participants,
    read_rows,
    to_be_rated,
    update_participants,
)
from bids_spectsynth.errors import DatasetError

NOTHING = {"failed_in": "n/a", "quality_flags": "n/a", "lesion_ml": "n/a"}


def record(output_dir: Path) -> list[dict[str, str]]:
    return [{str(k): v for k, v in row.items()} for row in read_participants(output_dir).to_dict("records")]


def test_rows_merge_by_column(tmp_path: Path) -> None:
    assert record(tmp_path / "new") == []
    update_participants(tmp_path, {"sub-02": {"status": "failed", "reason": 'line\tone\n"two"'}})
    update_participants(tmp_path, {"01": {"split": "train"}, "02": {"split": "test"}})
    update_participants(tmp_path, {"01": {"status": "ok", "reason": ""}})
    assert record(tmp_path) == [
        {"participant_id": "sub-01", "split": "train", "status": "ok", "reason": "n/a", **NOTHING},
        {"participant_id": "sub-02", "split": "test", "status": "failed", "reason": "line one 'two'", **NOTHING},
    ]
    assert (tmp_path / "participants.json").exists()
    with pytest.raises(ValueError, match="no column age"):
        update_participants(tmp_path, {"01": {"age": "3"}})


def test_changed_rows_are_told(tmp_path: Path) -> None:
    assert update_participants(tmp_path, {"01": {"status": "ok"}, "02": {"status": "ok"}}) == {"01", "02"}
    assert update_participants(tmp_path, {"01": {"status": "ok"}, "sub-02": {"status": "failed"}}) == {"sub-02"}
    assert update_participants(tmp_path, {"01": {"reason": ""}}) == set()


def test_columns_of_others_are_kept(tmp_path: Path) -> None:
    (tmp_path / "participants.tsv").write_text("participant_id\tresection\tage\nsub-01\tyes\t31\n")
    (tmp_path / "participants.json").write_text('{"resection": {"Description": "Surgery before the scans"}}')
    for _ in range(2):
        update_participants(tmp_path, {"01": {"split": "test"}, "02": {"split": "train"}})
    assert [(row["split"], row["resection"], row["age"]) for row in record(tmp_path)] == [
        ("test", "yes", "31"),
        ("train", "n/a", "n/a"),
    ]
    described = json.loads((tmp_path / "participants.json").read_text())
    assert described["resection"] == {"Description": "Surgery before the scans"}
    assert {"split", "age"} <= set(described)


def test_labels_that_look_like_numbers_stay_text(tmp_path: Path) -> None:
    update_participants(tmp_path, {"007": {"reason": "1.50"}, "NA": {"status": "ok"}})
    assert [row["participant_id"] for row in record(tmp_path)] == ["sub-007", "sub-NA"]
    assert record(tmp_path)[0]["reason"] == "1.50"


@pytest.mark.parametrize("text", ["", "a\tb\n1\t2\n", "participant_id\nsub-01\tx\n"])
def test_other_tables_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "participants.tsv").write_text(text)
    with pytest.raises(DatasetError, match=r"participants\.tsv"):
        update_participants(tmp_path, {"01": {"status": "ok"}})


def write_many(output_dir: Path, worker: int) -> None:
    for n in range(5):
        update_participants(output_dir, {f"{worker}x{n}": {"status": "ok"}, "all": {"reason": f"{worker}"}})


def test_no_row_is_lost_by_eight_processes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=write_many, args=(tmp_path, worker)) for worker in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 8
    names = {row["participant_id"] for row in record(tmp_path)}
    assert names == {f"sub-{worker}x{n}" for worker in range(8) for n in range(5)} | {"sub-all"}
    assert not list(tmp_path.glob("*.tmp"))


def test_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class NoLocks:
        LOCK_EX = 2

        @staticmethod
        def flock(*_: int) -> None:
            raise OSError(95, "Operation not supported")

    monkeypatch.setattr(writing.importlib, "import_module", lambda _: NoLocks)
    update_participants(tmp_path, {"01": {"status": "ok"}})
    assert record(tmp_path)[0]["participant_id"] == "sub-01"
    assert "cannot be locked" in caplog.text


@pytest.mark.parametrize(("quoted", "value"), [(True, "a b"), (False, '"a b"')])
def test_read_rows__marks_short_and_long_rows(tmp_path: Path, quoted: bool, value: str) -> None:
    (tmp_path / "t.tsv").write_text('participant_id\tx\nsub-01\t"a b"\nsub-02\nsub-03\tc\td\n', encoding="utf-8-sig")
    columns, rows = read_rows(tmp_path / "t.tsv", quoted=quoted)
    assert columns == ["participant_id", "x"]
    assert [row["x"] for row in rows] == [value, "", "c"]
    assert rows[2][""] == "d"
    (tmp_path / "t.tsv").write_bytes(b"participant_id\n\xff\xfe\n")
    with pytest.raises(ValueError, match="decode"):
        read_rows(tmp_path / "t.tsv")


def test_to_be_rated__whatever_a_run_that_ends_later_writes_into_the_row(tmp_path: Path) -> None:
    flagged = {"status": "ok", "reason": "not rated, because its prepared images are doubtful: x", "quality_flags": "x"}
    update_participants(tmp_path, {"07": flagged, "08": {"status": "ok"}})
    folder = tmp_path / "sub-07" / "ses-1" / "spect"
    folder.mkdir(parents=True)
    for model in ("a", "b", "gone"):
        if model != "gone":
            (folder / f"sub-07_ses-1_task-interictal_space-T1w_desc-{model}_spect.nii.gz").touch()
        note_unrated(tmp_path, "sub-07_ses-1", "07", model)
    assert to_be_rated(tmp_path) == []
    update_participants(tmp_path, {"07": {"reason": "n/a"}})  # of a run that had rated it before it was flagged
    update_participants(tmp_path, {"07": {"quality_flags": "n/a"}})
    assert to_be_rated(tmp_path) == ["07"]
    forget_unrated(tmp_path, "sub-07_ses-1", "07", "a")
    assert to_be_rated(tmp_path) == ["07"]
    forget_unrated(tmp_path, "sub-07_ses-1", "07", "b")
    assert to_be_rated(tmp_path) == []
