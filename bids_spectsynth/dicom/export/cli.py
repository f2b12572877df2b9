"""Command line of the export: ``bids_spectsynth-dicom OUT --participant-label 01``."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bids_spectsynth import __version__
from bids_spectsynth.bids.names import bare_label
from bids_spectsynth.bids.prepared import find_prepared
from bids_spectsynth.dicom.command import run_command
from bids_spectsynth.errors import DatasetError, UsageError, exit_code
from bids_spectsynth.options.settings import T1W_SPACE


def build_parser() -> argparse.ArgumentParser:
    """Options of ``bids_spectsynth-dicom``."""
    parser = argparse.ArgumentParser(
        prog="bids_spectsynth-dicom",
        description="Write the results of participants in an output folder of bids_spectsynth as DICOM, into "
        "OUT/sub-<label>/dicom. Research use only, not for diagnosis.",
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="an output folder of bids_spectsynth")
    parser.add_argument(
        "--participant-label", nargs="+", default=[], metavar="LABEL", help="participants, with or without sub- (all)"
    )
    parser.add_argument(
        "--dicom-class",
        choices=("NM", "MR"),
        default="NM",
        help="images and maps as one multi-frame NM file each (NM, default), or as single slices on the voxels of "
        "the T1w, for navigation systems (MR)",
    )
    parser.add_argument(
        "--dicom-donor",
        type=Path,
        metavar="FILE|FOLDER",
        help="DICOM series of the participant's T1w, PET or SPECT, which give patient and study (the T1w also the "
        "frame of reference), or a folder with a folder for each label; without it nobody is named",
    )
    parser.add_argument(
        "--force", action="store_true", help="take a donor that is not recognised, for patient and study alone"
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
    return run_command("bids_spectsynth-dicom", arguments.verbose, partial(_export, arguments))


def _export(arguments: argparse.Namespace) -> int:
    from bids_spectsynth.dicom.export.participant import Request, export_case

    out = arguments.out.resolve()
    if arguments.force and arguments.dicom_donor is None:
        raise UsageError("--force: is for a donor; add --dicom-donor, or leave it out")
    if arguments.dicom_donor is not None and not arguments.dicom_donor.exists():
        raise UsageError(f"--dicom-donor: {arguments.dicom_donor} does not exist")
    cases = find_prepared(out, T1W_SPACE, arguments.participant_label)
    missing = {bare_label(one, "sub") for one in arguments.participant_label} - {case.participant for case in cases}
    if missing or not cases:
        what = f"no images of sub-{min(missing)}" if missing else "no participant's images"
        raise DatasetError(f"{out}: holds {what} in T1w space; run the participant level first")
    request = Request(
        output_dir=out, dicom_class=arguments.dicom_class, donor=arguments.dicom_donor, force=arguments.force
    )
    outcomes = [export_case(case, request) for case in cases]
    for outcome in outcomes:
        if outcome.reason:
            print(f"sub-{outcome.participant}: {outcome.reason}", file=sys.stderr)
    return int(exit_code(outcomes))


def entry_point() -> None:
    """Console script."""
    sys.exit(main())
