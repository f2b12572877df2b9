"""Mutation testing of what numbers rest on: small errors are put into the code, one at a time; do its tests see them?

mutmut makes the errors and forks a process for each; only the tests that mirror the modules run, until one fails.
All is done in a copy. Prints a table, and writes what no test has seen, as a table in Markdown, to a file.

    python benchmarks/mutants.py docs/mutants_survived.md
    python benchmarks/mutants.py build/mutants.md --only grid split
    python benchmarks/mutants.py build/mutants.md --sample 150

All of them take hours. With ``--sample`` so many are drawn of each group, and the share of survivors gets its 95 %
interval (Wilson), finite numbers considered.
"""

import argparse
import html
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from pathlib import Path

import tomli_w

ROOT = Path(__file__).parents[1]
#: Modules and the tests that mirror them, by what they hold.
GROUPS = {
    "grid": (["images/grid.py"], ["images/test_grid.py"]),
    "registration matrices": (
        ["preprocess/registration/optimiser.py", "preprocess/backends/fsl/flirt_matrix.py"],
        ["preprocess/registration/test_optimiser.py", "preprocess/backends/fsl/test_flirt_matrix.py"],
    ),
    "metrics": (
        [f"evaluation/case/{name}.py" for name in ("metrics", "similarity", "volume", "scales", "regions")],
        [f"evaluation/case/test_{name}.py" for name in ("metrics", "similarity", "volume", "scales", "regions")],
    ),
    "statistics": (["evaluation/statistics/*.py"], ["evaluation/statistics"]),
    "case selection": (["bids/finding/*.py"], ["bids/finding"]),
    "split": (["synthesis/cohort/*.py"], ["synthesis/cohort"]),
}
#: Functions that run only while their module is imported, before a mutant can be chosen: they hold titles of metrics.
AT_IMPORT = ("_rmse_metric", "_ssim_metric", "_psnr_metric")
#: For the copy's conftest: a failing example is not made smaller, which takes longer than most tests.
_QUICK = """

import hypothesis

hypothesis.settings.register_profile(
    "mutants", phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate), database=None, derandomize=True
)
hypothesis.settings.load_profile("mutants")
"""
_TITLE = """# Small errors that no test has seen

Of the last runs of `make mutants`, see [tests of the tests](mutants.md), which has their numbers and the kinds that
cannot be seen.

| where | what the code says | what it was changed into |
|---|---|---|"""
#: mutmut's exit codes of a mutant that nothing has seen; others are of failed tests and of what ran for ever.
_SURVIVED, _NO_TESTS, _NOT_RUN = 0, 33, None


def copy_tree(target: Path) -> None:
    """The files that git knows or does not ignore."""
    listed = subprocess.run(
        [shutil.which("git") or "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def configure(folder: Path, modules: list[str], tests: list[str]) -> None:
    """Add one group's modules and tests to the settings that pyproject.toml has for all."""
    path = folder / "pyproject.toml"
    project = tomllib.loads(path.read_text())
    project["tool"]["mutmut"] |= {
        "only_mutate": [f"bids_spectsynth/{name}" for name in modules],
        "pytest_add_cli_args_test_selection": [f"tests/{name}" for name in tests],
    }
    path.write_text(tomli_w.dumps(project))
    conftest = folder / "conftest.py"
    conftest.write_text(conftest.read_text() + _QUICK)


def mutmut(folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    """Make the mutants and try those of some names; all without one."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", "1", *names]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def codes(folder: Path) -> dict[str, int | None]:
    """mutmut's exit code of each mutant that can be chosen; None of one that was not tried."""
    found: dict[str, int | None] = {}
    for path in sorted((folder / "mutants").rglob("*.py.meta")):
        found |= json.loads(path.read_text())["exit_code_by_key"]
    return {
        name: code for name, code in found.items() if name.partition(".x_")[2].partition("__mutmut")[0] not in AT_IMPORT
    }


def run_group(folder: Path, sample: int, seed: int) -> tuple[dict[str, int | None], int]:
    """Exit code of each mutant that was tried, and how many there are."""
    drawn: list[str] = []
    if sample:
        # With a name that nobody has, the mutants are made and none is tried.
        mutmut(folder, "no.such.mutant")
        names = sorted(codes(folder))
        drawn = random.Random(seed).sample(names, min(sample, len(names)))
    done = mutmut(folder, *drawn)
    everything = codes(folder)
    results = {name: everything[name] for name in drawn} if drawn else everything
    if done.returncode or not results or _NOT_RUN in results.values():
        sys.exit(f"mutmut ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return results, len(everything)


def share(alive: int, tried: int, of: int) -> str:
    """Survivors in percent, with the 95 % interval of Wilson where not all were tried."""
    percent = f"{100 * alive / tried:.1f}"
    if tried == of:
        return percent
    # Of a finite number: as if so many more had been tried.
    n = tried * (of - 1) / (of - tried)
    p, z = alive / tried, 1.96
    centre, half = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low, high = ((centre + sign * half) / (1 + z**2 / n) for sign in (-1, 1))
    return f"{percent} [{100 * low:.1f}, {100 * high:.1f}]"


def shown(folder: Path, mutant: str) -> str:
    """What a mutant changes, as a difference of lines."""
    command = [sys.executable, "-m", "mutmut", "show", mutant]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def survivor_row(difference: str) -> str:
    """A row of the table of survivors: the function, and what was changed in it.

    Parameters
    ----------
    difference : str
        As mutmut shows it: a line with the mutant's name, then changed lines and those about them.
    """
    head, *lines = difference.splitlines()
    module, _, function = head.removeprefix("# ").partition("__mutmut")[0].rpartition(".")
    where = f"{module.removeprefix('bids_spectsynth.')}: {re.sub('^x[_ǁ]|ǁ', ' ', function).strip()}"
    old, new = (
        " ".join(
            line[1:].partition("  # type:")[0].strip()
            for line in lines
            if line.startswith(sign) and not line.startswith(3 * sign)
        )
        for sign in "-+"
    )
    cells = (f"<code>{html.escape(text).replace('|', '&#124;')}</code>" for text in (old, new))
    return f"| {where} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table and write the survivors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("survivors", type=Path, help="file for the mutants that no test has seen")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS), metavar="GROUP")
    parser.add_argument("--sample", type=int, default=0, help="tried of each group; 0 for all")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    args = parser.parse_args()
    lines = []
    print("| modules | mutants | tried | survivors | % |\n|---|---:|---:|---:|---:|", flush=True)
    for group in args.only:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            copy_tree(folder)
            configure(folder, *GROUPS[group])
            results, of = run_group(folder, args.sample, args.seed)
            alive = sorted(name for name, code in results.items() if code in (_SURVIVED, _NO_TESTS))
            by_module = Counter(name.rpartition(".")[0] for name in alive)
            for module, n in sorted(Counter(name.rpartition(".")[0] for name in results).items()):
                print(f"| {module.removeprefix('bids_spectsynth.')} | | {n} | {by_module[module]} | |", flush=True)
            n = len(results)
            print(f"| **{group}** | {of} | {n} | {len(alive)} | {share(len(alive), n, of)} |", flush=True)
            lines += [shown(folder, name) for name in alive]
            # Kept after each group: the next one takes long.
            args.survivors.parent.mkdir(parents=True, exist_ok=True)
            args.survivors.write_text("\n".join([_TITLE, *map(survivor_row, lines), ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
