from pathlib import Path

import pandas as pd

from bids_spectsynth.bids.output_files import group_table_path
from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.evaluation.group.lesions import LESIONS_DICTIONARY
from bids_spectsynth.reports.group.lesions import left_out_notes, lesions_section
from bids_spectsynth.reports.html import Table, Text


def rows(left_out: str) -> pd.DataFrame:
    own = {"model": "m", "method": "pix2pix", "metric": "mask_rmse", "scale": "slice", "scaling": "slice",
           "split": "test", "inputs": "T1w", "data_range": 2.0}  # fmt: skip
    numbers = {"subject_low": 0.1, "subject_mean": 0.123456, "subject_high": 0.2, "n_subjects": 3}
    found = [
        {**own, **numbers, "lesion": "with", "lesion_left_out": left_out},
        {**own, **numbers, "lesion": "without", "lesion_left_out": "n/a", "n_subjects": 9},
        {**own, **numbers, "lesion": "with", "lesion_left_out": left_out, "metric": "ssim"},
        {**own, **numbers, "lesion": "with", "lesion_left_out": left_out, "scale": "volume"},
        {**own, **numbers, "lesion": "with", "lesion_left_out": left_out, "method": "meanSpect",
         "subject_low": float("nan"), "n_subjects": 1},
    ]  # fmt: skip
    return pd.DataFrame(found).reindex(columns=list(LESIONS_DICTIONARY))


def test_lesions_section__each_model_with_and_without(tmp_path: Path) -> None:
    write_table(group_table_path(tmp_path, "lesions"), rows("no"), LESIONS_DICTIONARY)
    section = lesions_section(tmp_path)
    assert section is not None
    text, table = section.blocks
    assert isinstance(text, Text)
    assert "The lesion counts in the numbers (--lesion-mask all leaves it out)." in text.text
    assert isinstance(table, Table)
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["m", "meanSpect", "test", "with", "0.123", "n/a", "1"],
        ["m", "pix2pix", "test", "with", "0.123", "0.100 to 0.200", "3"],
        ["m", "pix2pix", "test", "without", "0.123", "0.100 to 0.200", "9"],
    ]


def test_lesions_section__none_without_a_table_and_other_words_for_what_was_left_out(tmp_path: Path) -> None:
    assert lesions_section(tmp_path) is None
    for left_out, words in (("yes", "was left out of the numbers"), ("mixed", "evaluate all with one --lesion-mask")):
        write_table(group_table_path(tmp_path, "lesions"), rows(left_out), LESIONS_DICTIONARY)
        section = lesions_section(tmp_path)
        assert section is not None
        assert words in str(section.blocks[0])
        assert ("Metrics of the whole slice" in str(section.blocks[0])) is (left_out == "yes")


def test_lesions_section__what_differs_between_models_is_said_of_each(tmp_path: Path) -> None:
    table = pd.concat([rows("yes"), rows("no").assign(model="n")])
    write_table(group_table_path(tmp_path, "lesions"), table, LESIONS_DICTIONARY)
    section = lesions_section(tmp_path)
    assert section is not None
    assert "m: The lesion was left out of the numbers" in str(section.blocks[0])
    assert "n: The lesion counts in the numbers" in str(section.blocks[0])


def table_of(tmp_path: Path, rows_of: pd.DataFrame) -> Table:
    write_table(group_table_path(tmp_path, "lesions"), rows_of, LESIONS_DICTIONARY)
    section = lesions_section(tmp_path)
    assert section is not None
    table = section.blocks[1]
    assert isinstance(table, Table)
    return table


def test_lesions_section__rows_can_be_told_apart(tmp_path: Path) -> None:
    external = rows("no").assign(split="external", n_subjects=2)
    other_range = rows("no").assign(data_range=1.5)
    table = table_of(tmp_path, pd.concat([rows("no"), external, other_range]))
    names = [column.label for column in table.columns]
    assert names[:5] == ["Model", "Method", "Split", "Lesion", "Data range"]
    keys = [tuple(cell.text for cell in row[:5]) for row in table.rows]
    assert len(set(keys)) == len(keys) == 9
    assert ("m", "pix2pix", "external", "with", "2") in keys
    assert ("m", "pix2pix", "test", "with", "1.5") in keys
    # Of one range nothing is said, of what was left out where it differs.
    names = [column.label for column in table_of(tmp_path, pd.concat([rows("no"), external])).columns]
    assert names[:4] == ["Model", "Method", "Split", "Lesion"]
    assert "Data range" not in names
    table = table_of(tmp_path, pd.concat([rows("no"), rows("yes").assign(split="external")]))
    assert [column.label for column in table.columns][4] == "Lesion left out"
    assert {(row[2].text, row[3].text, row[4].text) for row in table.rows} == {
        ("test", "with", "no"), ("test", "without", "n/a"),
        ("external", "with", "yes"), ("external", "without", "n/a"),
    }  # fmt: skip


def test_left_out_notes__only_where_a_lesion_was_left_out() -> None:
    assert left_out_notes(None) == left_out_notes(rows("no")) == []
    for left_out in ("yes", "mixed"):
        (note,) = left_out_notes(rows(left_out))
        assert "was left out of these numbers (--lesion-mask all)" in str(note)
