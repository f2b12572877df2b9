"""Small text files between the steps come back as they were; a manifest knows its files."""

import json
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.bids.finding.cases import Case, SourceImage
from bids_spectsynth.errors import ImageError
from bids_spectsynth.preprocess.records import (
    StepRecord,
    Written,
    case_from_text,
    case_to_text,
    is_written,
    load_failure,
    load_record,
    manifest_warnings,
    one_line_reason,
    save_manifest,
    save_record,
)
from bids_spectsynth.preprocess.registration.result import Registration

number = st.floats(-1e6, 1e6)
label = st.text("abcXYZ019", min_size=1, max_size=5)


def test_reasons_are_one_line() -> None:
    assert one_line_reason(ImageError("a:\n  b"), "x") == "a: b"
    assert "--mem-mb" in one_line_reason(MemoryError(), "x")
    assert one_line_reason(ValueError("odd\nthing"), "resampling").startswith("resampling: ValueError: odd thing")
    assert load_failure(Path("/nowhere/at/all")) is None


@given(st.lists(number, min_size=16, max_size=16), number, st.booleans(), st.lists(st.text(max_size=20), max_size=3))
def test_records_come_back_as_they_were(values: list[float], score: float, poor: bool, notes: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r.json"
        found = Registration(np.array(values).reshape(4, 4), score, "metric", 0.5, poor, tuple(notes))
        save_record(path, StepRecord(("note",), found))
        back = load_record(path)
    assert back.registration is not None
    assert np.array_equal(back.registration.matrix, found.matrix)
    assert (back.registration.score, back.registration.poor) == (score, poor)
    assert (back.registration.notes, back.notes) == (tuple(notes), ("note",))


def test_a_score_that_is_no_number_survives(tmp_path: Path) -> None:
    save_record(tmp_path / "r.json", StepRecord((), Registration(np.eye(4), float("nan"), "m", float("nan"), True)))
    found = load_record(tmp_path / "r.json").registration
    assert found is not None
    assert np.isnan(found.score)


@given(label, st.none() | label, st.dictionaries(label, st.text(max_size=10), max_size=3), st.none() | st.just("x"))
def test_cases_come_back_as_they_were(
    participant: str, session: str | None, metadata: dict[str, str], own: str | None
) -> None:
    image = SourceImage(Path("/a b/c.nii"), "pet", {"trc": "FDG"}, metadata, "only", own)
    case = Case(participant, session, {"pet": image}, ("w",))
    assert case_from_text(case_to_text(case)) == case


def test_a_manifest_knows_its_files(tmp_path: Path) -> None:
    out, manifest = tmp_path / "out", tmp_path / "m.json"
    files = [out / "a.txt", out / "b.txt"]
    out.mkdir()
    for file in files:
        file.write_text(file.name)
    assert not is_written(manifest, "k", out)
    save_manifest(manifest, "k", out, Written(tuple(files), {"pet": "why"}, ("look",)))
    assert is_written(manifest, "k", out, ["T1w"])
    assert not is_written(manifest, "k", out, ["T1w", "pet"])
    assert (manifest_warnings(manifest, "k"), manifest_warnings(manifest, "other")) == (("look",), ())
    assert not is_written(manifest, "other", out)
    files[0].write_text("changed")
    assert not is_written(manifest, "k", out)
    for broken in ("{", "[]", json.dumps({"key": "k"}), json.dumps({"key": "k", "files": []})):
        manifest.write_text(broken)
        assert not is_written(manifest, "k", out)


def test_a_manifest_deletes_only_what_is_still_its_own(tmp_path: Path) -> None:
    out, mine, other = tmp_path / "out", tmp_path / "written_a.json", tmp_path / "written_b.json"
    out.mkdir()
    old, shared, changed, kept = files = tuple(out / f"{name}.txt" for name in "abcd")
    for file in files:
        file.write_text(file.name)
    save_manifest(mine, "k", out, Written(files))
    save_manifest(other, "k", out, Written((shared,)))
    changed.write_text("written by another step since")
    save_manifest(mine, "k2", out, Written((kept,)))
    assert [file.exists() for file in (old, shared, changed, kept)] == [False, True, True, True]
