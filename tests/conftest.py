"""A small cohort and the app in this process, with a backend that finds nothing to do: the whole flow in seconds."""

import contextlib
import ctypes
import io
import json
import logging
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

from bids_spectsynth.bids.names import BIDS_VERSION
from bids_spectsynth.bids.writing import write_image
from bids_spectsynth.cli import main
from bids_spectsynth.phantom.sidecars import pet_sidecar, spect_sidecar, t1w_sidecar
from bids_spectsynth.preprocess.outputs import images as prepared_images
from bids_spectsynth.preprocess.registration.result import Registration
from bids_spectsynth.preprocess.templates.templates import Template
from bids_spectsynth.preprocess.workflow import build as workflow
from bids_spectsynth.preprocess.workflow import interfaces, step
from bids_spectsynth.quality import cohort as quality_stage
from bids_spectsynth.reports.subject import all_pages as subjects
from bids_spectsynth.reports.subject import images as subject_images
from bids_spectsynth.siscom.significance import patient_null
from bids_spectsynth.siscom.significance.null import simulate_null

ALL = ("T1w", "pet", "interictal")
#: Small enough for tests, and none of them changes which code runs.
QUICK = {"--voxel-size": "4", "--nprocs": "1", "--backend": "embedded", "--device": "cpu"}
#: Those that are refused beside a model.
QUICK_TRAINING = {"--base-filters": "2", "--epochs": "1", "--slices-per-subject": "4", "--batch-size": "4"}


def volume(seed: int, gain: float, slope: float) -> nib.Nifti1Image:
    """A bright brain in a dim head on 24^3 voxels of 8 mm; seeds differ in size and pattern."""
    rng = np.random.default_rng(seed)
    affine = np.diag([8.0, 8, 8, 1])
    affine[:3, 3] = -92
    x, y, z = np.indices((24, 24, 24)) * 8.0 - 92
    radii = rng.uniform(0.95, 1.05, 3) * (62, 76, 56)
    radius = np.sqrt((x / radii[0]) ** 2 + (y / radii[1]) ** 2 + (z / radii[2]) ** 2)
    pattern = 100 + slope * (x + 0.5 * y) + 8 * np.sin(z / 15 + seed) + rng.normal(0, 2, x.shape)
    data = np.where(radius < 1, pattern, np.where(radius < 1.2, 15, 0)) * gain
    image = nib.Nifti1Image(data.clip(0).astype(np.float32), affine)
    image.header.set_xyzt_units("mm")
    return image


def write_participant(bids_dir: Path, label: str, roles: Sequence[str] = ALL, session: str | None = None) -> Path:
    """One participant (or session) with full sidecars; returns its folder."""
    folder = bids_dir / f"sub-{label}" / (f"ses-{session}" if session else "")
    stem = f"sub-{label}" + (f"_ses-{session}" if session else "")
    images: Mapping[str, tuple[str, float, float, dict[str, Any]]] = {
        "T1w": ("anat/{}_T1w", 1.0, 0.2, t1w_sidecar()),
        "T2w": ("anat/{}_T2w", 1.5, -0.2, t1w_sidecar()),
        "pet": ("pet/{}_trc-FDG_pet", 60.0, 0.4, pet_sidecar(1, False, 5)),
        "interictal": ("spect/{}_task-interictal_trc-HMPAO_spect", 3.0, 0.3, spect_sidecar("interictal", False, 7)),
        "ictal": ("spect/{}_task-ictal_trc-HMPAO_spect", 3.0, 0.5, spect_sidecar("ictal", False, 7)),
    }
    for role in roles:
        name, gain, slope, sidecar = images[role]
        write_image(folder / f"{name.format(stem)}.nii.gz", volume(int(label), gain, slope), sidecar)
    return folder


def write_dataset(bids_dir: Path, participants: Mapping[str, Sequence[str]]) -> Path:
    """A valid dataset: roles by participant label."""
    bids_dir.mkdir(parents=True)
    description = {"Name": "test", "BIDSVersion": BIDS_VERSION, "DatasetType": "raw", "Authors": ["A", "B"]}
    (bids_dir / "dataset_description.json").write_text(json.dumps(description))
    (bids_dir / "README").write_text("Images that a test has computed; nobody was scanned.\n" * 5)
    for label, roles in participants.items():
        write_participant(bids_dir, label, roles)
    return bids_dir


class QuickBackend:
    """Registers nothing, takes what is bright for brain, and notes its calls."""

    name = "embedded"
    tools: Mapping[str, str] = {"Quick": "1.0"}
    options: Mapping[str, Any] = {}

    def __init__(self) -> None:
        self.calls: list[str] = []

    def extract_brain(self, image: nib.Nifti1Image, role: str) -> nib.Nifti1Image:
        self.calls.append(f"brain {role}")
        data = np.asanyarray(image.dataobj)
        return nib.Nifti1Image((data > 0.3 * data.max()).astype(np.uint8), image.affine)

    def register(self, moving: Any, fixed: Any, fixed_mask: Any, *, dof: int, init: str, role: str) -> Registration:
        self.calls.append(f"register {role} {dof} {init}")
        return Registration(np.eye(4), 0.9, "none", 0.95, False, ())


@dataclass(frozen=True)
class Result:
    """Exit code and standard error of one run."""

    code: int
    err: str

    def says(self, *words: str) -> list[str]:
        """The lines with all of these words."""
        return [line for line in self.err.splitlines() if all(word in line for word in words)]

    @property
    def errors(self) -> list[str]:
        """The lines that end a run."""
        return self.says("bids_spectsynth: error: ")


def _template(name: str) -> Template:
    brain = volume(0, 1.0, 0.2)
    inside = np.asanyarray(brain.dataobj) > 50
    mask = nib.Nifti1Image(inside.astype(np.uint8), brain.affine)
    image = nib.Nifti1Image(np.where(inside, np.asanyarray(brain.dataobj), 0).astype(np.float32), brain.affine)
    return Template(name, image, mask, "a template of the tests")


def store_template(
    home: Path, name: str, *, cohort: str | None = None, res: str | None = "01", mask: str = "desc-brain"
) -> Path:
    """A tiny head and its brain mask under the names that TemplateFlow gives them; returns the head."""
    folder = home / f"tpl-{name}" / (f"cohort-{cohort}" if cohort else "")
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"tpl-{name}" + (f"_cohort-{cohort}" if cohort else "") + (f"_res-{res}" if res else "")
    head = volume(0, 1.0, 0.2)
    inside = np.asanyarray(head.dataobj) > 50
    nib.save(head, folder / f"{stem}_T1w.nii.gz")
    nib.save(nib.Nifti1Image(inside.astype(np.uint8), head.affine), folder / f"{stem}_{mask}_mask.nii.gz")
    return folder / f"{stem}_T1w.nii.gz"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """The function :func:`store_template` on the ``TEMPLATEFLOW_HOME`` of this test."""
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "templates"))
    return partial(store_template, tmp_path / "templates")


@pytest.fixture(autouse=True)
def no_template_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have templates; TemplateFlow's client would fill the folder or use the network."""
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path_factory.getbasetemp() / "no-templates"))
    monkeypatch.setitem(sys.modules, "templateflow", None)
    monkeypatch.setattr("bids_spectsynth.preprocess.templates.download.check_server", lambda: None)


def _empty_report(output_dir: Path, participant: str, heads: Any = None) -> Path:
    path = output_dir / f"sub-{participant}.html"
    path.write_text("<p>a report</p>")
    return path


@dataclass
class App:
    """The app on one dataset and one output folder, in this process; real reports take seconds and are optional."""

    bids_dir: Path
    output_dir: Path
    reports: bool = False
    real_templates: bool = False
    judge: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda names: dict.fromkeys(names, ())  # heads are balls
    calls: list[str] = field(default_factory=list)
    made_with: list[int] = field(default_factory=list)

    def __call__(self, *options: str, level: str = "participant", validate: bool = False) -> Result:
        """Run ``main``; options come after the quick defaults and so win over them."""
        alone = {"--reports-only", "--boilerplate-only"} & {*options}  # they refuse options of what would be computed
        quick = {} if alone else QUICK if "--model" in options else {**QUICK, **QUICK_TRAINING}
        unchecked = [] if validate or alone else ["--skip-bids-validation"]
        defaults = [*(word for pair in quick.items() for word in pair), *unchecked]
        argv = [str(self.bids_dir), str(self.output_dir), level, *defaults, *map(str, options)]
        error, logger = io.StringIO(), logging.getLogger("bids_spectsynth")
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(error):
            self._replace_slow_parts(patch)
            try:
                code = main(argv)
            finally:
                for handler in list(logger.handlers):
                    logger.removeHandler(handler)
                    handler.close()
                logger.propagate = True
                logger.setLevel(logging.NOTSET)
                torch.set_num_threads(1)
        return Result(code, error.getvalue())

    def _replace_slow_parts(self, patch: pytest.MonkeyPatch) -> None:
        backend = QuickBackend()
        backend.calls = self.calls

        def make(name: str, threads: int, fsl: Any) -> QuickBackend:
            self.made_with.append(threads)
            return backend

        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            patch.setenv(name, "1")
        patch.setattr(quality_stage, "judge", self.judge)
        for module in (step, workflow):
            patch.setattr(module, "make_backend", make)
        patch.setattr(patient_null, "simulate_null", partial(simulate_null, simulations=9))
        for user in () if self.real_templates else (interfaces, prepared_images, subject_images):
            patch.setattr(user, "fetch_template", _template)
        if not self.reports:
            patch.setattr(subjects, "subject_report", _empty_report)

    def copy(self, folder: Path) -> "App":
        """The same dataset with a copy of the output, modification times kept."""
        shutil.copytree(self.output_dir, folder / "out")
        return App(self.bids_dir, folder / "out")

    @property
    def split_file(self) -> Path:
        """The split of :func:`finished`, beside its dataset."""
        return self.bids_dir.parent / "split.tsv"

    def participants(self) -> dict[str, dict[str, str]]:
        """Rows of ``participants.tsv`` by participant."""
        table = pd.read_csv(self.output_dir / "participants.tsv", sep="\t", dtype=str, keep_default_na=False)
        return {row["participant_id"]: row for row in table.to_dict("records")}

    def files(self, pattern: str = "**/*") -> set[str]:
        """Files of the output folder that fit, as posix paths."""
        found = (path for path in self.output_dir.glob(pattern) if path.is_file())
        return {path.relative_to(self.output_dir).as_posix() for path in found}

    def stamps(self, *patterns: str) -> dict[str, int]:
        """Modification times (ns) by file."""
        return {name: (self.output_dir / name).stat().st_mtime_ns for one in patterns for name in self.files(one)}

    def card(self, label: str) -> dict[str, Any]:
        """The card of a model in the output folder."""
        content: dict[str, Any] = json.loads((self.output_dir / "models" / label / "model.json").read_text())
        return content


@pytest.fixture
def make_app(tmp_path: Path) -> Callable[..., App]:
    """Writes a dataset of ``tmp_path/data`` (roles by label, or labels with all images) and gives the app on it."""

    def make(participants: Mapping[str, Sequence[str]] | Sequence[str]) -> App:
        if not isinstance(participants, Mapping):
            participants = dict.fromkeys(participants, ALL)
        return App(write_dataset(tmp_path / "data", participants), tmp_path / "out")

    return make


#: The cohort of :func:`finished`: who has what; the images of 05 lie in a session.
COHORT = {
    **dict.fromkeys(("01", "03", "04"), ALL),
    "05": (),
    "06": ("T1w", "interictal"),
    "07": ("T1w", "pet", "ictal"),
    "08": ("pet", "interictal"),
}
#: 06 trains, so that both models have somebody in every part.
SPLIT = {"01": "train", "03": "validation", "04": "test", "05": "test", "06": "train"}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> App:
    """A finished run of both levels with two models; not to be changed (see :meth:`App.copy`)."""
    folder = tmp_path_factory.mktemp("cohort")
    bids_dir = write_dataset(folder / "data", COHORT)
    write_participant(bids_dir, "05", ALL, "a")
    lines = [f"sub-{label}\t{part}" for label, part in SPLIT.items()]
    app = App(bids_dir, folder / "out")
    app.split_file.write_text("\n".join(["participant_id\tsplit", *lines]) + "\n")
    result = app(*TWO_MODELS, "--split-file", str(app.split_file))
    assert result.code == 0, result.err
    assert app(level="group").code == 0
    return app


TWO_MODELS = ("--inputs", "T1w", "pet", "--inputs", "T1w")


@pytest.fixture
def no_privileges() -> Iterator[None]:
    """Permissions count for this thread even where root runs the tests: without its rights to pass them over."""
    if os.geteuid() != 0:
        return (yield)
    libc = ctypes.CDLL(None)
    version, held = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc.capget(version, held)  # the capabilities of this thread
    fewer = (ctypes.c_uint32 * 6)(held[0] & ~0b110, *held[1:])  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capset(version, fewer) == 0
    yield
    assert libc.capset(version, held) == 0


@pytest.fixture
def two_models() -> tuple[str, ...]:
    """Options of the two models that :func:`finished` has trained."""
    return TWO_MODELS


class Openings:
    """Image files that this process opened, and how often; those to be written by their final name."""

    def __init__(self) -> None:
        self.read: dict[str, int] = {}
        self.written: dict[str, int] = {}

    def clear(self) -> None:
        self.read.clear()
        self.written.clear()

    def note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], str | os.PathLike):
            return
        path = Path(arguments[0])
        temporary = re.fullmatch(r"\.(.+)\.\d+-[0-9a-f]+\.tmp", path.name)
        if temporary:
            path = path.with_name(temporary[1])
        if path.name.endswith((".nii", ".nii.gz")):
            counts = self.written if temporary else self.read
            counts[str(path)] = counts.get(str(path), 0) + 1


@pytest.fixture(scope="session")
def listeners() -> list[Callable[[str, tuple[Any, ...]], None]]:
    """Functions that hear of what Python does; a hook itself cannot be taken back."""
    active: list[Callable[[str, tuple[Any, ...]], None]] = []
    sys.addaudithook(lambda event, arguments: [listen(event, arguments) for listen in active] and None)
    return active


@pytest.fixture
def openings(listeners: list[Callable[[str, tuple[Any, ...]], None]]) -> Iterator[Openings]:
    """Counts from the beginning of the test."""
    counter = Openings()
    listeners.append(counter.note)
    yield counter
    listeners.remove(counter.note)
