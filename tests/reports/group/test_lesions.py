from pathlib import Path

import pandas as pd

from bids_spectsynth.bids.output_files import group_table_path
from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.evaluation.group.lesions import LESIONS_DICTIONARY
from bids_spectsynth.reports.group.lesions import lesions_section
from bids_spectsynth.reports.html import Table, Text


def rows(left_out: str) -> pd.DataFrame:
    own = {"model": "m", "method": "pix2pix", "metric": "mask_rmse", "scale": "slice", "scaling": "slice"}
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
        ["m", "meanSpect", "with", "0.123", "n/a", "1"],
        ["m", "pix2pix", "with", "0.123", "0.100 to 0.200", "3"],
        ["m", "pix2pix", "without", "0.123", "0.100 to 0.200", "9"],
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
