"""One of several candidates."""

from pathlib import Path

import pytest

from bids_spectsynth.bids.finding.candidates import Candidate
from bids_spectsynth.bids.finding.choosing import check_labels, choose, hint, kept_entities, names, rivals, take
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


def test_choose__several_images_name_all_of_them_and_a_way_out() -> None:
    pool = [candidate("pet", "run-2", "a"), candidate("pet", "run-1", "a")]
    expected = "2 PET images in one session: sub-1_run-1_spect.nii.gz, sub-1_run-2_spect.nii.gz; choose one with"
    with pytest.raises(ImageError, match=f'^{expected} --bids-filter-file, e.g. {{"pet": {{"run": 1}}}}$'):
        choose({"pet": pool}, "pet", "a")
    several = [candidate("pet", "run-1", "b"), candidate("pet", "run-2", "c")]
    with pytest.raises(ImageError, match=r"^PET in several other sessions: sub-1_run-1"):
        choose({"pet": several}, "pet", "a")
    # An image outside sessions is nearer than those of other sessions.
    assert choose({"pet": [*several, candidate("pet", "run-3")]}, "pet", "a").reason == "why; outside sessions"
    assert choose({"pet": [candidate("pet", "run-3")]}, "pet", None).reason == "why; in the same session"


def test_take__what_users_should_know_stands_behind_the_other_notes() -> None:
    found = take(candidate("pet", "run-1"), "there", ["first"])
    line = "sub-1_run-1_spect.nii.gz: no JSON sidecar; frames count alike and the tracer is unknown"
    assert found.notes == ("first", line)
    assert found.reason == "why; there"
    assert take(candidate("T1w", "run-1"), "there").notes == ()
    with pytest.raises(ImageError, match=r"^sub-1_run-a b_spect.nii.gz: run-a b: labels have letters and digits only"):
        take(candidate("pet", "run-a b"), "there")


def test_check_labels__every_label() -> None:
    check_labels("x", {"run": "1", "trc": "FDG"})
    for entities in ({"run": "1", "trc": "F_G"}, {"run": "", "trc": "FDG"}):
        with pytest.raises(ImageError, match=r"^x: .*labels have letters and digits only; rename it$"):
            check_labels("x", entities)


def test_names__folders_where_file_names_are_equal() -> None:
    paths = [Path(f"/raw/sub-1/ses-{session}/pet/sub-1_pet.nii.gz") for session in "ab"]
    pool = [Candidate(path, "pet", None, {}, {}, "why") for path in paths]
    assert names(pool) == "ses-a/pet/sub-1_pet.nii.gz, ses-b/pet/sub-1_pet.nii.gz"
    assert names(pool[:1]) == "sub-1_pet.nii.gz"


def test_hint__nothing_tells_them_apart() -> None:
    pool = [Candidate(Path("/raw/sub-1/anat/sub-1_T1w.nii"), "T1w", None, {}, {}, "why")] * 2
    assert hint({"T1w": pool}, "T1w", pool) == "no filter can tell them apart: leave one in the dataset"


def test_rivals__a_filter_that_only_narrows_the_choice_meets_its_own_role_alone() -> None:
    pet, ictal = candidate("pet", "run-1"), candidate("ictal", "run-2")
    assert rivals({"pet": [pet], "ictal": [ictal]}, "pet", []) == []
    assert rivals({"pet": [pet], "ictal": [ictal]}, "ictal", []) == [pet.path]


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/data/sub-study/sub-01/anat/sub-01_ses-a_T1w.nii.gz", ""),
        ("/data/ses-x/sub-01/anat/sub-01_ses-a_T1w.nii.gz", ""),
        ("/data/sub-study/sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz", ""),
        ("/data/sub-02/ses-a/anat/sub-01_ses-a_T1w.nii.gz", "named sub-01, but lies in sub-02"),
        ("/data/sub-01/ses-b/anat/sub-01_ses-a_T1w.nii.gz", "named ses-a, but lies in ses-b"),
        ("/data/sub-02/anat/sub-01_ses-a_T1w.nii.gz", "named sub-01, but lies in sub-02"),
    ],
)
def test_take__only_folders_of_participant_and_session_tell_whose_it_is(path: str, named: str) -> None:
    chosen = Candidate(Path(path), "T1w", "a", {"sub": "01", "ses": "a"}, {}, "why", "")
    if named:
        with pytest.raises(ImageError, match=named):
            take(chosen, "here")
    else:
        take(chosen, "here")
