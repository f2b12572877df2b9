"""What tells ictal scans apart, their order, and whose they are."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.bids.scans import owner, recorded_case, scan_key, scan_key_of

SESSION = st.none() | st.sampled_from(["a", "b10", "b9"])
ENTITIES = st.dictionaries(st.sampled_from(["trc", "rec", "run"]), st.sampled_from(["1", "2", "10", "x"]))


@given(SESSION, ENTITIES, SESSION, ENTITIES)
def test_scan_key__equal_only_for_the_same_scan(
    session: str | None, entities: dict[str, str], other_session: str | None, other: dict[str, str]
) -> None:
    same = session == other_session and entities == other
    assert (scan_key(session, entities) == scan_key(other_session, other)) is same


def test_scan_key__sessions_then_names_then_numbers_by_value() -> None:
    keys = [
        scan_key(None, {"task": "ictal"}),
        scan_key("a", {"task": "ictal", "run": "9"}),
        scan_key("a", {"task": "ictal", "run": "10"}),
        scan_key("b", {"task": "ictal"}),
    ]
    assert sorted(set(keys)) == keys


def test_scan_key_of__images_masks_and_transforms_of_a_scan_have_one() -> None:
    names = (
        "sub-1_ses-a_task-ictal_run-2_space-T1w_desc-preproc_spect.nii.gz",
        "sub-1_ses-a_task-ictal_run-2_space-T1w_desc-brain_mask.json",
        "sub-1_ses-a_task-ictal_run-2_from-spect_to-T1w_mode-image_xfm.txt",
    )
    assert {scan_key_of(Path(name)) for name in names} == {scan_key("a", {"task": "ictal", "run": "2"})}


@pytest.mark.parametrize(
    ("session", "cases", "found"),
    [
        ("b", ["a", "b", None], ("b", True)),
        ("x", ["a", None], (None, True)),
        (None, ["a"], ("a", True)),
        ("x", ["b", "a"], ("a", False)),
        (None, ["b", "a"], ("a", False)),
    ],
)
def test_owner__own_session_then_none_then_the_only_then_the_first(
    session: str | None, cases: list[str | None], found: tuple[str | None, bool]
) -> None:
    assert owner(session, cases) == found


@pytest.mark.parametrize(("content", "case"), [({"Case": "sub-1"}, "sub-1"), ({"Case": 3}, None), ({}, None)])
def test_recorded_case__of_the_sidecar(tmp_path: Path, content: dict[str, object], case: str | None) -> None:
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert recorded_case(tmp_path / "a.nii.gz") == case
