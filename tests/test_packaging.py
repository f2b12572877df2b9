import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bids_spectsynth import __version__
from bids_spectsynth.bids.finding.filters import read_filters
from bids_spectsynth.bids.participants import DICTIONARY
from bids_spectsynth.cli import build_parser, parse
from bids_spectsynth.errors import ExitCode
from bids_spectsynth.evaluation.case.slice_columns import slice_dictionary
from bids_spectsynth.evaluation.columns import METHODS
from bids_spectsynth.evaluation.group.columns import SUMMARY_DICTIONARY, ttest_dictionary
from bids_spectsynth.options.settings import make_settings, read_config
from bids_spectsynth.preprocess.plugins.pool import read_plugin_file

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def _requirements() -> list[Requirement]:
    extras = [text for extra in PROJECT["optional-dependencies"].values() for text in extra]
    every = [Requirement(text) for text in [*PROJECT["dependencies"], *extras]]
    return [requirement for requirement in every if requirement.name != PROJECT["name"]]


def _pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def test_hadolint_accepts_the_dockerfile() -> None:
    done = subprocess.run([BIN / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_container_runs_as_a_plain_user_and_starts_the_program() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert lines[-1] == 'ENTRYPOINT ["bids_spectsynth"]'
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == ["1000:1000"]
    assert "<<" not in "".join(lines), "some builders know no heredocs"
    assert f"ARG VERSION={__version__}" in lines
    assert set(re.findall(r"bids_spectsynth:(\S+)", "\n".join(lines))) == {__version__}


def test_the_container_is_built_from_files_that_exist_and_are_not_ignored() -> None:
    copies = [line.split()[1:-1] for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("COPY ")]
    sources = {name for names in copies for name in names if not names[0].startswith("--from")}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {name.partition("/")[0] for name in sources} == allowed
    assert all((ROOT / name).exists() for name in sources)


def _stages() -> dict[str, tuple[str, str]]:
    """Stages of the Dockerfile by name: what each is made from, and its text; the last one has no name."""
    parts = re.split(r"^FROM (\S+)(?: AS (\S+))?$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)[1:]
    return {name or "": (base, text) for base, name, text in zip(*[iter(parts)] * 3, strict=True)}


def test_fsl_is_a_stage_that_the_free_image_never_touches() -> None:
    stages = _stages()
    assert "ARG WITH_FSL=1" in (ROOT / "Dockerfile").read_text().splitlines()
    assert stages[""][0] == "runtime-${WITH_FSL:-1}"
    needed, todo = set(), ["runtime-0"]
    while todo:
        needed.add(todo.pop())
        for base, text in [stages[name] for name in needed]:
            todo += [name for name in {base, *re.findall(r"--from=(\S+)", text)} & set(stages) if name not in needed]
    assert needed == {"python", "build", "runtime-0"}
    assert "--from=fsl" in stages["runtime-1"][1]
    assert 'licenses="Apache-2.0 AND LicenseRef-FSL"' in stages["runtime-1"][1]
    assert 'licenses="Apache-2.0"' in stages["runtime-0"][1]


def test_documented_build_arguments_exist() -> None:
    known = set(re.findall(r"^ARG (\w+)", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE))
    named = {name for page in DOCS for name in re.findall(r"--build-arg (\w+)=", page.read_text())}
    assert {"WITH_FSL", "TEMPLATES", "PIP_EXTRA_INDEX_URL", "BASE_IMAGE"} <= named <= known


def test_every_dependency_is_pinned_to_a_version_that_the_project_allows() -> None:
    pins = _pins()
    wrong = [
        f"{requirement} but {pins.get(canonicalize_name(requirement.name))}"
        for requirement in _requirements()
        if not requirement.specifier.contains(pins.get(canonicalize_name(requirement.name), "0"), prereleases=True)
    ]
    assert wrong == []


def test_pins_hold_for_every_build_of_torch_and_name_no_installer() -> None:
    pins = _pins()
    assert pins["torch"] == "2.13.0"
    assert not {"pip", "setuptools", "wheel", "bids-spectsynth"} & set(pins)
    assert all("+" not in version for version in pins.values())


def test_every_dependency_has_a_tested_lower_bound() -> None:
    runtime = [Requirement(text) for text in PROJECT["dependencies"]]
    assert [r.name for r in runtime if [s.operator for s in r.specifier] != [">="]] == []


def test_the_package_ships_its_type_marker_and_console_scripts() -> None:
    assert resources.files("bids_spectsynth").joinpath("py.typed").is_file()
    assert PROJECT["scripts"]["bids_spectsynth"] == "bids_spectsynth.cli:entry_point"


def test_the_licence_is_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert PROJECT["license"] == "Apache-2.0"
    assert text.split()[:4] == ["Apache", "License", "Version", "2.0,"]
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_citation_file_names_the_version_and_the_article() -> None:
    content = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(content)
    assert content["cff-version"] == "1.2.0"
    assert str(content["version"]) == __version__
    assert content["license"] == PROJECT["license"]
    assert content["preferred-citation"]["doi"] == "10.3389/fneur.2024.1383773"
    assert [author["family-names"] for author in content["preferred-citation"]["authors"]] == [
        "Fard", "Reutens", "Ramsay", "Goodman", "Ghosh", "Vegh",
    ]  # fmt: skip


def test_pre_commit_needs_no_network() -> None:
    path = ROOT / ".pre-commit-config.yaml"
    repositories = yaml.safe_load(path.read_text())["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    hooks = repositories[0]["hooks"]
    assert {"ruff", "ruff-format", "mypy"} <= {hook["id"] for hook in hooks}
    assert {hook["language"] for hook in hooks} == {"system"}
    assert all((BIN / Path(hook["entry"].split()[0]).name).exists() for hook in hooks)


def test_the_example_configuration_is_accepted() -> None:
    values = read_config(ROOT / "examples" / "config.toml")
    settings = make_settings({"bids_dir": "/d", "output_dir": "/o", "analysis_level": "participant", **values})
    assert settings.inputs == (("T1w", "pet"), ("pet",), ("T1w",))
    assert settings.epochs == 1000


def test_the_example_filter_is_accepted() -> None:
    filters = read_filters(ROOT / "examples" / "bids_filter.json", ["T1w"])
    assert filters["ictal"] == {"task": "ictal", "run": 1}
    assert set(filters) == {"t1w", "pet", "interictal", "ictal"}


@pytest.mark.parametrize("name", ["MultiProc", "SLURM", "SGE", "Dask"])
def test_the_example_plugins_are_known(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program, **_: f"/usr/bin/{program}")
    plugin, arguments = read_plugin_file(ROOT / "examples" / f"nipype_plugin_{name.lower()}.yml")
    assert plugin == name
    assert arguments["max_jobs" if name != "MultiProc" else "n_procs"] > 1


_FAKE_SBATCH = """#!/usr/bin/env bash
# Runs each job at once: an array's tasks one after the other, and again what was put back into the queue.
echo "$@" >>"$FAKE_LOG"
tasks=0
while [[ $1 == --* ]]; do
  [[ $1 == --array=* ]] && tasks=${1#--array=0-} && tasks=${tasks%%%*}
  shift
done
export SLURM_JOB_ID=$((RANDOM + 1)) SLURM_CPUS_PER_TASK=2
for task in $(seq 0 "$tasks"); do
  while true; do
    SLURM_ARRAY_TASK_ID=$task bash "$@" >&2
    rm "$FAKE_LOG.$SLURM_JOB_ID" 2>/dev/null || break
  done
done
echo "$SLURM_JOB_ID"
"""
_FAKE_SCONTROL = '#!/usr/bin/env bash\n[ "$1" = requeue ] && touch "$FAKE_LOG.$2"\n'
#: Its first training is stopped near the time limit.
_FAKE_PROGRAM = """#!/usr/bin/env bash
printf "%q " "$@" >>"$FAKE_COMMANDS"
echo >>"$FAKE_COMMANDS"
[[ "$*" != *"--mode train"* ]] || [ "$(grep -c -e "--mode train" "$FAKE_COMMANDS")" -gt 1 ] || exit 138
"""


def test_the_slurm_example_submits_commands_that_the_parser_takes(tmp_path: Path) -> None:
    fakes = {"sbatch": _FAKE_SBATCH, "scontrol": _FAKE_SCONTROL, "bids_spectsynth": _FAKE_PROGRAM}
    for name, text in fakes.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    data, out, commands = tmp_path / "my data", tmp_path / "out", tmp_path / "commands.txt"
    for label in ("sub-01", "sub-02"):
        (data / label).mkdir(parents=True)
    environment = {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "FAKE_LOG": str(tmp_path / "sbatch.txt"),
        "FAKE_COMMANDS": str(commands),
    }
    script = [ROOT / "examples" / "slurm_array.sh", data, out, "--voxel-size", "2", "--inputs", "pet"]
    subprocess.run(["bash", *script], env=environment, check=True, capture_output=True)
    runs = [parse(shlex.split(line)) for line in commands.read_text().splitlines()]
    assert [(run.analysis_level, run.mode, run.participant_label) for run in runs] == [
        ("participant", "preprocess", ("01",)),
        ("participant", "preprocess", ("02",)),
        ("participant", "train", ()),
        ("participant", "train", ()),
        ("participant", "apply", ("01",)),
        ("participant", "apply", ("02",)),
        ("group", "auto", ()),
    ]
    assert {(run.bids_dir, run.output_dir, run.voxel_size, run.inputs) for run in runs} == {
        (data, out, 2.0, (("pet",),))
    }
    jobs = (tmp_path / "sbatch.txt").read_text().splitlines()
    assert len(jobs) == 4
    assert all(word in jobs[1].split() for word in ("--signal=B:USR1@120", "--requeue", "--gres=gpu:1"))


#: What is inside the container is the program; the words before the image are Apptainer's.
_FAKE_APPTAINER = """#!/usr/bin/env bash
[ "$1" = run ] || exit 1
while [[ $1 != *.sif ]]; do echo "$1" >>"$FAKE_LOG.apptainer"; shift; done
shift
exec bids_spectsynth "$@"
"""


def test_the_apptainer_example_runs_all_stages_in_the_container(tmp_path: Path) -> None:
    fakes = {"sbatch": _FAKE_SBATCH, "scontrol": _FAKE_SCONTROL, "bids_spectsynth": _FAKE_PROGRAM}
    for name, text in (fakes | {"apptainer": _FAKE_APPTAINER}).items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    data, out, image, commands = (tmp_path / name for name in ("data", "out", "image.sif", "commands.txt"))
    (data / "sub-01").mkdir(parents=True)
    image.touch()
    environment = {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "FAKE_LOG": str(tmp_path / "sbatch.txt"),
        "FAKE_COMMANDS": str(commands),
        "BIDS_SPECTSYNTH_BIND": "-B /project/models",
        "SLURM_SUBMIT_DIR": str(ROOT),
    }
    # As SLURM starts it: a copy, somewhere else.
    copy = tmp_path / "slurm_script"
    copy.write_text((ROOT / "examples" / "apptainer.sbatch").read_text())
    words = ["bash", copy, image, data, out, "--voxel-size", "2"]
    subprocess.run(words, env=environment, check=True, capture_output=True)
    runs = [parse(shlex.split(line)) for line in commands.read_text().splitlines()]
    stages = [(run.analysis_level, run.mode) for run in runs]
    assert stages == [
        ("participant", "preprocess"), ("participant", "train"), ("participant", "train"), ("participant", "apply"),
        ("group", "auto"),
    ]  # fmt: skip
    assert {(run.bids_dir, run.output_dir, run.voxel_size) for run in runs} == {(data, out, 2.0)}
    given = (tmp_path / "sbatch.txt.apptainer").read_text().splitlines()
    assert given.count("--nv") == given.count("--cleanenv") == given.count("--no-home") == len(runs)
    assert (
        given.count(f"{data}:{data}:ro") == given.count(f"{out}:{out}") == given.count("/project/models") == len(runs)
    )
    image.unlink()
    refused = subprocess.run(words, env=environment, check=False, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "no such image" in refused.stderr


@pytest.mark.parametrize("name", ["slurm_array.sh", "apptainer.sbatch"])
def test_the_slurm_examples_explain_themselves_without_arguments(name: str) -> None:
    done = subprocess.run(["bash", ROOT / "examples" / name], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "BIDS_DIR OUTPUT_DIR" in done.stderr


def _commands(page: Path) -> list[list[str]]:
    """Calls of the program in the shell blocks of a page, line continuations joined."""
    blocks = re.findall(r"^```(?:sh|bash)\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    return [line[1:] for line in words if line and line[0] == "bids_spectsynth"]


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_commands_in_the_documentation_parse(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "examples")  # where the configuration file that they name lies
    for argv in _commands(page):
        if argv not in (["--help"], ["--version"]):
            assert parse(argv).analysis_level in ("participant", "group")


def test_the_main_pages_show_commands() -> None:
    assert all(_commands(ROOT / name) for name in ("README.md", "docs/usage.md", "docs/hpc.md"))


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    local = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_usage_describes_every_option_and_exit_code() -> None:
    text = (ROOT / "docs" / "usage.md").read_text()
    words = {word for action in build_parser()._actions for word in action.option_strings}
    assert sorted(word for word in words if f"`{word}" not in text) == []
    assert [code for code in ExitCode if f"| {int(code)} |" not in text] == []


@pytest.mark.parametrize(
    "dictionary",
    [DICTIONARY, slice_dictionary(), SUMMARY_DICTIONARY, ttest_dictionary(), METHODS],
    ids=["participants", "metrics", "summary", "ttests", "methods"],
)
def test_the_outputs_page_describes_every_column(dictionary: dict[str, Any]) -> None:
    text = (ROOT / "docs" / "outputs.md").read_text()
    assert [name for name in dictionary if f"`{name}`" not in text] == []


def test_the_readme_says_what_it_must() -> None:
    text = " ".join((ROOT / "README.md").read_text().split())
    needed: list[Any] = ["make demo", "make test", "10.3389/fneur.2024.1383773", "Apache", "not a medical device"]
    assert [words for words in needed if words not in text] == []
    assert re.search(r"phantom.*not clinical numbers", text, flags=re.IGNORECASE)
