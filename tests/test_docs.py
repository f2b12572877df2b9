"""The documentation's site, and the quick start as a newcomer would follow it."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import boutiques
import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_spectsynth import api
from bids_spectsynth.evaluation.case.metrics import METRICS
from tests.conftest import App, QuickBackend

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def commands(page: Path) -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def test_every_page_is_in_the_table_of_contents_and_every_example_on_its_page() -> None:
    contents = re.search(r"```\{toctree\}\n:hidden:\n\n(.*?)```", (DOCS / "index.md").read_text(), flags=re.DOTALL)
    assert contents is not None
    assert set(contents[1].split()) == {page.stem for page in DOCS.glob("*.md")} - {"index"}
    shown = set(re.findall(r"literalinclude\} \.\./examples/(\S+)", (DOCS / "examples.md").read_text()))
    assert shown == {path.name for path in (ROOT / "examples").iterdir()}


def test_modules_of_the_python_interface_exist_and_say_what_they_are() -> None:
    for name in re.findall(r"automodule:: (\S+)", (DOCS / "api.md").read_text()):
        module = ROOT / Path(*name.split(".")).with_suffix(".py")
        assert module.read_text().startswith('"""'), name


def test_python_page__examples_run_in_their_order(
    finished: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (DOCS / "api.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    assert page.index(blocks[0]) < page.index("automodule")
    finished.copy(tmp_path)
    (tmp_path / "data").symlink_to(finished.bids_dir)
    monkeypatch.chdir(tmp_path)
    # The images of the tests have no skull.
    monkeypatch.setattr(api, "extract_t1w_brain", lambda image: QuickBackend().extract_brain(image, "T1w"))
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "docs/api.md", "exec"), names)
    assert names["held_out"] == ["sub-04", "sub-05_ses-a", "sub-06", "sub-07"]
    # The program has written the same image, and the same numbers about it.
    (written,) = (tmp_path / "out/sub-04/spect").glob("*_space-T1w_desc-pix2pixT1wPet_spect.nii.gz")
    synthetic = nib.load("synthetic.nii.gz")
    np.testing.assert_allclose(synthetic.get_fdata(), nib.load(written).get_fdata(), rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(synthetic.affine, nib.load(written).affine)
    (rated,) = (tmp_path / "out/sub-04/spect").glob("*_desc-pix2pixT1wPet_metrics.tsv")
    table = pd.read_csv(rated, sep="\t").query("method == 'pix2pix' and scale == 'slice'").reset_index()
    columns = ["slice", *METRICS, "mask_voxels"]
    pd.testing.assert_frame_equal(names["table"][columns], table[columns], check_dtype=False, rtol=1e-3)
    # The PET of the tests lies where its T1w lies; voxels are of 8 and 4 mm.
    for found in (names["found"], names["prepared"]):
        assert not found.poor
        np.testing.assert_allclose(found.matrix, np.eye(4), atol=1)
    assert nib.load("pet_space-T1w.nii.gz").shape == (24, 24, 24)


@pytest.fixture(scope="module")
def quick_start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder after the commands of the quick start."""
    folder = tmp_path_factory.mktemp("quick")
    own = [line for line in commands(DOCS / "quickstart.md") if re.match(r"bids_spectsynth\S* phantom", line)]
    assert [line.split()[0] for line in own] == ["bids_spectsynth-phantom", *["bids_spectsynth"] * 3]
    for line in own:
        program, *words = shlex.split(line)
        module = "bids_spectsynth.phantom.cli" if program.endswith("-phantom") else "bids_spectsynth.cli"
        code = f"import sys; from {module} import main; sys.exit(main(sys.argv[1:]))"
        done = subprocess.run([sys.executable, "-c", code, *words], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        if "--dry-run" in words:
            assert "sub-01" in done.stderr + done.stdout
            assert not (folder / "out").exists()
    return folder


def test_the_quick_start_does_what_it_says(quick_start: Path) -> None:
    out = quick_start / "out"
    assert (out / "sub-01.html").stat().st_size > 100_000
    assert "simulated" in (out / "group.html").read_text().lower()
    table = pd.read_csv(out / "participants.tsv", sep="\t")
    assert sorted(table["split"]) == ["test", "train", "train", "validation"]
    images = list((out / "sub-01" / "spect").glob("*_space-T1w_desc-pix2pix*_spect.nii.gz"))
    assert [nib.load(image).shape for image in images] == [(64, 64, 48)]


def test_boutiques_launches_both_levels(quick_start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a container, on what the quick start has prepared; the output files that the descriptor names exist."""
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "bids_spectsynth"
    program.write_text(f"#!{sys.executable}\nimport sys\nfrom bids_spectsynth.cli import entry_point\nentry_point()\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)
    descriptor = ROOT / "boutiques.json"
    invocation = {"bids_dir": str(quick_start / "phantom"), "output_dir": str(quick_start / "out")}
    same = {"voxel_size": 4, "base_filters": 8, "epochs": 5, "learning_rate": 0.001, "split": [2, 1, 1]}
    for level, options in (("participant", same), ("group", {})):
        path = tmp_path / f"{level}.json"
        path.write_text(json.dumps({**invocation, "analysis_level": level, **options}))
        words = ["--no-container", "--skip-data-collection", str(descriptor), str(path)]
        done = boutiques.execute("launch", *words)
        assert done.exit_code == 0, done.stderr
        assert not done.missing_files
    for output in json.loads(descriptor.read_text())["output-files"]:
        pattern = output["path-template"].replace("[OUTPUT_DIR]/", "")
        assert list((quick_start / "out").glob(pattern)), output["id"]
