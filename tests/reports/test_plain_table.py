import pandas as pd
import pytest

from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.errors import DatasetError
from bids_spectsynth.reports.plain_table import LONG_TABLE, plain_table, readable


def test_plain_table__any_columns_with_their_dictionary(tmp_path):
    frame = pd.DataFrame({"participant_id": ["sub-01"], "kappa": [0.123456], "p": [float("nan")]})
    dictionary = {
        "participant_id": {"Description": "Who."},
        "kappa": {"LongName": "Cohen's kappa", "Description": "Agreement.", "Units": "1"},
        "p": {"Description": "Chance."},
    }
    write_table(tmp_path / "a.tsv", frame, dictionary)
    table = plain_table(tmp_path / "a.tsv", "x")
    assert [column.label for column in table.columns] == ["participant id", "Cohen's kappa", "p"]
    assert [column.numeric for column in table.columns] == [False, True, True]
    assert [cell.text for cell in table.rows[0]] == ["sub-01", "0.1235", "n/a"]
    assert ("Cohen's kappa", "Agreement.") in table.footnotes


def test_plain_table__without_a_dictionary_and_long_ones_folded(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("a\n" + "1\n" * (LONG_TABLE + 1))
    table = plain_table(path, "x")
    assert table.folded
    assert table.footnotes == []


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00", b'a\n"1\n'])
def test_plain_table__missing_and_damaged_are_one_line(tmp_path, content):
    path = tmp_path / "a.tsv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"a\.tsv: cannot read the table") as caught:
        plain_table(path, "x")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("1e-05", "1e-05"), ("-0.000012345", "-1.234e-05"), ("123456", "1.235e+05"), ("inf", "inf"), ("-2", "−2")],
)
def test_readable__numbers(text, shown):
    assert readable(text) == shown
