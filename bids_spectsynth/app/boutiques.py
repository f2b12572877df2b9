"""Boutiques descriptor (schema 0.5) of the command line, generated from the parser.

``python -m bids_spectsynth.app.boutiques > boutiques.json`` writes the file that lies in the repository's root.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bids_spectsynth import __version__
from bids_spectsynth.app.registries import registered_losses
from bids_spectsynth.errors import ExitCode
from bids_spectsynth.options.declare import declared
from bids_spectsynth.options.parser import build_parser, parsed_options
from bids_spectsynth.options.settings import Settings

#: Paths that need not exist before the run; Boutiques would refuse a ``File`` that is absent.
_CREATED = frozenset({"output_dir", "work_dir"})

_ERRORS = {
    ExitCode.SOME_FAILED: "At least one participant failed; the others are complete.",
    ExitCode.USAGE: "The options, the configuration file or the filter file are wrong.",
    ExitCode.DATASET: "The dataset or the output folder is not usable.",
    ExitCode.NOBODY_LEFT: "Every participant was skipped or failed.",
    ExitCode.MODEL: "The model is damaged or does not fit, or training is not possible.",
    ExitCode.INTERNAL: "A defect of the software.",
    ExitCode.INTERRUPTED: "Stopped by SIGINT; what is complete was kept.",
    ExitCode.TERMINATED: "Stopped by SIGTERM; what is complete was kept.",
    ExitCode.RESUBMIT: "Stopped by SIGUSR1, before a time limit; the same command goes on from there.",
}

#: id, name, path in the output folder, description.
_OUTPUTS = (
    ("dataset_description", "Dataset description", "dataset_description.json", "What made the derivatives."),
    ("participants", "Participants", "participants.tsv", "Split, status and reason of every participant."),
    ("subject_reports", "Subject reports", "sub-*.html", "One self-contained page per participant."),
    ("models", "Models", "models", "One folder per trained model."),
    ("group_metrics", "Group metrics", "group_metrics.tsv", "Every slice of every subject and method."),
    ("group_summary", "Group summary", "group_summary.tsv", "Mean, SD and coefficient of variation."),
    ("group_ttests", "Group tests", "group_ttests.tsv", "Paired tests between models."),
    ("group_report", "Group report", "group.html", "Tables and violin plots of the whole output folder."),
)


def build_descriptor(options: type = Settings) -> dict[str, Any]:
    """Build the Boutiques descriptor of ``bids_spectsynth``.

    Parameters
    ----------
    options : type
        The dataclass that declares the options.

    Returns
    -------
    dict
        Content of ``boutiques.json``, in the order in which it is written.
    """
    inputs = [_input(action) for action in parsed_options(build_parser(registered_losses(), options))]
    refused = [name for name, one in declared(options).items() if one.of_training]
    inputs = [{**one, "disables-inputs": refused} if one["id"] == "model" else one for one in inputs]
    return {
        "schema-version": "0.5",
        "name": "bids_spectsynth",
        "tool-version": __version__,
        "description": "Synthesises interictal SPECT from MRI and PET with a pix2pix network (Fard et al. 2024).",
        "author": "The bids_spectsynth developers",
        "command-line": " ".join(["bids_spectsynth", *(one["value-key"] for one in inputs)]),
        "container-image": {"type": "docker", "image": f"bids_spectsynth:{__version__}"},
        "inputs": inputs,
        "output-files": [_output(*one) for one in _OUTPUTS],
        "error-codes": [{"code": int(code), "description": text} for code, text in _ERRORS.items()],
        "tags": {"domain": ["neuroinformatics", "BIDS"], "modality": ["MRI", "PET", "SPECT"]},
    }


def _input(action: argparse.Action) -> dict[str, Any]:
    """One input of the descriptor from one option or positional argument."""
    content: dict[str, Any] = {
        "id": action.dest,
        "name": action.dest.replace("_", " ").capitalize(),
        "description": (action.help or "").replace("%%", "%"),
        "type": _type(action),
        "value-key": f"[{action.dest.upper()}]",
        "optional": not action.required,
    }
    if action.type is int:
        content["integer"] = True
    if action.choices is not None:
        content["value-choices"] = list(action.choices)
    if action.nargs == "+":
        content |= {"list": True, "min-list-entries": 1}
    elif isinstance(action.nargs, int) and action.nargs > 1:
        content |= {"list": True, "min-list-entries": action.nargs, "max-list-entries": action.nargs}
    if action.option_strings:
        # The first long name: short ones may change their meaning, aliases serve other habits.
        content["command-line-flag"] = next(name for name in action.option_strings if name.startswith("--"))
    return content


def _type(action: argparse.Action) -> str:
    if isinstance(action, argparse._StoreTrueAction | argparse._CountAction):
        return "Flag"
    if action.type in (int, float):
        return "Number"
    return "File" if action.type is Path and action.dest not in _CREATED else "String"


def _output(identifier: str, name: str, path: str, description: str) -> dict[str, Any]:
    content: dict[str, Any] = {
        "id": identifier,
        "name": name,
        "description": description,
        "path-template": f"[OUTPUT_DIR]/{path}",
        "optional": True,
    }
    if "*" in path:
        content["list"] = True
    return content


def main() -> int:
    """Write the descriptor to standard output."""
    sys.stdout.write(json.dumps(build_descriptor(), indent=2, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
