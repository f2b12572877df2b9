import json
import os
from pathlib import Path
from typing import Any

import pytest

from bids_spectsynth.bids.output_files import read_table
from bids_spectsynth.errors import UsageError
from bids_spectsynth.evaluation.group import page_ratings
from bids_spectsynth.evaluation.group.page_ratings import COLUMNS, read_page_ratings, worst, write_page_ratings

ROW = {"participant_id": "sub-01", "session_id": "n/a", "rater": "AB", "section": "registration", "verdict": "pass",
       "comment": "n/a", "version": "1.0"}  # fmt: skip


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """The folder of the ratings, and an output folder with two participants."""
    ratings, out = tmp_path / "ratings", tmp_path / "out"
    ratings.mkdir()
    for label in ("01", "02"):
        (out / f"sub-{label}").mkdir(parents=True)
    return ratings, out


def content(**changes: Any) -> dict[str, Any]:
    rating = {"section": "registration", "verdict": "doubtful", "comment": 'turned\n\tby "much"'}
    own = {"format_version": 1, "software": "bids_spectsynth", "version": "1.0", "participant_id": "sub-01",
           "session_id": "", "rater": "AB", "ratings": [rating]}  # fmt: skip
    return {**own, **changes}


def put(folder: Path, name: str, value: object, age: int = 0) -> None:
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    os.utime(path, (1_700_000_000 - age, 1_700_000_000 - age))


def table(*rows: dict[str, str]) -> str:
    return "\n".join("\t".join(row[name] for name in COLUMNS) for row in ({n: n for n in COLUMNS}, *rows)) + "\n"


def test_read_page_ratings__json_and_table_say_the_same(places: tuple[Path, Path]) -> None:
    ratings, out = places
    put(ratings, "a.json", content())
    put(ratings, "b.tsv", table({**ROW, "participant_id": "sub-02", "verdict": "fail", "comment": "cut", "rater": "C"}))
    put(ratings, "notes.txt", "not looked at")
    put(ratings, ".half.json", "{")
    found = read_page_ratings(ratings, out)
    assert (found.left_out, found.replaced) == ([], [])
    rows = found.table.to_dict("records")
    assert rows[0] == {**ROW, "verdict": "doubtful", "comment": "turned by 'much'", "file": "a.json"}
    assert rows[1]["verdict"] == "fail"
    assert rows[1]["session_id"] == "n/a"


def test_read_page_ratings__the_newest_file_of_a_rater_counts_and_it_is_said(places: tuple[Path, Path]) -> None:
    ratings, out = places
    put(ratings, "z-old.json", content(), age=100)
    put(ratings, "a-new.tsv", table({**ROW, "rater": "ab"}))
    put(ratings, "other.json", content(rater="C"), age=50)
    found = read_page_ratings(ratings, out)
    assert found.replaced == ["z-old.json: a-new.tsv is newer and counts for registration"]
    assert dict(zip(found.table["rater"], found.table["verdict"], strict=True)) == {"ab": "pass", "C": "doubtful"}


def test_read_page_ratings__the_same_twice_needs_no_word(places: tuple[Path, Path]) -> None:
    ratings, out = places
    put(ratings, "a.json", content(ratings=[{"section": "registration", "verdict": "pass"}]))
    put(ratings, "a.tsv", table(ROW), age=3)
    found = read_page_ratings(ratings, out)
    assert found.replaced == []
    assert len(found.table) == 1


BAD: dict[str, tuple[object, str]] = {
    "no-json": ("{", "Expecting"),
    "list": ([1], "not a JSON object"),
    "other-software": (content(software="mriqc"), "not written by a page of bids_spectsynth"),
    "later": (content(format_version=2), "format version 2 is not known here; 1 is"),
    "true": (content(format_version=True), "format version True"),
    "extra-key": (content(weight=3), "unknown key 'weight'"),
    "no-list": (content(ratings="x"), "ratings is not a list"),
    "empty": (content(ratings=[]), "holds no rating"),
    "extra-in-rating": (content(ratings=[{"section": "a", "verdict": "pass", "x": 1}]), "other keys than"),
    "stranger": (content(participant_id="sub-99"), "no participant 'sub-99' in the output folder"),
    "path": (content(participant_id="sub-01/../.."), "no participant"),
    "session": (content(session_id="2"), "'2' is no session"),
    "verdict": (content(ratings=[{"section": "a", "verdict": "good"}]), "'good' is no verdict; pass, doubtful, fail"),
    "no-verdict": (content(ratings=[{"section": "a"}]), "verdict is missing or no text"),
    "section": (content(ratings=[{"section": "<b>", "verdict": "pass"}]), "'<b>' is no section"),
    "number": (content(rater=3), "rater is missing or no text"),
    "nobody": (content(rater=" \n"), "the rater has no name"),
    "long-rater": (content(rater="x" * 101), "rater is longer than 100 characters"),
    "long-comment": (
        content(ratings=[{"section": "a", "verdict": "pass", "comment": "x" * 2001}]),
        "comment is longer than 2000 characters",
    ),
    "twice": (content(ratings=[{"section": "a", "verdict": "pass"}] * 2), "rates a of sub-01 twice"),
    "many": (content(ratings=[{"section": f"a{n}", "verdict": "pass"} for n in range(1001)]), "holds 1001 ratings"),
    "deep": ("[" * 100_000, "nested too deeply"),
}


@pytest.mark.parametrize("name", BAD)
def test_read_page_ratings__a_bad_file_is_one_line_and_the_others_go_on(name: str, places: tuple[Path, Path]) -> None:
    ratings, out = places
    bad, reason = BAD[name]
    put(ratings, f"{name}.json", bad)
    put(ratings, "good.tsv", table(ROW))
    found = read_page_ratings(ratings, out)
    (line,) = found.left_out
    assert line.startswith(f"{name}.json: ")
    assert reason in line
    assert line.endswith("; left out")
    assert "\n" not in line
    assert len(found.table) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("participant_id\trater\nsub-01\tAB\n", "the columns are not participant_id"),
        (table(ROW) + "sub-01\tn/a\tAB\tmore\tpass\tx\t1\textra\n", "a row is longer than the first"),
        (table({**ROW, "verdict": ""}), "is no verdict"),
        ("", "the columns are not"),
    ],
)
def test_read_page_ratings__a_bad_table_is_one_line(text: str, reason: str, places: tuple[Path, Path]) -> None:
    ratings, out = places
    put(ratings, "bad.tsv", text)
    (line,) = read_page_ratings(ratings, out).left_out
    assert line.startswith("bad.tsv: ")
    assert reason in line


def test_read_page_ratings__large_files_and_pipes_are_not_read(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ratings, out = places
    put(ratings, "large.json", content(version="x" * 30))
    os.mkfifo(ratings / "pipe.json")
    monkeypatch.setattr(page_ratings, "MOST_BYTES", 100)
    first, second = sorted(read_page_ratings(ratings, out).left_out)
    assert first.startswith("large.json: larger than")
    assert second.startswith("pipe.json: not a regular file")


def test_read_page_ratings__too_many_files_or_no_folder_are_refused(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ratings, out = places
    with pytest.raises(UsageError, match=r"--ratings: .* cannot be listed"):
        read_page_ratings(ratings / "none", out)
    put(ratings, "a.tsv", table(ROW))
    put(ratings, "b.tsv", table(ROW))
    monkeypatch.setattr(page_ratings, "MOST_FILES", 1)
    with pytest.raises(UsageError, match="holds 2 files; 1 at most"):
        read_page_ratings(ratings, out)


def test_write_page_ratings__table_and_what_was_left_out(
    places: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    ratings, out = places
    put(ratings, "a.json", content())
    put(ratings, "bad.json", "{")
    path = write_page_ratings(ratings, out)
    assert path == out / "group_ratings.tsv"
    assert read_table(path)["verdict"].tolist() == ["doubtful"]
    facts = json.loads(path.with_suffix(".json").read_text())
    assert [line.partition(":")[0] for line in facts["LeftOut"]] == ["bad.json"]
    assert facts["verdict"]["Levels"].keys() == {"pass", "doubtful", "fail"}
    assert "--ratings: bad.json: " in caplog.text


def test_worst() -> None:
    assert worst(["pass", "fail", "doubtful"]) == "fail"
    assert worst(["pass", "pass"]) == "pass"
    assert worst([]) == ""
