"""The documentation's site, and the quick start as a newcomer would follow it."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import pandas as pd

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


def test_the_quick_start_does_what_it_says(tmp_path: Path) -> None:
    own = [
        line for line in commands(DOCS / "quickstart.md") if line.startswith("bids_spectsynth") and "/data" not in line
    ]
    assert [line.split()[0] for line in own] == ["bids_spectsynth-phantom", *["bids_spectsynth"] * 3]
    for line in own:
        program, *words = shlex.split(line)
        module = "bids_spectsynth.phantom.cli" if program.endswith("-phantom") else "bids_spectsynth.cli"
        code = f"import sys; from {module} import main; sys.exit(main(sys.argv[1:]))"
        done = subprocess.run([sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        if "--dry-run" in words:
            assert "sub-01" in done.stderr + done.stdout
            assert not (tmp_path / "out").exists()
    out = tmp_path / "out"
    assert (out / "sub-01.html").stat().st_size > 100_000
    assert "Simulated" in (out / "group.html").read_text() or "simulated" in (out / "group.html").read_text()
    table = pd.read_csv(out / "participants.tsv", sep="\t")
    assert sorted(table["split"]) == ["test", "train", "train", "validation"]
    images = list((out / "sub-01" / "spect").glob("*_space-T1w_desc-pix2pix*_spect.nii.gz"))
    assert [nib.load(image).shape for image in images] == [(64, 64, 48)]
