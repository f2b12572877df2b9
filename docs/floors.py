"""Draws docs/images/floors.svg, the picture of docs/architecture.md, from the code: ``python docs/floors.py``.

The floors are those of the contract in pyproject.toml, their sentences the first lines of their docstrings, and the
dots the imports that there are.
"""

import ast
import tomllib
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import grimp

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "bids_spectsynth"
PICTURE = ROOT / "docs" / "images" / "floors.svg"

# Pixels: heights of a floor and of the columns' names, width of the boxes, distance of the columns.
ROW, HEAD, BOX, COLUMN = 46, 92, 700, 28


def contracts() -> Mapping[str, Sequence[Sequence[str]]]:
    """Layers, the uppermost first, by the package that they divide."""
    config: Mapping[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return {
        container: [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]
        for contract in config["contracts"]
        if contract["type"] == "layers"
        for container in contract["containers"]
    }


def sentence(name: str) -> str:
    """First line of the docstring of a module or package of the uppermost level."""
    path = ROOT / PACKAGE / name / "__init__.py"
    path = path if path.exists() else ROOT / PACKAGE / f"{name}.py"
    return (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0].replace("``", "")


def arrows() -> set[tuple[str, str]]:
    """Pairs of floors of which the first imports from the second."""
    graph = grimp.build_graph(PACKAGE, exclude_type_checking_imports=False, cache_dir=None)
    found = set()
    for module in graph.modules - {PACKAGE}:
        for imported in graph.find_modules_directly_imported_by(module) - {PACKAGE}:
            found.add((module.split(".")[1], imported.split(".")[1]))
    return {(above, below) for above, below in found if above != below}


def _text(x: float, y: float, words: str, style: str, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{style}"{more}>{escape(words, quote=False)}</text>'


def draw() -> str:
    """The picture as text.

    Returns
    -------
    str
        SVG: a box for each floor, and in its row a dot under each floor that it imports from.
    """
    layers = contracts()
    names = [name for layer in layers[PACKAGE] for name in layer]
    dots = arrows()
    width, height = BOX + COLUMN * len(names) + 40, HEAD + ROW * len(names) + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        "<style>text { font-family: sans-serif; font-size: 12px; fill: #222 }",
        ".name { font-weight: bold; font-size: 14px } .inner { fill: #666; font-size: 11px }</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        _text(12, HEAD - 14, "A floor imports from those below it; dots: from which.", "inner"),
    ]
    for column, name in enumerate(names):
        x = BOX + COLUMN * (column + 0.5)
        lines.append(_text(x, HEAD - 10, name, "inner", f' transform="rotate(-50 {x:g} {HEAD - 10})"'))
    for row, name in enumerate(names):
        y = HEAD + ROW * row
        lines.append(f'<rect x="4" y="{y}" width="{BOX - 12}" height="{ROW - 4}" rx="4" fill="#e8eef5"/>')
        lines.append(_text(12, y + 18, name, "name"))
        lines.append(_text(112, y + 18, sentence(name), "line"))
        inner = " > ".join(", ".join(layer) for layer in layers.get(f"{PACKAGE}.{name}", ()))
        if inner:
            lines.append(_text(112, y + 34, inner, "inner"))
        lines.append(
            f'<line x1="{BOX}" y1="{y + ROW / 2 - 2:g}" x2="{BOX + COLUMN * len(names)}" y2="{y + ROW / 2 - 2:g}" '
            'stroke="#ddd"/>'
        )
        for column, other in enumerate(names):
            place = f'cx="{BOX + COLUMN * (column + 0.5):g}" cy="{y + ROW / 2 - 2:g}"'
            if other == name:
                lines.append(f'<circle {place} r="6" fill="none" stroke="#35618f"/>')
            elif (name, other) in dots:
                lines.append(f'<circle {place} r="5" fill="#35618f"/>')
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(draw())
