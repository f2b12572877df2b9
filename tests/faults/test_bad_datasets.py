"""Participants that are damaged in sixty ways, ten beside two sound ones: one line each, the others as ever."""

import difflib
import hashlib
import os
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from bad_datasets import KINDS
from limits import at_most

from bids_spectsynth.errors import ExitCode
from tests.conftest import ALL, App, write_dataset
from tests.packed import unpacked

GOOD = ("01", "02")
NAMES = list(KINDS)
AT_ONCE = 10
#: Of the default run: one of each part.
FEW = ("half a T1w", "image is a pipe", "circular link", "two T1w", "only padding", "dimensions of a giant",
       "unit metre", "sidecar nested too deeply")  # fmt: skip


def _state(folder: Path) -> dict[str, str]:
    """Kind, time and content of all that lies in a dataset."""
    state = {}
    for path in sorted(Path(os.fsdecode(one)) for one in folder.rglob("*")):
        status = path.lstat()
        content = ""
        # Asking whether a file can be read tells of the user, not of this thread.
        with suppress(PermissionError):
            content = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(status.st_mode) else ""
        state[str(path)] = f"{status.st_mode} {status.st_size} {status.st_mtime_ns} {content}"
    return state


def _images(app: App) -> dict[str, bytes]:
    """All that the sound participants have got but their logs."""
    names = {name for label in GOOD for name in app.files(f"sub-{label}/**/*")}
    return {name: unpacked(app.output_dir / name) for name in names}


def _differences(found: dict[str, bytes], expected: dict[str, bytes]) -> list[str]:
    """What is not equal, with the lines that differ where it is a text."""
    told = []
    for name in sorted({*found, *expected}):
        one, other = found.get(name, b"is not there"), expected.get(name, b"is not there")
        if one != other:
            texts = [content.decode(errors="replace").splitlines() for content in (other, one)]
            lines = list(difflib.unified_diff(*texts, "of the sound alone", "beside the damaged", lineterm="", n=1))
            told.append("\n".join([name, *(line[:200] for line in lines[:40])]))
    return told


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[App, dict[str, bytes]]:
    """The dataset of the sound participants, and what they have got."""
    folder = tmp_path_factory.mktemp("sound")
    app = App(write_dataset(folder / "data", dict.fromkeys(GOOD, ALL)), folder / "out")
    result = app("--mode", "preprocess")
    assert result.code == ExitCode.OK, result.err
    return app, _images(app)


def _damaged(source: Path, data: Path, names: list[str]) -> dict[str, str]:
    """Write the dataset; labels of the damaged participants by what was done to them."""
    shutil.copytree(source, data)
    labels = {name: str(11 + NAMES.index(name)) for name in names}
    for name, label in labels.items():
        for path in (source / "sub-01").rglob("*.*"):
            copy = data / f"sub-{label}" / path.parent.name / path.name.replace("sub-01", f"sub-{label}")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
        kind = KINDS[name]
        kind.damage(data / f"sub-{label}" / kind.file.format(label))
    return labels


def _faults(app: App, result: Any, labels: dict[str, str]) -> list[str]:
    """What is not as it should be with the damaged participants."""
    faults, rows = [], app.participants()
    for name, label in labels.items():
        _, _, status, words = KINDS[name]
        row = rows.get(f"sub-{label}", {"status": "none", "reason": "none"})
        if row["status"] != status:
            faults.append(f"{name}: {row['status']}, not {status}: {row['reason']}")
        lines = result.says(f"sub-{label}", *words) if words else ["-"]
        ends = [line for line in result.says(f"sub-{label} {status}: ") if status != "ok"]
        if len(ends) != (status != "ok"):
            faults.append(f"{name}: {len(ends)} lines of its end: {ends}")
        if not lines:
            faults.append(f"{name}: no line with {words}: {result.says(f'sub-{label}')}")
        if status == "failed" and not all(word in row["reason"] for word in words):
            faults.append(f"{name}: reason {row['reason']}")
        if status == "failed" and (f"sub-{label}" not in row["reason"] or len(row["reason"]) > 500):
            faults.append(f"{name}: its file is not named in one short line: {row['reason'][:600]}")
    return faults


def _run(sound: tuple[App, dict[str, bytes]], folder: Path, names: list[str]) -> None:
    clean, expected = sound
    labels = _damaged(clean.bids_dir, folder / "data", names)
    before = _state(folder / "data")
    app = App(folder / "data", folder / "out")
    with at_most(300):
        result = app("--mode", "preprocess")
    assert result.code == ExitCode.SOME_FAILED, result.err
    faults = _faults(app, result, labels)
    # run.log and nipype.log have what Nipype says of a step that failed, for whoever looks for the cause.
    texts = {"console": result.err, **{path.name: path.read_text() for path in app.output_dir.glob("logs/*/sub-*.log")}}
    faults += [f"{name}: a traceback: {text[text.index('Traceback') :][:1500]}" for name, text in texts.items()
               if "Traceback" in text]  # fmt: skip
    assert not faults, "\n".join(faults)
    assert {app.participants()[f"sub-{label}"]["status"] for label in GOOD} == {"ok"}
    assert not _differences(_images(app), expected)
    assert _state(folder / "data") == before, "the dataset is never touched"
    assert {path.name for path in folder.iterdir()} == {"data", "out"}


@pytest.mark.usefixtures("no_privileges")
def test_run__some_damaged_participants(
    sound: Any, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    _record(record_property, len(FEW))
    _run(sound, tmp_path, list(FEW))


@pytest.mark.faults
@pytest.mark.usefixtures("no_privileges")
@pytest.mark.parametrize("start", range(0, len(NAMES), AT_ONCE))
def test_run__sixty_damaged_participants(
    sound: Any, tmp_path: Path, record_property: Callable[[str, object], None], start: int
) -> None:
    names = NAMES[start : start + AT_ONCE]
    _record(record_property, len(names))
    _run(sound, tmp_path, names)


def _record(record: Callable[[str, object], None], number: int) -> None:
    record("tried", "damaged participants beside two sound ones, through the program")
    record("number", number)
    record("seen", "one line each with the file; the others equal to a run without them; dataset untouched")


def test_kinds__are_sixty() -> None:
    assert len(KINDS) == 60
    assert set(FEW) <= set(KINDS)
