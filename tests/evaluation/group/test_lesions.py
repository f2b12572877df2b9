import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from bids_spectsynth.bids.output_files import rating_path
from bids_spectsynth.bids.participants import update_participants
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.evaluation.case.slice_columns import slice_dictionary
from bids_spectsynth.evaluation.columns import LESION_KEY
from bids_spectsynth.evaluation.group.columns import SUMMARY_DICTIONARY
from bids_spectsynth.evaluation.group.lesions import (
    LESIONS_DICTIONARY,
    group_lesions,
    with_lesion,
    write_group_lesions,
)
from bids_spectsynth.evaluation.group.tables import compared_rows, gather_metrics, summarise

NO_VOLUMES = pd.DataFrame(columns=["split", "participant_id"])
PEOPLE = ("01", "02", "03", "04")


@pytest.fixture
def out(tmp_path: Path, model: Callable[..., pd.DataFrame]) -> Path:
    """Ratings of four held-out participants; 02 and 04 have a lesion mask."""
    rows = model("m", "T1w", "T1w", "L1+BCE", participants=PEOPLE)
    for label in PEOPLE:
        own = rows[rows["participant_id"] == f"sub-{label}"]
        case = PreparedCase(label, None, "T1w", {}, {}, None, None)
        facts = {LESION_KEY: True} if label in ("02", "04") else {}
        path = rating_path(tmp_path, case, "m", "metrics")
        write_table(path, own[list(slice_dictionary())], slice_dictionary(), facts, recorded=True)
    update_participants(tmp_path, {label: {"status": "ok", "lesion_ml": "12.5" if label in ("02", "04") else ""}
                                   for label in PEOPLE})  # fmt: skip
    return tmp_path


def test_with_lesion__by_the_table_of_participants(out: Path, tmp_path: Path) -> None:
    assert with_lesion(out) == {"sub-02", "sub-04"}
    assert with_lesion(tmp_path / "nothing") == frozenset()


def test_group_lesions__rows_are_those_of_a_summary_of_these_people(out: Path) -> None:
    metrics = gather_metrics(out)
    table = group_lesions(out, metrics, NO_VOLUMES)
    assert list(table) == list(LESIONS_DICTIONARY)
    assert table.groupby("lesion", sort=False)["n_subjects"].unique().map(list).to_dict() == {
        "with": [2],
        "without": [2],
    }
    assert table.groupby("lesion")["lesion_left_out"].unique().map(list).to_dict() == {
        "with": ["yes"], "without": ["n/a"],
    }  # fmt: skip
    held_out = compared_rows(metrics)
    for lesion, labels in (("with", ("sub-02", "sub-04")), ("without", ("sub-01", "sub-03"))):
        own = table[table["lesion"] == lesion][list(SUMMARY_DICTIONARY)].reset_index(drop=True)
        wanted = summarise(held_out[held_out["participant_id"].isin(labels)])
        pd.testing.assert_frame_equal(own, wanted, check_dtype=False)


def test_group_lesions__of_nobody_there_is_no_table_and_an_earlier_one_goes(out: Path) -> None:
    metrics = gather_metrics(out)
    path = write_group_lesions(group_lesions(out, metrics, NO_VOLUMES), out)
    assert path is not None
    assert path.with_suffix(".json").exists()
    update_participants(out, {label: {"lesion_ml": ""} for label in PEOPLE})
    table = group_lesions(out, metrics, NO_VOLUMES)
    assert table.empty
    assert write_group_lesions(table, out) is None
    assert not path.exists()
    assert not path.with_suffix(".json").exists()


def test_group_lesions__only_held_out_people_count(out: Path) -> None:
    metrics = gather_metrics(out)
    trained = metrics.assign(
        split=metrics["split"].where(~metrics["participant_id"].isin(["sub-02", "sub-04"]), "train")
    )
    assert group_lesions(out, trained, NO_VOLUMES).empty


def test_group_lesions__left_out_of_some_is_said(out: Path, caplog: pytest.LogCaptureFixture) -> None:
    case = PreparedCase("04", None, "T1w", {}, {}, None, None)
    path = rating_path(out, dataclasses.replace(case), "m", "metrics").with_suffix(".json")
    content = json.loads(path.read_text())
    del content[LESION_KEY]
    path.write_text(json.dumps(content))
    table = group_lesions(out, gather_metrics(out), NO_VOLUMES)
    assert set(table[table["lesion"] == "with"]["lesion_left_out"]) == {"mixed"}
    write_group_lesions(table, out)
    assert "evaluate all of them with one --lesion-mask" in caplog.text
