"""Figures of the group level in its report: vector pictures that say themselves what they show."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from bids_spectsynth.bids.output_files import group_figures
from bids_spectsynth.reports.html import Picture

_DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}"
#: Figures narrower than this (points, two thirds of a printed page) are shown at half of the report's width.
_NARROW = 340.0


def pictures(output_dir: Path, names: Sequence[str]) -> Iterator[Picture]:
    """Figures of the group level that exist, with the title and description that they carry as a caption.

    Parameters
    ----------
    output_dir : Path
    names : sequence of str
        File names among the figures.
    """
    for name in names:
        path = group_figures(output_dir) / name
        if path.is_file():
            svg = path.read_text(encoding="utf-8")
            # The file is this software's own, and the parser loads nothing from elsewhere.
            root = ElementTree.fromstring(svg)  # noqa: S314
            words = _metadata(root)
            title = words.get("title", path.stem)
            caption = f"{title}. {words.get('description', '')} As PNG: figures/{path.stem}.png."
            narrow = float(root.get("width", "inf").removesuffix("pt")) < _NARROW
            yield Picture(svg, title, caption, path.relative_to(output_dir).as_posix(), narrow=narrow)


def _metadata(root: ElementTree.Element) -> Mapping[str, str]:
    """Title and description that a figure carries."""
    found = {name: root.find(f".//{_DUBLIN_CORE}{name}") for name in ("title", "description")}
    return {name: element.text for name, element in found.items() if element is not None and element.text}
