"""The command line, made from the options that the settings declare."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, get_args, get_origin

from bids_spectsynth import __version__
from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.declarations.groups import DATA, GROUPS
from bids_spectsynth.options.declare import Declared, declared
from bids_spectsynth.options.names import did_you_mean
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


class Parser(argparse.ArgumentParser):
    """Reads options with ``_`` for ``-``, and raises one line instead of the usage before the error."""

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments.

        Raises
        ------
        UsageError
            Always.
        """
        raise UsageError(f"{message.removeprefix('argument ')}; {self.prog} --help has all options")

    def spelled(self, arguments: Sequence[str]) -> list[str]:
        """Arguments with the options as the parser has them.

        Parameters
        ----------
        arguments : sequence of str

        Raises
        ------
        UsageError
            There is no such option; looked at before values, which an unknown option would mix up.
        """
        known = self._option_string_actions
        end = arguments.index("--") if "--" in arguments else len(arguments)
        spelled = []
        for argument in arguments[:end]:
            name, equals, value = argument.partition("=")
            if not name.startswith("-") or " " in name or self._negative_number_matcher.match(argument):
                spelled.append(argument)
                continue
            if name.startswith("--"):
                name = name.replace("_", "-")
            if name not in known and (name.startswith("--") or name[:2] not in known):
                near = did_you_mean(f"--{name.lstrip('-')}", [word for word in known if word.startswith("--")])
                unknown = f"unknown option {argument.partition('=')[0]}"
                if near:
                    raise UsageError(unknown + near)
                self.error(unknown)
            spelled.append(name + equals + value)
        return [*spelled, *arguments[end:]]


def parse_arguments(parser: Parser, arguments: Sequence[str]) -> dict[str, Any]:
    """Values of the options and arguments that are given, by name.

    Parameters
    ----------
    parser : Parser
        Of :func:`build_parser`.
    arguments : sequence of str
        Of the command line, without the program's name.

    Raises
    ------
    UsageError
        They cannot be read. ``--help`` and ``--version`` end the process.
    """
    return vars(parser.parse_args(parser.spelled(arguments)))


def build_parser(losses: Mapping[str, str] | None = None, options: type = Settings) -> Parser:
    """Build the parser; options that were not given are absent, so that a configuration file can set them.

    Parameters
    ----------
    losses : mapping of str to str, optional
        The terms that ``--loss`` knows by name, each with a title, for the help.
    options : type
        The dataclass that declares the options.
    """
    parser = Parser(
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
                add_option(added, one, words)
        if group == DATA:
            # It says where options come from, and is none itself.
            added.add_argument(
                "--config-file", type=Path, metavar="TOML", help="options from a file; the command line wins"
            )
    return parser


def add_option(parser: argparse._ActionsContainer, one: Declared, words: Mapping[str, str]) -> None:
    """Add an option in all of its spellings.

    Parameters
    ----------
    parser : ArgumentParser or a group of one
    one : Declared
    words : mapping of str to str
        What is filled into its help.
    """
    parser.add_argument(*one.flags, dest=one.name, help=one.text(one.option.help, **words), **_kind(one))
    for spelling, unit in one.option.units.items():
        parser.add_argument(spelling, dest=one.name, type=_in(unit), help=argparse.SUPPRESS)


def parsed_options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """All that a parser reads, each once: without the help, the version and spellings in other units.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Of :func:`build_parser`.
    """
    # argparse has no public list of its options; this one has been stable since Python 2.7.
    every = parser._actions
    others = argparse._HelpAction | argparse._VersionAction
    return [action for action in every if not isinstance(action, others) and action.help != argparse.SUPPRESS]


def _in(unit: str) -> Callable[[str], str]:
    return lambda value: f"{value}{unit}"


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
        if ... in elements:
            # Given several times, it adds up.
            kind.setdefault("action", "extend")
    if elements[0] in (int, float, Path) and one.option.read is None:
        kind["type"] = elements[0]
    if one.choices:
        kind["choices"] = one.choices
    return kind
