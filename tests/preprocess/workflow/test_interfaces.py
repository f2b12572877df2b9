"""The Nipype shells: what they leave, what changes their hash, what they say when they fail."""

import json
import pickle
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nipype.pipeline.engine import Node

from bids_spectsynth.bids.cases import Case, SourceImage
from bids_spectsynth.errors import ImageError
from bids_spectsynth.preprocess.outputs import frame_durations
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
    save_failure,
    save_manifest,
    save_record,
)
from bids_spectsynth.preprocess.registration.result import Registration
from bids_spectsynth.preprocess.workflow.interfaces import (
    PrepareReference,
    RegisterToReference,
    WritePrepared,
    has_own_mask,
    named,
)

number = st.floats(-1e6, 1e6)


def common(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    base = {"backend": "embedded", "software": "a 1", "failure_file": str(tmp_path / "why")}
    return {**base, **changes}


def test_reference_leaves_a_mask_and_notes(tiny: Any, make_case: Any, tmp_path: Path) -> None:
    case = make_case("01", ("T1w",))
    node = Node(PrepareReference(t1w=str(case.images["T1w"].path), **common(tmp_path)), "ref", base_dir=str(tmp_path))
    outputs = node.run().outputs
    mask = nib.load(outputs.mask)
    assert mask.get_data_dtype() == np.uint8
    assert set(np.unique(np.asanyarray(mask.dataobj))) == {0, 1}
    assert load_record(Path(outputs.record)).registration is None


def test_registration_says_where_the_mask_comes_from(tiny: Any, make_case: Any, tmp_path: Path) -> None:
    case = make_case("01", ("T1w", "pet", "ictal"))
    mask = tmp_path / "mask.nii.gz"
    head = nib.load(case.images["T1w"].path)
    nib.save(nib.Nifti1Image((np.asanyarray(head.dataobj) > 50).astype(np.uint8), head.affine), mask)
    masks = {}
    for role in ("pet", "ictal"):
        interface = RegisterToReference(
            moving=str(case.images[role].path), role=role, t1w=str(case.images["T1w"].path), t1w_mask=str(mask),
            coreg_init="auto", **common(tmp_path),
        )  # fmt: skip
        outputs = Node(interface, f"register_{role}", base_dir=str(tmp_path)).run().outputs
        masks[role] = bool(outputs.mask)
        found = load_record(Path(outputs.record)).registration
        assert found is not None
        assert (found.poor, found.notes) == (True, ("nothing done",))
    assert masks == {"pet": False, "ictal": True}


@pytest.mark.parametrize(
    ("role", "backend", "own"),
    [("ictal", "embedded", True), ("pet", "fsl", True), ("pet", "embedded", False), ("T2w", "fsl", False)],
)
def test_which_images_have_a_mask_of_their_own(role: str, backend: str, own: bool) -> None:
    assert has_own_mask(role, backend) is own


def test_everything_that_matters_is_in_the_hash(tmp_path: Path) -> None:
    def value(**changes: Any) -> str:
        interface = RegisterToReference(
            moving="a", role="pet", t1w="b", coreg_init=changes.pop("coreg_init", "auto"), **common(tmp_path, **changes)
        )
        return str(interface.inputs.get_hashval(hash_method="timestamp")[1])

    changes = [{}, {"backend": "fsl"}, {"software": "a 2"}, {"coreg_init": "header"}]
    assert len({value(**change) for change in changes}) == len(changes)
    assert value(failure_file="elsewhere") == value(optional=True) == value()
    hashes = {
        str(PrepareReference(t1w="a", threads=n, **common(tmp_path)).inputs.get_hashval(hash_method="timestamp")[1])
        for n in (1, 2)
    }
    assert len(hashes) == 2


def test_the_writer_survives_the_way_to_another_process(tmp_path: Path) -> None:
    interface = WritePrepared(steps=("T1w", "pet"), space="T1w", **common(tmp_path))
    interface.inputs.record_pet = "somewhere"
    copy = pickle.loads(pickle.dumps(interface))
    assert copy.inputs.record_pet == "somewhere"
    assert copy.always_run


@pytest.mark.parametrize(("size", "n_notes"), [(22, 0), (12, 1)])
def test_an_unusual_brain_volume_is_noted(tiny: Any, tmp_path: Path, size: int, n_notes: int) -> None:
    data = np.zeros((32, 32, 32), dtype=np.float32)
    data[4 : 4 + size, 4 : 4 + size, 4 : 4 + size] = 100
    nib.save(nib.Nifti1Image(data, np.diag([5.0, 5, 5, 1])), tmp_path / "t1w.nii.gz")
    (tmp_path / "step").mkdir()
    interface = PrepareReference(t1w=str(tmp_path / "t1w.nii.gz"), **common(tmp_path))
    outputs = interface.run(cwd=str(tmp_path / "step")).outputs
    notes = load_record(Path(outputs.record)).notes
    assert sum(note.startswith("brain mask of 0.22 l") for note in notes) == n_notes


def test_a_failing_step_leaves_its_reason(tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "sub-01_T1w.nii.gz").write_bytes(b"")
    interface = PrepareReference(t1w=str(tmp_path / "sub-01_T1w.nii.gz"), **common(tmp_path))
    with pytest.raises(ImageError):
        interface.run(cwd=str(tmp_path))
    reason = load_failure(tmp_path / "why")
    assert reason is not None
    assert "sub-01_T1w.nii.gz" in reason
    save_failure(tmp_path / "why", "a later one")
    assert load_failure(tmp_path / "why") == reason


def test_reasons_are_one_line() -> None:
    assert one_line_reason(ImageError("a:\n  b"), "x") == "a: b"
    assert "--mem-mb" in one_line_reason(MemoryError(), "x")
    assert one_line_reason(ValueError("odd\nthing"), "resampling").startswith("resampling: ValueError: odd thing")
    assert load_failure(Path("/nowhere/at/all")) is None


def test_an_error_without_a_file_gets_one() -> None:
    def failing(path: str) -> None:
        raise ImageError(f"{path}the mask is empty")

    with pytest.raises(ImageError, match=r"^/a/b.nii: the mask is empty$"):
        named(Path("/a/b.nii"), failing, "")
    with pytest.raises(ImageError, match=r"^/a/b.nii: the mask is empty$"):
        named(Path("/a/b.nii"), failing, "/a/b.nii: ")


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


label = st.text("abcXYZ019", min_size=1, max_size=5)


@given(label, st.none() | label, st.dictionaries(label, st.text(max_size=10), max_size=3))
def test_cases_come_back_as_they_were(participant: str, session: str | None, metadata: dict[str, str]) -> None:
    image = SourceImage(Path("/a b/c.nii"), "pet", {"trc": "FDG"}, metadata, "only")
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


@pytest.mark.parametrize(("stated", "durations"), [([30, 60.5], [30.0, 60.5]), (30, None), (["a"], None), (None, None)])
def test_frame_durations(stated: Any, durations: list[float] | None) -> None:
    assert frame_durations(SourceImage(Path("a"), "pet", {}, {"FrameDuration": stated}, "")) == durations
