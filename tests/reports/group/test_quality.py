"""Sections on outliers and ratings, from their tables alone."""

import pandas as pd
import pytest

from bids_spectsynth.bids.output_files import group_table_path
from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.evaluation.group.outliers import group_outliers, write_group_outliers
from bids_spectsynth.evaluation.group.page_ratings import RATINGS_DICTIONARY
from bids_spectsynth.evaluation.group.quality import quality_dictionary, write_group_quality
from bids_spectsynth.reports.group.quality import outliers_section, ratings_section
from bids_spectsynth.reports.html import Note, Table


def quality(*z, n=9):
    rows = [{"participant_id": f"sub-0{k}", "session_id": "n/a", "quantity": "overlap", "of": "PET to T1w",
             "metric_unit": "1", "value": 0.5, "median": 0.9, "mad": 0.01, "n": n, "z": one}
            for k, one in enumerate(z, start=1)]  # fmt: skip
    return pd.DataFrame(rows, columns=list(quality_dictionary()))


def write(out, table):
    write_group_quality(table, out)
    write_group_outliers(group_outliers(table), out)


def test_outliers_section__a_row_with_value_median_z_and_link(tmp_path):
    write(tmp_path, quality(-8.25, 0.2, 4.0))
    (tmp_path / "sub-01.html").write_text("")
    (table,) = (block for block in outliers_section(tmp_path).blocks if isinstance(block, Table))
    texts = [[cell.text for cell in row] for row in table.rows]
    assert texts[0][:6] == ["sub-01", "Overlap", "PET to T1w", "0.5", "0.9", "−8.2"]
    assert texts[0][6].endswith("Look at the registration.")
    assert [row[0].href for row in table.rows] == ["sub-01.html", ""]
    assert [row[5].tone for row in table.rows] == ["bad", "muted"], "good quality is no fault"


@pytest.mark.parametrize(("n", "words"), [(4, "looked for from 5 on"), (9, "No value lies beyond a robust z of 3.5")])
def test_outliers_section__says_why_there_are_none(n, words, tmp_path):
    write(tmp_path, quality(0.1, 0.2, n=n))
    notes = [block.text for block in outliers_section(tmp_path).blocks if isinstance(block, Note)]
    assert words in notes[0]


def test_outliers_section__without_a_table(tmp_path):
    assert outliers_section(tmp_path) is None
    assert ratings_section(tmp_path) is None


def ratings(out, rows, **facts):
    table = pd.DataFrame(rows, columns=list(RATINGS_DICTIONARY))
    write_table(group_table_path(out, "ratings"), table, RATINGS_DICTIONARY, facts)


def test_ratings_section__counts_by_section_and_the_worst_first(tmp_path):
    rows = [
        ("sub-01", "n/a", "A", "registration", "pass", "n/a", "1", "a.json"),
        ("sub-01", "n/a", "B", "registration", "doubtful", "turned", "1", "b.json"),
        ("sub-02", "ses-1", "A", "registration", "fail", "cut", "1", "c.json"),
        ("sub-02", "ses-1", "A", "siscom", "pass", "n/a", "1", "c.json"),
    ]
    ratings(tmp_path, rows, Replaced=["a.json: b.json is newer"])
    section = ratings_section(tmp_path)
    counts, every = (block for block in section.blocks if isinstance(block, Table))
    assert [[cell.text for cell in row] for row in counts.rows] == [
        ["registration", "1", "1", "1", "2"], ["siscom", "1", "0", "0", "0"],
    ]  # fmt: skip
    assert [row[2].text for row in every.rows] == ["fail", "doubtful", "pass", "pass"]
    assert every.rows[0][0].text == "sub-02 ses-1"
    assert [row[4].text for row in every.rows] == ["cut", "turned", "–", "–"]
    assert any(getattr(block, "entries", None) == [("a.json: b.json is newer", "")] for block in section.blocks)


def test_ratings_section__files_that_were_all_left_out(tmp_path):
    ratings(tmp_path, [], LeftOut=["a.json: damaged; left out"])
    section = ratings_section(tmp_path)
    assert section.blocks[0].text == "There is no rating."
    assert section.blocks[-1].entries == [("a.json: damaged; left out", "")]
