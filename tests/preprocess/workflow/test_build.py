"""Whole runs on tiny heads: what is written, what is kept, what a defect does."""

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import psutil
import pytest

from bids_spectsynth.bids.prepared import begin_preparation, find_prepared, is_unfinished
from bids_spectsynth.bids.writing import read_matrix
from bids_spectsynth.errors import UsageError
from bids_spectsynth.images.grid import axial_grid, new_image
from bids_spectsynth.images.resampling import resample_image
from bids_spectsynth.preprocess.outputs import images as prepared_images
from bids_spectsynth.preprocess.plugins import pool as plugins
from bids_spectsynth.preprocess.workflow import build as workflow
from bids_spectsynth.preprocess.workflow import case as case_workflow
from bids_spectsynth.preprocess.workflow import interfaces
from bids_spectsynth.preprocess.workflow.build import preprocess
from bids_spectsynth.termination import Terminated

pytestmark = pytest.mark.usefixtures("tiny_template")

MNI = "MNI152NLin2009aSym"


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def stamps(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("sub-*/**/*.*")}


def test_one_broken_case_does_not_stop_the_other_and_a_second_run_is_free(
    tiny: Any, make_case: Any, make_options: Any, tmp_path: Path, capfd: Any
) -> None:
    good, broken = make_case("01", ("T1w", "pet", "interictal", "ictal", "T2w")), make_case("02")
    whole = broken.images["pet"].path.read_bytes()
    truncate(broken.images["pet"].path)
    options = make_options()
    outcomes = preprocess([good, broken], options)
    assert [outcome.status for outcome in outcomes] == ["ok", "failed"]
    assert str(broken.images["pet"].path) in outcomes[1].reason
    assert "damaged or truncated" in outcomes[1].reason
    assert list((tmp_path / "out" / "logs").glob("crash-*register_pet*.txt"))
    assert capfd.readouterr().out == ""

    (prepared,) = find_prepared(tmp_path / "out", "T1w")
    assert set(prepared.images) == {"T1w", "pet", "interictal", "ictal", "T2w"}
    assert set(prepared.masks) == {"T1w", "pet", "interictal", "ictal"}
    assert prepared.template == MNI

    before = stamps(tmp_path / "out")
    tiny.calls.clear()
    assert [outcome.status for outcome in preprocess([good], options)] == ["ok"]
    assert tiny.calls == []
    assert stamps(tmp_path / "out") == before

    # Of the repaired case only what was missing is computed, of the good one nothing.
    broken.images["pet"].path.write_bytes(whole)
    assert [outcome.status for outcome in preprocess([good, broken], options)] == ["ok", "ok"]
    assert tiny.calls == ["register pet 6 auto"]


def test_note_of_a_case__is_held_before_it_is_taken_back(
    tiny: Any, make_case: Any, make_options: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, noted = make_case("01", ("T1w",)), make_case("02", ("T1w",))
    options, output = make_options(), tmp_path / "out"
    assert [outcome.status for outcome in preprocess([done, noted], options)] == ["ok", "ok"]
    begin_preparation(output, "sub-02")  # as a run does that was killed
    holding: list[list[str]] = []

    @contextmanager
    def held(names: list[str], folder: Path) -> Iterator[None]:
        holding.append([name for name in names if name in ("sub-01", "sub-02")])
        # A job that begins only now, with something else of this case.
        begin_preparation(output, "sub-01")
        yield

    monkeypatch.setattr(workflow, "held", held)
    assert [outcome.status for outcome in preprocess([done, noted], options)] == ["ok", "ok"]
    assert holding == [["sub-02"]]
    assert is_unfinished(output, "sub-01")
    assert not is_unfinished(output, "sub-02")


def test_note_of_a_case__is_not_written_where_no_workflow_can_be_made(
    tiny: Any, make_case: Any, make_options: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        assert not is_unfinished(tmp_path / "out", "sub-01")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(workflow, "make_plugin", full)
    with pytest.raises(OSError, match="No space left"):
        preprocess([make_case("01", ("T1w",))], make_options())
    assert not is_unfinished(tmp_path / "out", "sub-01")


def test_what_is_written(tiny: Any, make_case: Any, make_options: Any, tmp_path: Path) -> None:
    case = make_case("01", ("T1w", "pet", "ictal"), session="x")
    (outcome,) = preprocess([case], make_options(output_spaces=["T1w", MNI]))
    assert outcome.status == "ok", outcome.reason
    folder = tmp_path / "out" / "sub-01" / "ses-x"
    for space in ("T1w", MNI):
        name = f"sub-01_ses-x_trc-FDG_space-{space}_desc-preproc_pet"
        image = nib.load(folder / "pet" / f"{name}.nii.gz")
        values = np.asanyarray(image.dataobj)
        assert image.shape == (64, 64, 48)
        assert image.get_data_dtype() == np.float32
        assert np.allclose(image.affine[:3, :3], np.eye(3) * 4)
        mask = np.asanyarray(nib.load(folder / "pet" / name.replace("preproc_pet", "brain_mask.nii.gz")).dataobj)
        assert 5_000 < mask.sum() < 30_000
        assert np.all(values[mask == 0] == 0)
        assert values.min() == 0
        assert np.median(values[mask > 0]) == pytest.approx(140, abs=60)
        sidecar = json.loads((folder / "pet" / f"{name}.json").read_text())
        assert sidecar["SkullStripped"] is True
        assert sidecar["Sources"][0] == "bids:raw:sub-01/ses-x/pet/sub-01_trc-FDG_pet.nii.gz"
        assert sidecar["Sources"][1] == "bids::sub-01/ses-x/pet/sub-01_ses-x_trc-FDG_from-pet_to-T1w_mode-image_xfm.txt"
        assert sidecar["TracerName"] == "FDG"
        assert "PatientName" not in sidecar
        assert (sidecar["Backend"], sidecar["Tools"]) == ("embedded", {"Tiny": "1.0"})
        assert str(tmp_path) not in json.dumps(sidecar)
    stem = folder / "spect" / "sub-01_ses-x_task-ictal_from-spect_to-T1w_mode-image_xfm"
    there, back = (read_matrix(stem.with_name(stem.name.replace("from-spect_to-T1w", way) + ".txt"))
                   for way in ("from-spect_to-T1w", "from-T1w_to-spect"))  # fmt: skip
    np.testing.assert_allclose(there @ back, np.eye(4), atol=1e-6)
    sidecar = json.loads(stem.with_name(stem.name + ".json").read_text())
    said = "Description Type Units Convention Backend Tools Metric Score Overlap Poor Notes Sources"
    assert set(said.split()) <= set(sidecar)
    assert sidecar["Type"] == "rigid"
    assert (folder / "anat" / f"sub-01_ses-x_from-{MNI}_to-T1w_mode-image_xfm.txt").exists()
    # Two spaces, one set of transforms.
    assert len(list(folder.rglob("*_xfm.txt"))) == 6


def test_a_whole_case_by_fsl(fake_fsl: Any, make_case: Any, make_options: Any, tmp_path: Path) -> None:
    options = make_options(backend="fsl", coreg_init="header", bet_pet="on", template_affine="on")
    (outcome,) = preprocess([make_case("01", ("T1w", "pet"))], options)
    assert outcome.status == "ok", outcome.reason
    assert [len(fake_fsl.calls(program)) for program in ("bet", "flirt", "convert_xfm")] == [2, 2, 2]
    (prepared,) = find_prepared(tmp_path / "out", "T1w")
    t1w, pet = (np.asanyarray(nib.load(prepared.masks[role]).dataobj) for role in ("T1w", "pet"))
    assert np.any(t1w != pet), "the PET has a mask of its own"
    sidecar = json.loads(Path(str(prepared.images["pet"]).replace(".nii.gz", ".json")).read_text())
    assert sidecar["Tools"]["FSL BET"] == "FLIRT version 6.0"


def test_images_are_resampled_through_the_composed_transform(
    tiny: Any, make_case: Any, make_options: Any, tmp_path: Path
) -> None:
    case = make_case("01", ("T1w", "interictal"))
    image = nib.load(case.images["interictal"].path)
    moved = image.affine.copy()
    moved[:3, 3] += (400, -300, 200)
    nib.save(nib.Nifti1Image(np.asanyarray(image.dataobj), moved), case.images["interictal"].path)
    tiny.matrices["interictal"] = np.eye(4)
    tiny.matrices["interictal"][:3, 3] = (400, -300, 200)
    (outcome,) = preprocess([case], make_options())
    assert outcome.status == "ok", outcome.reason
    folder = tmp_path / "out" / "sub-01"
    anat, spect = (np.asanyarray(nib.load(next(folder.glob(f"{name}/*desc-brain_mask.nii.gz"))).dataobj) > 0
                   for name in ("anat", "spect"))  # fmt: skip
    assert 2 * (anat & spect).sum() / (anat.sum() + spect.sum()) > 0.9
    matrix = read_matrix(next(folder.glob("spect/*from-spect_to-T1w_mode-image_xfm.txt")))
    np.testing.assert_allclose(matrix[:3, 3], (400, -300, 200), atol=1e-3)


def test_a_brain_outside_the_field_of_view_is_an_error(tiny: Any, make_case: Any, make_options: Any) -> None:
    tiny.matrices["interictal"] = np.eye(4)
    tiny.matrices["interictal"][:3, 3] = (900, 0, 0)
    (outcome,) = preprocess([make_case("01", ("T1w", "interictal"))], make_options())
    assert outcome.status == "failed"
    assert "task-interictal" in outcome.reason
    assert "outside the field of view" in outcome.reason


def test_computing_only_the_brains_box_changes_nothing(tiny: Any, make_head: Any) -> None:
    image = make_head((32, 40, 30), 5.0, centre=(10, -5, 20))
    mask = new_image((np.asanyarray(image.dataobj) > 50).astype(np.uint8), image.affine)
    matrix = np.array([[0.9, -0.3, 0.1, 5], [0.3, 1.0, 0.2, -8], [0, -0.2, 1.1, 3], [0, 0, 0, 1]])
    grid = axial_grid(mask, 4)
    whole = resample_image(new_image(np.asanyarray(mask.dataobj, dtype=np.float32), mask.affine), grid, matrix, 1)
    part = prepared_images._resampled_mask(mask, grid, matrix)
    np.testing.assert_array_equal(part, np.asanyarray(whole.dataobj) >= 0.5)


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"voxel_size": 2}, []),
        ({"coreg_init": "header"}, ["register interictal 6 header", "brain interictal"]),
        ({"omp_nthreads": 2}, ["brain T1w", "register interictal 6 auto", "brain interictal", "register T1w 12 auto"]),
    ],
)
def test_options_invalidate_what_depends_on_them(
    tiny: Any, make_case: Any, make_options: Any, tmp_path: Path, change: dict[str, Any], again: list[str]
) -> None:
    case = make_case("01", ("T1w", "interictal"))
    preprocess([case], make_options())
    before = stamps(tmp_path / "out")
    tiny.calls.clear()
    (outcome,) = preprocess([case], make_options(**change))
    assert outcome.status == "ok", outcome.reason
    assert sorted(tiny.calls) == sorted(again)
    after = stamps(tmp_path / "out")
    assert set(after) == set(before)
    assert all(after[name] > before[name] for name in after)


def test_deleted_output_is_written_again_from_the_work_folder(
    tiny: Any, make_case: Any, make_options: Any, tmp_path: Path
) -> None:
    case, options = make_case("01", ("T1w", "ictal")), make_options()
    preprocess([case], options)
    tiny.calls.clear()
    victim = tmp_path / "out" / "sub-01" / "spect" / "sub-01_task-ictal_space-T1w_desc-preproc_spect.nii.gz"
    content = victim.read_bytes()
    victim.unlink()
    assert preprocess([case], options)[0].status == "ok"
    assert victim.read_bytes() == content
    assert tiny.calls == []


def test_an_image_that_is_gone_takes_its_output_with_it(
    tiny: Any, make_case: Any, make_options: Any, tmp_path: Path
) -> None:
    preprocess([make_case("01", ("T1w", "ictal", "interictal"))], make_options())
    (outcome,) = preprocess([make_case("01", ("T1w", "interictal"))], make_options())
    assert outcome.status == "ok", outcome.reason
    assert not list((tmp_path / "out").rglob("*task-ictal*"))
    assert set(find_prepared(tmp_path / "out", "T1w")[0].images) == {"T1w", "interictal"}


def test_the_process_pool_does_the_same(
    tiny: Any, make_case: Any, make_options: Any, tmp_path: Path, monkeypatch: Any, capfd: Any
) -> None:
    forked(monkeypatch)
    good, broken = make_case("01", ("T1w", "interictal")), make_case("02", ("T1w", "interictal"))
    broken.images["interictal"].path.write_bytes(b"")
    outcomes = preprocess([good, broken], make_options(nprocs=2))
    assert [outcome.status for outcome in outcomes] == ["ok", "failed"]
    assert "0 bytes" in outcomes[1].reason
    assert capfd.readouterr().out == ""
    assert "register_interictal" in (tmp_path / "out" / "logs" / "nipype.log").read_text()


def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that share this process's replacements."""
    original = plugins.ResilientMultiProcPlugin.__init__

    def start(self: Any, plugin_args: dict[str, Any]) -> None:
        original(self, {**plugin_args, "mp_context": "fork"})

    monkeypatch.setattr(plugins.ResilientMultiProcPlugin, "__init__", start)


def test_a_killed_worker_fails_its_own_case_only(
    tiny: Any, make_case: Any, make_options: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    forked(monkeypatch)
    victim, other = make_case("01", ("T1w", "interictal")), make_case("02", ("T1w", "interictal"))
    original = interfaces.load_image

    def killed(path: Path, *args: Any) -> Any:
        if path == victim.images["interictal"].path:
            os.kill(os.getpid(), 9)
        return original(path, *args)

    monkeypatch.setattr(interfaces, "load_image", killed)
    outcomes = preprocess([victim, other], make_options(nprocs=2))
    assert [outcome.status for outcome in outcomes] == ["failed", "ok"]
    assert "memory" in outcomes[0].reason
    assert "--nprocs" in outcomes[0].reason


def test_stop_on_first_crash_leaves_the_others(tiny: Any, make_case: Any, make_options: Any) -> None:
    broken, other = make_case("01", ("T1w", "ictal")), make_case("02", ("T1w", "ictal"))
    for role in ("T1w", "ictal"):
        truncate(broken.images[role].path)
        truncate(other.images[role].path)
    outcomes = preprocess([broken, other], make_options(stop_on_first_crash=True))
    reasons = sorted(outcome.reason for outcome in outcomes)
    assert "damaged" in reasons[0] or "damaged" in reasons[1]
    assert any("--stop-on-first-crash" in reason for reason in reasons)


def test_a_plugin_file_is_followed(
    tiny: Any, make_case: Any, make_options: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    file = tmp_path / "plugin.yml"
    file.write_text("plugin: Linear\nplugin_args: {}\n")
    (outcome,) = preprocess([make_case("01", ("T1w", "ictal"))], make_options(use_plugin=file))
    assert outcome.status == "ok"
    # T1w, template, ictal SPECT, and three times what is written.
    steps = [message for message in caplog.messages if message.endswith(" steps)")]
    assert any(message.startswith("sub-01: register_ictal done (") for message in steps)
    assert [message.partition("(")[2] for message in steps] == [f"{n + 1} of 6 steps)" for n in range(6)]


@pytest.mark.parametrize(
    "text", ["plugin: Slurmy", "plugin_args: {}", "plugin: [", "plugin: Linear\nplugin_args: 3", "- 1"]
)
def test_a_plugin_file_that_cannot_be_followed(text: str, tmp_path: Path) -> None:
    file = tmp_path / "plugin.yml"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"plugin\.yml"):
        plugins.read_plugin_file(file)


def test_few_files_in_the_work_folder(tiny: Any, make_case: Any, make_options: Any, tmp_path: Path) -> None:
    preprocess([make_case("01")], make_options())
    files = [path for path in (tmp_path / "work").rglob("*") if path.is_file()]
    assert len(files) < 50
    images = {path.name for path in files if path.suffix == ".gz"}
    assert images == {"brain_mask.nii.gz"}, "images are not kept twice"


def test_memory_follows_the_option(make_options: Any) -> None:
    assert plugins.memory_gb(make_options(mem_mb=2048)) == 2
    assert plugins.memory_gb(make_options()) > 0.5


def test_work_of_another_backend_is_not_taken(tiny: Any, make_case: Any, make_options: Any, tmp_path: Path) -> None:
    case, options = make_case("01"), make_options()
    for part in case_workflow.case_parts(case, options):

        def key(name: str, software: str, part: case_workflow.Part = part) -> str:
            return case_workflow.part_key(case, options, workflow.BackendIdentity(name, software), part)

        assert len({key("fsl", "FSL 6.0"), key("embedded", "FSL 6.0"), key("fsl", "FSL 6.1")}) == 3
        before = key("fsl", "FSL 6.0")
        case.images["pet"].path.write_bytes(gzip.compress(part.name.encode() * 50))
        assert key("fsl", "FSL 6.0") != before


def test_the_order_of_spaces_changes_nothing(tiny: Any, make_case: Any, make_options: Any, tmp_path: Path) -> None:
    case = make_case("01", ("T1w", "pet"))
    for spaces in (["T1w", MNI], [MNI, "T1w"], ["T1w", MNI], ["T1w"], [MNI], [MNI, "T1w"]):
        tiny.calls.clear()
        before = stamps(tmp_path / "out")
        (outcome,) = preprocess([case], make_options(output_spaces=spaces))
        assert outcome.status == "ok", outcome.reason
        assert len(list((tmp_path / "out").rglob("*_xfm.txt"))) == 4
        if before:
            assert (tiny.calls, stamps(tmp_path / "out")) == ([], before)


@pytest.mark.parametrize("content", [b"", None])
def test_a_damaged_image_that_no_model_needs_is_left_out(
    tiny: Any, make_case: Any, make_options: Any, tmp_path: Path, caplog: Any, content: bytes | None
) -> None:
    case = make_case("01", ("T1w", "pet", "interictal", "ictal"))
    whole = case.images["pet"].path.read_bytes()
    for role in ("pet", "ictal"):
        case.images[role].path.write_bytes(case.images[role].path.read_bytes()[:2000] if content is None else content)
    pet_free = make_options(inputs=["T1w"])
    (outcome,) = preprocess([case], pet_free)
    assert outcome.status == "ok", outcome.reason
    (prepared,) = find_prepared(tmp_path / "out", "T1w")
    assert set(prepared.images) == {"T1w", "interictal"}
    assert not list((tmp_path / "out").rglob("*from-pet*"))
    for role, words in (("pet", "PET"), ("ictal", "Ictal SPECT")):
        (line,) = {m for m in caplog.messages if str(case.images[role].path) in m and m.startswith("sub-01: ")}
        assert line.endswith(f"; the {words} is left out")
    tiny.calls.clear()
    assert preprocess([case], pet_free)[0].status == "ok"
    assert tiny.calls == [], "a second run is free"
    # The same PET fails the case where a model needs it, although its step is stored; repaired, it is used.
    (outcome,) = preprocess([case], make_options())
    assert outcome.status == "failed"
    assert str(case.images["pet"].path) in outcome.reason
    case.images["pet"].path.write_bytes(whole)
    assert preprocess([case], make_options())[0].status == "ok"
    assert set(find_prepared(tmp_path / "out", "T1w")[0].images) == {"T1w", "interictal", "pet"}


def test_an_optional_image_beside_the_field_of_view_is_left_out(
    tiny: Any, make_case: Any, make_options: Any, tmp_path: Path, caplog: Any
) -> None:
    case = make_case("01", ("T1w", "ictal"))
    assert preprocess([case], make_options())[0].status == "ok"
    assert list((tmp_path / "out").rglob("*task-ictal_space-T1w*"))
    tiny.matrices["ictal"] = np.eye(4)
    tiny.matrices["ictal"][:3, 3] = (900, 0, 0)
    assert preprocess([case], make_options(coreg_init="header"))[0].status == "ok"
    assert not list((tmp_path / "out").rglob("*task-ictal_space-T1w*"))
    assert any("outside the field of view" in m and "left out" in m for m in caplog.messages)


def test_a_plus_in_a_label(tiny: Any, make_case: Any, make_options: Any, tmp_path: Path, caplog: Any) -> None:
    caplog.set_level("INFO")
    cases = [make_case("a+b", ("T1w",), session="1"), make_case("a", ("T1w",), session="b+1"), make_case("c", ("T1w",))]
    assert [outcome.status for outcome in preprocess(cases, make_options())] == ["ok"] * 3
    for case in cases:
        assert any(m.startswith(f"{case.images['T1w'].path.name[:-7]}: reference done (") for m in caplog.messages)
    assert len({case_workflow.workflow_name(case) for case in cases}) == 3
    # A case keeps its stored work, whatever other cases there are.
    tiny.calls.clear()
    (tmp_path / "work" / "status" / cases[1].name / "written_space-T1w.json").unlink()
    assert preprocess(cases[1:2], make_options())[0].status == "ok"
    assert tiny.calls == []


def test_a_seed_changes_no_preparation(tiny: Any, make_case: Any, make_options: Any, tmp_path: Path) -> None:
    case = make_case("01", ("T1w", "pet"))
    preprocess([case], make_options(random_seed=1))
    before = stamps(tmp_path / "out")
    tiny.calls.clear()
    assert preprocess([case], make_options(random_seed=2))[0].status == "ok"
    assert (tiny.calls, stamps(tmp_path / "out")) == ([], before)


def test_threads_count_only_where_a_network_computes(make_case: Any, make_options: Any) -> None:
    case = make_case("01")
    for name, same in (("fsl", True), ("embedded", False)):
        identity = workflow.BackendIdentity(name, "x 1")
        keys = {
            case_workflow.part_key(case, options, identity, case_workflow.case_parts(case, options)[0])
            for options in (make_options(omp_nthreads=1), make_options(omp_nthreads=2))
        }
        assert (len(keys) == 1) is same


def test_what_deserves_a_look_is_said_once_also_by_a_later_run(
    tiny: Any, make_case: Any, make_options: Any, caplog: Any
) -> None:
    case = make_case("01", ("T1w", "interictal"))
    image = nib.load(case.images["interictal"].path)
    data = np.array(image.dataobj)
    data[0, 0, 0] = np.nan
    nib.save(nib.Nifti1Image(data, image.affine), case.images["interictal"].path)
    for _ in range(2):
        caplog.clear()
        preprocess([case], make_options(output_spaces=["T1w", MNI]))
        lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert "sub-01: T1w: brain mask of 0.88 l, usual is 0.9 to 2.2 l: look at it" in lines
        assert sum("registration of the Interictal SPECT to the T1w is poor" in line for line in lines) == 1
        assert sum(f"registration of the T1w to {MNI} is poor" in line for line in lines) == 1
        assert sum(line.startswith("sub-01: Interictal SPECT: ") and "NaN" in line for line in lines) == 1
        assert len(lines) == len(set(lines))


def test_only_what_is_done_is_called_done(tiny: Any, make_case: Any, make_options: Any, caplog: Any) -> None:
    caplog.set_level("INFO")
    case = make_case("01", ("T1w", "pet"))
    truncate(case.images["pet"].path)
    preprocess([case], make_options(template_affine="on"))
    messages = (message.partition(" (")[0] for message in caplog.messages)
    said = {m for m in messages if m.endswith((" done", " failed")) and "look at it" not in m}
    assert said == {
        "sub-01_T1w: reference done",
        "sub-01: register_pet failed",
        f"sub-01_T1w: to_{MNI} done",
        f"sub-01: write_to_{MNI} done",
    }


def test_another_run_of_a_scan_replaces_the_first(tiny: Any, make_case: Any, make_options: Any, tmp_path: Path) -> None:
    case = make_case("01", ("T1w", "pet", "interictal", "ictal"))

    def with_run(run: str) -> Any:
        images = {r: replace(i, entities={**i.entities, "run": run}) if r != "T1w" else i
                  for r, i in case.images.items()}  # fmt: skip
        return replace(case, images=images)

    preprocess([with_run("1")], make_options(work_dir=tmp_path / "one"))
    folder = tmp_path / "out" / "sub-01" / "spect"
    synthetic = folder / "sub-01_task-interictal_run-1_space-T1w_desc-pix2pixT1w_spect.nii.gz"
    synthetic.write_bytes(b"x")
    # The work folder of the first run is gone, so no manifest knows the first files.
    preprocess([with_run("2")], make_options(work_dir=tmp_path / "two"))
    left = [p.name for p in (tmp_path / "out" / "sub-01").rglob("*run-1*")]
    assert left == [synthetic.name]
    assert len(list(folder.glob("*task-ictal*run-2*desc-preproc_spect*"))) == 2
    assert len(list(folder.glob("*task-interictal*run-2*desc-brain_mask*"))) == 2


def test_a_half_written_case_is_not_prepared(
    tiny: Any, make_case: Any, make_options: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    case = make_case("01", ("T1w", "pet", "interictal"))
    preprocess([case], make_options())
    assert find_prepared(tmp_path / "out", "T1w")
    original = prepared_images.write_image

    def full(path: Path, *args: Any) -> None:
        if "preproc_pet" in path.name:
            raise OSError("no space left on device")
        original(path, *args)

    monkeypatch.setattr(prepared_images, "write_image", full)
    assert preprocess([case], make_options(voxel_size=2))[0].status == "failed"
    assert find_prepared(tmp_path / "out", "T1w") == []


def gone(pid: int) -> bool:
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.1)
    return False


def test_sigterm_ends_workers_and_their_programs(
    tiny: Any, make_case: Any, make_options: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    forked(monkeypatch)

    def slow(path: Path, *args: Any) -> Any:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
        (tmp_path / f"{os.getpid()}-{program.pid}.busy").touch()
        time.sleep(100)

    monkeypatch.setattr(interfaces, "load_image", slow)
    main = threading.main_thread()

    def stop() -> None:
        while not list(tmp_path.glob("*.busy")):
            time.sleep(0.05)
        signal.pthread_kill(main.ident, signal.SIGTERM)

    threading.Thread(target=stop, daemon=True).start()
    with pytest.raises(Terminated):
        preprocess([make_case("01", ("T1w",))], make_options(nprocs=2))
    (busy,) = tmp_path.glob("*.busy")
    assert all(gone(int(pid)) for pid in busy.stem.split("-"))


def test_a_worker_does_not_outlive_a_killed_main_process(tmp_path: Path) -> None:
    script = f"""
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from bids_spectsynth.preprocess.plugins.pool import _start_worker
pool = ProcessPoolExecutor(
    1, multiprocessing.get_context("fork"), _start_worker, ({str(tmp_path)!r}, {str(tmp_path / "log")!r}, 20)
)
print(pool.submit(os.getpid).result(), flush=True)
pool.submit(time.sleep, 100)
time.sleep(100)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as main:
        assert main.stdout is not None
        worker = int(main.stdout.readline())
        assert psutil.pid_exists(worker)
        main.kill()
    assert gone(worker)
