"""The section on SISCOM in the group's page."""

import re

import pandas as pd
import pytest

from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.reports.group.page import group_report


@pytest.fixture
def out(tmp_path, write):
    write.describe(tmp_path, PhantomData=True)
    row = {"participant_id": "sub-01", "verdict": "same <b>focus</b>", "some_new_column": 0.123456}
    for name in ("group_siscom", "group_siscom_concordance", "group_siscom_localisation"):
        dictionary = {column: {"Description": f"{name} {column}."} for column in row}
        write_table(tmp_path / f"{name}.tsv", pd.DataFrame([row]), dictionary)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/group_siscom_verdicts.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    return tmp_path


def headings(html):
    return re.findall(r"<h2>([^<]*)</h2>", html)


def test_siscom_section__whatever_columns_the_tables_have(out, parse):
    html = group_report(out).read_text(encoding="utf-8")
    parsed = parse(html)
    text = parsed.text
    assert "SISCOM" in headings(html)
    assert "<b>focus" not in html
    assert text.count("same <b>focus</b>") == 3
    assert text.count("0.1235") == 3
    assert "group_siscom_localisation some_new_column." in text
    assert "Distributions" not in headings(html), "the figure stands in its own section"
    assert "figures/group_siscom_verdicts.svg" in parsed.links


def test_siscom_section__phantom_proves_the_machinery_only(out, write, parse):
    words = "the phantom proves the machinery only"
    assert words in parse(group_report(out).read_text()).text
    write.describe(out)
    assert words not in parse(group_report(out).read_text()).text


def test_siscom_section__a_damaged_table_leaves_the_others(out, parse):
    (out / "group_siscom.tsv").write_bytes(b"")
    text = parse(group_report(out).read_text()).text
    assert "group_siscom.tsv: cannot read the table" in text
    assert text.count("same <b>focus</b>") == 2


def test_siscom_section__without_tables_there_is_none(tmp_path, write):
    write.describe(tmp_path)
    assert "SISCOM" not in headings(group_report(tmp_path).read_text())
