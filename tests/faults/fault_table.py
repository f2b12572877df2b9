"""The table of what was tried: tests say it by ``record_property``, a run with ``--faults-table FILE`` writes it.

A test records ``tried`` and ``seen``, and ``number`` where it holds several cases. Tests of one function that tried the
same make one row. The properties travel with the reports, also from the processes of xdist.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"
_HEAD = ("| what was tried | number | what was seen | test |", "|---|--:|---|---|")
_CASES = re.compile(r" \| ([\d,]+) \| ")


@dataclass(frozen=True)
class Tried:
    """One test that has ended."""

    test: str
    failed: bool = False
    skipped: bool = False
    properties: dict[str, str] = field(default_factory=dict)


def table(ended: Iterable[Tried], before: str = "") -> str:
    """Markdown: a row for what each function of a test tried, sorted; of files that were not run, the rows before."""
    tests = list(ended)
    files = {_function(one.test).partition(":")[0] for one in tests}
    kept = [line for line in before.splitlines() if line.startswith("| ") and line not in _HEAD]
    kept = [line for line in kept if line.rpartition(" | ")[2].partition(":")[0] not in files]
    rows: dict[tuple[str, str], list[Tried]] = {}
    for one in tests:
        # Whoever failed before it could say what it tries has a row all the same.
        tried = one.properties.get("tried", _function(one.test) if one.failed else "")
        if tried and not one.skipped:
            rows.setdefault((tried, _function(one.test)), []).append(one)
    lines = sorted([*kept, *(_row(*key, rows[key]) for key in rows)])
    cases = sum(int(_CASES.search(line)[1].replace(",", "")) for line in lines)  # type: ignore[index]
    failed = sum("| **failed**" in line for line in lines)
    return "\n".join([*_HEAD, *lines, "", f"{cases:,} cases in {len(lines)} rows, {failed} of them failed."])


def _row(tried: str, function: str, tests: list[Tried]) -> str:
    number = sum(int(one.properties.get("number", 1)) for one in tests)
    seen = sorted({one.properties["seen"] for one in tests if "seen" in one.properties and not one.failed})
    failed = [one.test.rpartition("::")[2] for one in tests if one.failed]
    words = [*([f"**failed**: {', '.join(sorted(failed))}"] if failed else []), *seen]
    cells = (tried, f"{number:,}", "; ".join(words), function)
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"


def _function(test: str) -> str:
    """``test_kills.py: killed`` of ``tests/faults/test_kills.py::test_killed[1]``."""
    path, _, name = test.partition("::")
    words = name.partition("[")[0].rpartition("::")[2].removeprefix("test_").replace("_", " ")
    return f"`{Path(path).name}`: {' '.join(words.split())}"


def write_table(path: Path, ended: Iterable[Tried]) -> None:
    """Replace what stands between the two markers of a file."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end:
        raise pytest.UsageError(f"{path}: the markers {BEGIN} and {END} are missing")
    path.write_text(f"{before}{BEGIN}\n\n{table(ended, old)}\n\n{END}{after}", encoding="utf-8")


class _Collector:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.ended: dict[str, Tried] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        before = self.ended.get(report.nodeid, Tried(report.nodeid))
        self.ended[report.nodeid] = Tried(
            report.nodeid,
            before.failed or report.failed,
            before.skipped or report.skipped,
            {**before.properties, **{str(key): str(value) for key, value in report.user_properties}},
        )

    def pytest_sessionfinish(self) -> None:
        if self.ended:
            write_table(self.path, self.ended.values())


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option of ``make faults``."""
    parser.addoption("--faults-table", metavar="FILE", help="Markdown file whose table of what was tried is rewritten")


def pytest_configure(config: pytest.Config) -> None:
    """Collect in the process that hears of all tests."""
    path = config.getoption("--faults-table", default=None)
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Collector(Path(config.invocation_params.dir) / str(path)), "faults-table")
