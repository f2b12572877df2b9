import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from bids_spectsynth.bids.output_files import lesion_path, rating_path
from bids_spectsynth.bids.participants import update_participants
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.evaluation.case.slice_columns import slice_dictionary
from bids_spectsynth.evaluation.case.volume_measures import VOLUME_MEASURES
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


def cases(*labels: str) -> set[tuple[str, str]]:
    return {(f"sub-{label}", "n/a") for label in labels}


def tables(*own: tuple[str, str], left_out: bool = False) -> pd.DataFrame:
    return pd.DataFrame(own, columns=["participant_id", "session_id"]).assign(left_out=left_out)


def mask_of(out: Path, label: str, session: str | None = None) -> None:
    path = lesion_path(out, PreparedCase(label, session, "T1w", {}, {}, None, None))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_with_lesion__by_the_masks_and_where_none_is_left_by_the_table_of_participants(
    out: Path, tmp_path: Path
) -> None:
    everybody = tables(*cases(*PEOPLE))
    assert with_lesion(out, everybody) == cases("02", "04")
    mask_of(out, "03")
    assert with_lesion(out, everybody) == cases("02", "03", "04")
    # Of who has a mask in one session, the others have none.
    mask_of(out, "04", "post")
    every = {*cases("02"), ("sub-04", "ses-pre"), ("sub-04", "ses-post")}
    assert with_lesion(out, tables(*every)) == {*cases("02"), ("sub-04", "ses-post")}
    # However small it is.
    update_participants(out, {"02": {"status": "ok", "lesion_ml": "0.0"}})
    assert with_lesion(out, tables(*cases("02"))) == cases("02")
    nothing = tmp_path / "nothing"
    assert with_lesion(nothing, tables(*cases("02"))) == frozenset()
    assert with_lesion(nothing, tables(*cases("02"), left_out=True)) == frozenset(), "ratings of an earlier mask"


def test_with_lesion__where_no_mask_is_left_ratings_without_the_lesion_tell_the_session(out: Path) -> None:
    before, after = ("sub-02", "ses-pre"), ("sub-02", "ses-post")
    assert with_lesion(out, tables(before, after)) == {before, after}
    own = pd.concat([tables(before), tables(after, left_out=True)])
    assert with_lesion(out, own) == {after}


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


def without_key(path: Path) -> None:
    path = path.with_suffix(".json")
    content = json.loads(path.read_text())
    del content[LESION_KEY]
    path.write_text(json.dumps(content))


def test_group_lesions__left_out_of_some_is_said(out: Path, caplog: pytest.LogCaptureFixture) -> None:
    without_key(rating_path(out, PreparedCase("04", None, "T1w", {}, {}, None, None), "m", "metrics"))
    table = group_lesions(out, gather_metrics(out), NO_VOLUMES)
    assert set(table[table["lesion"] == "with"]["lesion_left_out"]) == {"mixed"}
    write_group_lesions(table, out)
    assert "m: lesions were left out of the metrics of some participants alone" in caplog.text
    assert "evaluate all of them with one --lesion-mask" in caplog.text


@pytest.fixture
def sessions(tmp_path: Path, model: Callable[..., pd.DataFrame]) -> Path:
    """02 before and after a resection, by two models; 01 has no lesion."""
    for name, seed in (("m", 1), ("n", 2)):
        rows = model(name, "T1w", "T1w", "L1+BCE", participants=("01", "02"), seed=seed).assign(model=name)
        for label in ("01", "02"):
            for session in ("pre", "post"):
                case = PreparedCase(label, session, "T1w", {}, {}, None, None)
                own = rows[rows["participant_id"] == f"sub-{label}"].assign(session_id=f"ses-{session}")
                facts = {LESION_KEY: True} if (label, session) == ("02", "post") else {}
                path = rating_path(tmp_path, case, name, "metrics")
                write_table(path, own[list(slice_dictionary())], slice_dictionary(), facts, recorded=True)
    mask_of(tmp_path, "02", "post")
    update_participants(tmp_path, {"01": {"status": "ok"}, "02": {"status": "ok", "lesion_ml": "12.5"}})
    return tmp_path


def verdicts(out: Path) -> dict[str, str]:
    """Of each model."""
    table = group_lesions(out, gather_metrics(out), NO_VOLUMES)
    own = table[table["lesion"] == "with"].drop_duplicates("model")
    return dict(zip(own["model"], own["lesion_left_out"], strict=True))


def test_group_lesions__a_session_without_a_mask_counts_among_those_without(sessions: Path) -> None:
    table = group_lesions(sessions, gather_metrics(sessions), NO_VOLUMES)
    rows = table[(table["metric"] == "mask_rmse") & (table["method"] == "pix2pix") & (table["scale"] == "slice")]
    found = {(row["model"], row["lesion"]): (row["n_subjects"], row["n_slices"]) for _, row in rows.iterrows()}
    assert found == {
        (name, lesion): count for name in "mn" for lesion, count in (("with", (1, 5)), ("without", (2, 15)))
    }
    assert verdicts(sessions) == {"m": "yes", "n": "yes"}


def test_group_lesions__the_verdict_is_that_of_the_tables_behind_the_rows_of_each_model(sessions: Path) -> None:
    post = PreparedCase("02", "post", "T1w", {}, {}, None, None)
    without_key(rating_path(sessions, post, "n", "metrics"))
    assert verdicts(sessions) == {"m": "yes", "n": "no"}
    # A person who was trained on, and a table that is no longer what was written, have no say.
    mask_of(sessions, "01", "pre")
    mask_of(sessions, "01", "post")
    assert verdicts(sessions) == {"m": "mixed", "n": "no"}
    before, after = (
        rating_path(sessions, PreparedCase("01", session, "T1w", {}, {}, None, None), "m", "metrics")
        for session in ("pre", "post")
    )
    trained = pd.read_csv(before, sep="\t", keep_default_na=False).assign(split="train")
    write_table(before, trained, slice_dictionary(), recorded=True)
    assert verdicts(sessions) == {"m": "mixed", "n": "no"}
    after.write_text(after.read_text().replace("\ttest\t", "\texternal\t"))
    assert verdicts(sessions) == {"m": "yes", "n": "no"}


def test_group_lesions__volumes_are_of_the_same_cases(sessions: Path) -> None:
    rows = gather_metrics(sessions)
    columns = ["participant_id", "session_id", "split", "model", "configuration", "seed", "method", "inputs", "space",
               "scaling", "losses", "recipe", "training"]  # fmt: skip
    volumes = rows[rows["method"] == "pix2pix"][columns].drop_duplicates()
    volumes = volumes.assign(rated_slices=5, **dict.fromkeys(VOLUME_MEASURES, 0.5))
    table = group_lesions(sessions, rows, volumes)
    own = table[table["metric"] == next(iter(VOLUME_MEASURES))]
    found = own[["lesion", "lesion_left_out", "n_subjects", "n_slices"]].drop_duplicates().to_numpy().tolist()
    assert found == [["with", "yes", 1, 5], ["without", "n/a", 2, 15]]
