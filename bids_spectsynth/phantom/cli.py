"""Command line of the simulated cohort: ``bids_spectsynth-phantom OUT -n 8``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bids_spectsynth import __version__
from bids_spectsynth.errors import ExitCode, SpectSynthError, error_code


def build_parser() -> argparse.ArgumentParser:
    """Options of ``bids_spectsynth-phantom``."""
    parser = argparse.ArgumentParser(
        prog="bids_spectsynth-phantom",
        description="Simulate a BIDS dataset with T1w, FDG-PET and HMPAO-SPECT of known truth. "
        "The images are phantoms: numbers computed from them are not clinical numbers.",
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="new or empty folder; the truth goes to OUT-truth")
    parser.add_argument("-n", "--subjects", type=int, default=8, metavar="N", help="number of subjects (default 8)")
    parser.add_argument(
        "--size",
        choices=("small", "paper"),
        default="small",
        help="paper: matrices and voxel sizes of Fard et al. 2024, Table 1; "
        "small (default): the same fields of view with coarser voxels",
    )
    parser.add_argument(
        "--folds",
        choices=("average", "individual"),
        default="average",
        help="cortical folds: of the template, deformed (average, default), or each individual's own, which no "
        "cohort mean fits",
    )
    parser.add_argument(
        "--ictal",
        choices=("some", "study", "widespread"),
        default="some",
        help="ictal SPECTs: in every second subject (some, default); for measuring SISCOM, in all of them run-1 with a "
        "focus of 2 to 30 mL and +10 to +60 %% anywhere in the cerebrum and run-2 without a seizure, of another "
        "resolution than the interictal SPECT in half of them (study); or the same with +30 %% over a fifth of the "
        "brain (widespread)",
    )
    parser.add_argument(
        "--dicom",
        action="store_true",
        help="also write the scans as scanners would, as DICOM series of each patient in OUT-dicom "
        "(needs bids_spectsynth[dicom])",
    )
    parser.add_argument("--seed", type=int, default=0, help="equal seeds give equal files (default 0)")
    parser.add_argument("--nprocs", type=int, default=1, metavar="N", help="subjects simulated at once (default 1)")
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
        0; 2 where the options are wrong or OUT holds files; 3 where OUT cannot be written.
    """
    arguments = build_parser().parse_args(argv)
    from bids_spectsynth.dicom.extra import require_dicom
    from bids_spectsynth.phantom.participants import dicom_folder, make_cohort, truth_folder

    try:
        if arguments.dicom:
            require_dicom()
        make_cohort(
            arguments.out,
            arguments.subjects,
            size=arguments.size,
            seed=arguments.seed,
            nprocs=arguments.nprocs,
            folds=arguments.folds,
            ictal=arguments.ictal,
            further=(dicom_folder(arguments.out),) if arguments.dicom else (),
        )
        if arguments.dicom:
            from bids_spectsynth.phantom.dicom import write_dicom

            write_dicom(arguments.out.resolve(), dicom_folder(arguments.out))
    except SpectSynthError as error:
        print(f"bids_spectsynth-phantom: {error}", file=sys.stderr)
        return int(error_code(error))
    except OSError as error:
        print(f"bids_spectsynth-phantom: {arguments.out}: cannot be written: {error.strerror}", file=sys.stderr)
        return int(ExitCode.DATASET)
    print(f"{arguments.subjects} simulated subjects in {arguments.out}, their truth in {truth_folder(arguments.out)}")
    return 0


def entry_point() -> None:
    """Console script."""
    sys.exit(main())
