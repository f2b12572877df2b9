import pandas as pd
import pytest

from bids_spectsynth.errors import DatasetError
from bids_spectsynth.reports.subject.siscom.table import SHOWN, budget_table, by_rank, foci_tables, meanings
from bids_spectsynth.siscom.outputs.columns import CLUSTERS_DICTIONARY


def foci(count, **more):
    row = {"sign": "hyper", "x_mm": "-31.6", "y_mm": "4.2", "z_mm": "-0.3", "p_corrected": "0.002494", **more}
    return by_rank(pd.DataFrame([{"rank": str(rank), **row} for rank in range(count, 0, -1)]))


def cells(table, row=0):
    return {column.label: cell for column, cell in zip(table.columns, table.rows[row], strict=True)}


def test_foci_tables__by_rank_and_those_beyond_ten_folded():
    first, rest = foci_tables(foci(SHOWN + 3), {})
    assert [row[0].text for row in first.rows] == [str(rank) for rank in range(1, SHOWN + 1)]
    assert [row[0].text for row in rest.rows] == [str(SHOWN + n) for n in (1, 2, 3)]
    assert (first.folded, rest.folded) == (False, True)


def test_foci_tables__values_as_readers_see_them():
    row = cells(foci_tables(foci(1, region="Amygdala", region_distance_mm="2.4", flags="edge,large"), {})[0])
    assert row["x y z mm"].text == "−32 4 0"
    assert (row["Corrected p"].text, row["Corrected p"].tone) == ("0.002", "best")
    assert row["Region"].text == "Amygdala\n2 mm off"
    assert row["Flags"].text == "edge\nlarge"
    assert row["zcohort"].text == "n/a", "a column that the file does not have"


def test_foci_tables__p_that_is_not_below_five_percent_is_not_emphasised():
    assert cells(foci_tables(foci(1, p_corrected="0.05"), {})[0])["Corrected p"].tone == "muted"


def test_by_rank__another_table_is_refused():
    with pytest.raises(DatasetError, match="no column sign"):
        by_rank(pd.DataFrame({"rank": ["1"]}))


def test_budget_table__each_cause_beside_the_change():
    row = cells(budget_table(foci(1, percent_max="27.04", sd_noise_percent="2.31", sd_synthesis_percent="n/a"), {}))
    assert (row["Change %"].text, row["Noise %"].text, row["Synthesis %"].text) == ("27.0", "2.3", "n/a")


def test_meanings__every_column_that_is_shown_is_explained():
    explained = {row[0].text: row[1].text for row in meanings().rows}
    shown = {
        column.label for table in (*foci_tables(foci(1), {}), budget_table(foci(1), {})) for column in table.columns
    }
    assert shown <= set(explained)
    assert all(explained.values())
    assert {f"Flags: {flag}" for flag in CLUSTERS_DICTIONARY["flags"]["Levels"]} <= set(explained)
