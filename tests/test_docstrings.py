"""Public functions describe their parameters as numpydoc does."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from numpydoc.docscrape import NumpyDocString

import bids_spectsynth

PACKAGE = Path(bids_spectsynth.__file__).parent
#: Functions with this many parameters and more need a section for them; of fewer, the summary may tell all.
MANY = 3
#: A method that implements another one's contract may refer to it.
_REFERENCE = "Parameters of :meth:`"

Function = ast.FunctionDef | ast.AsyncFunctionDef


def public_functions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Function]]:
    """Qualified names and definitions of public functions and of public methods of public classes."""
    for node in body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body, f"{prefix}{node.name}.")


def parameters(function: Function, *, method: bool) -> list[str]:
    """Names of the parameters, without ``self`` and ``cls``."""
    arguments = function.args
    names = [one.arg for one in (*arguments.posonlyargs, *arguments.args)]
    names += [arguments.vararg.arg] if arguments.vararg else []
    names += [one.arg for one in arguments.kwonlyargs]
    names += [arguments.kwarg.arg] if arguments.kwarg else []
    static = any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in function.decorator_list)
    return names[1:] if method and not static else names


def described(docstring: str) -> list[str]:
    """Names that a docstring's section Parameters describes."""
    entries = NumpyDocString(docstring)["Parameters"]
    return [name.strip().lstrip("*") for entry in entries for name in entry.name.split(",")]


def faults(source: str) -> list[str]:
    """What the functions of a module lack, one line each."""
    found = []
    for name, function in public_functions(ast.parse(source).body):
        wanted = parameters(function, method="." in name)
        docstring = ast.get_docstring(function) or ""
        if _REFERENCE in docstring:
            continue
        names = described(docstring)
        if names and sorted(names) != sorted(wanted):
            found.append(f"{name}: describes {', '.join(names)}; has {', '.join(wanted)}")
        elif not names and len(wanted) >= MANY:
            found.append(f"{name}: no section Parameters for {', '.join(wanted)}")
    return found


MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_parameters__are_described_by_their_names(module: str) -> None:
    assert faults(MODULES[module].read_text(encoding="utf-8")) == []


def test_faults__are_seen() -> None:
    source = '''
def few(a, b):
    """Sum."""

def many(a, b, c):
    """Sum."""

class Thing:
    def method(self, a, b, *, c):
        """Sum.

        Parameters
        ----------
        a, c : int
        """

    def like(self, a, b, c):
        """Sum. Parameters of :meth:`Thing.method`."""
'''
    assert [line.split(":")[0] for line in faults(source)] == ["many", "Thing.method"]
