"""Whether two revisions write the same output folder: for a change that is to change nothing.

python benchmarks/same_outputs.py e222d75 HEAD [--form rich] [--control] [--keep FOLDER]

Each revision (or folder with a checkout) runs the demo's small form, one after the other at the same absolute path and
on the same simulated cohort, which both make and which is compared as well. Files that are not byte-identical are
compared once more without what two runs of one revision write differently, see :data:`RULES`; ``--control`` runs the
first revision twice and names the rules' files that needed none there. A table tells; the exit status is 1 if anything
differs. The work folder, Nipype's own, is not compared: what it holds arrives in the derivatives.
"""

import argparse
import fnmatch
import gzip
import html
import json
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PHANTOM = "phantom.cli data --size small --seed 1 --nprocs 2 -n"
QUICK_MODEL = "--voxel-size 4 --device cpu --nprocs 2"
QUICK = f"{QUICK_MODEL} --base-filters 8"
#: What is run, by form: a module with ``entry_point``, then its arguments.
FORMS = {
    # As .ci/run has it.
    "demo": (
        f"{PHANTOM} 4",
        f"cli data out participant --inputs T1w pet --inputs pet {QUICK} --split 2 1 1 --epochs 3",
        "cli data out group",
    ),
    # Ensembles of another recipe in two spaces, each participant held out once; then a model from elsewhere, whose
    # standard deviation is that of dropout.
    "rich": (
        f"{PHANTOM} 5",  # two participants to train on in each fold
        f"cli data out participant --inputs T1w pet {QUICK} --preset best --adversarial-weight 0.1 "
        "--adversarial-loss lsgan --ssim-weight 1 --output-spaces T1w MNI152NLin2009aSym --cross-validate 3 --epochs 2 "
        "--ensemble-members 2 --uncertainty 2 --slices-per-subject 8",
        "cli data out group --bootstrap-samples 500",
        f"cli data elsewhere participant --inputs pet {QUICK} --split 2 1 1 --epochs 1 --slices-per-subject 8",
        f"cli data applied participant --model elsewhere/models/pix2pixPet {QUICK_MODEL} --uncertainty 3",
        "cli data applied group",
    ),
}
#: Folders of a run that are compared.
COMPARED = ("data", "data-truth", "out", "elsewhere", "applied")

RUN_NAME = re.compile(r"\d{8}T\d{6}Z-(participant|group)-[0-9a-f]{8}")
#: The recorded settings on a participant's page.
SETTINGS_BLOCK = re.compile(r"(<pre[^>]*>(?:<code>)?)([a-z_]+ = .*?)((?:</code>)?</pre>)", re.DOTALL)
TIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(,\d+|\+00:00|Z)?")


@dataclass(frozen=True)
class Rule:
    """What is taken out of the files that fit, and why two runs of one revision differ in it."""

    name: str
    files: str
    why: str
    function: Callable[[bytes], bytes]


def without_times(content: bytes) -> bytes:
    """A text without times and names of runs."""
    text = RUN_NAME.sub(r"RUN-\1", content.decode())
    return TIME.sub("TIME", text).encode()


def settings(content: bytes) -> bytes:
    """Settings as TOML in alphabetical order; empty lists, as of an option that only one revision has, are left out."""
    values = tomllib.loads(without_times(content).decode())
    return json.dumps({name: value for name, value in sorted(values.items()) if value != []}, indent=1).encode()


def page(content: bytes) -> bytes:
    """A page without times, and with its block of settings in the form of :func:`settings`."""

    def block(found: re.Match[str]) -> str:
        return found[1] + settings(html.unescape(found[2]).encode()).decode() + found[3]

    return SETTINGS_BLOCK.sub(block, without_times(content).decode()).encode()


def messages(content: bytes) -> bytes:
    """Levels and messages of a log in alphabetical order."""
    lines = TIME.sub("TIME", RUN_NAME.sub(r"RUN-\1", content.decode())).splitlines()
    return "\n".join(sorted(re.sub(r"^(TIME [A-Z]+) [\w.]+:", r"\1", line) for line in lines)).encode()


def without_seconds(content: bytes) -> bytes:
    """A table of a training's history less its column of seconds."""
    rows = [line.split("\t") for line in content.decode().splitlines()]
    index = rows[0].index("seconds")
    return "\n".join("\t".join([*row[:index], *row[index + 1 :]]) for row in rows).encode()


def card(content: bytes) -> bytes:
    """A model's card less its time, and with its salted hashes counted."""
    values = json.loads(content)
    values.update(created="", salt="")
    for name in ("participants", "selection_participants"):
        values[name] = len(values.get(name, ()))
    return json.dumps(values, indent=1).encode()


def state(content: bytes) -> bytes:
    """A training's state, its header's seconds left out."""
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    numbers = _without(json.loads(header.pop("__metadata__")["bids_spectsynth"]), "seconds")
    return json.dumps([numbers, header]).encode() + content[8 + size :]


def _without(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _without(item, name) for key, item in value.items() if key != name}
    return [_without(item, name) for item in value] if isinstance(value, list) else value


RULES = (
    Rule(
        "page", "*.html", "times of a run and its name, which holds a time and a random number; settings, below", page
    ),
    Rule("settings", "*/settings.toml", "times; the order of options is that of their declaration", settings),
    Rule("order", "*/logs/*/*.log", "times; the scheduler's order of steps; loggers have modules' names", messages),
    Rule("nothing", "*/nipype.log", "Nipype's own words on modules, pickled files and times", lambda content: b""),
    Rule("seconds", "*/history.tsv", "how long an epoch took", without_seconds),
    Rule("card", "*/model.json", "time; a random salt, and hashes of the participants' names with it", card),
    Rule("seconds", "*/state.safetensors", "how long an epoch took", state),
    Rule("gzip", "*.gz", "a gzip header may hold a time", gzip.decompress),
)


@dataclass(frozen=True)
class Comparison:
    """How one file compares: ``kind`` is a heading of the table, ``words`` are what there is to say."""

    name: str
    kind: str
    words: str = ""


def check_out(revision: str, folder: Path) -> None:
    """Put the package of a revision, or of a folder, into ``folder``."""
    folder.mkdir(parents=True)
    if Path(revision).is_dir():
        shutil.copytree(Path(revision) / "bids_spectsynth", folder / "bids_spectsynth")
        return
    root = Path(__file__).parents[1]
    commands = f"git -C {shlex.quote(str(root))} archive {shlex.quote(revision)} bids_spectsynth | tar -x -C {folder}"
    subprocess.run(["/bin/sh", "-c", commands], check=True)
    if not (folder / "bids_spectsynth").is_dir():
        raise SystemExit(f"{revision}: neither a revision of this repository nor a folder")


def run(revision: str, place: Path, steps: Sequence[str], data: Path | None) -> None:
    """Run ``steps`` in ``place``; after the first, which makes the cohort, ``data`` takes the place of its own."""
    place.mkdir()
    check_out(revision, place / "code")
    environment = {**os.environ, "PYTHONPATH": str(place / "code"), "PYTHONDONTWRITEBYTECODE": "1"}
    for number, step in enumerate(steps):
        module, *arguments = step.split()
        call = (
            "import sys, bids_spectsynth; assert bids_spectsynth.__file__.startswith(sys.argv.pop(1)); "
            f"from bids_spectsynth.{module} import entry_point; entry_point()"
        )
        command = [sys.executable, "-c", call, str(place / "code"), *arguments]
        print(f"{revision}: {step}", flush=True)
        result = subprocess.run(command, cwd=place, env=environment, stderr=subprocess.PIPE, text=True)
        if result.returncode:
            raise SystemExit(f"{result.stderr}\n{revision}: exit status {result.returncode}")
        if number == 0 and data is not None:
            (place / "data").rename(place / "own")
            shutil.copytree(data, place / "data")  # copy2 keeps modification times


def files(place: Path) -> dict[str, Path]:
    """Compared files by name; the folders of runs are numbered by their time."""
    found = {}
    for top in COMPARED:
        # The cohort that this revision has simulated, not the one that it worked on.
        folder = place / "own" if top == "data" and (place / "own").is_dir() else place / top
        runs = {path.name: str(number) for number, path in enumerate(sorted(folder.glob("logs/*")))}
        for path in sorted(folder.rglob("*")):
            parts = path.relative_to(folder).parts
            if path.is_file() and parts[0] != "work":
                if parts[0] == "logs":
                    level = RUN_NAME.sub(r"\1", parts[1])
                    parts = ("logs", f"{runs[parts[1]]}-{level}", *parts[2:])
                found["/".join((top, *parts))] = path
    return found


def version(place: Path) -> str:
    """The package's version in a checkout."""
    text = (place / "code" / "bids_spectsynth" / "__init__.py").read_text()
    found = re.search(r'__version__ = "([^"]+)"', text)
    return found[1] if found else ""


def compare(
    first: Path, second: Path, ignored_lines: Sequence[re.Pattern[bytes]] = (), new_files: Sequence[str] = ()
) -> Iterator[Comparison]:
    """Compare the outputs of two runs, file by file; files that fit ``new_files`` may be in the second alone."""
    ours, theirs = files(first), files(second)
    versions = version(first), version(second)
    for name in sorted({*ours, *theirs}):
        if name not in ours and any(fnmatch.fnmatch(name, pattern) for pattern in new_files):
            yield Comparison(name, "new, as expected")
            continue
        if name not in ours or name not in theirs:
            yield Comparison(name, f"only in the {'first' if name in ours else 'second'}")
            continue
        one, other = ours[name].read_bytes(), theirs[name].read_bytes()
        if one == other:
            yield Comparison(name, "identical")
            continue
        rule = next((rule for rule in reversed(RULES) if fnmatch.fnmatch(name, rule.files)), None)
        rule = next((rule for rule in RULES if rule.name == "nothing" and fnmatch.fnmatch(name, rule.files)), rule)
        if rule is not None:
            one, other = rule.function(one), rule.function(other)
        if versions[0] != versions[1]:
            one, other = one.replace(versions[0].encode(), b"VERSION"), other.replace(versions[1].encode(), b"VERSION")
        if ignored_lines:
            one, other = (
                b"\n".join(line for line in content.split(b"\n") if not any(p.search(line) for p in ignored_lines))
                for content in (one, other)
            )
        if one == other:
            yield Comparison(name, "identical after normalisation", rule.name if rule else "version or ignored lines")
        else:
            yield Comparison(name, "different", first_difference(name, one, other))


def first_difference(name: str, one: bytes, other: bytes) -> str:
    """Words on where two contents part."""
    index = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    if name.endswith((".gz", ".png", ".safetensors")):
        return f"{len(one)} and {len(other)} bytes, the first that differs is {index}{_largest(name, one, other)}"
    line = one[:index].count(b"\n") + 1
    start = max(one.rfind(b"\n", 0, index) + 1, index - 40)
    texts = (content[start : index + 60].split(b"\n")[0].decode(errors="replace") for content in (one, other))
    return f"line {line}: {' | '.join(texts)}"


def _largest(name: str, one: bytes, other: bytes) -> str:
    if not name.endswith(".nii.gz") or len(one) != len(other):
        return ""
    import nibabel as nib
    import numpy as np

    a, b = (np.asanyarray(nib.Nifti1Image.from_bytes(content).dataobj) for content in (one, other))
    if a.shape != b.shape:
        return f", shapes {a.shape} and {b.shape}"
    return f", values differ by {np.abs(a.astype(float) - b.astype(float)).max():.3g} of {np.abs(a).max():.3g} at most"


def show(comparisons: Sequence[Comparison], same_anyway: set[str]) -> None:
    """Print the table: counts, then every file that is not identical."""
    for kind, count in Counter(item.kind for item in comparisons).most_common():
        print(f"{count:5d}  {kind}")
    print("\nnormalisations")
    for rule in RULES:
        print(f"  {rule.name:8s} {rule.files:20s} {rule.why}")
    print()
    for item in comparisons:
        if item.kind != "identical":
            unneeded = "  (two runs of the first revision needed none)" if item.name in same_anyway else ""
            print(f"{item.kind:30s} {item.name}: {item.words}{unneeded}")


def main() -> int:
    """Run both, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", help="a git revision, or a folder with a checkout")
    parser.add_argument("second", help="another; the same again shows what differs from run to run")
    parser.add_argument("--form", choices=tuple(FORMS), default="demo", help="what is run (demo)")
    parser.add_argument("--control", action="store_true", help="run the first revision twice as well")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER",
        help="keep the outputs; those of the first revision that the folder holds already are taken as they are",
    )  # fmt: skip
    parser.add_argument(
        "--ignore-lines", action="append", default=[], metavar="REGEX",
        help="lines that may differ, e.g. of a new option among the settings that reports show; repeat for several",
    )  # fmt: skip
    parser.add_argument(
        "--new-files", action="append", default=[], metavar="GLOB",
        help="files that the second may have in addition, e.g. 'out/*/manifest.json'; repeat for several",
    )  # fmt: skip
    arguments = parser.parse_args()
    patterns = [re.compile(text.encode()) for text in arguments.ignore_lines]
    with tempfile.TemporaryDirectory() as temporary:
        top = (arguments.keep or Path(temporary) / "outputs").resolve()
        top.mkdir(exist_ok=True)
        place, first, second, control = (top / name for name in ("run", "first", "second", "control"))
        runs = [(first, arguments.first), (second, arguments.second)]
        if arguments.control:
            runs.append((control, arguments.first))
        for target, revision in runs:
            if target == first and first.is_dir():
                print(f"{revision}: taken from {first}")
                continue
            shutil.rmtree(target, ignore_errors=True)
            run(revision, place, FORMS[arguments.form], first / "data" if target != first else None)
            place.rename(target)
        comparisons = list(compare(first, second, patterns, arguments.new_files))
        same_anyway = {item.name for item in compare(first, control) if item.kind == "identical"} if (
            arguments.control
        ) else set()  # fmt: skip
        show(comparisons, same_anyway)
    return int(any(not item.kind.startswith(("identical", "new")) for item in comparisons))


if __name__ == "__main__":
    sys.exit(main())
