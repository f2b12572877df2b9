"""Named recipes: values of the training options that belong together, as the options declare them.

``fard2024`` is the recipe of Fard et al. 2024 as read in docs/method.md, the reference. ``best`` is what measured best
on simulated cohorts; docs/method.md has the numbers.
"""

from collections.abc import Mapping
from typing import Any, get_args

from bids_spectsynth.options.choices import Preset as Preset
from bids_spectsynth.options.declare import declared, preset_values
from bids_spectsynth.options.settings import Settings

PRESETS: Mapping[Preset, Mapping[str, Any]] = {name: preset_values(Settings, name) for name in get_args(Preset)}
#: Options that a preset decides on, unless they are given one by one.
GOVERNED = tuple(PRESETS["fard2024"])
#: Those that say what the loss is.
LOSS_OPTIONS = tuple(name for name, one in declared(Settings).items() if one.option.of_loss)
#: Those that belong neither to the loss nor to the number of networks.
RECIPE_OPTIONS = tuple(name for name in GOVERNED if name not in (*LOSS_OPTIONS, "ensemble_members"))
#: Names of options in a training's configuration, where they differ.
CONFIG_NAMES = {name: one.option.config_name for name, one in declared(Settings).items() if one.option.config_name}
