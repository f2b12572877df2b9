"""Reading back what the stages wrote."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from bids_spectsynth.bids.names import case_folder, output_path
from bids_spectsynth.bids.prepared import find_prepared
from bids_spectsynth.bids.writing import read_matrix, write_json, write_text


def test_prepared_cases_by_space(derivative: tuple[Path, Path]) -> None:
    raw, out = derivative
    shutil.rmtree(raw)  # the output folder is enough
    one, two = find_prepared(out, "T1w")
    assert (one.name, two.name) == ("sub-01", "sub-02_ses-post")
    assert set(one.images) == {"T1w", "T2w", "FLAIR", "pet", "interictal", "ictal"}
    assert set(one.masks) == {"T1w", "pet", "interictal", "ictal"}
    assert one.images["interictal"].name == "sub-01_task-interictal_trc-HMPAO_space-T1w_desc-preproc_spect.nii.gz"
    assert one.template == "MNI152NLin2009aSym"
    assert one.template_xfm is not None
    assert read_matrix(one.template_xfm).shape == (4, 4)

    assert [case.name for case in find_prepared(out, "MNIPediatricAsym+3")] == ["sub-02_ses-post"]
    assert find_prepared(out, "MNIPediatricAsym+3")[0].template == "MNIPediatricAsym+3"
    assert [case.name for case in find_prepared(out, "T1w", ("sub-02",))] == ["sub-02_ses-post"]
    assert find_prepared(out, "T1w", ("9",)) == []


def test_case_without_brain_mask_is_not_prepared(derivative: tuple[Path, Path]) -> None:
    _, out = derivative
    (out / "sub-01/anat/sub-01_space-T1w_desc-brain_mask.nii.gz").unlink()
    assert [case.name for case in find_prepared(out, "T1w")] == ["sub-02_ses-post"]
    for path in (out / "sub-02/ses-post/anat").glob("*xfm.txt"):
        path.unlink()
    (case,) = find_prepared(out, "T1w")
    assert (case.template_xfm, case.template) == (None, None)


def write_images(out: Path, *cases: str | None) -> None:
    for session in cases:
        for desc, suffix in (("preproc", "T1w"), ("brain", "mask")):
            entities = {"space": "T1w", "desc": desc}
            write_text(output_path(out, "01", session, "anat", entities, suffix, ".nii.gz"), "")


def write_scan(out: Path, session: str | None, run: str, facts: Mapping[str, object] = {}) -> None:
    for desc, suffix in (("preproc", "spect"), ("brain", "mask")):
        entities = {"task": "ictal", "run": run, "space": "T1w", "desc": desc}
        path = output_path(out, "01", session, "spect", entities, suffix, ".nii.gz")
        write_text(path, "")
        write_json(path.with_name(path.name.replace(".nii.gz", ".json")), facts)


def test_find_prepared__ictal_scans_of_other_sessions_by_session_and_number(tmp_path: Path) -> None:
    write_images(tmp_path, "n", "m")
    for session, run in ((None, "1"), ("n", "10"), ("n", "9"), ("x", "1")):
        write_scan(tmp_path, session, run, {} if session == "n" else {"Case": "sub-01_ses-n"})
    first, second = find_prepared(tmp_path, "T1w")
    assert set(first.images) == {"T1w"}
    assert {name: path.name.partition("_space")[0] for name, path in second.images.items() if name != "T1w"} == {
        "ictal": "sub-01_task-ictal_run-1",
        "ictal2": "sub-01_ses-n_task-ictal_run-9",
        "ictal3": "sub-01_ses-n_task-ictal_run-10",
        "ictal4": "sub-01_ses-x_task-ictal_run-1",
    }
    assert set(second.masks) == set(second.images)
    assert second.masks["ictal4"].parent == case_folder(tmp_path, "01", "x") / "spect"


@pytest.mark.parametrize(
    ("cases", "session", "facts", "expected"),
    [
        (("n",), "x", {}, ["n"]),  # nothing says whose it is, and there is one case
        (("n", "m"), "x", {}, []),
        (("n", "m"), "m", {}, ["m"]),
        (("n", "m"), "m", {"Case": "sub-01_ses-n"}, ["n"]),
        (("n",), "x", {"Case": "sub-01_ses-gone"}, []),  # on the grid of another case
    ],
)
def test_find_prepared__whose_an_ictal_scan_is(
    tmp_path: Path, cases: tuple[str, ...], session: str, facts: dict[str, object], expected: list[str]
) -> None:
    write_images(tmp_path, *cases)
    write_scan(tmp_path, session, "1", facts)
    found = find_prepared(tmp_path, "T1w")
    assert [case.session for case in found if "ictal" in case.images] == expected
    assert [case.session for case in found if "ictal" in case.masks] == expected
