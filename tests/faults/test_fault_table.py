"""The table of what was tried, from the tests to the documentation."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fault_table import BEGIN, END, Tried, table, write_table

TESTS = """
import pytest

@pytest.mark.parametrize("n", [1, 2, 3])
def test_reading__bad(n, record_property):
    record_property("tried", "bad | files")
    record_property("seen", "one line")
    assert n < 3

def test_other(record_property):
    record_property("tried", "a header")
    record_property("number", 12345)
    record_property("seen", "refused")

def test_silent():
    pass

@pytest.mark.skip
def test_left_out(record_property):
    pass
"""
EXPECTED = """| what was tried | number | what was seen | test |
|---|--:|---|---|
| a header | 12,345 | refused | `test_some.py`: other |
| bad \\| files | 3 | **failed**: test_reading__bad[3]; one line | `test_some.py`: reading bad |

12,348 cases in 2 rows, 1 of them failed."""


@pytest.mark.parametrize("processes", ["0", "1"])
def test_run__writes_what_tests_tried_between_the_markers(tmp_path: Path, processes: str) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    page = tmp_path / "page.md"
    page.write_text(f"# Before\n{BEGIN}\nold\n{END}\nafter\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "fault_table", "-n", processes, "-c", os.devnull,
               "--rootdir", str(tmp_path), "--faults-table", page.name, "test_some.py"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert page.read_text() == f"# Before\n{BEGIN}\n\n{EXPECTED}\n\n{END}\nafter\n"


def test_table__of_a_test_that_failed_before_it_said_anything() -> None:
    text = table([Tried("tests/faults/test_a.py::test_b", failed=True)])
    assert "**failed**: test_b" in text


def test_table__rows_of_files_that_were_not_run_stay() -> None:
    def tried(file: str, number: int) -> Tried:
        return Tried(f"tests/faults/{file}::test_b", properties={"tried": "x", "number": str(number), "seen": "y"})

    before = table([tried("test_a.py", 1), tried("test_b.py", 2000)])
    text = table([tried("test_a.py", 5)], before)
    assert "| x | 5 | y | `test_a.py`: b |" in text
    assert "| x | 2,000 | y | `test_b.py`: b |" in text
    assert text.endswith("2,005 cases in 2 rows, 0 of them failed.")


def test_write_table__without_markers_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("text")
    with pytest.raises(pytest.UsageError, match="markers"):
        write_table(page, [])
    assert page.read_text() == "text"
