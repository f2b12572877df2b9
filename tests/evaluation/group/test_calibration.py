import re

import pandas as pd
import pytest

from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.errors import DatasetError
from bids_spectsynth.evaluation.group.calibration import gather_calibration, group_calibration, write_group_calibration
from bids_spectsynth.evaluation.uncertainty.rating import ALL, CALIBRATION_DICTIONARY, calibration
from bids_spectsynth.reports.group.calibration import calibration_section


def case_table(truth, participant, seed, scale=1.0):
    real, synthetic, spread, mask = truth
    return calibration(real, synthetic, scale * spread, mask).assign(
        participant_id=participant, session_id="n/a", model=f"mSeed{seed}", configuration="m", space="T1w",
        split="test", sampled_by="dropout", samples=8,
    )[list(CALIBRATION_DICTIONARY)]  # fmt: skip


def test_subjects_count_once_however_many_seeds_they_have(truth, tmp_path):
    tables = [case_table(truth, "sub-01", 1), case_table(truth, "sub-01", 2, 0.5), case_table(truth, "sub-02", 1)]
    for number, table in enumerate(tables):
        path = tmp_path / "out" / f"sub-{number}" / "spect" / "x_calibration.tsv"
        path.parent.mkdir(parents=True)
        write_table(path, table, CALIBRATION_DICTIONARY)
    group = write_group_calibration(tmp_path / "out")
    assert list(group["bin"]) == [*map(str, range(1, 11)), ALL]
    assert set(group["n_subjects"]) == {2}
    assert group["n_voxels"].iloc[-1] == 2 * tables[0]["n_voxels"].iloc[-1], "seeds are not counted again"
    # 01 has ratios 1 and 2, so 1.5 on average; 02 has 1.
    assert group["ratio"].iloc[-1] == pytest.approx(1.25, rel=0.05)
    read = pd.read_csv(tmp_path / "out" / "group_calibration.tsv", sep="\t")
    assert len(read) == 11


def test_labels_of_digits_stay_as_they_are(truth, tmp_path):
    path = tmp_path / "sub-01" / "spect" / "x_calibration.tsv"
    path.parent.mkdir(parents=True)
    write_table(path, case_table(truth, "sub-01", 1).assign(configuration="007", model="007"), CALIBRATION_DICTIONARY)
    assert set(write_group_calibration(tmp_path)["configuration"]) == {"007"}


def test_each_line_of_the_report_is_of_one_space_and_one_way_of_sampling(truth, tmp_path):
    own = [
        case_table(truth, "sub-01", 1).assign(**{"configuration": "007", "model": "007", **keys})
        for keys in ({}, {"space": "Tpl"}, {"samples": 16}, {"sampled_by": "ensemble"})
    ]
    for number, table in enumerate(own):
        path = tmp_path / f"sub-{number}" / "spect" / "x_calibration.tsv"
        path.parent.mkdir(parents=True)
        write_table(path, table, CALIBRATION_DICTIONARY)
    write_group_calibration(tmp_path)
    _, picture, table, coverage, coverages = calibration_section(tmp_path).blocks
    assert "nominal coverage" in coverage.content
    assert len(coverages.rows) == 4
    lines = re.findall(r"007, (\w+) \((\d+) by (\w+)\)", picture.content)
    assert sorted(set(lines)) == [("T1w", "16", "dropout"), ("T1w", "8", "dropout"), ("T1w", "8", "ensemble"),
                                  ("Tpl", "8", "dropout")]  # fmt: skip
    assert len(table.rows) == 4
    assert {row[1].text for row in table.rows} == {"T1w", "Tpl"}
    assert {row[-1].text for row in table.rows} == {str(own[0]["n_voxels"].iloc[-1])}


def test_without_tables_an_old_one_goes(tmp_path):
    (tmp_path / "group_calibration.tsv").write_text("old")
    assert write_group_calibration(tmp_path).empty
    assert not (tmp_path / "group_calibration.tsv").exists()
    assert group_calibration(gather_calibration(tmp_path)).empty


def test_a_damaged_table(tmp_path):
    path = tmp_path / "sub-01" / "spect" / "x_calibration.tsv"
    path.parent.mkdir(parents=True)
    path.write_text("a\tb\n1\t2\n")
    with pytest.raises(DatasetError, match="not a calibration table"):
        gather_calibration(tmp_path)


def test_calibrated_participants_of_and_beside_the_cohort_are_one_row(truth, tmp_path):
    own = {"sampled_by": "calibration"}
    tables = [case_table(truth, f"sub-0{n}", 1).assign(**own, samples=n_others) for n, n_others in ((1, 7), (2, 8))]
    for number, table in enumerate(tables):
        path = tmp_path / f"sub-{number}" / "spect" / "x_calibration.tsv"
        path.parent.mkdir(parents=True)
        write_table(path, table, CALIBRATION_DICTIONARY)
    whole = write_group_calibration(tmp_path).query("bin == 'all'")
    assert whole["n_subjects"].tolist() == [2]
    assert whole["samples"].tolist() == [7]
