"""The workflow of a case: several ictal scans of one participant, from the dataset to the output folder and back."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import pytest

from bids_spectsynth.bids.finding.cases import Case, find_cases
from bids_spectsynth.bids.prepared import PreparedCase, find_prepared
from bids_spectsynth.bids.sidecars import sidecar
from bids_spectsynth.bids.transforms import find_transforms
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.preprocess.workflow.build import preprocess

pytestmark = pytest.mark.usefixtures("tiny_template")

MNI = "MNI152NLin2009aSym"
TIMES = {"InjectionStart": 36030, "SeizureOnset": 36000.5, "SeizureDuration": 70, "TimeZero": "10:00:00"}
T1W = "sub-01/anat/sub-01_T1w"
INTERICTAL = "sub-01/ses-n/spect/sub-01_ses-n_task-interictal_spect"
RUNS = tuple(f"sub-01/ses-n/spect/sub-01_ses-n_task-ictal_run-{number}_spect" for number in (1, 2))
OTHER = "sub-01/ses-x/spect/sub-01_ses-x_task-ictal_spect"


@pytest.fixture
def write(tmp_path: Path, make_head: Any) -> Callable[..., None]:
    """Writes images of the participant into the dataset."""

    def into(*images: str) -> None:
        root = tmp_path / "bids"
        root.mkdir(exist_ok=True)
        (root / "dataset_description.json").write_text('{"Name": "a test", "BIDSVersion": "1.10.1"}')
        for name in images:
            path = root / f"{name}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(make_head((32, 40, 30), 5.0 + 0.02 * len(name)), path)
            path.with_name(path.name.replace(".nii.gz", ".json")).write_text(json.dumps(TIMES))

    return into


def run(options: Settings) -> tuple[list[Case], list[str]]:
    cases, outcomes = find_cases(options)
    assert outcomes == []
    return cases, [outcome.status for outcome in preprocess(cases, options)]


def names(case: PreparedCase) -> dict[str, str]:
    found = {role: path.name.partition("_space")[0] for role, path in case.images.items() if role.startswith("ictal")}
    assert set(found) == {role for role in case.masks if role.startswith("ictal")}
    for role, path in case.images.items():
        assert role not in case.masks or case.masks[role].parent == path.parent
    return found


def test_preprocess__every_ictal_scan_under_its_own_name(
    tiny: Any, write: Any, make_options: Any, tmp_path: Path
) -> None:
    write(T1W, INTERICTAL, *RUNS, OTHER)
    options = make_options(output_spaces=["T1w", MNI], inputs=["T1w"])
    (case,), statuses = run(options)
    assert statuses == ["ok"]
    assert tiny.calls.count("register ictal 6 auto") == tiny.calls.count("brain ictal") == 3
    out = tmp_path / "out"
    for space in ("T1w", MNI):
        (prepared,) = find_prepared(out, space)
        assert prepared.name == case.name == "sub-01_ses-n"
        assert names(prepared) == {
            "ictal": "sub-01_ses-n_task-ictal_run-1",
            "ictal2": "sub-01_ses-n_task-ictal_run-2",
            "ictal3": "sub-01_ses-x_task-ictal",
        }
        assert prepared.images["ictal3"].parent == out / "sub-01/ses-x/spect"
        facts = [sidecar(prepared.images[name]) for name in ("ictal", "ictal3")]
        assert [one.get("Case") for one in facts] == [None, "sub-01_ses-n"]
        assert facts[1]["Description"].startswith("Ictal SPECT, brain")
        assert facts[1]["Sources"][:2] == [
            f"bids:raw:{OTHER}.nii.gz",
            "bids::sub-01/ses-x/spect/sub-01_ses-x_task-ictal_from-spect_to-T1w_mode-image_xfm.txt",
        ]
        # How late, and nothing of the time of day.
        assert {key: facts[0].get(key) for key in TIMES} == {
            "InjectionStart": 29.5, "SeizureOnset": 0, "SeizureDuration": 70, "TimeZero": None,
        }  # fmt: skip
        assert "InjectionStart" not in sidecar(prepared.images["interictal"])
        volumes = [nib.load(prepared.images[name]).get_fdata() for name in ("ictal", "ictal2", "ictal3")]
        assert all(volume.any() for volume in volumes)

    transforms = {one.role: one for one in find_transforms(out)}
    assert set(transforms) == {"T1w", "interictal", "ictal", "ictal2", "ictal3"}
    assert {one.case_name for one in transforms.values()} == {"sub-01_ses-n"}
    assert transforms["ictal3"].title == "Ictal SPECT 3 to T1w"
    assert "ses-x" in transforms["ictal3"].path.name

    before = {path: path.stat().st_mtime_ns for path in out.rglob("sub-*/**/*.*")}
    tiny.calls.clear()
    assert run(options)[1] == ["ok"]
    assert tiny.calls == []
    assert {path: path.stat().st_mtime_ns for path in out.rglob("sub-*/**/*.*")} == before


def test_preprocess__a_defect_of_an_ictal_scan_costs_only_itself(
    tiny: Any, write: Any, make_options: Any, tmp_path: Path
) -> None:
    write(T1W, INTERICTAL, *RUNS, OTHER)
    options = make_options(inputs=["T1w"])
    assert run(options)[1] == ["ok"]
    (tmp_path / "bids" / f"{RUNS[0]}.nii.gz").write_bytes(b"")
    assert run(options)[1] == ["ok"]
    (prepared,) = find_prepared(tmp_path / "out", "T1w")
    assert names(prepared) == {"ictal": "sub-01_ses-n_task-ictal_run-2", "ictal2": "sub-01_ses-x_task-ictal"}
    assert not list((tmp_path / "out").rglob("*task-ictal_run-1_*"))
    transforms = {one.role: one.path.name.partition("_from")[0] for one in find_transforms(tmp_path / "out")}
    assert {role: name for role, name in transforms.items() if role.startswith("ictal")} == names(prepared)


@pytest.mark.parametrize("kept", [True, False], ids=["work folder", "no work folder"])
def test_preprocess__files_of_another_choice_go(
    tiny: Any, write: Any, make_options: Any, tmp_path: Path, kept: bool
) -> None:
    write(T1W, INTERICTAL, *RUNS, OTHER)
    options = make_options(inputs=["T1w"])
    assert run(options)[1] == ["ok"]
    # As a version wrote it that knew no sessions but the case's.
    for path in list((tmp_path / "out" / "sub-01/ses-x/spect").iterdir()):
        shutil.copy(path, tmp_path / "out" / "sub-01/ses-n/spect" / path.name.replace("ses-x", "ses-n"))
    old = "sub-01_ses-n_task-ictal_space-T1w_desc-preproc_spect.nii.gz"
    assert (tmp_path / "out" / "sub-01/ses-n/spect" / old).exists()
    for path in (tmp_path / "bids").rglob("*run-2*"):
        path.unlink()
    if not kept:
        shutil.rmtree(tmp_path / "work")
    assert run(options)[1] == ["ok"]
    left = {path.name.partition("_space")[0].partition("_from")[0] for path in (tmp_path / "out").rglob("*task-ictal*")}
    assert left == {"sub-01_ses-n_task-ictal_run-1", "sub-01_ses-x_task-ictal"}


def test_preprocess__a_session_that_becomes_a_case_takes_its_scan(
    tiny: Any, write: Any, make_options: Any, tmp_path: Path
) -> None:
    write(T1W, INTERICTAL, OTHER)
    options = make_options(inputs=["T1w"])
    assert run(options)[1] == ["ok"]
    write(OTHER.replace("task-ictal", "task-interictal"))
    cases, statuses = run(options)
    assert [case.name for case in cases] == ["sub-01_ses-n", "sub-01_ses-x"]
    assert statuses == ["ok", "ok"]
    first, second = find_prepared(tmp_path / "out", "T1w")
    assert names(first) == {}
    assert names(second) == {"ictal": "sub-01_ses-x_task-ictal"}
    assert run(options)[1] == ["ok", "ok"]
    assert names(find_prepared(tmp_path / "out", "T1w")[1]) == {"ictal": "sub-01_ses-x_task-ictal"}
