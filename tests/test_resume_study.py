"""A run that is stopped at random moments and started again ends with what an undisturbed run ends with."""

import itertools
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import App
from tests.packed import unpacked

#: Tables of the group level that hold numbers.
TABLES = "group_*.tsv"
#: What a card says about when it was made and, hidden by its salt, of whom.
OWN = ("created", "salt", "participants", "selection_participants")


class KilledError(BaseException):
    """The process is gone at once: nothing in the app may take this for a failure of one participant."""


def kill_at_file(patch: pytest.MonkeyPatch, number: int) -> None:
    """End the process just before the n-th file gets its name: what was computed for it is lost."""
    replace, count = Path.replace, itertools.count(1)

    def killed(self: Path, target: Any) -> Path:
        if next(count) == number:
            raise KilledError(self.name)
        return replace(self, target)

    patch.setattr(Path, "replace", killed)


def killed_runs(app: App, options: tuple[str, ...], rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run until nothing is left to be killed; the files that were about to be written."""
    files = []
    while len(files) < 40:
        with monkeypatch.context() as patch:
            # The SISCOM of one ictal scan, with all its baselines, is about sixty files that are made together.
            kill_at_file(patch, rng.randrange(5, 40) if rng.random() < 0.7 else rng.randrange(40, 120))
            try:
                result = app(*options)
            except KilledError as killed:
                files.append(str(killed))
                continue
        assert result.code == 0, result.err
        return files
    raise AssertionError(f"no run came to its end: {files}")


def without_models(app: App) -> App:
    """What preparation has written, no more: its workflow would take the end of the process for a failed node."""
    shutil.rmtree(app.output_dir / "models")
    made = [name for name in app.files() if "_desc-pix2pix" in name or name.startswith("group")]
    for name in [*made, *app.files("sub-*.html")]:
        (app.output_dir / name).unlink()
    return app


def cards(app: App) -> dict[str, Any]:
    found = {path.parent.name: json.loads(path.read_text()) for path in app.output_dir.glob("models/*/model.json")}
    return {name: {key: card[key] for key in card if key not in OWN} for name, card in found.items()}


@pytest.mark.parametrize("seed", [8])
def test_random_stops_change_nothing(
    finished: App, two_models: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    app = without_models(finished.copy(tmp_path))
    options = (*two_models, "--split-file", str(finished.split_file))
    killed = killed_runs(app, options, random.Random(seed), monkeypatch)
    assert len(killed) >= 5
    assert app(level="group").code == 0
    assert cards(app) == cards(finished)
    tables = sorted(finished.files(TABLES))
    assert tables
    assert sorted(app.files(TABLES)) == tables
    for name in tables:
        assert unpacked(app.output_dir / name) == unpacked(finished.output_dir / name), name
    images = finished.files("sub-*/**/*.nii.gz") | finished.files("models/*/*.safetensors")
    assert all(unpacked(app.output_dir / name) == unpacked(finished.output_dir / name) for name in images)
    assert not app.files("**/.*.tmp")
