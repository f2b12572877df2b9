"""Command line of the import: ``bids_spectsynth-import DICOM_FOLDER BIDS_FOLDER --participant-label 01``."""

import argparse
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bids_spectsynth import __version__
from bids_spectsynth.bids.names import bare_label, is_label
from bids_spectsynth.dicom.command import run_command
from bids_spectsynth.errors import UsageError

#: What a series may be called.
_ROLES = ("T1w", "pet", "interictal", "ictal")


def build_parser() -> argparse.ArgumentParser:
    """Options of ``bids_spectsynth-import``."""
    parser = argparse.ArgumentParser(
        prog="bids_spectsynth-import",
        description="Import the T1w, PET and SPECT of one patient from DICOM into a BIDS dataset. Names, identifiers "
        "and dates stay behind.",
    )
    parser.add_argument("dicom_folder", metavar="DICOM_FOLDER", type=Path, help="DICOM files of one patient")
    parser.add_argument("bids_folder", metavar="BIDS_FOLDER", type=Path, help="BIDS dataset, made if absent")
    parser.add_argument("--participant-label", required=True, metavar="LABEL", help="with or without sub-")
    parser.add_argument("--session-label", metavar="LABEL", help="with or without ses- (no session)")
    parser.add_argument(
        "--task", choices=("ictal", "interictal"), help="what a SPECT is whose descriptions do not say it"
    )
    parser.add_argument(
        "--series",
        nargs="+",
        default=[],
        metavar="ROLE=NUMBER",
        help=f"which series is what, by SeriesNumber (1.1, 1.2 where several have it); roles are {', '.join(_ROLES)}",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="write over files that exist; take a SPECT that does not say how it lies for transaxial, head first, "
        "supine; believe --task where a description says otherwise",
    )
    parser.add_argument("-v", "--verbose", action="count", default=0, help="say more; twice: debug")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; ``sys.argv[1:]`` by default.

    Returns
    -------
    int
        One of :class:`bids_spectsynth.errors.ExitCode`.
    """
    arguments = build_parser().parse_args(argv)
    return run_command("bids_spectsynth-import", arguments.verbose, partial(_import, arguments))


def _import(arguments: argparse.Namespace) -> int:
    from bids_spectsynth.dicom.importer.run import ImportRequest, import_patient

    participant = bare_label(arguments.participant_label, "sub")
    session = None if arguments.session_label is None else bare_label(arguments.session_label, "ses")
    for option, label in (("--participant-label", participant), ("--session-label", session)):
        if label is not None and not is_label(label):
            raise UsageError(f"{option}: '{label}' may have letters and digits only")
    request = ImportRequest(
        source=arguments.dicom_folder,
        bids_dir=arguments.bids_folder.resolve(),
        participant=participant,
        session=session,
        task=arguments.task,
        named=dict(map(_named, arguments.series)),
        force=arguments.force,
    )
    return int(import_patient(request))


def _named(text: str) -> tuple[str, str]:
    role, equals, number = text.partition("=")
    if role not in _ROLES or not equals or re.fullmatch(r"[0-9]+(\.[0-9]+)?", number) is None:
        raise UsageError(f"--series: '{text}' is not ROLE=NUMBER with one of {', '.join(_ROLES)}")
    whole, point, suffix = number.partition(".")
    return f"{int(whole)}{point}{suffix}", role


def entry_point() -> None:
    """Console script."""
    sys.exit(main())
