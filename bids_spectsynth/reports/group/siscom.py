"""The group report on SISCOM: how baselines agree, and how often they find what is known, as the tables say."""

from pathlib import Path

from bids_spectsynth.bids.output_files import group_figures, is_phantom
from bids_spectsynth.errors import DatasetError
from bids_spectsynth.reports.group.figures import pictures
from bids_spectsynth.reports.html import Block, Note, Section, Text
from bids_spectsynth.reports.plain_table import plain_table

#: Names of the group level's tables and figures on SISCOM begin so.
PREFIX = "group_siscom"
_TABLES = {
    f"{PREFIX}_localisation.tsv": "Foci that were found, by baseline.",
    f"{PREFIX}_concordance.tsv": "Agreement of the baselines.",
    f"{PREFIX}.tsv": "Every ictal scan and baseline.",
}
_INTRO = (
    "Ictal SPECT against each baseline. False foci (fabricated) and missed ones (omitted) are counted apart. A "
    "synthetic baseline was computed by a network: no measurement, not for diagnosis."
)
_PHANTOM = (
    "These heads and their seizures were simulated: the phantom proves the machinery only, and says nothing of how "
    "often a focus is found in patients."
)


def siscom_section(output_dir: Path) -> Section | None:
    """The group's tables on SISCOM as they are, with its figures; None where no such table was written.

    Parameters
    ----------
    output_dir : Path
        Holds ``group_siscom*.tsv`` with their JSON dictionaries and ``figures/group_siscom*.svg``.
    """
    paths = {output_dir / name: caption for name, caption in _TABLES.items()}
    blocks = [block for path, caption in paths.items() if path.is_file() for block in _table(path, caption)]
    if not blocks:
        return None
    start: list[Block] = [Text(_INTRO)]
    if is_phantom(output_dir):
        start.append(Note(_PHANTOM, "warning", "Phantom data"))
    return Section("siscom", "SISCOM", [*start, *_figures(output_dir), *blocks])


def _table(path: Path, caption: str) -> list[Block]:
    # One damaged table must not take the others with it.
    try:
        table = plain_table(path, caption)
    except DatasetError as error:
        return [Note(str(error), "warning", "Missing")]
    return [table] if table.rows else [Text(f"{caption} {path.name} has no rows.")]


def _figures(output_dir: Path) -> list[Block]:
    found = sorted(group_figures(output_dir).glob(f"{PREFIX}*.svg"))
    return [*pictures(output_dir, [path.name for path in found])]
