"""The command line under torchrun: several processes share a training, and one of them writes.

Run as a script, this file is the program, which also notes what it writes.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

#: Two networks of one model, of which each sees the baselines that the first process has fitted.
OPTIONS = {
    "--mode": "train",
    "--nprocs": "1",
    "--voxel-size": "4",
    "--base-filters": "2",
    "--epochs": "2",
    "--slices-per-subject": "4",
    "--batch-size": "2",
    "--device": "cpu",
    "--inputs": "pet",
    "--cohort-prior": "channel",
    "--ensemble-members": "2",
    "--model-label": "shared",
}


def program(notes: str, *argv: str) -> int:
    """The command line; what it writes, moves or removes goes into a file of the process's rank."""
    from bids_spectsynth.cli import main

    changed: list[str] = []

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str) and not Path(arguments[0]).is_dir():
            writes = arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        else:
            writes = event in ("os.remove", "os.rename", "os.rmdir", "shutil.rmtree")
            writes = writes or (event == "os.mkdir" and not Path(arguments[0]).exists())
        if writes:
            changed.append(f"{event} {arguments[0]}")

    sys.addaudithook(note)
    code = main(argv)
    (Path(notes) / f"{os.environ['RANK']}.json").write_text(json.dumps(changed))
    return code


def test_of_two_processes_one_writes(finished: Any, tmp_path: Path) -> None:
    app = finished.copy(tmp_path)
    before = app.files()
    split = tmp_path / "split.tsv"
    split.write_text("participant_id\tsplit\nsub-01\ttrain\nsub-03\ttrain\nsub-04\tvalidation\nsub-05\ttest\n")
    words = [word for pair in OPTIONS.items() for word in pair]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    arguments = [
        tmp_path,
        app.bids_dir,
        app.output_dir,
        "participant",
        "--split-file",
        split,
        *words,
        "--include-flagged",
    ]
    with subprocess.Popen([*torchrun, __file__, *arguments], stderr=subprocess.PIPE, text=True) as running:
        try:
            _, error = running.communicate(timeout=240)
        finally:
            # Unlike a kill, it ends the processes too.
            running.terminate()
    assert running.returncode == 0, error
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    own = [change for change in second if str(app.output_dir) in change]
    assert own == []
    assert any("history.tsv" in change for change in first)
    made = {Path(name) for name in app.files() - before}
    assert len({path.parts[1] for path in made if path.parts[0] == "logs"}) == 1, "one run, one log"
    members = {path.parent.name for path in made if path.name == "model.json"}
    assert len(members) == 2
    assert "models/shared/ensemble.json" in app.files()
    for name in members:
        card = json.loads((app.output_dir / "models" / "shared" / name / "model.json").read_text())
        assert card["training"]["processes"] == 2
    assert error.count("Model 1 of 1") == 1
    assert {row["status"] for row in app.participants().values()} >= {"ok"}


@pytest.mark.parametrize(
    ("level", "mode"), [("participant", "preprocess"), ("participant", "auto"), ("group", "train")]
)
def test_what_several_processes_cannot_share(
    finished: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str, mode: str
) -> None:
    app = finished.copy(tmp_path)
    before = app.stamps("**/*")
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = app("--mode", mode, level=level)
    assert result.code == 2
    assert "torchrun" in result.errors[0]
    assert app.stamps("**/*") == before


if __name__ == "__main__":
    sys.exit(program(*sys.argv[1:]))
