"""Command line of the simulated start: ``bids_spectsynth-pretrain OUT --preset best``."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bids_spectsynth import __version__
from bids_spectsynth.errors import ExitCode, SpectSynthError, UsageError, error_code, is_out_of_memory, reason_of
from bids_spectsynth.logs import console_logging
from bids_spectsynth.options.declare import declared
from bids_spectsynth.options.memory import check_room
from bids_spectsynth.options.parser import Parser, add_option, parse_arguments
from bids_spectsynth.options.settings import Settings, make_settings
from bids_spectsynth.termination import clean_end

#: Options of ``bids_spectsynth`` that this command has too, with the same meaning and, but for :data:`DEFAULTS`, the
#: same defaults: a model that was made with some of them fits a training with the same ones.
OPTIONS = (
    "preset", "inputs", "voxel_size", "model_label", "intensity_scaling", "epochs", "patience", "batch_size",
    "learning_rate", "learning_rate_decay_epochs", "learning_rate_schedule", "warmup_epochs", "base_filters",
    "slices_per_subject", "checkpoint_every", "adversarial_weight", "l1_weight", "ssim_weight", "loss",
    "adversarial_loss", "neighbour_slices", "cohort_prior", "augmentation", "ema_decay", "flip_average", "crop",
    "precision", "memory_format", "compile", "device", "nprocs", "random_seed", "verbose",
)  # fmt: skip
#: No epoch is seen twice, so that there is nothing to stop early for.
DEFAULTS: Mapping[str, Any] = {"epochs": 200, "patience": 0, "learning_rate_schedule": "cosine", "nprocs": 1}
#: Heads of a cohort, and the fewest with which each has a mean of others.
HEADS, _FEWEST = 12, 3
PROGRAM = "bids_spectsynth-pretrain"


def build_parser() -> Parser:
    """Options of ``bids_spectsynth-pretrain``."""
    parser = Parser(
        prog=PROGRAM,
        description="Train a model on simulated heads alone, which bids_spectsynth takes as a start "
        "(--initial-model OUT) with the same options. Every epoch is another simulated cohort, drawn while the one "
        "before is learned from, and never stored. Called again, it goes on where it was stopped.",
        epilog="Defaults that differ from those of bids_spectsynth: --epochs 200, --patience 0, "
        "--learning-rate-schedule cosine, --nprocs 1.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="folder of the model")
    parser.add_argument("--heads", type=int, metavar="N", help=f"simulated heads of an epoch ({HEADS})")
    every = declared(Settings)
    for name in OPTIONS:
        add_option(parser, every[name], {"losses": "as of bids_spectsynth"})
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def _settings(given: dict[str, Any], out: Path) -> Settings:
    from bids_spectsynth.pretraining.train import SIMULATED_ROLES

    if given.get("learning_rate_decay_epochs"):
        given = {"learning_rate_schedule": "constant", **given}
    if str(given.get("preset")) == "demo":
        raise UsageError("--preset demo: trains several models; choose fard2024 or best")
    # There is neither a dataset nor an output folder: the model's own folder stands for both.
    plain = {"bids_dir": out, "output_dir": out, "analysis_level": "participant"}
    settings = make_settings({**plain, **DEFAULTS, **given}, given)
    if len(settings.inputs) > 1:
        raise UsageError("--inputs: one set of images for one model; call the command once for each")
    unknown = [role for role in settings.inputs[0] if role not in SIMULATED_ROLES]
    if unknown:
        raise UsageError(f"--inputs {unknown[0]}: cannot be simulated; there are {', '.join(SIMULATED_ROLES)}")
    return settings


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; ``sys.argv[1:]`` by default.

    Returns
    -------
    int
        One of :class:`bids_spectsynth.errors.ExitCode`, or that of the signal that stopped it.
    """
    try:
        given = parse_arguments(build_parser(), sys.argv[1:] if argv is None else argv)
        out, n_heads = Path(given.pop("out")).resolve(), int(given.pop("heads", HEADS))
        if n_heads < _FEWEST:
            raise UsageError(f"--heads: {n_heads} is below {_FEWEST}, with which each head has a mean of two others")
        if int(os.environ.get("WORLD_SIZE") or 1) > 1:
            raise UsageError("torchrun: this command trains in one process, and several would write one folder")
        if (out / "dataset_description.json").exists():
            raise UsageError(f"{out}: is a dataset or its derivatives; give a new folder for the model")
        # Before the first of what loads torch.
        check_room()
        settings = _settings(given, out)
        console_logging(settings.verbose)
        from bids_spectsynth.pretraining.train import pretrain

        try:
            with clean_end():
                card = pretrain(settings, out, n_heads)
        except KeyboardInterrupt as stopped:
            print(f"{PROGRAM}: {str(stopped) or 'interrupted; start again to go on from here'}", file=sys.stderr)
            return int(getattr(stopped, "exit_code", ExitCode.INTERRUPTED))
    except SpectSynthError as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return int(error_code(error))
    except Exception as error:
        if is_out_of_memory(error):
            print(f"{PROGRAM}: error: {reason_of(error)}", file=sys.stderr)
            return int(ExitCode.SOME_FAILED)
        if not isinstance(error, OSError):
            raise
        print(f"{PROGRAM}: error: {error.filename or 'OUT'}: cannot be written: {error.strerror}", file=sys.stderr)
        return int(ExitCode.DATASET)
    print(f"model {card.label} in {out}, of {card.training['simulated_heads']} simulated heads")
    return 0


def entry_point() -> None:
    """Console script."""
    sys.exit(main())
