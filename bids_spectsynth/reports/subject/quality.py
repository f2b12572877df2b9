"""The section of a participant's page on whether the prepared images are what their names say."""

from bids_spectsynth.quality.files import quality_path, read_flags
from bids_spectsynth.quality.judge import Flag
from bids_spectsynth.reports.context import SubjectContext
from bids_spectsynth.reports.html import Block, Cell, Column, Note, Section, Table, Text, number

_INTRO = (
    "Resolution, contrasts, registration and agreement of PET and SPECT, each against a limit and against the other "
    "participants. Who is flagged is neither trained on nor rated, unless --include-flagged was given."
)


def quality_section(context: SubjectContext) -> Section | None:
    """The flags of each case; None where nobody was judged."""
    judged = {
        case.name: read_flags(context.output_dir, case)
        for case in context.cases
        if quality_path(context.output_dir, case).is_file()
    }
    if not judged:
        return None
    blocks: list[Block] = [Text(_INTRO)]
    for name, flags in judged.items():
        if flags:
            blocks += [
                Note(f"{name}: look at its images before they are used.", "danger", "Quality flags"),
                _table(flags),
            ]
        else:
            blocks.append(Note(f"Nothing is doubtful about {name}. Look at the pictures all the same.", "good"))
    return Section("quality", "Quality of the images", blocks)


def _table(flags: tuple[Flag, ...]) -> Table:
    columns = [Column("Flag"), Column("Value", numeric=True), Column("Limit", numeric=True), Column("What it means")]
    rows = [
        [Cell(flag.name, "bad"), Cell(number(flag.value, 3)), Cell(number(flag.threshold, 3)), Cell(flag.sentence)]
        for flag in flags
    ]
    return Table(columns, rows, sortable=False)
