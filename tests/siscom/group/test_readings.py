import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.errors import UsageError
from bids_spectsynth.siscom.group.readings import read_readings
from bids_spectsynth.siscom.group.study_columns import FORM_DICTIONARY, KEY_DICTIONARY


@pytest.fixture
def fill(tmp_path: Path) -> Callable[..., Path]:
    """Write a key of two cases and a form with some rows; returns the form."""
    common = {"reading": 1, "participant_id": "sub-01", "ictal": "sub-01_task-ictal"}
    place = {"side": "L", "lobe": "temporal", "x_mm": -40, "y_mm": 0, "z_mm": 1.5}
    key = [
        {"case": "case-001", **common, "baseline": "Real", "kind": "real", "truth": "focus", **place},
        {"case": "case-002", **common, "baseline": "Pet", "kind": "pet", "truth": "n/a"},
    ]
    write_table(tmp_path / "study-key/key.tsv", pd.DataFrame(key, columns=list(KEY_DICTIONARY)), KEY_DICTIONARY)

    def write(*rows: dict[str, Any]) -> Path:
        path = tmp_path / "study/form.tsv"
        path.parent.mkdir(exist_ok=True)
        default = {"case": "case-001", "reader": "ab", "focus": "1", "found": "yes", "side": "L", "confidence": "4"}
        lines = ["\t".join(FORM_DICTIONARY)]
        lines += ["\t".join(str({**default, **row}.get(name, "")) for name in FORM_DICTIONARY) for row in rows]
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


def test_read_readings__joins_marks_with_the_key(fill: Callable[..., Path]) -> None:
    place = {"x_mm": "-41,5", "y_mm": "2", "z_mm": "0"}
    form = fill(
        {"lobe": "TLE", **place, "confidence": "2"},
        {"focus": "2", "side": "midline", "confidence": "5"},
        {"case": "case-002", "found": "No", "side": "", "confidence": ""},
    )
    first, second = read_readings(form, None)
    assert (first.reader, first.case.baseline, second.case.baseline) == ("ab", "Real", "Pet")
    assert [(mark.side, mark.lobe, mark.point_mm, mark.confidence) for mark in first.marks] == [
        ("L", "temporal", (-41.5, 2, 0), 2), ("M", "n/a", None, 5),
    ]  # fmt: skip
    assert first.top is first.marks[1]
    assert first.case.truth is not None
    assert first.case.truth.point_mm == (-40, 0, 1.5)
    assert (second.marks, second.top, second.case.truth) == ((), None, None)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"case": "case-009"}, "no case case-009"),
        ({"reader": ""}, "reader is missing"),
        ({"focus": "4"}, "focus is 4"),
        ({"found": "maybe"}, "found is maybe"),
        ({"found": ""}, "found is empty"),
        ({"found": "no"}, "a place is given"),
        ({"side": "up"}, "side is up"),
        ({"lobe": "hippocampus"}, "lobe is hippocampus"),
        ({"confidence": "6"}, "confidence is 6"),
        ({"confidence": ""}, "confidence is empty"),
        ({"x_mm": "3"}, "three numbers, or none"),
        ({"x_mm": "3", "y_mm": "4", "z_mm": "nan"}, "three numbers, or none"),
    ],
)
def test_read_readings__wrong_row_is_named_and_left_out(
    fill: Callable[..., Path], caplog: pytest.LogCaptureFixture, row: dict[str, str], message: str
) -> None:
    form = fill({"case": "case-002"}, row)
    with caplog.at_level(logging.WARNING):
        readings = read_readings(form, None)
    assert [reading.case.case for reading in readings] == ["case-002"]
    [record] = caplog.records
    assert record.getMessage().startswith(f"{form}, line 3: ")
    assert message in record.getMessage()


def test_read_readings__second_answer_to_a_focus_is_left_out(
    fill: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    form = fill({"side": "R"}, {"side": "L"})
    [reading] = read_readings(form, None)
    assert [mark.side for mark in reading.marks] == ["R"]
    assert "line 3: ab has answered focus 1 of case-001 already" in caplog.text


def test_read_readings__empty_rows_are_not_read(fill: Callable[..., Path], caplog: pytest.LogCaptureFixture) -> None:
    form = fill({"found": "", "side": "", "confidence": "", "reader": ""}, {"case": "case-002"})
    assert [reading.case.case for reading in read_readings(form, None)] == ["case-002"]
    assert not caplog.records


def test_read_readings__without_its_key_or_columns_is_refused(fill: Callable[..., Path], tmp_path: Path) -> None:
    form = fill({})
    with pytest.raises(UsageError, match="no key of the study"):
        read_readings(form, tmp_path / "elsewhere")
    moved = form.rename(tmp_path / "filled.tsv")
    assert len(read_readings(moved, tmp_path / "study")) == 1
    moved.write_text("case;reader\n")
    with pytest.raises(UsageError, match=r"no column case, .*tab-separated"):
        read_readings(moved, tmp_path / "study")
    with pytest.raises(UsageError, match="cannot be read"):
        read_readings(tmp_path / "none.tsv", None)
