"""The options of the command line, in groups."""

import argparse
from pathlib import Path
from typing import Any, get_args

from bids_spectsynth import __version__
from bids_spectsynth.options.presets import Preset
from bids_spectsynth.options.settings import (
    AdversarialLoss,
    AnalysisLevel,
    BackendChoice,
    CohortPrior,
    Compile,
    CoregInit,
    Crop,
    Device,
    FslRunner,
    MemoryFormat,
    Mode,
    Orientations,
    Precision,
    Scaling,
    SliceStorage,
    Switch,
)

_DESCRIPTION = """Synthesise interictal SPECT from MRI and PET with a pix2pix network (Fard et al. 2024).

participant: find, prepare, train or apply, evaluate, report.  group: tables, tests and report of a whole output folder.
"""

_EPILOG = """modes of the participant level:
  auto        with --model: prepare and apply it; without: prepare everybody, train on the participants that have an
              interictal SPECT, synthesise for all
  preprocess  prepare only (a cluster's array job, one participant each)
  train       train on what has been prepared in OUTPUT_DIR
  apply       prepare what is not yet prepared and apply --model, or every model in OUTPUT_DIR/models that fits

exit codes: 0 done; 1 some participants failed; 2 wrong options; 3 dataset or output folder not usable; 4 nobody left;
5 model not usable or not trainable; 130, 138, 143 stopped by a signal.  Synthetic images are not measurements.
"""


def build_parser() -> argparse.ArgumentParser:
    """Build the parser; options that were not given are absent, so that a configuration file can set them."""
    parser = argparse.ArgumentParser(
        prog="bids_spectsynth",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("bids_dir", type=Path, help="root folder of the BIDS dataset")
    parser.add_argument("output_dir", type=Path, help="folder for the derivatives, created if absent")
    parser.add_argument("analysis_level", choices=get_args(AnalysisLevel), help="level of the analysis")
    parser.add_argument("--version", action="version", version=f"bids_spectsynth {__version__}")
    _add_selection(parser)
    _add_execution(parser)
    _add_computation(parser)
    _add_preprocessing(parser)
    _add_synthesis(parser)
    _add_recipe(parser)
    _add_cohort(parser)
    _add_evaluation(parser)
    return parser


def _add_selection(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which data")
    labels: dict[str, Any] = {"nargs": "+", "metavar": "LABEL"}
    group.add_argument(
        "--participant-label", "--participant_label", **labels, help="participants to process, with or without sub-"
    )
    group.add_argument(
        "--session-label", "--session-id", **labels, help="sessions to use, with or without ses- (default: all)"
    )
    group.add_argument(
        "--bids-filter-file", type=Path, metavar="JSON", help="PyBIDS queries by role: t1w, pet, interictal, ictal, ..."
    )
    group.add_argument("--skip-bids-validation", action="store_true", help="do not validate the input dataset")
    group.add_argument("--config-file", type=Path, metavar="TOML", help="options from a file; the command line wins")


def _add_execution(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how to run")
    group.add_argument("-w", "--work-dir", type=Path, help="intermediate results (default: OUTPUT_DIR/work)")
    group.add_argument(
        "--clean-workdir",
        "--clean-work-dir",
        action="store_true",
        help="remove the intermediate results of participants that are prepared; other jobs' are left alone",
    )
    group.add_argument(
        "--nprocs", "--nthreads", type=int, metavar="N", help="processes at once, and threads of the network (all CPUs)"
    )
    group.add_argument(
        "--omp-nthreads", type=int, metavar="N", help="threads of one process; changes the last digits (1)"
    )
    group.add_argument("--mem", "--mem-mb", dest="mem_mb", type=int, metavar="MB", help="upper bound of memory")
    group.add_argument(
        "--use-plugin", "--nipype-plugin-file", type=Path, metavar="FILE", help="Nipype plugin and arguments (YAML)"
    )
    group.add_argument("--stop-on-first-crash", action="store_true", help="stop when the first participant fails")
    group.add_argument("--random-seed", type=int, metavar="N", help="seed of everything random (1234)")
    group.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    group.add_argument("-v", "--verbose", action="count", help="say more; twice: debug")


def _add_computation(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "how the network is computed", "auto follows the hardware; what was taken stands in the model's card."
    )
    group.add_argument(
        "--device", choices=get_args(Device), help="where the network runs (auto: a GPU if there is one)"
    )
    group.add_argument(
        "--precision", choices=get_args(Precision), help="number format (auto: bfloat16 where it is in hardware)"
    )
    group.add_argument(
        "--memory-format",
        choices=get_args(MemoryFormat),
        help="layout of images and weights in memory (auto: channels_last)",
    )
    group.add_argument(
        "--compile", choices=get_args(Compile), help="torch.compile in training (auto: long trainings on a GPU)"
    )
    group.add_argument(
        "--slice-storage",
        choices=get_args(SliceStorage),
        help="training slices in memory or in files in the work folder that are mapped into it (auto: files where "
        "several processes train, or where half of the free memory would not do)",
    )


def _add_preprocessing(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("preparation")
    group.add_argument(
        "--output-spaces",
        nargs="+",
        metavar="SPACE",
        help="T1w (each head's own space) and TemplateFlow templates as NAME[:cohort-X][:res-Y], e.g. MNI152NLin6Sym "
        "or MNIPediatricAsym:cohort-3 (T1w)",
    )
    group.add_argument(
        "--backend",
        choices=get_args(BackendChoice),
        help="registration and brain extraction (auto: FSL if it is installed or --fsl-runner starts it)",
    )
    group.add_argument(
        "--bet-fractional-intensity", type=float, metavar="F", help="-f of FSL's BET: smaller, larger brains (0.5)"
    )
    group.add_argument("--bet-robust", choices=get_args(Switch), help="-R of FSL's BET, for MR images (on)")
    group.add_argument(
        "--fsl-runner", choices=get_args(FslRunner), help="where FSL is: installed here, or in a container (local)"
    )
    group.add_argument(
        "--fsl-image",
        metavar="IMAGE",
        help="container image with FSL, or a .sif file for singularity (brainlife/fsl:6.0.4-patched2)",
    )
    group.add_argument(
        "--coreg-init",
        choices=get_args(CoregInit),
        help="start of the registration: several (auto), the headers, or identity: images are already aligned",
    )
    group.add_argument(
        "--voxel-size",
        type=float,
        metavar="MM",
        help="1: 256x256x192 as in the paper; 2: 128x128x96; 4: 64x64x48 (1; with --preset best 2)",
    )


def _add_synthesis(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("synthesis")
    group.add_argument("--mode", choices=get_args(Mode), help="which stages to run (auto), see below")
    group.add_argument("--model", type=Path, metavar="FOLDER", help="a trained model to apply")
    group.add_argument("--model-label", metavar="LABEL", help="name of the model to train, instead of the derived one")
    group.add_argument(
        "--inputs",
        nargs="+",
        action="append",
        metavar="IMAGE",
        help="images a model sees: T1w, pet, or another MR suffix (T2w, FLAIR); repeat for several models (T1w pet)",
    )
    group.add_argument("--epochs", type=int, metavar="N", help="epochs of training (1000, as in the paper)")
    group.add_argument("--batch-size", type=int, metavar="N", help="slices in a batch (8)")
    group.add_argument("--learning-rate", type=float, metavar="R", help="learning rate of Adam (1e-4)")
    group.add_argument(
        "--learning-rate-decay-epochs", type=int, metavar="N", help="linear decay to zero over the last N epochs (0)"
    )
    group.add_argument("--base-filters", type=int, metavar="N", help="filters of the first layer (64)")
    group.add_argument("--checkpoint-every", type=int, metavar="N", help="epochs between two checkpoints (10)")
    group.add_argument("--slices-per-subject", type=int, metavar="N", help="training slices of a subject (100 at 1 mm)")


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("recipe of the model", "Each overrules the preset; defaults are of fard2024.")
    group.add_argument(
        "--preset", choices=get_args(Preset), help="fard2024: as in the paper; best: what measured best (fard2024)"
    )
    group.add_argument(
        "--intensity-scaling", choices=get_args(Scaling), help="slice: as in the paper; volume: no steps (slice)"
    )
    group.add_argument("--adversarial-weight", type=float, metavar="W", help="weight of the adversarial loss (1)")
    group.add_argument("--l1-weight", type=float, metavar="W", help="weight of the L1 loss (100)")
    group.add_argument("--ssim-weight", type=float, metavar="W", help="weight of 1 - SSIM (0; the paper's variant: 1)")
    group.add_argument(
        "--adversarial-loss", choices=get_args(AdversarialLoss), help="binary cross-entropy or least squares (bce)"
    )
    group.add_argument(
        "--neighbour-slices", type=int, metavar="N", help="slices on each side that the network sees too: 2.5D (0)"
    )
    group.add_argument(
        "--cohort-prior",
        choices=get_args(CohortPrior),
        help="the training cohort's mean SPECT, times the PET ratio where there is PET, as a further input channel, or "
        "as what the network adds to (none)",
    )
    group.add_argument(
        "--augmentation", nargs="+", metavar="KIND", help="of training slices: none, flip, affine, elastic, intensity"
    )
    group.add_argument("--ema-decay", type=float, metavar="D", help="averaged weights: decay per step; 0: none (0)")
    group.add_argument(
        "--flip-average", choices=get_args(Switch), help="average over the slice and its left-right mirror image (off)"
    )
    group.add_argument(
        "--orientations",
        choices=get_args(Orientations),
        help="axial slices, or one network each for axial, coronal and sagittal ones, averaged (axial)",
    )
    group.add_argument(
        "--crop",
        choices=get_args(Crop),
        help="whole slices, or the box of 32-pixel steps that holds the brains that the network learns from (none)",
    )
    group.add_argument("--ensemble-members", type=int, metavar="N", help="networks of different seeds, averaged (1)")


def _add_cohort(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("study and split")
    group.add_argument(
        "--study",
        metavar="NAME|TOML",
        help="fard2024: the paper's twelve models, in T1w and the template of --output-spaces, else MNI152NLin2009aSym "
        "(the paper's is MNI152NLin6Sym); or a file with a grid of models",
    )
    group.add_argument(
        "--split", nargs=3, type=float, metavar=("TRAIN", "VALIDATION", "TEST"), help="proportions (30 6 12)"
    )
    group.add_argument(
        "--split-counts",
        nargs=3,
        type=int,
        metavar=("TRAIN", "VALIDATION", "TEST"),
        help="numbers of participants; who is left over takes no part",
    )
    group.add_argument(
        "--split-file", type=Path, metavar="TSV", help="participant_id and split (train, validation, test) instead"
    )
    group.add_argument(
        "--hold-out",
        nargs="+",
        metavar="COLUMN=VALUE",
        help="participants.tsv of the dataset: who has the value is never trained on, e.g. resection=yes",
    )
    group.add_argument(
        "--cross-validate", type=int, metavar="K", help="K models, each on other participants; all are held out once"
    )


def _add_evaluation(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("evaluation")
    group.add_argument(
        "--uncertainty",
        type=int,
        metavar="N",
        help="also write the standard deviation over an ensemble's networks or, with one network, N dropout samples",
    )
    group.add_argument(
        "--data-range", type=float, metavar="R", help="data range of SSIM and PSNR on the (-1, 1) scale (2)"
    )
    group.add_argument(
        "--bootstrap-samples", type=int, metavar="N", help="resamples behind confidence intervals; 0: none (10000)"
    )
    group.add_argument(
        "--equivalence-margins",
        nargs=3,
        type=float,
        metavar=("RMSE", "SSIM", "PSNR"),
        help="differences that count as none (0.01 0.01 0.5)",
    )
