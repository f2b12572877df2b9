"""Writing the article's figures, for whatever models there are."""

from collections.abc import Iterator
from pathlib import Path

from bids_spectsynth.bids.output_files import group_figures, is_phantom
from bids_spectsynth.evaluation.case.metrics import Region, metrics_in
from bids_spectsynth.evaluation.figures.comparisons import comparison_figure
from bids_spectsynth.evaluation.figures.examples import example_figures
from bids_spectsynth.evaluation.figures.style import Drawing, write_drawing
from bids_spectsynth.evaluation.group.configurations import FIGURE_NUMBERS
from bids_spectsynth.evaluation.group.tables import GroupTables

#: What the names of these figures begin with; others in the folder are not touched.
PREFIX = "paper_"
#: Endings of the names of figures of each region.
_REGIONS: dict[Region, str] = {"whole": "", "brain": "_brain"}


def write_paper_figures(tables: GroupTables, output_dir: Path) -> list[Path]:
    """Write the article's Figures 3 to 7 to ``figures/paper_*.svg`` and ``.png``; those of models that are gone go too.

    Parameters
    ----------
    tables : GroupTables
        Its ``metrics`` and ``ttests``.
    output_dir : Path
        Holds the images of the examples.

    Returns
    -------
    list of Path
        The SVG files. A figure for which there are no models is left out.
    """
    folder = group_figures(output_dir)
    written = []
    for stem, drawing in _drawings(tables, output_dir):
        path = folder / f"{stem}.svg"
        write_drawing(drawing, path)
        written.append(path)
    kept = {path.with_suffix(suffix) for path in written for suffix in (".svg", ".png")}
    for path in sorted((*folder.glob(f"{PREFIX}figure*.svg"), *folder.glob(f"{PREFIX}figure*.png"))):
        if path not in kept:
            path.unlink()
    return written


def _drawings(tables: GroupTables, output_dir: Path) -> Iterator[tuple[str, Drawing]]:
    phantom = is_phantom(output_dir)
    yield from example_figures(tables.metrics, output_dir, phantom=phantom)
    for kind, number in FIGURE_NUMBERS.items():
        for region, suffix in _REGIONS.items():
            columns = [metric.name for metric in metrics_in(region)]
            drawing = comparison_figure(tables.metrics, tables.ttests, kind, columns, phantom=phantom)
            if drawing is not None:
                yield f"{PREFIX}figure{number}{suffix}", drawing
