from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from bids_spectsynth.evaluation.figures.style import svg_text
from bids_spectsynth.siscom.group.agreement import group_concordance
from bids_spectsynth.siscom.group.figures import concordance_drawing, localisation_drawing, write_siscom_figures
from bids_spectsynth.siscom.group.localisation import localisation_table
from bids_spectsynth.siscom.group.results import read_concordance, read_results
from bids_spectsynth.siscom.group.truth import Truth
from tests.siscom.group.conftest import LEFT, RIGHT, concordance_row, focus


@pytest.fixture
def tables(
    tmp_path: Path, add_result: Callable[..., Path], add_concordance: Callable[..., None]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    for participant, at in (("01", LEFT), ("02", RIGHT)):
        add_result(participant, "Real", [focus(1, LEFT)])
        scan = add_result(participant, "Pet", [focus(1, at)])
        add_concordance(scan, concordance_row("Real", "Pet", "same focus" if at == LEFT else "different"))
    results = read_results(tmp_path / "out")
    truth = Truth(against="focus", source="phantom", side="L", lobe="temporal", point_mm=LEFT)
    return group_concordance(read_concordance(results)), localisation_table(results, [[truth]] * len(results))


def test_concordance_drawing__bars_are_the_shares(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    drawing = concordance_drawing(tables[0])
    [axes] = drawing.figure.axes
    assert [bar.get_width() for bar in axes.patches] == [50, 50]
    assert [bar.get_x() for bar in axes.patches] == [0, 50]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["Real, Pet (n = 2)"]
    assert "same focus" in svg_text(drawing)


def test_localisation_drawing__points_are_the_rates(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    drawing = localisation_drawing(tables[1])
    side, lobe, near, unused = drawing.figure.axes
    assert [axes.get_title() for axes in (side, lobe, near)] == ["focus: side", "focus: lobe", "focus: within 15 mm"]
    assert not unused.axison
    hits, missed, false = (side.containers[n].lines[0].get_xdata().tolist() for n in range(3))
    labels = [text.get_text() for text in side.get_yticklabels()]
    assert dict(zip(labels, zip(hits, missed, false, strict=True), strict=True)) == {
        "Real (n = 2)": (100, 0, 0),
        "Pet (n = 2)": (50, 50, 50),
    }


def test_write_siscom_figures__writes_both_and_removes_what_is_stale(
    tmp_path: Path, tables: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    written = write_siscom_figures(*tables, tmp_path)
    assert [path.name for path in written] == ["group_siscom_concordance.svg", "group_siscom_localisation.svg"]
    assert all(path.with_suffix(".png").exists() for path in written)
    assert write_siscom_figures(tables[0].iloc[:0], tables[1], tmp_path) == written[1:]
    assert sorted(path.name for path in written[0].parent.iterdir()) == [
        "group_siscom_localisation.png", "group_siscom_localisation.svg",
    ]  # fmt: skip
