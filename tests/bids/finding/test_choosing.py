"""One of several candidates."""

from pathlib import Path

import pytest

from bids_spectsynth.bids.finding.candidates import Candidate
from bids_spectsynth.bids.finding.choosing import choose, hint, kept_entities, names, rivals
from bids_spectsynth.errors import ImageError


def candidate(role: str, name: str, session: str | None = None, problem: str = "") -> Candidate:
    entities = dict(part.split("-") for part in name.split("_"))
    return Candidate(Path(f"/raw/sub-1/spect/sub-1_{name}_spect.nii.gz"), role, session, entities, {}, "why", problem)


def test_choose__own_session_then_none_then_the_only_other() -> None:
    own, free, other = (candidate("pet", f"run-{n}", session) for n, session in enumerate(("a", None, "b")))
    assert choose({"pet": [own, free, other]}, "pet", "a").reason == "why; in the same session"
    assert choose({"pet": [own, free, other]}, "pet", "x").candidate is free
    found = choose({"pet": [other]}, "pet", "a")
    assert (found.candidate, found.entities) == (other, {"run": "2"})
    assert found.notes[0].endswith("PET taken from the only other session, ses-b")
    with pytest.raises(ImageError, match="PET in several other sessions"):
        choose({"pet": [own, other]}, "pet", "x")


def test_choose__a_sidecar_that_cannot_be_read_costs_a_nuclear_image() -> None:
    with pytest.raises(ImageError, match="damaged"):
        choose({"pet": [candidate("pet", "run-1", problem="damaged")]}, "pet", None)
    t1w = choose({"T1w": [candidate("T1w", "run-1", problem="damaged")]}, "T1w", None)
    assert t1w.notes == ("damaged; the T1w needs none and is used without it",)


def test_kept_entities__a_spect_always_has_its_task() -> None:
    assert kept_entities(candidate("ictal", "acq-b_rec-x")) == {"task": "ictal", "rec": "x"}


def test_hint__takes_the_first_and_none_of_the_other_state() -> None:
    pool = [candidate("ictal", "run-1_task-ictal"), candidate("ictal", "run-2_task-ictal")]
    by_role = {"ictal": pool, "interictal": [candidate("interictal", "run-1_task-interictal")], "pet": []}
    assert rivals(by_role, "ictal", pool[1:]) == [pool[1].path, by_role["interictal"][0].path]
    assert '"run": 1' in hint(by_role, "ictal", pool)
    assert '"task": "ictal"' in hint(by_role, "ictal", pool)
    assert names(pool) == "sub-1_run-1_task-ictal_spect.nii.gz, sub-1_run-2_task-ictal_spect.nii.gz"
