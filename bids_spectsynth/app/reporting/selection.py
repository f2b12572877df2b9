"""The group level of some participants alone: it sees a folder in which there is nobody else."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bids_spectsynth.bids.finding.layout import list_labels
from bids_spectsynth.bids.names import bare_label
from bids_spectsynth.bids.output_files import group_page, selection_file
from bids_spectsynth.bids.participants import read_rows
from bids_spectsynth.bids.writing import write_json, write_text
from bids_spectsynth.errors import DatasetError, SpectSynthError
from bids_spectsynth.options.settings import Settings

_TABLE = "participants.tsv"
#: What the group level writes at the top of the output folder.
_WRITTEN = "group*"


def prepared_labels(output_dir: Path, chosen: Sequence[str] = ()) -> list[str]:
    """Labels of the participants that an output folder holds prepared images of.

    Parameters
    ----------
    output_dir : Path
    chosen : sequence of str
        Labels with or without ``sub-``; empty for all.

    Raises
    ------
    DatasetError
        One of the chosen is not among them, or there is nobody.
    """
    places = ("sub-*", "sub-*/ses-*")
    images = (path for place in places for path in output_dir.glob(f"{place}/anat/*_desc-preproc_T1w.nii.gz"))
    known = sorted({bare_label(path.relative_to(output_dir).parts[0], "sub") for path in images})
    if not known:
        raise DatasetError(f"{output_dir}: holds no prepared participant; run the participant level first")
    labels = list(dict.fromkeys(bare_label(label, "sub") for label in chosen))
    unknown = [label for label in labels if label not in known]
    if unknown:
        there = list_labels(known)
        raise DatasetError(f"{output_dir}: no prepared participant {', '.join(unknown)}; there are {there}")
    return sorted(labels) if labels else known


def write_for_selection(settings: Settings, write: Callable[[Settings], Path]) -> Path:
    """Write the group level of the chosen participants in place of that of all.

    Parameters
    ----------
    settings : Settings
        Its ``participant_label`` chooses.
    write : callable
        Writes the group level of an output folder.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    SpectSynthError
        What ``write`` raises; or somebody chosen is not prepared (DatasetError).
    """
    output_dir = settings.output_dir
    labels = prepared_labels(output_dir, settings.participant_label)
    settings.work_folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.work_folder, prefix="group-") as folder:
        view = Path(folder)
        _show(output_dir, view, labels)
        try:
            write(replace(settings, output_dir=view, work_dir=settings.work_folder, participant_label=()))
        except SpectSynthError as error:
            # The folder that is named is to be one that the user knows.
            raise type(error)(str(error).replace(str(view), str(output_dir))) from error
        written = {path.name for path in view.glob(_WRITTEN)}
        for stale in output_dir.glob(_WRITTEN):
            if stale.name not in written and stale.is_file():
                stale.unlink()
        for name in sorted(written):
            shutil.move(view / name, output_dir / name)
    return group_page(output_dir)


def _show(output_dir: Path, view: Path, labels: Sequence[str]) -> None:
    """Links to all that the group level reads, without other participants."""
    (output_dir / "figures").mkdir(exist_ok=True)
    names = {f"sub-{label}" for label in labels}
    for path in output_dir.iterdir():
        is_of_participant = path.name.startswith("sub-")
        owner = path.name.partition(".")[0].partition("_")[0]
        if path.name == _TABLE or path.match(_WRITTEN) or path.name.startswith(".nfs"):
            continue
        if not is_of_participant or owner in names:
            (view / path.name).symlink_to(path.absolute(), target_is_directory=path.is_dir())
    if (output_dir / _TABLE).exists():
        columns, rows = read_rows(output_dir / _TABLE)
        kept = [row for row in rows if row["participant_id"] in names]
        lines = ["\t".join(columns), *("\t".join(row[column] for column in columns) for row in kept)]
        write_text(view / _TABLE, "\n".join(lines) + "\n")
    write_json(selection_file(view), {"Participants": sorted(names)})
