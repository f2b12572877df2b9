"""Stand-ins for FSL's programs, and tiny heads, for tests that must not need FSL or minutes."""

import re
import stat
import sys
import zipfile
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from fsl.data.image import Nifti
from fsl.transform.flirt import toFlirt

from bids_spectsynth.bids.finding.cases import Case, SourceImage
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.options.settings import Settings, make_settings
from bids_spectsynth.preprocess.outputs import images as prepared_images
from bids_spectsynth.preprocess.registration.result import Registration
from bids_spectsynth.preprocess.templates.templates import Template
from bids_spectsynth.preprocess.workflow import build as workflow
from bids_spectsynth.preprocess.workflow import interfaces, step

# Checks its arguments as the real programs would, and notes each call; the matrix that "flirt" finds is given.
_PROGRAM = """#!{python}
import gzip, os, pathlib, struct, sys

name, args = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
calls = pathlib.Path({calls!r})
with (calls / "calls.txt").open("a") as log:
    log.write(" ".join([name, *args]) + "\\n")
if (calls / ("fail_" + name)).exists():
    sys.exit((calls / ("fail_" + name)).read_text())
if (calls / ("silent_" + name)).exists():
    sys.exit(0)
assert os.environ["FSLOUTPUTTYPE"] == "NIFTI_GZ"
if args == ["-version"]:
    sys.exit(print("FLIRT version 6.0\\n"))

def check_header(path):
    assert path.endswith(".nii.gz") and os.path.isabs(path)
    header = gzip.open(path).read(348)
    datatype, = struct.unpack_from("<h", header, 70)
    forms = struct.unpack_from("<2h", header, 252)
    assert datatype == 16 and min(forms) > 0
    rows = struct.unpack_from("<12f", header, 280)
    for axis in range(3):
        column = rows[axis::4][:3]
        assert column[axis] == max(map(abs, column)), "stored as near to RAS as can be"

if name == "bet":
    import nibabel as nib
    import numpy as np
    source, prefix = args[:2]
    check_header(source)
    assert not prefix.endswith(".gz") and not os.path.isabs(prefix)
    assert "-m" in args and 0 <= float(args[args.index("-f") + 1]) <= 1
    image = nib.load(source)
    mask = image.get_fdata() > 50
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), image.affine), prefix + "_mask.nii.gz")
    nib.save(nib.Nifti1Image(image.get_fdata() * mask, image.affine), prefix + ".nii.gz")
elif name == "flirt":
    value = lambda flag: args[args.index(flag) + 1]
    check_header(value("-in"))
    check_header(value("-ref"))
    assert value("-cost") == value("-searchcost") in ("corratio", "normmi", "mutualinfo")
    assert value("-dof") in ("6", "12")
    if "-nosearch" in args:
        assert "-usesqform" in args
        found = calls / "header.mat"
    else:
        for flag in ("-searchrx", "-searchry", "-searchrz"):
            assert args[args.index(flag) + 1 : args.index(flag) + 3] == ["-90", "90"]
        found = calls / "search.mat"
    identity = "1 0 0 0\\n0 1 0 0\\n0 0 1 0\\n0 0 0 1\\n"
    pathlib.Path(value("-omat")).write_text(found.read_text() if found.exists() else identity)
else:
    import numpy as np
    assert args[0] == "-omat" and args[2] == "-inverse" and len(args) == 4
    np.savetxt(args[1], np.linalg.inv(np.loadtxt(args[3])), fmt="%.12g")
"""


class FakeFsl:
    """The folder of the stand-ins' notes; matrices that "flirt" shall find are put into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def calls(self, program: str) -> list[str]:
        log = self.folder / "calls.txt"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line for line in lines if line.split()[0] == program and "-version" not in line]

    def finds(self, start: str, world: np.ndarray, moving: nib.Nifti1Image, fixed: nib.Nifti1Image) -> None:
        """Let "flirt" find what leads from ``fixed`` to ``moving`` in world coordinates."""
        moving_end, fixed_end = (
            Nifti(nib.Nifti1Image(image.dataobj, image.affine).header) for image in (moving, fixed)
        )
        matrix = toFlirt(np.linalg.inv(world), moving_end, fixed_end, "world", "world")
        np.savetxt(self.folder / f"{start}.mat", matrix, fmt="%.12g")

    def fails(self, program: str, message: str) -> None:
        (self.folder / f"fail_{program}").write_text(message)

    def is_silent(self, program: str) -> None:
        (self.folder / f"silent_{program}").touch()


@pytest.fixture
def fake_fsl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeFsl:
    folder = tmp_path / "fsl"
    folder.mkdir()
    for name in ("bet", "flirt", "convert_xfm"):
        script = folder / name
        script.write_text(_PROGRAM.format(python=sys.executable, calls=str(folder)))
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.delenv("FSLDIR", raising=False)
    return FakeFsl(folder)


class TinyBackend:
    """A backend that finds nothing to do, at once, and notes its calls."""

    name = "embedded"
    tools: Mapping[str, str] = {"Tiny": "1.0"}
    options: Mapping[str, Any] = {}

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.matrices: dict[str, np.ndarray] = {}

    def extract_brain(self, image: nib.Nifti1Image, role: str) -> nib.Nifti1Image:
        self.calls.append(f"brain {role}")
        return nib.Nifti1Image((np.asanyarray(image.dataobj) > 50).astype(np.uint8), image.affine)

    def register(self, moving: Any, fixed: Any, fixed_mask: Any, *, dof: int, init: str, role: str) -> Registration:
        self.calls.append(f"register {role} {dof} {init}")
        return Registration(self.matrices.get(role, np.eye(4)), 0.5, "none", 0.7, True, ("nothing done",))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> TinyBackend:
    """Replaces every backend, in this process and in those forked from it."""
    backend = TinyBackend()
    for module in (step, workflow):
        monkeypatch.setattr(module, "make_backend", lambda *arguments: backend)
    return backend


def head(
    shape: tuple[int, int, int], spacing: float, *, centre: tuple[float, float, float] = (0, 0, 0)
) -> nib.Nifti1Image:
    """A brain (an uneven ellipsoid, bright) in a dim head; RAS, centred on the world's origin."""
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = -spacing * (np.array(shape) - 1) / 2
    i, j, k = np.indices(shape)
    x, y, z = (spacing * grid + start for grid, start in zip((i, j, k), affine[:3, 3], strict=True))
    radius = np.sqrt(((x - centre[0]) / 60) ** 2 + ((y - centre[1]) / 75) ** 2 + ((z - centre[2]) / 55) ** 2)
    brain = (radius < 1) * (100 + 40 * np.sign(x + 20) + 20 * np.sign(y - 10) + 0.2 * z)
    return nib.Nifti1Image((brain + 20 * ((radius >= 1) & (radius < 1.2))).astype(np.float32), affine)


@pytest.fixture
def make_head() -> Callable[..., nib.Nifti1Image]:
    """The function :func:`head`."""
    return head


@pytest.fixture
def make_case(tmp_path: Path) -> Callable[..., Case]:
    """Writes a tiny participant into ``tmp_path/bids`` and returns its case."""

    def make(label: str, roles: tuple[str, ...] = ("T1w", "pet", "interictal"), session: str | None = None) -> Case:
        names: dict[str, tuple[str, str, dict[str, str]]] = {
            "T1w": ("anat", "T1w", {}),
            "T2w": ("anat", "T2w", {}),
            "pet": ("pet", "pet", {"trc": "FDG"}),
            "interictal": ("spect", "spect", {"task": "interictal"}),
            "ictal": ("spect", "spect", {"task": "ictal"}),
        }
        images = {}
        for number, role in enumerate(roles):
            datatype, suffix, entities = names[role]
            folder = tmp_path / "bids" / f"sub-{label}" / (f"ses-{session}" if session else "") / datatype
            folder.mkdir(parents=True, exist_ok=True)
            words = "".join(f"_{key}-{value}" for key, value in entities.items())
            path = folder / f"sub-{label}{words}_{suffix}.nii.gz"
            nib.save(head((32, 40, 30), 5.0 + 0.25 * number), path)
            metadata: Mapping[str, Any] = {"TracerName": "FDG", "PatientName": "secret"} if role == "pet" else {}
            images[role] = SourceImage(path, role, entities, metadata, "the only one")
        return Case(label, session, images)

    return make


@pytest.fixture
def make_options(tmp_path: Path) -> Callable[..., Settings]:
    """Settings for ``tmp_path/bids`` and ``tmp_path/out`` with 4 mm voxels."""

    def make(**values: Any) -> Settings:
        base = {"bids_dir": tmp_path / "bids", "output_dir": tmp_path / "out", "analysis_level": "participant",
                "work_dir": tmp_path / "work", "voxel_size": 4, "backend": "embedded"}  # fmt: skip
        return make_settings({**base, **values})

    return make


@pytest.fixture
def tiny_template(monkeypatch: pytest.MonkeyPatch, make_head: Callable[..., Any]) -> None:
    """A coarse template, so that no test waits for a real one; for processes that share this one's memory."""

    def fetch(name: str) -> Template:
        image = make_head((32, 40, 30), 5.0, centre=(0, -10, 10))
        inside = np.asanyarray(image.dataobj) > 50
        brain = np.where(inside, np.asanyarray(image.dataobj), 0)
        mask = new_image(inside.astype(np.uint8), image.affine)
        return Template(name, new_image(brain, image.affine), mask, "a template")

    monkeypatch.setattr(interfaces, "fetch_template", fetch)
    monkeypatch.setattr(prepared_images, "fetch_template", fetch)


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Placeholders under the real names that the client's package knows, and its descriptions of templates."""
    package = find_spec("templateflow")
    assert package is not None
    assert package.origin is not None
    home = tmp_path_factory.mktemp("catalogue")
    with zipfile.ZipFile(Path(package.origin).parent / "conf" / "templateflow-skel.zip") as archive:
        for name in archive.namelist():
            if re.search(r"T1w|mask|T2w|template_description|/$", name):
                archive.extract(name, home)
    return home


@pytest.fixture
def real_names(catalogue: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(catalogue))
    return catalogue
