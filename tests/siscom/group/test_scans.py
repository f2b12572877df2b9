from collections.abc import Callable
from pathlib import Path

import pandas as pd

from bids_spectsynth.siscom.group.results import read_results
from bids_spectsynth.siscom.group.scans import SCANS_DICTIONARY, counted, scans_table
from tests.siscom.group.conftest import RIGHT, focus


def test_scans_table__has_the_top_focus_and_what_the_sidecar_says(
    tmp_path: Path, add_result: Callable[..., Path]
) -> None:
    facts = {
        "Route": {"Name": "direct", "MeanMillimetres": 0.4, "LargestMillimetres": 0.9},
        "ResolutionFWHM": {"Ictal": 9.5, "Baseline": 8},
        "LevelUsed": "mode",
        "Threshold": 2,
    }
    foci = [focus(1, sign="hypo"), focus(2, RIGHT, "frontal", flags=("edge",)), focus(3, p=0.5)]
    add_result("01", "Real", foci, ses="x", **facts)
    [row] = scans_table(read_results(tmp_path / "out")).to_dict("records")
    assert (row["participant_id"], row["session_id"], row["ictal"]) == ("sub-01", "ses-x", "sub-01_ses-x_task-ictal")
    assert (row["x_mm"], row["lobe"], row["side"], row["flags"]) == (40, "frontal", "R", "edge")
    assert (row["n_hyper"], row["n_hypo"], row["n_significant_hyper"], row["n_significant_hypo"]) == (2, 1, 1, 1)
    assert (row["sd_percent"], row["route"], row["route_mean_mm"], row["fwhm_ictal_mm"]) == (5, "direct", 0.4, 9.5)
    assert (row["kind"], row["synthetic"], row["seen"]) == ("real", "no", "no")


def test_scans_table__without_foci_or_sidecar_leaves_them_open(tmp_path: Path, add_result: Callable[..., Path]) -> None:
    scan = add_result("01", "Best", [])
    for path in scan.parent.glob("*_statmap.json"):
        path.write_text("damaged")
    table = scans_table(read_results(tmp_path / "out"))
    assert list(table.columns) == list(SCANS_DICTIONARY)
    row = table.iloc[0]
    assert row["kind"] == "synthetic"
    assert row["n_hyper"] == 0
    assert pd.isna(row[["x_mm", "side", "sd_percent"]]).all()


def test_counted__dictionary_says_how_many(tmp_path: Path, add_result: Callable[..., Path]) -> None:
    for run, label in ((1, "Real"), (2, "Real"), (1, "Best")):
        add_result("01", label, [focus()], run=run, seen=label == "Best")
    add_result("02", "Real", [focus()])
    own = counted(SCANS_DICTIONARY, read_results(tmp_path / "out"))
    assert own["participant_id"]["Description"].endswith("2 participants with 3 ictal scans; 1 seen by a model.")
    assert SCANS_DICTIONARY["participant_id"]["Description"] == "Participant."
