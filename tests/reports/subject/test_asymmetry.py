from types import SimpleNamespace

import pandas as pd
import pytest

from bids_spectsynth.bids.output_files import regional_intervals_path
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.evaluation.uncertainty.regional_table import REGIONAL_DICTIONARY
from bids_spectsynth.reports.subject import images
from bids_spectsynth.reports.subject.asymmetry import asymmetry_section

CASE = PreparedCase("01", None, "T1w", {}, {}, None, None)


def pair(region, index, low, high, real=float("nan"), real_flag="n/a"):
    flag = "yes" if low > 0 or high < 0 else "no"
    rows = [
        {
            "participant_id": "sub-01", "session_id": "n/a", "model": "m", "space": "T1w", "template": "T",
            "region": region, "hemisphere": side, "uptake": 1.0, "asymmetry": index, "asymmetry_low": low,
            "asymmetry_high": high, "asymmetry_flag": flag, "asymmetry_real": real, "asymmetry_real_flag": real_flag,
        }
        for side in "LR"
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(REGIONAL_DICTIONARY))


@pytest.fixture
def context(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "synthetic_title", lambda *_: "m")
    problems = []

    def problem(what, error):
        problems.append(f"{what}: {error}")
        return SimpleNamespace(kind="note")

    synthetic = SimpleNamespace(model="m")
    return SimpleNamespace(output_dir=tmp_path, synthetic=[(CASE, synthetic)], problem=problem, problems=problems)


def write(context, *pairs):
    path = regional_intervals_path(context.output_dir, CASE, "m")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, pd.concat(pairs), REGIONAL_DICTIONARY)
    return path


def test_asymmetry_section__largest_first_and_said_where_it_lies_beyond(context):
    blocks = [pair(f"x12_y{n}_z0", float(n), n - 5.5, n + 5.5) for n in range(12)]
    write(context, *blocks, pair("x36_y0_z0", -20.0, -26.0, -14.0), pair("hemisphere", 1.0, -2.0, 4.0))
    _, _, table = asymmetry_section(context).blocks
    texts = [[cell.text for cell in row] for row in table.rows]
    assert texts[0] == ["hemisphere", "1.0", "−2.0 to 4.0", "within errors"]
    assert texts[1] == ["x36_y0_z0", "−20.0", "−26.0 to −14.0", "right higher"]
    assert texts[2][0] == "x12_y11_z0"
    assert texts[2][3] == "left higher"
    assert len(texts) == 9


def test_asymmetry_section__measured_values_where_there_are(context):
    write(context, pair("hemisphere", 1.0, -2.0, 4.0, 9.0, "yes"))
    table = asymmetry_section(context).blocks[-1]
    assert table.rows[0][-1].text == "9.0"
    assert table.rows[0][-1].tone == "bad"


def test_asymmetry_section__without_tables_or_with_a_damaged_one(context):
    assert asymmetry_section(context) is None
    write(context, pair("hemisphere", 1.0, -2.0, 4.0)).write_text("a\n1\n")
    assert asymmetry_section(context).blocks[-1].kind == "note"
    assert len(context.problems) == 1
