"""FSL in a container: what docker and singularity are started with, by stand-ins that run FSL's stand-ins."""

import json
import os
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from bids_spectsynth.errors import ImageError, UsageError
from bids_spectsynth.preprocess.backends.choice import resolve_backend
from bids_spectsynth.preprocess.backends.fsl.backend import FslBackend
from bids_spectsynth.preprocess.backends.fsl.options import FslOptions
from bids_spectsynth.preprocess.backends.fsl.runners import image_name
from bids_spectsynth.preprocess.workflow.build import BackendIdentity, preprocess
from bids_spectsynth.preprocess.workflow.case import case_parts, part_key

IMAGE = "brainlife/fsl:6.0.4-patched2"

# Reads the mounts, translates the paths of the container to this machine's, and runs FSL's stand-in in its place.
_ENGINE = """#!{python}
import json, os, pathlib, shlex, subprocess, sys

here = pathlib.Path({folder!r})
with (here / "engine.jsonl").open("a") as log:
    log.write(json.dumps([pathlib.Path(sys.argv[0]).name, *sys.argv[1:]]) + "\\n")
if (here / "broken").exists():
    sys.exit(print("Cannot connect to the daemon.", file=sys.stderr) or 125)
mounts, env = dict(), dict()
for flag, value in zip(sys.argv, sys.argv[1:]):
    if flag == "--mount":
        parts = dict(part.partition("=")[::2] for part in value.split(","))
        assert parts["type"] == "bind" and ("readonly" in parts) == parts["target"].startswith("/styx_input/")
        mounts[parts["target"]] = parts["source"]
    elif flag == "--bind":
        source, target, *mode = value.split(":")
        assert (mode == ["ro"]) == target.startswith("/styx_input/")
        mounts[target] = source
    elif flag == "--env":
        env |= [value.split("=", 1)]
output = pathlib.Path(mounts["/styx_output"])
(line,) = (line for line in (output / "run.sh").read_text().splitlines() if line[0] != "#" and line[:3] != "cd ")
program, *words = shlex.split(line)
done = subprocess.run([here / program, *(mounts.get(word, word) for word in words)], cwd=output, env=env)
sys.exit(done.returncode)
"""


class Engine:
    """Stand-ins of programs that start containers; nothing else is on PATH."""

    def __init__(self, folder: Path, fsl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.fsl = folder, fsl
        folder.mkdir()
        monkeypatch.setenv("PATH", str(folder))

    def provide(self, name: str) -> None:
        path = self.folder / name
        path.write_text(_ENGINE.format(python=sys.executable, folder=str(self.fsl)))
        path.chmod(0o755)

    def calls(self) -> list[list[str]]:
        log = self.fsl / "engine.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.fixture
def engine(fake_fsl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setenv("FSLDIR", "/of/the/host")
    return Engine(tmp_path / "engine", fake_fsl.folder, monkeypatch)


def brain(spacing: float) -> nib.Nifti1Image:
    shape = (24, 28, 22)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = -spacing * (np.array(shape) - 1) / 2
    x, y, z = (spacing * g + a for g, a in zip(np.indices(shape), affine[:3, 3], strict=True))
    inside = (x / 38) ** 2 + (y / 48) ** 2 + (z / 36) ** 2 < 1
    return nib.Nifti1Image((inside * (120 + x + 0.5 * y)).astype(np.float32), affine)


def follows(words: list[str], first: str) -> list[str]:
    return [after for word, after in pairwise(words) if word == first]


@pytest.mark.parametrize(
    ("runner", "program"), [("docker", "docker"), ("singularity", "apptainer"), ("singularity", "singularity")]
)
def test_brain_and_registration_come_out_of_the_container(
    engine: Engine, fake_fsl: Any, tmp_path: Path, runner: Any, program: str
) -> None:
    engine.provide(program)
    fixed, moving = brain(4.0), brain(5.0)
    inside = np.asanyarray(fixed.dataobj) > 0
    world = np.eye(4)
    world[:3, 3] = 2, 1, -3
    fake_fsl.finds("search", world, moving, fixed)
    folder = tmp_path / "with space"
    folder.mkdir()
    backend = FslBackend(options=FslOptions(runner=runner, image="me/fsl:1"), folder=folder)
    np.testing.assert_array_equal(np.asanyarray(backend.extract_brain(fixed, "T1w").dataobj), inside)
    mask = nib.Nifti1Image(inside.astype(np.uint8), fixed.affine)
    found = backend.register(moving, fixed, mask, dof=6, init="auto", role="pet")
    np.testing.assert_allclose(found.matrix, world, atol=1e-6)
    assert [call.split()[0] for call in (fake_fsl.folder / "calls.txt").read_text().splitlines()] == [
        *("bet", "bet", "flirt", "convert_xfm", "flirt", "convert_xfm")
    ]
    assert {call[0] for call in engine.calls()} == {program}
    assert list(folder.iterdir()) == []
    assert backend.tools["FSL BET"] == backend.tools["FSL FLIRT"] == "image me/fsl:1"


def test_the_command_of_docker(engine: Engine, tmp_path: Path) -> None:
    engine.provide("docker")
    FslBackend(options=FslOptions(runner="docker"), folder=tmp_path).extract_brain(brain(4.0), "pet")
    (call,) = engine.calls()
    assert call[:2] == ["docker", "run"]
    assert "--rm" in call
    assert follows(call, "-u") == [str(os.getuid())]
    assert follows(call, "--env") == ["FSLOUTPUTTYPE=NIFTI_GZ"], "FSLDIR is the image's"
    assert call[-2:] == [IMAGE, "./run.sh"]
    head, output = follows(call, "--mount")
    assert head.startswith(f"type=bind,source={tmp_path}/bet_")
    assert head.endswith("/head.nii.gz,target=/styx_input/0/head.nii.gz,readonly")
    assert output.endswith("_bet,target=/styx_output")


@pytest.mark.parametrize(
    ("image", "shown"),
    [
        (None, f"docker://{IMAGE}"),
        ("me/fsl:1", "docker://me/fsl:1"),
        ("docker://me/fsl:1", "docker://me/fsl:1"),
        ("oras://me/fsl:1", "oras://me/fsl:1"),
        ("/images/fsl.sif", "/images/fsl.sif"),
        ("/images/sandbox", "/images/sandbox"),
    ],
)
def test_the_command_of_singularity(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: str | None, shown: str
) -> None:
    engine.provide("singularity")
    monkeypatch.setattr(Path, "exists", lambda path: str(path).startswith("/images/") or os.path.lexists(path))
    options = FslOptions(runner="singularity", image=image)
    backend = FslBackend(options=options, folder=tmp_path)
    backend.extract_brain(brain(4.0), "pet")
    (call,) = engine.calls()
    assert call[:5] == ["singularity", "exec", "--cleanenv", "--no-mount", "hostfs"]
    assert follows(call, "--env") == ["FSLOUTPUTTYPE=NIFTI_GZ"]
    assert call[-3:] == [shown, "/bin/bash", "/styx_output/run.sh"]
    assert backend.tools["FSL BET"] == f"image {(image or IMAGE).removeprefix('/images/')}"


@pytest.mark.parametrize(
    ("runner", "words"), [("docker", "docker not found"), ("singularity", "apptainer or singularity not found")]
)
@pytest.mark.parametrize("backend", ["auto", "fsl"])
def test_a_missing_program_is_named(engine: Engine, make_options: Any, runner: str, words: str, backend: str) -> None:
    with pytest.raises(UsageError, match=f"^--fsl-runner {runner}: {words} on PATH$"):
        resolve_backend(make_options(backend=backend, fsl_runner=runner))
    engine.provide(words.split()[0])
    assert resolve_backend(make_options(backend=backend, fsl_runner=runner)) == "fsl"
    assert resolve_backend(make_options(backend="auto")) == "embedded", "without FSL on this machine"
    assert engine.calls() == [], "no container is started to find out"


def test_a_missing_image_file_is_named(
    engine: Engine, make_options: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.provide("apptainer")
    monkeypatch.chdir(tmp_path)
    options = make_options(fsl_runner="singularity", fsl_image="fsl.sif", backend="fsl")
    with pytest.raises(UsageError, match=f"^--fsl-image: {tmp_path}/fsl.sif does not exist$"):
        resolve_backend(options)
    (tmp_path / "fsl.sif").touch()
    assert resolve_backend(options) == "fsl"
    assert FslOptions.of(options).image == str(tmp_path / "fsl.sif"), "steps run in other folders"
    assert image_name(FslOptions.of(options)) == "fsl.sif"


def test_an_engine_that_fails_gives_one_line(engine: Engine, tmp_path: Path) -> None:
    engine.provide("docker")
    (engine.fsl / "broken").touch()
    with pytest.raises(ImageError, match=r"^bet failed with code 125: Cannot connect to the daemon\.$"):
        FslBackend(options=FslOptions(runner="docker"), folder=tmp_path).extract_brain(brain(4.0), "pet")


@pytest.mark.parametrize("runner", ["docker", "singularity"])
def test_a_path_that_cannot_be_mounted(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runner: Any
) -> None:
    engine.provide("docker")
    engine.provide("apptainer")
    folder = tmp_path / "a,b:c"
    folder.mkdir()
    backend = FslBackend(options=FslOptions(runner=runner), folder=folder)
    assert np.asanyarray(backend.extract_brain(brain(4.0), "pet").dataobj).any(), "in the temporary folder instead"
    if runner == "singularity":
        monkeypatch.setattr("tempfile.tempdir", str(folder))
        with pytest.raises(ImageError, match=r"^bet could not be run: .*characters"):
            FslBackend(options=FslOptions(runner=runner), folder=folder).extract_brain(brain(4.0), "pet")


def test_options_are_part_of_what_results_depend_on(make_case: Any, make_options: Any) -> None:
    case = make_case("01")

    def key(backend: str, **options: Any) -> str:
        chosen = make_options(backend="fsl", **options)
        identity = BackendIdentity(backend, "x 1", FslOptions.of(chosen))
        return part_key(case, chosen, identity, case_parts(case, chosen)[0])

    changes: list[dict[str, Any]] = [{}, {"bet_fractional_intensity": 0.3}, {"bet_robust": "off"},
                                     {"fsl_runner": "docker"}]  # fmt: skip
    assert len({key("fsl", **change) for change in changes}) == 4
    assert len({key("embedded", **change) for change in changes}) == 1
    options = FslOptions(0.25, False, cost="normmi", runner="docker", image="me/fsl:1")
    assert FslOptions.from_text(options.to_text()) == options


def test_a_change_of_an_option_prepares_again_and_is_written(
    engine: Engine, fake_fsl: Any, tiny_template: None, make_case: Any, make_options: Any, tmp_path: Path
) -> None:
    engine.provide("docker")
    case = make_case("01")

    def run(**values: Any) -> dict[str, Any]:
        (outcome,) = preprocess([case], make_options(backend="fsl", fsl_runner="docker", **values))
        assert outcome.status == "ok", outcome.reason
        (sidecar,) = (tmp_path / "out").rglob("*_space-T1w_desc-preproc_T1w.json")
        return json.loads(sidecar.read_text())

    content = run()
    costs = {"T1w": "corratio", "pet": "normmi", "interictal": "corratio", "ictal": "corratio"}
    usual = {"BetOfPet": False, "FlirtCost": costs, "FlirtWholeSpect": True}
    assert content["BackendOptions"] == {"BetFractionalIntensity": 0.5, "BetRobust": True, **usual}
    assert content["Tools"]["FSL FLIRT"] == f"image {IMAGE}"
    before = len(engine.calls())
    run()
    assert len(engine.calls()) == before
    content = run(bet_fractional_intensity=0.3, bet_robust="off")
    assert content["BackendOptions"] == {"BetFractionalIntensity": 0.3, "BetRobust": False, **usual}
    calls = [call.split() for call in fake_fsl.calls("bet")]
    assert [("-R" in call, call[call.index("-f") + 1]) for call in calls] == [
        *((True, "0.5"), (False, "0.5")),
        *((False, "0.3"), (False, "0.3")),
    ]
