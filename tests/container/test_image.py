"""The container image, built and run as its users do; what it is measured to be is printed."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from container_engine import Engine, EngineUnavailableError, container_engine

pytestmark = pytest.mark.container

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
IMAGE = "bids_spectsynth"
MOST_BYTES = 2.5e9
USER = 1234
#: No network, nothing writable but /tmp, and a user that is not the caller and that the image does not know.
CONFINED = ("--network", "none", "--read-only", "--user", f"{USER}:{USER}", "--tmpfs", "/tmp")
#: Smaller than anybody would want, and none of them changes which code runs.
QUICK = (
    *("--inputs", "T1w", "pet", "--voxel-size", "4", "--base-filters", "4", "--epochs", "2"),
    *("--split", "1", "1", "1", "--nprocs", "2"),
)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Image:
    """The image and the engine that runs it."""

    engine: Engine

    def run(self, data: Path, out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        mounts = ("-v", f"{data}:/data:ro", "-v", f"{out}:/out")
        return self.engine.run(*CONFINED, *mounts, IMAGE, "/data", "/out", *arguments)


@dataclass(frozen=True)
class Cohort:
    """A small simulated cohort, and what both levels made of it."""

    data: Path
    out: Path
    participant: subprocess.CompletedProcess[str]
    group: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def say(pytestconfig: pytest.Config) -> Say:
    capture = pytestconfig.pluginmanager.get_plugin("capturemanager")

    def show(line: str) -> None:
        with capture.global_and_fixture_disabled() if capture is not None else contextlib.nullcontext():
            print(f"\ncontainer image: {line}", flush=True)

    return show


@pytest.fixture(scope="module")
def engine(say: Say) -> Iterator[Engine]:
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        try:
            chosen = stack.enter_context(container_engine())
        except EngineUnavailableError as error:
            say(f"not tested: {error}")
            pytest.skip(str(error))
        say(f"engine and base image {time.monotonic() - started:.0f} s")
        yield chosen


@pytest.fixture(scope="module")
def image(engine: Engine, say: Say) -> Image:
    arguments = ["--build-arg", "WITH_FSL=0"]
    if engine.genuine and "PIP_EXTRA_INDEX_URL" in os.environ:
        # Podman's builds see pip's settings of this machine; without an index of CPU builds, torch brings CUDA.
        arguments += ["--build-arg", f"PIP_EXTRA_INDEX_URL={os.environ['PIP_EXTRA_INDEX_URL']}"]
    started = time.monotonic()
    done = engine.build(*arguments, "-t", IMAGE, ROOT)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    say(f"docker build {time.monotonic() - started:.0f} s")
    return Image(engine)


@pytest.fixture(scope="module")
def cohort(image: Image, say: Say, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("cohort")
    data, out = folder / "data", _writable(folder / "out")
    phantom = [BIN / "bids_spectsynth-phantom", data, "-n", "3", "--size", "small", "--seed", "1"]
    subprocess.run(phantom, check=True, capture_output=True)
    started = time.monotonic()
    participant = image.run(data, out, "participant", *QUICK)
    say(f"docker run, participant level {time.monotonic() - started:.0f} s")
    started = time.monotonic()
    group = image.run(data, out, "group")
    say(f"docker run, group level {time.monotonic() - started:.0f} s")
    return Cohort(data, out, participant, group)


def test_the_image_without_cuda_is_small_enough(image: Image, say: Say) -> None:
    size = int(image.engine.call("image", "inspect", "--format", "{{.Size}}", IMAGE).stdout)
    say(f"size {size / 1e9:.2f} GB")
    assert size <= MOST_BYTES


def test_the_program_starts(image: Image, say: Say) -> None:
    started = time.monotonic()
    inside = image.engine.call("run", "--rm", *CONFINED, IMAGE, "--version")
    middle = time.monotonic()
    outside = subprocess.run([BIN / "bids_spectsynth", "--version"], capture_output=True, text=True, check=True)
    container, plain = middle - started, time.monotonic() - middle
    assert inside.stdout == outside.stdout != ""
    say(f"--version {container:.2f} s, plain {plain:.2f} s, so {container - plain:.2f} s more")


def test_packages_are_the_pinned_ones_with_their_byte_code(image: Image) -> None:
    found = json.loads(image.engine.run(*CONFINED, "--entrypoint", "python", IMAGE, "-c", _LIST_PACKAGES).stdout)
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    pins = {_canonical(name): version for name, version in pins.items()}
    versions = {_canonical(name): version.split("+")[0] for name, version in found["versions"].items()}
    for installer in ("pip", "setuptools", "bids-spectsynth"):
        versions.pop(installer)
    assert {name: version for name, version in versions.items() if pins.get(name) != version} == {}
    assert "torch" in versions
    assert found["not_compiled"] == []


def test_both_levels_succeed_for_an_unknown_user_without_network_or_writable_root(cohort: Cohort) -> None:
    assert cohort.participant.returncode == 0, cohort.participant.stderr
    assert cohort.group.returncode == 0, cohort.group.stderr
    labels = [f"sub-{number:02d}" for number in (1, 2, 3)]
    synthetic = "spect/{}_task-interictal_space-orig_desc-pix2pixT1wPet_spect.nii.gz"
    expected = [
        "dataset_description.json", "participants.tsv", "group.html", "group_metrics.tsv", "group_ttests.tsv",
        "models/pix2pixT1wPet/model.safetensors", *(f"{label}.html" for label in labels),
        *(f"{label}/{synthetic.format(label)}" for label in labels),
    ]  # fmt: skip
    assert [name for name in expected if not (cohort.out / name).is_file()] == []
    written = [path for path in cohort.out.rglob("*") if path.stat().st_uid != USER]
    assert written == []


def test_no_library_complains_about_its_place(cohort: Cohort) -> None:
    lines = (cohort.participant.stderr + cohort.group.stderr).splitlines()
    words = ("read-only", "permission", "not writable", "cache", "getpwuid")
    assert [line for line in lines if any(word in line.lower() for word in words)] == []


def test_wrong_input_ends_with_the_code_of_the_dataset(image: Image, cohort: Cohort, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = image.run(empty, _writable(tmp_path / "out"), "participant", *QUICK)
    assert done.returncode == 3, done.stderr
    unwritable = tmp_path / "unwritable"
    unwritable.mkdir(0o555)
    done = image.run(cohort.data, unwritable, "participant", *QUICK)
    assert done.returncode == 3, done.stderr


def test_a_template_that_is_not_baked_in_is_a_wrong_option(image: Image, cohort: Cohort, tmp_path: Path) -> None:
    space = ["--output-spaces", "MNI152NLin6Asym"]
    done = image.run(cohort.data, _writable(tmp_path / "out"), "participant", *QUICK, *space)
    assert done.returncode == 2, done.stderr
    assert "template MNI152NLin6Asym: the files in /opt/templateflow are empty placeholders" in done.stderr


def _writable(folder: Path) -> Path:
    """A new folder that the user in the container may write to."""
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, USER, USER)
    else:
        folder.chmod(0o777)
    return folder


def _canonical(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


_LIST_PACKAGES = """
import importlib.metadata, importlib.util, json, pathlib
import bids_spectsynth, deepbet, matplotlib, nipype, scipy, torch
modules = [bids_spectsynth, deepbet, matplotlib, nipype, scipy]
sources = [path for module in modules for path in pathlib.Path(module.__file__).parent.rglob("*.py")]
sources = [path for path in sources if not {"test", "tests"} & set(path.parts)]
missing = [str(path) for path in sources if not pathlib.Path(importlib.util.cache_from_source(path)).exists()]
versions = {found.name: found.version for found in importlib.metadata.distributions()}
print(json.dumps({"versions": versions, "not_compiled": missing}))
"""
