"""Several ictal scans of one participant: whose they are, their names, and what cannot be told apart."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.bids.finding.candidates import Candidate
from bids_spectsynth.bids.finding.cases import Case, _participant_cases, find_cases
from bids_spectsynth.bids.names import output_path
from bids_spectsynth.bids.roles import ictal_names, role_of
from bids_spectsynth.options.settings import Settings

Dataset = Callable[..., Path]
MakeSettings = Callable[..., Settings]

T1W, INTERICTAL = "sub-01/anat/sub-01_T1w", "sub-01/spect/sub-01_task-interictal_spect"


def scans(case: Case) -> dict[str, str]:
    return {name: case.images[name].path.name.removesuffix("_spect.nii.gz") for name in ictal_names(case.images)}


def test_ictal_scans__runs_and_other_sessions_by_session_and_number(
    dataset: Dataset, settings_for: MakeSettings
) -> None:
    runs = [f"sub-01/spect/sub-01_task-ictal_run-{n}_spect" for n in (10, 2)]
    other = "sub-01/ses-b/spect/sub-01_ses-b_task-ictal_spect"
    (case,), outcomes = find_cases(settings_for(dataset(T1W, INTERICTAL, *runs, other)))
    assert outcomes == []
    assert list(case.images) == ["T1w", "ictal", "ictal2", "ictal3", "interictal"]
    assert scans(case) == {
        "ictal": "sub-01_task-ictal_run-2",
        "ictal2": "sub-01_task-ictal_run-10",
        "ictal3": "sub-01_ses-b_task-ictal",
    }
    assert [case.session_of(name) for name in ("ictal", "ictal2", "ictal3", "T1w")] == [None, None, "b", None]
    assert {image.role for name, image in case.images.items() if "ictal" in name} == {"ictal", "interictal"}
    assert "in ses-b" in case.images["ictal3"].reason
    assert not any("other session" in warning for warning in case.warnings)


def test_ictal_scans__a_scan_belongs_to_one_case(dataset: Dataset, settings_for: MakeSettings) -> None:
    images = [f"sub-01/ses-{one}/spect/sub-01_ses-{one}_task-interictal_spect" for one in ("n1", "n2")]
    ictal = [f"sub-01/ses-{one}/spect/sub-01_ses-{one}_task-ictal_spect" for one in ("n2", "x")]
    root = dataset(T1W, *images, *ictal)
    (first, second), _ = find_cases(settings_for(root))
    assert scans(first) == {"ictal": "sub-01_ses-x_task-ictal"}
    assert scans(second) == {"ictal": "sub-01_ses-n2_task-ictal"}
    assert second.images["ictal"].session is None
    (line,) = (warning for warning in first.warnings if "ses-x" in warning)
    assert "prepared with ses-n1, the first of 2 sessions with interictal SPECT" in line
    assert not any("ses-x" in warning for warning in second.warnings)

    # The filter of the message does what it says.
    (root / "filter.json").write_text(line.partition("e.g. ")[2])
    (case,), _ = find_cases(settings_for(root, bids_filter_file=root / "filter.json"))
    assert case.name == "sub-01_ses-n2"
    assert scans(case) == {"ictal": "sub-01_ses-n2_task-ictal", "ictal2": "sub-01_ses-x_task-ictal"}


def test_ictal_scans__without_an_interictal_and_without_a_session(dataset: Dataset, settings_for: MakeSettings) -> None:
    ictal = ["sub-01/ses-x/spect/sub-01_ses-x_task-ictal_spect", "sub-01/spect/sub-01_task-ictal_spect"]
    root = dataset("sub-01/ses-mr/anat/sub-01_ses-mr_T1w", *ictal)
    (case,), _ = find_cases(settings_for(root))
    assert case.name == "sub-01_ses-mr"
    assert scans(case) == {"ictal": "sub-01_task-ictal", "ictal2": "sub-01_ses-x_task-ictal"}
    assert [case.session_of(name) for name in ictal_names(case.images)] == [None, "x"]


def test_ictal_scans__names_that_derivatives_cannot_have(dataset: Dataset, settings_for: MakeSettings) -> None:
    alike = [f"sub-01/spect/sub-01_task-ictal_acq-{n}_spect" for n in "ab"]
    good = "sub-01/spect/sub-01_task-ictal_run-3_spect"
    odd = "sub-01/ses-a b/spect/sub-01_task-ictal_run-4_spect"
    (case,), outcomes = find_cases(settings_for(dataset(T1W, INTERICTAL, *alike, good, odd)))
    assert outcomes == []
    assert scans(case) == {"ictal": "sub-01_task-ictal_run-3"}
    refused, told = (warning for warning in case.warnings if "left out" in warning)
    assert "acq-a_spect.nii.gz, sub-01_task-ictal_acq-b_spect.nii.gz: 2 ictal SPECT images" in told
    assert "rename them with run-1, run-2" in told
    assert json.loads(told.partition("e.g. ")[2].partition(";")[0]) == {"ictal": {"acq": "a"}}
    assert "ses-a b: labels have letters and digits only" in refused


@pytest.mark.parametrize("query", [{"run": 2}, {"task": "ictal", "run": [2, 3]}])
def test_ictal_scans__a_filter_narrows_the_choice(
    dataset: Dataset, settings_for: MakeSettings, query: dict[str, object]
) -> None:
    runs = [f"sub-01/spect/sub-01_task-ictal_run-{n}_spect" for n in (1, 2)]
    root = dataset(T1W, INTERICTAL, *runs)
    (root / "filter.json").write_text(json.dumps({"ictal": query}))
    (case,), _ = find_cases(settings_for(root, bids_filter_file=root / "filter.json"))
    assert scans(case) == {"ictal": "sub-01_task-ictal_run-2"}


@given(
    cases=st.lists(st.sampled_from([None, "a", "b", "c"]), unique=True, min_size=1, max_size=3),
    found=st.lists(
        st.tuples(
            st.sampled_from([None, "a", "b", "x"]),
            st.dictionaries(st.sampled_from(["trc", "rec", "run", "acq"]), st.sampled_from("12"), max_size=3),
        ),
        max_size=6,
        unique_by=str,
    ),
)
def test_ictal_scans__each_is_prepared_at_most_once_under_a_name_of_its_own(
    cases: list[str | None], found: list[tuple[str | None, dict[str, str]]]
) -> None:
    def candidate(role: str, session: str | None, entities: dict[str, str]) -> Candidate:
        known = {**({"ses": session} if session else {}), **entities}
        words = "".join(f"_{key}-{value}" for key, value in known.items())
        return Candidate(Path(f"/raw/sub-01/spect/sub-01{words}_{role}.nii"), role, session, entities, {"A": 1}, "why")

    images = [candidate("T1w", None, {}), *(candidate("interictal", session, {}) for session in cases)]
    ictal = [candidate("ictal", session, {"task": "ictal", **entities}) for session, entities in found]
    results = [one for one in _participant_cases("01", (*images, *ictal), ("T1w",), ()) if isinstance(one, Case)]
    assert len(results) == len(cases)
    taken = [(case, name) for case in results for name in ictal_names(case.images)]
    written = [
        output_path(Path(), "01", case.session_of(name), "spect", case.images[name].entities, role_of(name).suffix, "")
        for case, name in taken
    ]
    assert len(set(written)) == len(written)
    sources = [case.images[name].path for case, name in taken]
    assert len(set(sources)) == len(sources)
    dropped = {one.path.name for one in ictal} - {path.name for path in sources}
    said = " ".join(warning for case in results for warning in case.warnings if "left out" in warning)
    assert all(name in said for name in dropped)
