"""Jobs of different participants that write into one output folder at the same time."""

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tests.packed import unpacked

APP = "import sys; from bids_spectsynth.cli import main; sys.exit(main(sys.argv[1:]))"
LABELS = [f"{number:02d}" for number in range(1, 9)]


def start(bids_dir: Path, output_dir: Path, work_dir: Path, options: Sequence[str]) -> subprocess.Popen[str]:
    words = [str(bids_dir), str(output_dir), "participant", "--mode", "preprocess", "--voxel-size", "4"]
    words += ["--backend", "fsl", "--skip-bids-validation", "--clean-workdir", "-w", str(work_dir), *options]
    return subprocess.Popen(
        [sys.executable, "-c", APP, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def contents(folder: Path) -> dict[str, str]:
    """Digest by file name, without logs; of pages, which show times, the name alone."""
    return {
        path.relative_to(folder).as_posix(): "" if path.suffix == ".html" else hashlib.md5(unpacked(path)).hexdigest()
        for path in folder.rglob("*")
        # Manifests hold the times of files.
        if path.is_file() and path.relative_to(folder).parts[0] not in ("logs", ".manifests")
    }


def test_eight_jobs_at_once_give_what_one_run_gives(make_app: Any, fake_fsl: Any, tmp_path: Path) -> None:
    bids_dir = make_app(LABELS).bids_dir
    (bids_dir / "sub-08" / "pet" / "sub-08_trc-FDG_pet.nii.gz").write_bytes(b"no image")
    one, many = tmp_path / "one", tmp_path / "many"
    run = start(bids_dir, one, tmp_path / "work1", ["--nprocs", "2"])
    said, _ = run.communicate(timeout=300)
    assert run.returncode == 1, said
    jobs = [
        start(bids_dir, many, tmp_path / "work8", ["--nprocs", "1", "--participant-label", label]) for label in LABELS
    ]
    ends = [(job.communicate(timeout=300)[0], job.returncode) for job in jobs]
    assert [code for _, code in ends[:-1]] == [0] * 7, ends
    assert ends[-1][1] == 4, ends[-1]
    assert contents(many) == contents(one)
    table = pd.read_csv(many / "participants.tsv", sep="\t", dtype=str, keep_default_na=False)
    assert list(table["participant_id"]) == [f"sub-{label}" for label in LABELS]
    assert list(table["status"]) == ["ok"] * 7 + ["failed"]
    # Of the work folder, which all jobs share, the failed participant's part is left.
    left = {path.name for path in (tmp_path / "work8" / "bids_spectsynth_wf").iterdir()}
    assert left
    assert all(name.startswith("sub_08") for name in left)
