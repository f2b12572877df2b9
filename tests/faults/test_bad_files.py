"""Files of the dataset and of the output folder that are damaged or hostile: one line each, and nothing waits."""

import gzip
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from bids_spectsynth.errors import ExitCode

DEEP = '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"
T1W, PET = "anat/{0}_T1w", "pet/{0}_trc-FDG_pet"
SPECT = "spect/{0}_task-interictal_trc-HMPAO_spect"


@pytest.fixture(autouse=True)
def nothing_waits() -> Iterator[None]:
    """A run that waits for what never comes ends the tests instead."""
    signal.alarm(300)
    yield
    signal.alarm(0)


def text(content: str | bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content if isinstance(content, bytes) else content.encode())


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def header(offset: int, value: Any) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        content = bytearray(gzip.decompress(path.read_bytes()))
        content[offset : offset + value.nbytes] = value.tobytes()
        path.write_bytes(gzip.compress(bytes(content), 1))

    return change


def noisy(path: Path) -> None:
    """Of filtered back projection: single voxels in the brain lie below zero."""
    image = nib.load(path)
    data = np.array(image.dataobj, dtype=np.float32)
    inside = np.flatnonzero(data > 0.5 * data.max())
    np.put(data, inside[::50], -np.random.default_rng(0).uniform(5, 30, len(inside[::50])))
    nib.save(nib.Nifti1Image(data, image.affine), path)


#: File, damage, status, words of the line about it.
KINDS: dict[str, tuple[str, Callable[[Path], object], str, tuple[str, ...]]] = {
    "deep sidecar of a T1w": (T1W + ".json", text(DEEP), "ok", ("nested too deeply", "used without it")),
    "deep sidecar of a PET": (PET + ".json", text(DEEP), "failed", ("_pet.json", "nested too deeply")),
    "sidecar with a number of any length": (PET + ".json", text('{"FrameDuration": [1' + "0" * 5000 + "]}"), "failed",
                                            ("_pet.json",)),
    "sidecar that is a pipe": (SPECT + ".json", pipe, "failed", ("_spect.json", "not a regular file")),
    "image that is a pipe": (T1W + ".nii.gz", pipe, "failed", ("_T1w.nii.gz", "not a regular file")),
    "offset that is infinite": (T1W + ".nii.gz", header(108, np.float32(np.inf)), "failed", ("damaged", "infinity")),
    "dimensions of a giant": (PET + ".nii.gz", header(40, np.array([3, *[32767] * 3], "<i2")), "failed", ("_pet.nii",)),
    "values below zero": (PET + ".nii.gz", noisy, "ok", ("voxels of the brain", "below 0 and become 0")),
}  # fmt: skip
LABELS = {kind: f"sub-{number}" for number, kind in enumerate(KINDS, start=21)}


@pytest.fixture(scope="module")
def run_with_damage(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One run on two good participants, one of each kind, and folders whose names no label has; with the validator."""
    data = tmp_path_factory.mktemp("files") / "data"
    skipped = shutil.ignore_patterns("sub-04", "sub-05", "sub-06", "sub-07", "sub-08")
    shutil.copytree(finished.bids_dir, data, ignore=skipped)
    for label in (*LABELS.values(), "sub-a_b", "sub-\u00fc"):
        for path in (data / "sub-01").rglob("*.*"):
            copy = data / label / path.parent.name / path.name.replace("sub-01", label)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    for kind, (name, damage, _, _) in KINDS.items():
        damage(data / LABELS[kind] / name.format(LABELS[kind]))
    os.mkdir(os.fsencode(data) + b"/sub-\xe9")  # noqa: PTH102  (a name of bytes)
    (data / ".bidsignore").write_bytes(b"\xff\xfe\n[\n!!\n")
    (data / "participants.tsv").write_bytes(b"participant_id\tage\nsub-01\t\xff\n")
    app = finished.__class__(data, data.parent / "out")
    return app, app("--mode", "preprocess")


def test_run__good_participants_finish(run_with_damage: tuple[Any, Any]) -> None:
    app, result = run_with_damage
    assert result.code == ExitCode.SOME_FAILED, result.err
    assert "Traceback" not in result.err
    assert {app.participants()[label]["status"] for label in ("sub-01", "sub-03")} == {"ok"}


@pytest.mark.parametrize("kind", KINDS)
def test_run__a_bad_file_is_one_line(run_with_damage: tuple[Any, Any], kind: str) -> None:
    app, result = run_with_damage
    _, _, status, words = KINDS[kind]
    label = LABELS[kind]
    row = app.participants()[label]
    assert row["status"] == status
    if status == "failed":
        assert all(word in row["reason"] for word in words), row["reason"]
    assert result.says(label, *words)


@pytest.mark.parametrize("label", ["sub-a_b", "sub-\u00fc"])
def test_run__a_label_that_bids_forbids_fails_before_anything_is_computed(
    run_with_damage: tuple[Any, Any], label: str
) -> None:
    app, _ = run_with_damage
    assert "labels have letters and digits only" in app.participants()[label]["reason"]
    assert not (app.output_dir / label).exists()


def test_run__a_name_that_is_no_text_is_left_out(run_with_damage: tuple[Any, Any]) -> None:
    assert run_with_damage[1].says("sub-\\udce9", "not UTF-8", "rename it")


ROOT: dict[str, tuple[str, Callable[[Path], object]]] = {
    "descriptions that are no text": ("descriptions.tsv", text(b"\xff\xfe")),
    "descriptions of other columns": ("descriptions.tsv", text("what\n1\n")),
    "descriptions that are a pipe": ("descriptions.tsv", pipe),
    "participants that are no text": ("participants.tsv", text(b"\xff\xfe")),
    "participants that are a pipe": ("participants.tsv", pipe),
    "participants that are a folder": ("participants.tsv", Path.mkdir),
    "logs that are a file": ("logs", text("x")),
    "a work folder that is a file": ("work", text("x")),
    "a lock that is a folder": (".bids_spectsynth.lock", Path.mkdir),
}


@pytest.mark.parametrize("kind", ROOT)
def test_run__a_bad_file_of_the_output_folder_is_one_line_that_names_it(
    make_app: Callable[..., Any], kind: str
) -> None:
    app = make_app(("01",))
    app.output_dir.mkdir()
    name, damage = ROOT[kind]
    damage(app.output_dir / name)
    result = app("--mode", "preprocess")
    assert result.code == ExitCode.DATASET
    (line,) = result.errors
    assert str(app.output_dir / name) in line
    assert "Traceback" not in result.err


def test_apply__a_damaged_prepared_t1w_is_prepared_again(finished: Any, tmp_path: Path) -> None:
    app = finished.copy(tmp_path)
    (path,) = app.output_dir.glob("sub-04/anat/*_space-T1w_desc-preproc_T1w.nii.gz")
    path.write_bytes(path.read_bytes()[:100])
    result = app("--mode", "apply", "--participant-label", "04")
    assert result.code == ExitCode.OK, result.err
    assert nib.load(path).get_fdata().any()


@pytest.mark.usefixtures("no_privileges")
def test_apply__a_prepared_image_that_cannot_be_read_costs_its_own_participant(finished: Any, tmp_path: Path) -> None:
    app = finished.copy(tmp_path)
    model = app.output_dir / "models" / "pix2pixT1wPet"
    for name in app.files("sub-0*/spect/*pix2pixT1wPet_*"):
        (app.output_dir / name).unlink()
    (path,) = app.output_dir.glob("sub-04/pet/*_space-T1w_desc-preproc_pet.nii.gz")
    path.chmod(0)
    result = app("--mode", "apply", "--model", str(model), "--siscom", "off")
    assert result.code == ExitCode.SOME_FAILED, result.err
    assert "Traceback" not in result.err
    rows = app.participants()
    assert path.name in rows["sub-04"]["reason"]
    assert rows["sub-01"]["status"] == "ok"
