"""The trained configurations of a study, their names for readers, and which of them differ in one respect alone."""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from bids_spectsynth.bids.roles import T1W, role_of
from bids_spectsynth.evaluation.case.metrics import METRICS
from bids_spectsynth.evaluation.columns import NETWORK
from bids_spectsynth.evaluation.group.matching import average_seeds, joined
from bids_spectsynth.evaluation.group.tables import compared_rows
from bids_spectsynth.options.settings import T1W_SPACE, Scaling

Kind = Literal["space", "loss", "inputs"]

#: The article's figure for each kind of comparison, in its order.
FIGURE_NUMBERS: dict[Kind, int] = {"space": 5, "loss": 6, "inputs": 7}

#: The intensity scale on which the article rates all of its models.
PAPER_SCALE: Scaling = "slice"

_VARIED: dict[Kind, str] = {"space": "space", "loss": "losses", "inputs": "inputs"}
_INPUTS = ("T1w", "pet", "T1w+pet")
_LOSSES = ("L1+BCE", "L1+BCE+SSIM")
_RECIPES = ("fard2024", "best")
_INPUT_NAMES = {T1W: "MRI"}
_LOSS_NAMES = {"L1": "1-norm", "BCE": "cross-entropy", "LSGAN": "least-squares GAN"}
_SHORT_LOSS_NAMES = {"BCE": "CE"}


@dataclass(frozen=True)
class Configuration:
    """What models that differ by their seed alone share; fields but the name are columns of ``group_metrics.tsv``."""

    name: str
    inputs: str
    space: str
    losses: str
    recipe: str
    scaling: str
    training: str = ""

    @property
    def is_paper_recipe(self) -> bool:
        """Whether everything but inputs, space and losses is as in the article."""
        return self.recipe == "fard2024" and self.scaling == PAPER_SCALE

    @property
    def recipe_name(self) -> str:
        """How the recipe differs from the article's, for readers; empty where it does not."""
        parts = [f"recipe {self.recipe}"] if self.recipe != "fard2024" else []
        return ", ".join([*parts, *([f"{self.scaling} scaling"] if self.scaling != PAPER_SCALE else [])])


def input_name(inputs: str) -> str:
    """The article's name of a set of inputs.

    Examples
    --------
    >>> input_name("T1w+pet"), input_name("T2w")
    ('MRI & PET', 'T2w')
    """
    return " & ".join(_INPUT_NAMES.get(role) or role_of(role).title for role in inputs.split("+"))


def loss_name(losses: str, *, short: bool = False) -> str:
    """The article's name of the terms of a loss, with weights that are not the usual ones; the short one is for axes.

    Examples
    --------
    >>> loss_name("L1+BCE+SSIM"), loss_name("L1+BCE(0.1)", short=True)
    ('1-norm + cross-entropy + SSIM', 'L1 + CE (0.1)')
    """
    names = _SHORT_LOSS_NAMES if short else _LOSS_NAMES
    terms = [term.partition("(") for term in _split_terms(losses)]
    return " + ".join(names.get(term, term) + (f" ({weight}" if weight else "") for term, _, weight in terms)


def _split_terms(losses: str) -> list[str]:
    # Not the sign of an exponent: 1e+06.
    return re.split(r"\+(?![^(]*\))", losses)


def space_name(space: str, *, short: bool = False) -> str:
    """``native`` for the T1w's own space, else ``template`` with the template's name; the short one is without it."""
    return "native" if space == T1W_SPACE else "template" + ("" if short else f" {space}")


def level_name(configuration: Configuration, kind: Kind) -> str:
    """Short name of what a comparison varies."""
    match kind:
        case "space":
            return space_name(configuration.space, short=True)
        case "loss":
            return loss_name(configuration.losses, short=True)
        case "inputs":
            return input_name(configuration.inputs)


def paper_rows(metrics: pd.DataFrame) -> pd.DataFrame:
    """Rows of the networks that the article's tables rest on: held-out participants, slices in the block, slice scale.

    Parameters
    ----------
    metrics : DataFrame
        Rows of :func:`bids_spectsynth.evaluation.group.tables.gather_metrics`.
    """
    rows = compared_rows(metrics)
    return rows[(rows["method"] == NETWORK) & (rows["scale"] == PAPER_SCALE)]


def seed_means(rows: pd.DataFrame, keys: Sequence[str] = ("configuration",)) -> pd.DataFrame:
    """Rows of models that differ by their seed alone, averaged slice by slice.

    Parameters
    ----------
    rows : DataFrame
    keys : sequence of str
        Columns that tell apart what is not to be averaged, besides the slices.

    Returns
    -------
    DataFrame
        Columns as before, those that differ between seeds from the first of them; in the order in which the keys first
        occur.
    """
    averaged = [average_seeds(own, list(METRICS)) for _, own in rows.groupby(list(keys), sort=False)]
    return pd.concat(averaged, ignore_index=True) if averaged else rows


def configurations(rows: pd.DataFrame) -> list[Configuration]:
    """The configurations of some rows: native space first, the article's losses and recipe first, MRI, PET, both.

    Parameters
    ----------
    rows : DataFrame
        Rows of ``group_metrics.tsv``.
    """
    columns = ["configuration", "inputs", "space", "losses", "recipe", "scaling", "training"]
    distinct = rows[columns].drop_duplicates()
    # Seeds that were not trained alike are like no other configuration.
    training = distinct.groupby("configuration")["training"].transform(joined)
    distinct = distinct.assign(training=training).drop_duplicates()
    found = {Configuration(*map(str, values)) for values in distinct.itertuples(index=False)}
    return sorted(found, key=_order)


def _order(configuration: Configuration) -> tuple[object, ...]:
    return (
        configuration.space != T1W_SPACE,
        configuration.space,
        not configuration.is_paper_recipe,
        _rank(configuration.recipe, _RECIPES),
        configuration.scaling,
        _rank(configuration.losses, _LOSSES),
        inputs_sort_key(configuration.inputs),
        configuration.training,
        configuration.name,
    )


def _rank(value: str, known: Sequence[str]) -> tuple[int, str]:
    return (known.index(value) if value in known else len(known), value)


def inputs_sort_key(inputs: str) -> tuple[int, str]:
    """Sort key that puts MRI, PET, and both of them before other inputs."""
    return _rank(inputs, _INPUTS)


def comparison_groups(found: Sequence[Configuration], kind: Kind) -> list[tuple[Configuration, ...]]:
    """Configurations that differ in one respect alone, as groups of two and more.

    Parameters
    ----------
    found : sequence of Configuration
        In the order of :func:`configurations`.
    kind : {'space', 'loss', 'inputs'}
        What differs within a group.
    """
    groups: dict[tuple[str, ...], list[Configuration]] = {}
    for one in found:
        fields = ("inputs", "space", "losses", "recipe", "scaling", "training")
        key = tuple(getattr(one, name) for name in fields if name != _VARIED[kind])
        groups.setdefault(key, []).append(one)
    return [tuple(group) for group in groups.values() if any(True for _ in pairs(group, kind))]


def pairs(group: Sequence[Configuration], kind: Kind) -> Iterator[tuple[Configuration, Configuration]]:
    """The pairs of a group that differ in what the comparison varies; of spaces, native ones against templates."""
    name = _VARIED[kind]
    for a, b in itertools.combinations(group, 2):
        if getattr(a, name) != getattr(b, name) and (kind != "space" or T1W_SPACE in (a.space, b.space)):
            yield a, b
