"""The examples of docstrings say what the functions give."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import bids_spectsynth

PACKAGE = Path(bids_spectsynth.__file__).parent
MODULES = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]
#: What a Python user would call first.
FIRST_CALLS = (
    "api",
    "evaluation.case.metrics",
    "evaluation.statistics.bland_altman",
    "evaluation.statistics.paired_tests",
    "images.grid",
    "images.resampling",
    "preprocess.registration.register",
)


def test_examples__first_calls_have_some() -> None:
    assert {f"bids_spectsynth.{name}" for name in FIRST_CALLS} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_examples__give_what_they_show(name: str) -> None:
    failed, attempted = doctest.testmod(import_module(name))
    assert attempted > 0
    assert failed == 0
