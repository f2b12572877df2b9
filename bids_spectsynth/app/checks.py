"""What a run refuses before anything is computed: processes, folders, a backend that cannot be started."""

import logging
import os
import tempfile
from pathlib import Path

from bids_spectsynth.bids.access import is_text, shown
from bids_spectsynth.bids.finding.layout import check_root
from bids_spectsynth.errors import DatasetError, UsageError
from bids_spectsynth.logs import LOGGER_NAME
from bids_spectsynth.options.declarations.derivatives import NamedFolder
from bids_spectsynth.options.settings import Settings

#: Options that name files or folders that are read.
_READ = ("model", "initial_model", "bids_filter_file", "split_file", "use_plugin", "normals", "derivatives",
         "reader_results", "ratings", "dicom_donor")  # fmt: skip


def process_rank() -> tuple[int, int]:
    """Number of this process, and how many ``torchrun`` has started; without an import of torch.

    Raises
    ------
    UsageError
        Its variables are not numbers.
    """
    try:
        count = int(os.environ.get("WORLD_SIZE") or 1)
        return (int(os.environ.get("RANK") or 0), count) if count > 1 else (0, 1)
    except ValueError as error:
        raise UsageError(f"WORLD_SIZE, RANK: {error}; start with torchrun or unset them") from error


def check_processes(settings: Settings) -> None:
    """Refuse to do in several processes what only training can share; quiet all but the first.

    Raises
    ------
    UsageError
        Another level or mode was started by torchrun, or its variables are not numbers.
    """
    rank, count = process_rank()
    if count > 1 and (settings.analysis_level != "participant" or settings.mode != "train" or settings.dry_run):
        raise UsageError("torchrun: several processes can share --mode train alone; start everything else without it")
    if rank > 0:
        logging.getLogger(LOGGER_NAME).setLevel(logging.WARNING)


def check_folders(settings: Settings) -> None:
    """Refuse an output folder that would harm the input or cannot be written; nothing is made.

    Raises
    ------
    DatasetError
        The input folder is missing (participant level), or the output folder is inside it or not writable, or the path
        of one is not text.
    UsageError
        A folder or file that an option names does not exist.
    """
    for folder in (settings.bids_dir, settings.output_dir, settings.work_folder):
        if not is_text(folder):
            raise DatasetError(f"{shown(folder)}: the path is not UTF-8, which no table or sidecar can hold; rename it")
    bids_dir, output_dir = settings.bids_dir.resolve(), settings.output_dir.resolve()
    from_output = settings.reports_only or settings.boilerplate_only
    if settings.analysis_level == "participant" and settings.mode != "train" and not from_output:
        check_root(settings.bids_dir)
    kept = [("output", output_dir), ("work", settings.work_folder.resolve())]
    if settings.bids_database_dir is not None:
        kept.append(("database", settings.bids_database_dir.resolve()))
    for what, folder in kept:
        inside = folder.is_relative_to(bids_dir) and not folder.is_relative_to(bids_dir / "derivatives")
        if inside or folder == bids_dir / "derivatives":
            raise DatasetError(
                f"{folder}: the {what} folder lies inside the dataset; "
                f"use a folder outside it or {bids_dir / 'derivatives' / 'bids_spectsynth'}"
            )
    for option in _READ:
        value: Path | tuple[NamedFolder, ...] | None = getattr(settings, option)
        for path in (value,) if isinstance(value, Path) else [one.path for one in value or ()]:
            if not path.exists():
                raise UsageError(f"--{option.replace('_', '-')}: {path} does not exist")
    if (settings.analysis_level == "group" or from_output) and not output_dir.is_dir():
        raise DatasetError(f"{settings.output_dir}: no such folder; run the participant level first")
    if not settings.dry_run:
        for folder in (settings.output_dir, settings.work_folder):
            _check_writable(folder)


def make_folders(settings: Settings) -> None:
    """Make the output and the work folder, once there is nothing left to refuse.

    Raises
    ------
    DatasetError
        One of them cannot be made or written.
    """
    for folder in (settings.output_dir, settings.work_folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise _not_writable(folder, error.strerror) from error


def check_backend(settings: Settings) -> None:
    """Refuse a backend that cannot be started, where images will be prepared for certain, and a wrong plugin file.

    Raises
    ------
    UsageError
        FSL, or the program that starts its container, is missing; the plugin file cannot be followed.
    """
    if settings.reports_only or settings.boilerplate_only:
        return
    if settings.analysis_level == "participant" and settings.mode in ("auto", "preprocess"):
        from bids_spectsynth.preprocess.backends.choice import resolve_backend

        resolve_backend(settings)
        if settings.use_plugin is not None:
            from bids_spectsynth.preprocess.plugins.pool import check_plugin

            check_plugin(settings)


def check_export(settings: Settings) -> None:
    """Refuse an export whose libraries are not installed.

    Raises
    ------
    UsageError
        One of them is missing.
    """
    if settings.export:
        from bids_spectsynth.dicom.extra import require_dicom

        require_dicom()


def check_metrics(settings: Settings) -> None:
    """Refuse margins of equivalence of metrics that there are not.

    Raises
    ------
    UsageError
        There is no such metric.
    """
    if settings.equivalence_margins:
        # Reading the statistics takes its time, and few runs name a margin.
        from bids_spectsynth.evaluation.group.comparisons import check_margins

        check_margins(name for name, _ in settings.equivalence_margins)


def _check_writable(folder: Path) -> None:
    """Whether a folder can be written or made; nothing is made yet."""
    there = folder
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise _not_writable(folder, f"{there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise _not_writable(folder, "Permission denied")


def _not_writable(folder: Path, reason: str | None) -> DatasetError:
    return DatasetError(f"{folder}: cannot write there ({reason})")
