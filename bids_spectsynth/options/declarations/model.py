"""Options of which models a run trains or applies."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bids_spectsynth.options.choices import Mode, Preset, Scaling
from bids_spectsynth.options.declarations.groups import RECIPE, SYNTHESIS
from bids_spectsynth.options.declare import option
from bids_spectsynth.options.names import suffix_of
from bids_spectsynth.options.ranges import label

#: A high rate, a weak discriminator and few epochs, so that five simulated heads and minutes suffice.
_DEMO = {
    "preset": "fard2024",
    "inputs": (("T1w", "pet"), ("pet",), ("T1w",)),
    "voxel_size": 2.0,
    "base_filters": 16,
    "batch_size": 4,
    "epochs": 7,
    "learning_rate": 1e-3,
    "learning_rate_decay_epochs": 5,
    "adversarial_weight": 0.1,
}


def input_order(names: Iterable[str]) -> list[str]:
    """Names of roles in the order of a model's inputs: T1w first, PET last, so that one set of inputs has one name.

    Examples
    --------
    >>> input_order(["pet", "T2w", "FLAIR", "T1w"])
    ['T1w', 'FLAIR', 'T2w', 'pet']
    """
    return sorted(names, key=lambda name: (name != "T1w", name == "pet", name))


def _read_inputs(value: Any) -> tuple[tuple[str, ...], ...]:
    sets = [[value]] if isinstance(value, str) else [value] if value and isinstance(value[0], str) else value
    out = []
    for one in sets:
        unique = tuple(dict.fromkeys(str(role) for role in one))
        if not unique or not all(role.isascii() and role.isalnum() for role in unique):
            raise ValueError("BIDS suffixes needed, e.g. T1w pet")
        if {"spect", "interictal", "ictal"} & {role.lower() for role in unique}:
            raise ValueError("SPECT is what is synthesised, not an input")
        out.append(tuple(input_order(dict.fromkeys(map(suffix_of, unique)))))
    if not out:
        raise ValueError("at least one set of inputs needed")
    return tuple(dict.fromkeys(out))


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Which models a run trains or applies, and where their recipe comes from."""

    mode: Mode = field(
        default="auto",
        metadata=option(
            SYNTHESIS, "which stages to run ({default}), see below", "see above [`{default}`]", of_training=False
        ),
    )
    model: Path | None = field(
        default=None,
        metadata=option(
            SYNTHESIS,
            "a trained model to apply, on its voxels and in its space; options of training are refused beside it",
            "a trained model to apply; options of training are refused beside it ([which](#modes)), and `--voxel-size` "
            "and `--output-spaces` are the model's where they are not given",
            metavar="FOLDER",
            of_training=False,
        ),
    )
    model_label: str | None = field(
        default=None,
        metadata=option(
            SYNTHESIS,
            "name of the model to train, instead of the derived one",
            "name of the one model to train, letters and digits [made from its options]",
            metavar="LABEL",
            check=label,
        ),
    )
    initial_model: Path | None = field(
        default=None,
        metadata=option(
            SYNTHESIS,
            "a trained model of the same inputs, voxels and recipe, from whose weights the training starts",
            "a trained model of the same inputs, voxels and recipe, from whose weights the training starts "
            "([fine-tuning](method.md#fine-tuning))",
            metavar="FOLDER",
        ),
    )
    inputs: tuple[tuple[str, ...], ...] = field(
        default=(("T1w", "pet"),),
        metadata=option(
            SYNTHESIS,
            "images a model sees: T1w, pet, or another MR suffix (T2w, FLAIR); repeat for several models ({default})",
            "images a model sees; repeat the option for several models [`{default}`]",
            metavar="IMAGE",
            action="append",
            read=_read_inputs,
        ),
    )
    preset: Preset = field(
        default="fard2024",
        metadata=option(
            RECIPE,
            "fard2024: as in the article; best: what measured best; demo: small and quick, for simulated heads "
            "({default})",
            "where the other options of this table come from; `best` also takes voxels of 2 mm where `--voxel-size` "
            "is not given (a study keeps one voxel size for all its models); `demo`: small and quick, for "
            "simulated heads, the options of `make demo` where they are not given [`{default}`]",
            shorthands={"demo": _DEMO},
        ),
    )
    intensity_scaling: Scaling = field(
        default="slice",
        metadata=option(
            RECIPE,
            "slice: as in the article; volume: no steps ({default})",
            "to (-1, 1) slice by slice as in the article, or volume by volume [`{default}`]",
            presets={"best": "volume"},
            config_name="scaling",
        ),
    )
