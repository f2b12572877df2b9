"""Which models a run trains: those of its options, the article's twelve, or the grid of a study file."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.presets import GOVERNED, PRESETS, Preset
from bids_spectsynth.options.settings import T1W_SPACE, Scaling, Settings, make_settings
from bids_spectsynth.options.spaces import plain_label
from bids_spectsynth.options.study_grid import LOSS_OPTIONS, PAPER_STUDY, StudyGrid, study_grid
from bids_spectsynth.synthesis.network.losses import LOSSES, SCALE, check_losses, loss_titles, loss_weights

_DEFAULTS: Mapping[str, Any] = {field.name: field.default for field in dataclasses.fields(Settings)}
#: Governed options that belong neither to the loss nor to the number of networks.
_RECIPE_OPTIONS = tuple(name for name in GOVERNED if name not in (*LOSS_OPTIONS, "ensemble_members"))


@dataclass(frozen=True, kw_only=True)
class PlannedModel:
    """One model that a run is to train.

    Parameters
    ----------
    label : str
        Name of the model's folder and ``desc-`` of its images; no two models of a run share it.
    configuration : str
        The label without the seed: models that differ by their seeds alone share it.
    settings : Settings
        Of the run, with this model's own options, inputs and space. ``random_seed`` is that of the split.
    inputs : tuple of str
    space : str
    seed : int
        Of initial weights, order and dropout.
    """

    label: str
    configuration: str
    settings: Settings
    inputs: tuple[str, ...]
    space: str
    seed: int

    @property
    def losses(self) -> str:
        """Terms of the loss with a weight above 0: ``L1+BCE``, ``L1+BCE+SSIM``, ``L1+LSGAN``, ..."""
        return "+".join(loss_titles(loss_weights(self.settings), vars(self.settings)).values())

    @property
    def preset_name(self) -> str:
        """The preset that inputs, losses and ensemble aside describes the model; else ``custom``."""
        own = {name: getattr(self.settings, name) for name in _RECIPE_OPTIONS}
        fitting = (name for name, values in PRESETS.items() if all(own[n] == values[n] for n in _RECIPE_OPTIONS))
        return next(fitting, "custom")


def planned_models(settings: Settings) -> tuple[PlannedModel, ...]:
    """The models that the settings ask for: of every space and input set or, with a study, of its whole grid.

    Parameters
    ----------
    settings : Settings
        ``study`` is the name of a study or the path of a TOML file.

    Returns
    -------
    tuple of PlannedModel
        By preset, loss, space, inputs and seed, in the order in which these are given.

    Raises
    ------
    UsageError
        ``--model-label`` is given for more than one model; the study does not exist or cannot be followed; an option
        is given that the study decides on; a loss does not exist; or two models would have one label.
    """
    grid = study_grid(settings)
    if grid is None:
        grid = StudyGrid(source="--model-label")
    else:
        _refuse_what_the_study_decides(settings, grid)
    cells = list(
        itertools.product(
            grid.presets or (None,),
            grid.losses or ({},),
            grid.spaces or settings.output_spaces,
            grid.inputs or settings.inputs,
        )
    )
    if settings.model_label is not None and len(cells) > 1:
        raise UsageError(f"--model-label: {len(cells)} models would share {settings.model_label}; train one a run")
    owns = [_own_settings(settings, grid.source, *cell) for cell in cells]
    for own in owns:
        check_losses(name for name, _ in own.loss)
    configurations = _configurations(owns, [str(loss.get("name", "")) for _, loss, _, _ in cells])
    seeds = grid.seeds or (settings.random_seed,)
    models = tuple(
        PlannedModel(
            # Also a single seed, so that the file can be given more of them later.
            label=f"{name}Seed{seed}" if grid.seeds else name,
            configuration=name,
            settings=own,
            inputs=own.inputs[0],
            space=own.spaces[0],
            seed=seed,
        )
        for own, name in zip(owns, configurations, strict=True)
        for seed in seeds
    )
    shared = [label for label, count in Counter(model.label for model in models).items() if count > 1]
    if shared:
        raise UsageError(f"{grid.source}: {shared[0]} would be the label of several models; name their losses apart")
    return models


def trains(settings: Settings) -> bool:
    """Whether a run trains models, and does not only prepare or apply."""
    return settings.mode == "train" or (settings.mode == "auto" and settings.model is None)


def merge_models(settings: Settings, models: Sequence[PlannedModel]) -> Settings:
    """Settings with the spaces and the input sets of all models, so that one preparation serves them all."""
    return dataclasses.replace(
        settings,
        inputs=tuple(dict.fromkeys(model.inputs for model in models)),
        output_spaces=tuple(dict.fromkeys(space for model in models for space in model.settings.output_spaces)),
    )


def _own_settings(
    settings: Settings, source: str, preset: Preset | None, loss: Mapping[str, Any], space: str, inputs: Sequence[str]
) -> Settings:
    values = {name: getattr(settings, name) for name in _DEFAULTS} | {"study": None}
    if preset is not None:
        values |= {**PRESETS[preset], "preset": preset}
    values |= {name: value for name, value in loss.items() if name in LOSS_OPTIONS}
    values |= {"output_spaces": (space,), "inputs": (tuple(inputs),)}
    try:
        return make_settings(values)
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from error


def _configurations(owns: Sequence[Settings], loss_names: Sequence[str]) -> list[str]:
    """Labels without the seed; the name that a study gives a loss is added where several would give one label."""
    plain = [
        model_label(own.inputs[0], own.spaces[0], own.intensity_scaling, own.ssim_weight, own.preset) for own in owns
    ]
    counts = Counter(plain)
    return [
        own.model_label or (label + name[:1].upper() + name[1:] if counts[label] > 1 else _default_label(own))
        for own, label, name in zip(owns, plain, loss_names, strict=True)
    ]


def _default_label(own: Settings) -> str:
    recipe = (own.intensity_scaling, own.ssim_weight, own.preset, own.loss)
    return model_label(own.inputs[0], own.spaces[0], *recipe)


def _refuse_what_the_study_decides(settings: Settings, grid: StudyGrid) -> None:
    """Refuse options beside a study that would be ignored.

    The settings do not know what was given: an option counts as given where it is neither the default nor what the
    study uses anyway (the settings that a run has recorded can be given again).
    """
    decided: dict[str, tuple[Any, ...]] = {"model": (None,), "model_label": (None,)}
    if grid.inputs is not None:
        decided["inputs"] = (_DEFAULTS["inputs"], grid.inputs)
    # The article's study takes its template from the output spaces.
    if grid.spaces is not None and grid.source != PAPER_STUDY:
        decided["output_spaces"] = (_DEFAULTS["output_spaces"], grid.spaces)
    if grid.presets is not None:
        decided["preset"] = (_DEFAULTS["preset"],)
    governed = tuple(name for name in GOVERNED if grid.presets is not None and name not in LOSS_OPTIONS)
    losses = LOSS_OPTIONS if grid.losses is not None or grid.presets is not None else ()
    decided |= {name: (PRESETS[settings.preset][name],) for name in (*governed, *losses)}
    for name, allowed in decided.items():
        if getattr(settings, name) not in allowed:
            option = name.replace("_", "-")
            raise UsageError(f"--{option}: decided by the study ({grid.source}); leave --{option} or --study out")


def model_label(
    inputs: Sequence[str],
    space: str,
    scaling: Scaling,
    ssim_weight: float,
    preset: Preset = "fard2024",
    further: Sequence[tuple[str, float]] = (),
) -> str:
    """Name of a model: ``pix2pix``, each input, ``Ssim`` and ``Volume`` if used, and the template if there is one.

    The preset's name stands in place of ``Volume`` where it is not the article's. Losses without an option of their
    own stand behind ``Ssim``, each with its weight where that is not the usual one: ``Nmi``, ``Nmi0p5``.

    Parameters
    ----------
    inputs : sequence of str
        Roles.
    space : str
        ``T1w`` or a template with its cohort and resolution.
    scaling : {'slice', 'volume'}
    ssim_weight : float
    preset : {'fard2024', 'best'}
    further : sequence of (str, float)
        Name and weight of losses without an option of their own.

    Returns
    -------
    str
        Letters and digits.
    """
    parts = ["pix2pix", *(role[:1].upper() + role[1:] for role in inputs)]
    parts += ["Ssim"] if ssim_weight > 0 else []
    named = [(name, weight) for name, weight in further if name != SCALE]
    parts += [name[:1].upper() + name[1:] + _weight_text(name, weight) for name, weight in named]
    if preset != "fard2024":
        parts += [preset[:1].upper() + preset[1:]]
    elif scaling == "volume":
        parts += ["Volume"]
    parts += [plain_label(space)] if space != T1W_SPACE else []
    return "".join(character for character in "".join(parts) if character.isalnum())


def _weight_text(name: str, weight: float) -> str:
    """A loss's weight in letters and digits; empty where it is the usual one."""
    usual = LOSSES[name].default_weight if name in LOSSES else None
    # A point and a sign tell 0.5 from 05 and 1e-05 from 1e05.
    return "" if weight == usual else f"{weight:g}".replace(".", "p").replace("-", "m").replace("+", "")
