"""The rules of the house: floors, tests beside modules, lengths, a picture that is up to date."""

import ast
import functools
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "bids_spectsynth"
TESTS = ROOT / "tests"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")

#: Modules that no test of their own folder imports, and where they are tested.
TESTED_ELSEWHERE = {
    "evaluation/figures/bland_altman.py": "tests/evaluation/group/test_bland_altman.py: from tables to the figure",
    "evaluation/group/regions.py": "tests/evaluation/group/test_bland_altman.py: tables that it has gathered",
    "evaluation/paper/columns.py": "tests/evaluation/paper/test_tables.py: columns of tables",
    "options/choices.py": "names of choices: nothing that runs",
    "options/coerce.py": "tests/options/test_settings.py: values that settings take and refuse",
    "options/declarations/cohort.py": "tests/app/test_run.py: every option by its effect",
    "options/declarations/dicom.py": "tests/app/test_participant.py: every option by its effect",
    "options/declarations/execution.py": "tests/app/test_run.py: every option by its effect",
    "options/declarations/groups.py": "tests/app/test_usage.py: headings of the usage page",
    "options/declarations/preparation.py": "tests/app/test_run.py: every option by its effect",
    "options/declarations/training.py": "tests/synthesis/training/test_config.py: it has the same fields",
    "phantom/files.py": "tests/phantom/test_subject.py: files that it has written",
    "phantom/nifti.py": "tests/phantom/test_participants.py: files that it has written",
    "phantom/sidecars.py": "tests/phantom/test_participants.py: files that it has written",
    "preprocess/backends/base.py": "a protocol: nothing that runs",
    "preprocess/backends/choice.py": "tests/preprocess/backends/fsl/test_tools.py: with FSL and without",
    "preprocess/outputs/files.py": "tests/preprocess/outputs/test_images.py: names and sidecars of what is written",
    "preprocess/outputs/inputs.py": "tests/preprocess/outputs/test_images.py: what is to be written",
    "preprocess/outputs/transforms.py": "tests/preprocess/workflow/test_build.py: transforms that it has written",
    "preprocess/registration/agreement.py": "tests/preprocess/backends/fsl/test_backend.py: of FLIRT's results",
    "preprocess/workflow/graph.py": "tests/options/test_spaces.py: names of its nodes",
    "reports/context.py": "tests/reports/subject/test_page.py: the pages that it is of",
    "reports/group/bland_altman.py": "tests/evaluation/group/test_bland_altman.py: from tables to the report",
    "reports/group/calibration.py": "tests/evaluation/uncertainty/test_rating.py: from tables to the report",
    "reports/group/paper_tables.py": "tests/reports/group/test_paper.py: the section that it is of",
    "reports/group/tests.py": "tests/reports/group/test_page.py: the page that it is of",
    "synthesis/computing/seeds.py": "tests/synthesis/training/test_loop.py: equal seeds give equal networks",
    "synthesis/data/cohort_statistics.py": "tests/synthesis/training/test_train.py: statistics in cards",
    "synthesis/data/dataset.py": "tests/synthesis/training/test_slices.py: what is gathered",
    "synthesis/prediction/sidecar.py": "tests/synthesis/prediction/test_synthetic_image.py: sidecars of images",
}
#: Tests that are of no single module.
FLOWS = {
    "app/preparation/test_lesions_kept.py": "lesion masks of other sessions and spaces than a run's",
    "container/test_engine_setup.py": "tools of the tests of the container image",
    "container/test_image.py": "the container image",
    "dicom/test_circle.py": "from DICOM to DICOM, through four commands",
    "evaluation/group/test_agreement_templates.py": "regions of two templates in one output folder",
    "evaluation/test_lesions.py": "ratings that leave out a lesion",
    "evaluation/test_added_metric.py": "a further metric, from its registry to the reports",
    "faults/test_bad_cards.py": "mutated model cards and ensembles through their readers",
    "faults/test_bad_datasets.py": "participants that are damaged in sixty ways, through the program",
    "faults/test_bad_files.py": "damaged and hostile files of the dataset and the output folder",
    "faults/test_bad_headers.py": "mutated NIfTI headers through the reading functions",
    "faults/test_bad_models.py": "hostile model folders, loaded and through the program",
    "faults/test_bad_texts.py": "mutated sidecars, settings and tables through their readers",
    "faults/test_fault_table.py": "the table of what was tried, from the tests to the documentation",
    "faults/test_full_disk.py": "a disk that is full when one file is written",
    "faults/test_kills.py": "runs that are killed or stopped at random moments",
    "faults/test_little_memory.py": "too little memory for the whole program",
    "faults/test_planted_words.py": "words that identify somebody, from every input to all outputs",
    "faults/test_reach.py": "what the program writes to and reaches for",
    "faults/test_small_disk.py": "a disk that is really full",
    "preprocess/test_concurrency.py": "several jobs on one output folder",
    "preprocess/test_external_steps.py": "masks and transforms made elsewhere, through the preparation",
    "preprocess/test_several_ictal_scans.py": "several ictal scans of one participant, from the dataset and back",
    "preprocess/test_template_spaces.py": "a template's space through the preparation",
    "reports/subject/test_accessibility.py": "both pages before axe-core",
    "reports/viewer/test_browser.py": "the viewer in a browser",
    "reports/viewer/test_rendering.py": "its view in three dimensions in a browser",
    "reports/viewer/test_rendering_ends.py": "the view in three dimensions, its end and what goes wrong",
    "siscom/test_lesions.py": "lesion masks through baselines, maps and errors",
    "synthesis/test_distributed.py": "training in several processes",
    "synthesis/test_model_names.py": "names of models, from options to folders",
    "test_bad_input.py": "the program on files that are damaged or missing",
    "test_docs.py": "the documentation",
    "test_docstrings.py": "sections of docstrings",
    "test_doctests.py": "examples in docstrings",
    "test_further_role.py": "a further role, from the dataset to Figure 3",
    "test_house.py": "the rules of the house",
    "test_leak.py": "nobody is rated by a model that has seen them, through the program",
    "test_packaging.py": "dependencies, container, Boutiques, examples",
    "test_resume_study.py": "a study that goes on after an interruption",
    "test_run_distributed.py": "the program under torchrun",
    "test_several_scanners.py": "scans of other scanners than the training's, through the program",
    "test_slurm_example.py": "the example for SLURM",
    "test_template_space.py": "a template's space through the program",
}
LINES, FUNCTION_LINES, MODULES_IN_A_FOLDER = 350, 60, 16
#: Tests of flows through the whole program, that belong together.
LONG_FILES = {
    "tests/app/test_run.py",
    "tests/options/test_settings.py",
    "tests/preprocess/workflow/test_build.py",
    "tests/test_cli.py",
}


@functools.cache
def _imports(path: Path) -> set[str]:
    """Dotted names that a file imports, or may import: of ``from a import b`` both ``a`` and ``a.b``."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def _tested_in_its_folder(module: Path) -> bool:
    folder = TESTS / module.relative_to(PACKAGE).parent
    if (folder / f"test_{module.name}").exists():
        return True
    name = ".".join(module.relative_to(ROOT).with_suffix("").parts)
    return any(name in _imports(path) for path in folder.glob("test_*.py"))


def _public_functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Names and lines of functions, and of methods of classes, that do not begin with an underscore."""
    for node in tree.body:
        members = node.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_") else []
        owner = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
        for function in (node, *members):
            if isinstance(function, ast.FunctionDef) and not function.name.startswith("_"):
                yield owner + function.name, (function.end_lineno or 0) - function.lineno + 1


def _python_files() -> list[Path]:
    folders = (PACKAGE, TESTS, ROOT / "docs", ROOT / "benchmarks")
    return sorted(path for folder in folders for path in folder.rglob("*.py") if "_build" not in path.parts)


def test_imports__run_down_the_floors() -> None:
    # In a process of its own: the linter turns off the loggers of this one.
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_modules__have_a_test_in_their_folder_or_a_reason() -> None:
    without = {path.relative_to(PACKAGE).as_posix() for path in MODULES if not _tested_in_its_folder(path)}
    assert sorted(without - set(TESTED_ELSEWHERE)) == [], "modules without a test"
    assert sorted(set(TESTED_ELSEWHERE) - without) == [], "reasons that are out of date"


@pytest.mark.parametrize("module", TESTED_ELSEWHERE)
def test_modules_tested_elsewhere__name_tests_that_exist(module: str) -> None:
    assert [name for name in re.findall(r"tests/\S+\.py", TESTED_ELSEWHERE[module]) if not (ROOT / name).exists()] == []


def test_tests__lie_where_their_module_lies() -> None:
    tests = {path.relative_to(TESTS) for path in TESTS.rglob("test_*.py")}
    strays = {
        path.as_posix() for path in tests if not (PACKAGE / path.with_name(path.name.removeprefix("test_"))).exists()
    }
    assert sorted(strays - set(FLOWS)) == [], "tests of no module"
    assert sorted(set(FLOWS) - strays) == [], "reasons that are out of date"


def test_files__are_short() -> None:
    long = {path.relative_to(ROOT).as_posix() for path in _python_files() if path.read_text().count("\n") > LINES}
    assert long == LONG_FILES


def test_public_functions__are_short() -> None:
    long = {
        f"{path.relative_to(PACKAGE).as_posix()}: {name}"
        for path in MODULES
        for name, lines in _public_functions(ast.parse(path.read_text()))
        if lines > FUNCTION_LINES
    }
    assert long == set()


def test_folders__hold_few_modules() -> None:
    folders = {path.parent for path in MODULES}
    counts = {folder: sum(path.parent == folder for path in MODULES) for folder in folders}
    assert {folder: count for folder, count in counts.items() if count > MODULES_IN_A_FOLDER} == {}


def test_files__name_no_path_of_the_machine_that_they_were_written_on() -> None:
    # Written so that this file is not found.
    places = re.compile(r"(?<![\w.}$])/(?:work|root)/" + "|" + re.escape("../sha" + "red"))
    folders = ("bids_spectsynth", "tests", "docs", "benchmarks", "examples", ".ci")
    paths = [path for path in ROOT.iterdir() if path.is_file() and not path.name.startswith(".coverage")]
    paths += [path for name in folders for path in (ROOT / name).rglob("*") if path.is_file()]
    skipped = {"__pycache__", "_build", ".git"}
    found = []
    for path in paths:
        if not skipped & set(path.relative_to(ROOT).parts) and path.suffix not in (".png", ".gz"):
            found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in places.finditer(path.read_text())]
    assert found == []


def _floors() -> ModuleType:
    spec = importlib.util.spec_from_file_location("floors", ROOT / "docs" / "floors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_picture_of_the_floors__is_that_of_the_code() -> None:
    floors = _floors()
    assert floors.PICTURE.read_text() == floors.draw(), "run python docs/floors.py"
