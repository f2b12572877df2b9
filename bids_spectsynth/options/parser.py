"""The command line, made from the options that the settings declare."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from bids_spectsynth import __version__
from bids_spectsynth.options.declarations.groups import DATA, GROUPS
from bids_spectsynth.options.declare import Declared, declared
from bids_spectsynth.options.settings import Settings

_DESCRIPTION = """Synthesise interictal SPECT from MRI and PET with a pix2pix network (Fard et al. 2024).

participant: find, prepare, train or apply, evaluate, report.  group: tables, tests and report of a whole output folder.
"""

_EPILOG = """modes of the participant level:
  auto        with --model: prepare and apply it; without: prepare everybody, train on the participants that have an
              interictal SPECT, synthesise for all
  preprocess  prepare only (a cluster's array job, one participant each)
  train       train on what has been prepared in OUTPUT_DIR
  apply       prepare what is not yet prepared and apply --model, or every model in OUTPUT_DIR/models

exit codes: 0 done; 1 some participants failed; 2 wrong options; 3 dataset or output folder not usable; 4 nobody left;
5 model not usable or not trainable; 70 a defect of this software; 130, 138, 143 stopped by a signal.
Synthetic images are not measurements.
"""


def build_parser(losses: Mapping[str, str] | None = None, options: type = Settings) -> argparse.ArgumentParser:
    """Build the parser; options that were not given are absent, so that a configuration file can set them.

    Parameters
    ----------
    losses : mapping of str to str, optional
        The terms that ``--loss`` knows by name, each with a title, for the help.
    options : type
        The dataclass that declares the options.
    """
    parser = argparse.ArgumentParser(
        prog="bids_spectsynth",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    every = declared(options).values()
    words = {"losses": ", ".join(f"{name} ({title})" for name, title in (losses or {}).items())}
    for one in every:
        if one.option.group is None:
            parser.add_argument(one.name, help=one.option.help, **_kind(one))
    parser.add_argument("--version", action="version", version=f"bids_spectsynth {__version__}")
    for group in GROUPS:
        added = parser.add_argument_group(group.title, group.description)
        for one in every:
            if one.option.group == group:
                added.add_argument(*one.flags, dest=one.name, help=one.text(one.option.help, **words), **_kind(one))
        if group == DATA:
            # It says where options come from, and is none itself.
            added.add_argument(
                "--config-file", type=Path, metavar="TOML", help="options from a file; the command line wins"
            )
    return parser


def parsed_options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """All that a parser reads: arguments and options without those of the help and the version.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Of :func:`build_parser`.
    """
    # argparse has no public list of its options; this one has been stable since Python 2.7.
    every = parser._actions
    return [action for action in every if not isinstance(action, argparse._HelpAction | argparse._VersionAction)]


def _kind(one: Declared) -> dict[str, Any]:
    """How argparse reads the values of an option."""
    if one.hint is bool:
        return {"action": "store_true"}
    kind: dict[str, Any] = {"action": one.option.action} if one.option.action else {}
    if one.option.action == "count":
        return kind
    if one.option.metavar is not None:
        kind["metavar"] = one.option.metavar
    elements = (one.hint,)
    if get_origin(one.hint) is tuple:
        elements = get_args(one.hint)
        kind["nargs"] = "+" if ... in elements else len(elements)
    if elements[0] in (int, float, Path):
        kind["type"] = elements[0]
    if one.choices:
        kind["choices"] = one.choices
    return kind
