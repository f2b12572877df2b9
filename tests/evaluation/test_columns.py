"""Every number in the tables of the evaluation has a unit that a program can read."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from bids_spectsynth.bids.output_files import group_table_path
from bids_spectsynth.evaluation.case.metrics import METRICS
from bids_spectsynth.evaluation.case.region_columns import (
    AGREEMENT_DICTIONARY,
    MEASURE_UNITS,
    REGIONS_DICTIONARY,
    VOLUME_DICTIONARY,
)
from bids_spectsynth.evaluation.case.slice_columns import slice_dictionary
from bids_spectsynth.evaluation.columns import OF_MEASURE, OF_METRIC, Dictionary
from bids_spectsynth.evaluation.group.bland_altman import rate_agreement
from bids_spectsynth.evaluation.group.calibration import GROUP_CALIBRATION_DICTIONARY
from bids_spectsynth.evaluation.group.columns import SUMMARY_DICTIONARY, ttest_dictionary
from bids_spectsynth.evaluation.group.comparisons import StatisticsOptions
from bids_spectsynth.evaluation.group.tables import (
    GroupTables,
    compare_methods,
    compared_rows,
    summarise,
    write_group_tables,
)
from bids_spectsynth.evaluation.paper.columns import comparisons_dictionary, examples_dictionary, table_4_dictionary
from bids_spectsynth.evaluation.paper.tables import write_paper_tables
from bids_spectsynth.evaluation.uncertainty.rating import CALIBRATION_DICTIONARY
from bids_spectsynth.evaluation.uncertainty.regional_table import REGIONAL_DICTIONARY

DICTIONARIES = {
    "metrics": slice_dictionary,
    "summary": lambda: SUMMARY_DICTIONARY,
    "ttests": ttest_dictionary,
    "table4": table_4_dictionary,
    "examples": examples_dictionary,
    "comparisons": comparisons_dictionary,
    "regions": lambda: REGIONS_DICTIONARY,
    "volumes": lambda: VOLUME_DICTIONARY,
    "agreement": lambda: AGREEMENT_DICTIONARY,
    "calibration": lambda: CALIBRATION_DICTIONARY,
    "uptake": lambda: REGIONAL_DICTIONARY,
    "group_calibration": lambda: GROUP_CALIBRATION_DICTIONARY,
}
#: Numbers that name something and measure nothing.
NUMBERS_AS_NAMES = {"seed", "slice", "block_position", "bin", "figure", "example"}
TEXT = {
    *("participant_id", "session_id", "model", "configuration", "inputs", "space", "losses", "training", "subjects"),
    *("metric", "metric_unit", "measure_unit", "split", "note", "region", "template", "sampled_by"),
    *(f"{name}_{side}" for name in ("inputs", "space", "losses", "configuration") for side in "ab"),
}


def without_unit(dictionary: Dictionary) -> set[str]:
    return {name for name, entry in dictionary.items() if not entry.get("Units") and "Levels" not in entry}


@pytest.mark.parametrize("make", DICTIONARIES.values(), ids=DICTIONARIES)
def test_dictionaries__every_number_has_units(make: Callable[[], Dictionary]) -> None:
    dictionary = make()
    assert without_unit(dictionary) <= TEXT | NUMBERS_AS_NAMES
    assert all(str(entry["Description"]).strip() for entry in dictionary.values())


@pytest.mark.parametrize("make", DICTIONARIES.values(), ids=DICTIONARIES)
def test_dictionaries__a_unit_that_the_row_tells_has_its_column(make: Callable[[], Dictionary]) -> None:
    dictionary = make()
    units = {entry.get("Units") for entry in dictionary.values()}
    assert (OF_METRIC in units) == ("metric_unit" in dictionary)
    assert (OF_MEASURE in units) == ("measure_unit" in dictionary)


@pytest.mark.parametrize("name", ["regions", "agreement", "volumes", "group_calibration", "table4"])
def test_dictionaries__the_outputs_page_describes_every_column(name: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / "outputs.md").read_text(encoding="utf-8")
    assert [column for column in DICTIONARIES[name]() if f"`{column}`" not in text] == []


@pytest.fixture
def written(tmp_path: Path, study: Callable[..., pd.DataFrame]) -> Path:
    """Output folder with the tables of a study of two models."""
    rows = study(inputs=("pet", "T1w"), spaces=("T1w",), losses=("L1+BCE",))
    held_out = compared_rows(rows)
    tests = compare_methods(held_out, StatisticsOptions(bootstrap_samples=0))
    tables = GroupTables(rows, summarise(held_out), tests)
    write_group_tables(tables, tmp_path)
    write_paper_tables(tables, tmp_path)
    return tmp_path


def test_written_tables__every_column_of_numbers_has_units(written: Path) -> None:
    paths = sorted(written.glob("*.tsv"))
    assert len(paths) == 7
    for path in paths:
        dictionary = json.loads(path.with_suffix(".json").read_text())
        table = pd.read_csv(path, sep="\t", na_values=["n/a"])
        numbers = {name for name in table.columns if pd.api.types.is_numeric_dtype(table[name])}
        # A column of nothing but n/a reads as numbers.
        numbers = {name for name in numbers if table[name].notna().any() and table[name].dtype != bool}
        assert numbers & without_unit(dictionary) <= NUMBERS_AS_NAMES, path.name


@pytest.mark.parametrize("name", ["summary", "ttests", "table4", "comparisons"])
def test_written_tables__each_row_has_the_unit_of_its_metric(written: Path, name: str) -> None:
    table = pd.read_csv(group_table_path(written, name), sep="\t", dtype=str, keep_default_na=False)
    assert set(table["metric"]) >= {"rmse", "ssim", "psnr"}
    assert list(table["metric_unit"]) == [METRICS[metric].unit for metric in table["metric"]]


def test_agreement__each_row_has_the_unit_of_its_measure() -> None:
    identity = dict.fromkeys(AGREEMENT_DICTIONARY, "x")
    sides = [{"hemisphere": "L", "synthetic": 1.1}, {"hemisphere": "R", "synthetic": 0.9}]
    values = {"real": 1.0, "asymmetry_real": 2.0, "asymmetry_synthetic": 3.0}
    values |= {"baseline_variance_share": 50.0, "baseline_residual_percent": 1.0}
    rows = [
        {**identity, "template": "T", "participant_id": f"sub-{n}", "region": f"x{block}", **side, **values}
        for n in range(3)
        for block in range(2)
        for side in sides
    ]
    found = rate_agreement(pd.DataFrame(rows))
    assert {"uptake", "asymmetry"} == set(found["measure"])
    assert list(found["measure_unit"]) == [MEASURE_UNITS[measure] for measure in found["measure"]]
