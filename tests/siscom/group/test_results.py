import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from bids_spectsynth.siscom.group.results import by_participant, read_concordance, read_results
from bids_spectsynth.siscom.outputs.paths import clusters_path, concordance_path
from tests.siscom.group.conftest import RIGHT, concordance_row, focus


def test_read_results__gives_back_what_was_written(tmp_path: Path, add_result: Callable[..., Path]) -> None:
    foci = [focus(1, flags=("edge", "large")), focus(2, RIGHT, "frontal", p=0.2, sign="hypo")]
    add_result("01", "Best", foci, run=2, ses="a", Synthetic=True)
    [result] = read_results(tmp_path / "out")
    assert (result.participant, result.found.session, result.found.ictal) == (
        "sub-01", "a", "sub-01_ses-a_task-ictal_run-2",
    )  # fmt: skip
    assert (result.kind, result.synthetic, result.seen) == ("synthetic", True, False)
    assert [(one.rank, one.peak_mm, one.names, one.flags, one.p_corrected) for one in result.foci] == [
        (one.rank, one.peak_mm, one.names, one.flags, one.p_corrected) for one in foci
    ]
    assert result.top is result.foci[0]
    assert result.significant() == [result.foci[0]]
    assert result.significant("hypo") == []


def test_read_results__damaged_table_is_named_and_left_out(
    tmp_path: Path, add_result: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    add_result("01", "Real", [focus()])
    damaged = [clusters_path(add_result(label, "Real", [focus()]), "Real") for label in ("02", "03", "04")]
    damaged[0].write_text("rank\tsign\n1\thyper\n")
    damaged[1].write_text(damaged[1].read_text().replace("-40", "n/a"))
    damaged[2].write_bytes(b"\xff\xfe\x00rank")
    with caplog.at_level(logging.WARNING):
        results = read_results(tmp_path / "out")
    assert [result.participant for result in results] == ["sub-01"]
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [str(path) for path in damaged]
    assert "no column" in caplog.records[0].getMessage()


def test_read_results__seen_by_the_sidecar_or_by_a_flag(tmp_path: Path, add_result: Callable[..., Path]) -> None:
    add_result("01", "Best", [], seen=True)
    add_result("02", "Best", [focus(flags=("seen",))])
    add_result("03", "Best", [focus()])
    assert [result.seen for result in read_results(tmp_path / "out")] == [True, True, False]


def test_read_concordance__joins_rows_with_both_results(
    tmp_path: Path,
    add_result: Callable[..., Path],
    add_concordance: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    add_result("01", "Real", [focus()])
    scan = add_result("01", "Pet", [focus()])
    rows = [concordance_row("Real", "Pet", "same focus"), concordance_row("Real", "Gone", "different")]
    add_concordance(scan, *rows)
    other = add_result("02", "Real", [focus()])
    concordance_path(other).write_text("baseline_a\n")
    pairs = read_concordance(read_results(tmp_path / "out"))
    assert [(a.label, b.label, row["verdict"]) for a, b, row in pairs] == [("Real", "Pet", "same focus")]
    assert str(concordance_path(other)) in caplog.text


def test_read_results__baselines_stand_in_the_order_of_their_kinds(
    tmp_path: Path, add_result: Callable[..., Path]
) -> None:
    for label in ("Zbest", "Pet", "Abest", "Real"):
        add_result("01", label, [focus()])
    assert [result.label for result in read_results(tmp_path / "out")] == ["Real", "Abest", "Zbest", "Pet"]


def test_by_participant__takes_the_first_scan_of_each(tmp_path: Path, add_result: Callable[..., Path]) -> None:
    for participant, run in (("02", 2), ("02", 1), ("01", 1)):
        add_result(participant, "Real", [focus()], run=run)
    chosen = by_participant(read_results(tmp_path / "out")[::-1])
    assert [result.found.ictal for result in chosen] == ["sub-01_task-ictal_run-1", "sub-02_task-ictal_run-1"]
