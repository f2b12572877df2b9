"""Old, cut and empty tables of the cases stay out of the group's statistics, each with a line."""

import json
import shutil
from pathlib import Path

import pytest

from bids_spectsynth.bids.participants import update_participants
from bids_spectsynth.bids.table_records import table_record
from bids_spectsynth.evaluation.group.tables import group_tables
from bids_spectsynth.evaluation.group.usable import left_out_of_statistics, usable_ratings
from tests.evaluation.group.test_tables import write_case


@pytest.fixture
def output(tmp_path: Path) -> Path:
    for label in ("01", "02", "03"):
        path = write_case(tmp_path, label)
        path.with_suffix(".json").write_text(json.dumps(table_record(path.read_text())))
    return tmp_path


def rated(output: Path) -> set[str]:
    return set(group_tables(output).metrics["participant_id"])


def table(output: Path, label: str) -> Path:
    return next(output.glob(f"sub-{label}/spect/*_metrics.tsv"))


def test_group_tables__everybody_where_nothing_is_wrong(output: Path) -> None:
    update_participants(output, {label: {"status": "ok"} for label in ("01", "02", "03")})
    assert rated(output) == {"sub-01", "sub-02", "sub-03"}
    assert left_out_of_statistics(output) == []


@pytest.mark.parametrize(
    "stage", ["find", "preprocess", "quality", "train", "synthesise", "evaluate", "siscom, preprocess", ""]
)
def test_group_tables__old_ratings_of_a_failed_participant(output: Path, stage: str) -> None:
    update_participants(output, {"02": {"status": "failed", "reason": "damaged PET", "failed_in": stage}})
    assert rated(output) == {"sub-01", "sub-03"}
    (line,) = left_out_of_statistics(output)
    assert line.startswith("sub-02: left out of the statistics")
    assert "(damaged PET)" in line


@pytest.mark.parametrize("stage", ["preprocess", "evaluate", ""])
def test_group_tables__old_ratings_of_a_participant_whose_run_was_stopped(output: Path, stage: str) -> None:
    update_participants(output, {"02": {"status": "stopped", "reason": "the run ended", "failed_in": stage}})
    assert rated(output) == {"sub-01", "sub-03"}
    (line,) = left_out_of_statistics(output)
    assert "older than its last run, which was stopped (the run ended)" in line


@pytest.mark.parametrize("status", ["failed", "stopped"])
@pytest.mark.parametrize("stage", ["siscom", "report"])
def test_group_tables__failure_after_the_rating_takes_nobody_away(output: Path, stage: str, status: str) -> None:
    update_participants(output, {"02": {"status": status, "reason": "no", "failed_in": stage}})
    assert rated(output) == {"sub-01", "sub-02", "sub-03"}


def test_group_tables__table_that_was_cut(output: Path) -> None:
    path = table(output, "02")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: len(lines) // 2]))
    assert rated(output) == {"sub-01", "sub-03"}
    (line,) = left_out_of_statistics(output)
    assert line.startswith(f"sub-02/spect/{path.name}: left out of the statistics, the table has {len(lines) // 2 - 1}")
    assert f"rows of {len(lines) - 1}; delete it and evaluate again" in line


def test_group_tables__empty_table_is_named_and_fails_nobody_else(output: Path) -> None:
    table(output, "02").write_text("")
    assert rated(output) == {"sub-01", "sub-03"}
    assert "the table is empty" in left_out_of_statistics(output)[0]


def test_usable_ratings__of_each_kind(output: Path) -> None:
    metrics = table(output, "02")
    regions = metrics.with_name(metrics.name.replace("_metrics", "_regions"))
    shutil.copy(metrics, regions)
    assert usable_ratings(output, "regions") == [regions]
    regions.write_text("")
    assert usable_ratings(output, "regions") == []
    assert len(usable_ratings(output, "metrics")) == 3
