from pathlib import Path

import pandas as pd
import pytest

from bids_spectsynth.bids.sidecars import sidecar
from bids_spectsynth.bids.table_records import CHECKSUM, ROWS, table_fault
from bids_spectsynth.bids.writing import write_table


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "x_metrics.tsv"
    frame = pd.DataFrame({"name": ["a", "b", "c"], "value": [1.0, 2.0, 3.0]})
    write_table(path, frame, {"name": {"Description": "n"}, "value": {"Description": "v"}}, recorded=True)
    return path


def test_table_fault__none_as_written(table: Path) -> None:
    assert table_fault(table) == ""
    assert sidecar(table)[ROWS] == 3
    assert len(sidecar(table)[CHECKSUM]) == 64
    assert sidecar(table)["name"] == {"Description": "n"}


def test_table_fault__cut_in_the_middle(table: Path) -> None:
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:3]))
    assert table_fault(table) == "has 2 rows of 3"


def test_table_fault__another_value(table: Path) -> None:
    table.write_text(table.read_text().replace("2", "7"))
    assert table_fault(table) == "is not what was written (another checksum)"


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_table_fault__empty(table: Path, text: str) -> None:
    table.write_text(text)
    assert table_fault(table) == "is empty"


def test_table_fault__of_an_earlier_version_is_taken_as_it_is(table: Path) -> None:
    table.with_suffix(".json").write_text("{}")
    table.write_text("name\tvalue\na\t1\n")
    assert table_fault(table) == ""
