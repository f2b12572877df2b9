"""``main(argv)``: from command line arguments to an exit code.

Only the standard library is imported before the arguments are parsed, so that ``--help`` answers at once.
"""

import atexit
import logging
import os
import sys
import traceback
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from bids_spectsynth.app.registries import registered_losses
from bids_spectsynth.errors import (
    MEMORY_ADVICE,
    ExitCode,
    SpectSynthError,
    error_code,
    is_out_of_memory,
    printable,
    reason_of,
)
from bids_spectsynth.logs import LOGGER_NAME
from bids_spectsynth.options.declare import declared
from bids_spectsynth.options.losses import fold_losses
from bids_spectsynth.options.names import check_template_names
from bids_spectsynth.options.parser import build_parser, parse_arguments
from bids_spectsynth.options.presets import GOVERNED
from bids_spectsynth.options.settings import Settings, make_settings, option_names, read_config
from bids_spectsynth.options.spaces import option_of
from bids_spectsynth.options.study_grid import study_grid

#: Made while there is memory for it.
_NO_MEMORY_LEFT = f"bids_spectsynth: error: out of memory; {MEMORY_ADVICE}\n".encode()
#: Codes of runs that were asked to end.
_STOPPED = (ExitCode.INTERRUPTED, ExitCode.RESUBMIT, ExitCode.TERMINATED)


def parse(argv: Sequence[str]) -> Settings:
    """Settings from the command line and, beneath it, the configuration file.

    Parameters
    ----------
    argv : sequence of str
        Arguments without the program's name.

    Raises
    ------
    UsageError
        An option is unknown, or a value cannot be used.
    """
    arguments = parse_arguments(build_parser(registered_losses()), argv)
    config = arguments.pop("config_file", None)
    # Each source for itself: what the command line says of a term of the loss overrules the file in either spelling.
    on_command_line = fold_losses(arguments, Settings)
    values = fold_losses(read_config(config), Settings) if config is not None else {}
    if "preset" in on_command_line:
        # A preset of the command line wins over the options of the file that a preset decides on.
        meant = declared(Settings)["preset"].option.shorthands.get(on_command_line["preset"], ())
        decided = {*GOVERNED, *_came_with_preset(values), *meant}
        values = {name: value for name, value in values.items() if name not in decided}
    settings = _without_prefixes(make_settings({"nprocs": _usable_cpus(), **values, **on_command_line}, arguments))
    if settings.model is not None and settings.model.is_dir():
        settings = _as_the_model(settings, settings.model, {*values, *on_command_line})
    if settings.analysis_level == "participant" and settings.mode != "train":
        grid = study_grid(settings)
        check_template_names((grid and grid.spaces) or settings.output_spaces)
    return settings


def _came_with_preset(values: Mapping[str, Any]) -> set[str]:
    """Options of a file whose value is only what its own preset suggests, as a recorded file has them."""
    preset = str(values.get("preset", declared(Settings)["preset"].default))
    known, found = dict(values), set()
    for name, one in declared(Settings).items():
        if one.option.suggest is not None:
            usual = one.option.suggest(preset, known)
            if known.setdefault(name, usual) == usual:
                found.add(name)
    return found


def _as_the_model(settings: Settings, folder: Path, chosen: Collection[str]) -> Settings:
    """Settings with voxel size and space of the model to apply, where none is given."""
    if {"voxel_size", "output_spaces"} <= set(chosen):
        return settings
    from dataclasses import replace

    from bids_spectsynth.options.memory import check_room

    check_room()
    from bids_spectsynth.synthesis.models.ensemble import load_members

    card = load_members(folder)[0].card
    if "voxel_size" not in chosen:
        settings = replace(settings, voxel_size=card.voxel_size)
    if "output_spaces" not in chosen:
        settings = replace(settings, output_spaces=(option_of(card.space),))
    return settings


def _usable_cpus() -> int:
    # A scheduler may grant fewer CPUs than the machine has.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _limit_threads(count: int) -> None:
    # Read by the numerical libraries when they are loaded, here and in worker processes. The network's threads are set
    # apart, where it runs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads crawl on a machine that others use too
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(count)


def _fix_template_folder() -> None:
    # Steps of the preparation run in folders of their own, where a relative path would lead elsewhere.
    home = os.environ.get("TEMPLATEFLOW_HOME")
    if home:
        os.environ["TEMPLATEFLOW_HOME"] = os.path.abspath(os.path.expanduser(home))  # noqa: PTH100, PTH111


def _without_prefixes(settings: Settings) -> Settings:
    from dataclasses import replace

    return replace(
        settings,
        participant_label=tuple(label.removeprefix("sub-") for label in settings.participant_label),
        session_label=tuple(label.removeprefix("ses-") for label in settings.session_label),
    )


def main(argv: Sequence[str]) -> int:
    """Run the app.

    Parameters
    ----------
    argv : sequence of str
        Arguments without the program's name.

    Returns
    -------
    int
        One of :class:`bids_spectsynth.errors.ExitCode`.
    """
    try:
        settings = parse(argv)
        _limit_threads(settings.omp_nthreads)
        _fix_template_folder()
        from bids_spectsynth.app.run import run

        return int(run(settings))
    except SpectSynthError as error:
        print(printable(f"bids_spectsynth: error: {error}"), file=sys.stderr)
        return int(error_code(error))
    except KeyboardInterrupt as error:
        # A training that was stopped says by which signal.
        reason = str(error) or "interrupted; start again to go on from here"
        print(printable(f"bids_spectsynth: {reason}"), file=sys.stderr)
        return int(getattr(error, "exit_code", ExitCode.INTERRUPTED))
    except Exception as error:
        try:
            return int(_ended_by(error))
        except MemoryError:
            os.write(2, _NO_MEMORY_LEFT)
            return int(ExitCode.SOME_FAILED)


def _ended_by(error: Exception) -> ExitCode:
    """Say what ended the run, in one line where it is no defect."""
    no_memory = is_out_of_memory(error)
    if no_memory:
        # The functions that failed still hold what they had got, and the lines below need some of it.
        traceback.clear_frames(error.__traceback__)
    logging.getLogger(LOGGER_NAME).debug("ended by an error", exc_info=True)
    if not isinstance(error, OSError) and not no_memory:
        # Python's own code for an uncaught error is 1, which here means that some participants failed.
        traceback.print_exc()
        print("bids_spectsynth: error: a defect of this software; please report the lines above", file=sys.stderr)
        return ExitCode.INTERNAL
    print(printable(f"bids_spectsynth: error: {reason_of(error)}"), file=sys.stderr)
    return ExitCode.SOME_FAILED if no_memory else ExitCode.DATASET


def entry_point() -> None:
    """Console script."""
    code = main(sys.argv[1:])
    if code in _STOPPED:
        # Python would take apart all that is loaded, which is a second of a processor that others may be using.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


__all__ = ["entry_point", "main", "option_names", "parse"]
