"""The group level of some participants alone: it sees a folder in which there is nobody else."""

import shutil
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from bids_spectsynth.bids.finding.layout import list_labels
from bids_spectsynth.bids.names import bare_label
from bids_spectsynth.bids.output_files import group_figures, group_files, group_page, selection_file
from bids_spectsynth.bids.participants import read_participants
from bids_spectsynth.bids.sidecars import read_object, strings
from bids_spectsynth.bids.writing import atomic_file, write_json, write_text
from bids_spectsynth.errors import DatasetError, SpectSynthError
from bids_spectsynth.options.settings import Settings

_TABLE = "participants.tsv"
#: What people have said, which no other run brings back: it stays until it is read anew.
_OF_PEOPLE = {f"group_{table}{suffix}" for table in ("ratings", "siscom_readers", "siscom_jafroc")
              for suffix in (".tsv", ".json")}  # fmt: skip
#: Figures that not every group has.
_FIGURES = ("group_agreement_*.svg", "group_agreement_*.png", "group_siscom_*.svg", "group_siscom_*.png",
            "paper_figure*.svg", "paper_figure*.png")  # fmt: skip


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


def write_for_selection(settings: Settings, write: Callable[[Settings], Path], *, keep: bool = False) -> Path:
    """Write the group level of the chosen participants in place of that of all.

    Parameters
    ----------
    settings : Settings
        Its ``participant_label`` chooses.
    write : callable
        Writes the group level of an output folder.
    keep : bool
        Whether ``write`` sees the tables and figures that there are, which stay; it then writes the page alone.

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
        if keep:
            _show_tables(output_dir, view)
        try:
            write(replace(settings, output_dir=view, work_dir=settings.work_folder, participant_label=()))
        except SpectSynthError as error:
            # The folder that is named is to be one that the user knows.
            raise type(error)(str(error).replace(str(view), str(output_dir))) from error
        _take_over(view, output_dir)
    return group_page(output_dir)


def write_page(settings: Settings) -> Path:
    """Write ``group.html`` from the tables that lie there: of whom the last group level was restricted to, if it was.

    Parameters
    ----------
    settings : Settings

    Raises
    ------
    SpectSynthError
        See :func:`write_for_selection`.
    """
    from bids_spectsynth.reports.group.page import group_report

    chosen = strings(read_object(selection_file(settings.output_dir)).get("Participants"))
    if not chosen:
        return group_report(settings.output_dir)
    own = replace(settings, participant_label=tuple(chosen))
    return write_for_selection(own, lambda view: group_report(view.output_dir), keep=True)


def _show(output_dir: Path, view: Path, labels: Sequence[str]) -> None:
    """Links to all that the group level reads, without other participants."""
    names = {f"sub-{label}" for label in labels}
    figures = group_figures(output_dir)
    for path in output_dir.iterdir():
        is_of_participant = path.name.startswith("sub-")
        owner = path.name.partition(".")[0].partition("_")[0]
        if path.name in (_TABLE, figures.name, *group_files()) or path.name.startswith(".nfs"):
            continue
        if not is_of_participant or owner in names:
            (view / path.name).symlink_to(path.absolute(), target_is_directory=path.is_dir())
    group_figures(view).mkdir()
    if (output_dir / _TABLE).exists():
        table = read_participants(output_dir)
        kept = table[table["participant_id"].isin(names)]
        write_text(view / _TABLE, kept.to_csv(sep="\t", index=False, lineterminator="\n"))
    write_json(selection_file(view), {"Participants": sorted(names)})


def _show_tables(output_dir: Path, view: Path) -> None:
    """Links to the tables and figures of a selection; what people have said is of everybody."""
    pages = {group_page(view).name, selection_file(view).name}
    tables = [output_dir / name for name in group_files() - _OF_PEOPLE - pages]
    for path in (*tables, *group_figures(output_dir).glob("*.*")):
        if path.is_file():
            (view / path.relative_to(output_dir)).symlink_to(path.absolute())


def _take_over(view: Path, output_dir: Path) -> None:
    """Bring what was written into the output folder, and remove there what the group level did not write now."""
    there = [path for path in view.rglob("*") if path.is_file() and path.name != _TABLE]
    written = [path for path in there if not path.is_symlink()]
    names = {path.relative_to(view) for path in there}
    # From here on the page of an interrupted run says whose the tables are; the page itself comes last.
    first, last = selection_file(view), group_page(view)
    for path in sorted(written, key=lambda path: (path != first, path == last, path)):
        if path == last:
            _remove_stale(output_dir, names)
        with path.open("rb") as source, atomic_file(output_dir / path.relative_to(view)) as target:
            shutil.copyfileobj(source, target)


def _remove_stale(output_dir: Path, written: Collection[Path]) -> None:
    figures = group_figures(Path())
    stale = {Path(name) for name in group_files() - _OF_PEOPLE}
    drawn = (path for pattern in _FIGURES for path in (output_dir / figures).glob(pattern))
    stale |= {path.relative_to(output_dir) for path in drawn}
    for name in stale.difference(written):
        (output_dir / name).unlink(missing_ok=True)
