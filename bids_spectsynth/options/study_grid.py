"""What a study decides on: the article's grid of models, or that of a TOML file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from bids_spectsynth.errors import UsageError, value_text
from bids_spectsynth.options.losses import fold_losses
from bids_spectsynth.options.presets import LOSS_OPTIONS as LOSS_OPTIONS
from bids_spectsynth.options.presets import PRESETS, Preset
from bids_spectsynth.options.settings import T1W_SPACE, Settings, make_settings
from bids_spectsynth.options.spaces import BUILT_IN_TEMPLATE, parse_spaces

#: The study of the article: three sets of inputs, two spaces, two losses.
PAPER_STUDY = "fard2024"
_STUDY_KEYS = ("name", "inputs", "spaces", "presets", "losses", "seeds")


@dataclass(frozen=True, kw_only=True)
class StudyGrid:
    """Lists of which every combination is a model; None where the options of the run decide instead.

    Parameters
    ----------
    source : str
        What error messages call the study.
    inputs : tuple of tuple of str, or None
        Roles of the input channels.
    spaces : tuple of str, or None
        As ``--output-spaces`` takes them.
    presets : tuple of str, or None
    losses : tuple of mapping, or None
        Each with some of :data:`LOSS_OPTIONS` and, where it is to be told from others, ``name``.
    seeds : tuple of int, or None
    """

    source: str
    inputs: tuple[tuple[str, ...], ...] | None = None
    spaces: tuple[str, ...] | None = None
    presets: tuple[Preset, ...] | None = None
    losses: tuple[Mapping[str, Any], ...] | None = None
    seeds: tuple[int, ...] | None = None


def study_grid(settings: Settings) -> StudyGrid | None:
    """The grid of ``settings.study``; None without one.

    Raises
    ------
    UsageError
        The study does not exist, its file cannot be read or followed, or it cannot be in the spaces asked for.
    """
    if settings.study is None:
        return None
    if settings.study == PAPER_STUDY:
        return _paper_grid(settings)
    path = Path(settings.study).expanduser()
    if path.suffix != ".toml" and not path.is_file():
        raise UsageError(f"--study: there is no study {settings.study}; give {PAPER_STUDY} or a TOML file")
    return _file_grid(path)


def _paper_grid(settings: Settings) -> StudyGrid:
    if len(settings.templates) > 1:
        raise UsageError(
            f"--output-spaces: the study {PAPER_STUDY} has one template, not {', '.join(settings.templates)}; name one"
        )
    if settings.preset != "fard2024":
        raise UsageError(
            f"--preset: the study {PAPER_STUDY} is of the article's recipe; put presets into a study file instead"
        )
    template = next(iter(settings.templates), BUILT_IN_TEMPLATE)
    plain = {name: PRESETS["fard2024"][name] for name in LOSS_OPTIONS}
    return StudyGrid(
        source=PAPER_STUDY,
        inputs=(("T1w",), ("pet",), ("T1w", "pet")),
        spaces=(T1W_SPACE, template),
        losses=(plain, {**plain, "ssim_weight": 1.0}),
    )


def _file_grid(path: Path) -> StudyGrid:
    content = _read_study(path)
    unknown = sorted(set(content) - set(_STUDY_KEYS))
    if unknown:
        raise UsageError(f"{path}: unknown key {', '.join(unknown)}; known: {', '.join(_STUDY_KEYS)}")
    name = content.pop("name", path.stem)
    for key, value in content.items():
        if not isinstance(value, list) or not value:
            raise UsageError(f"{path}: {key} is not a list with something in it")
    presets, seeds, spaces = (content.get(key) for key in ("presets", "seeds", "spaces"))
    if presets is not None and not set(map(str, presets)) <= set(get_args(Preset)):
        raise UsageError(f"{path}: presets are names of {', '.join(get_args(Preset))}")
    if seeds is not None and not all(type(seed) is int and seed >= 0 for seed in seeds):
        raise UsageError(f"{path}: seeds are whole numbers from 0")
    losses = content.get("losses")
    return StudyGrid(
        source=f"{name}, {path}" if name != path.stem else str(path),
        inputs=_input_sets(path, content["inputs"]) if "inputs" in content else None,
        spaces=_spaces(path, spaces) if spaces else None,
        presets=tuple(dict.fromkeys(presets)) if presets else None,
        losses=tuple(_loss(path, entry) for entry in losses) if losses else None,
        seeds=tuple(dict.fromkeys(seeds)) if seeds else None,
    )


def _read_study(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot read the study ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not valid TOML ({error})") from error


def _input_sets(path: Path, value: list[Any]) -> tuple[tuple[str, ...], ...]:
    if not all(isinstance(entry, list) for entry in value):
        raise UsageError(f'{path}: inputs is not a list of lists, e.g. [["T1w"], ["T1w", "pet"]]')
    required = {"bids_dir": path.parent, "output_dir": path.parent, "analysis_level": "participant"}
    try:
        # The settings know how roles are spelled and ordered.
        return make_settings({**required, "inputs": value}).inputs
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _spaces(path: Path, value: list[Any]) -> tuple[str, ...]:
    try:
        return parse_spaces(value)
    except ValueError as error:
        raise UsageError(f"{path}: spaces are {T1W_SPACE} or templates: {error}") from error


def _loss(path: Path, entry: Any) -> Mapping[str, Any]:
    known = ("name", *LOSS_OPTIONS)
    if not isinstance(entry, dict) or not set(entry) <= set(known):
        raise UsageError(f"{path}: an entry of losses is not a table with keys of {', '.join(known)}")
    name = entry.get("name", "L1")
    if not isinstance(name, str) or not (name.isascii() and name.isalnum()):
        raise UsageError(f"{path}: name {value_text(name)} of a loss has other characters than letters and digits")
    try:
        return fold_losses(entry, Settings)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
