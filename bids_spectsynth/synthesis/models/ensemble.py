"""Several networks that make one image: folds of a cross-validation, seeds, orientations.

A model folder ``models/<label>`` holds one network (``model.json`` in it), or the members of an ensemble in folders of
their own and ``ensemble.json``, which names them. Every member folder is a complete model folder.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_spectsynth.bids.output_files import models_folder
from bids_spectsynth.bids.sidecars import VALUE_ERRORS, load_object, read_object
from bids_spectsynth.bids.writing import write_json
from bids_spectsynth.errors import ModelError, label_problem
from bids_spectsynth.synthesis.models.card import (
    CARD_FILE,
    ModelCard,
    is_selection_participant,
    is_training_participant,
    load_card,
)

ENSEMBLE_FILE = "ensemble.json"
FORMAT_VERSION = 1
#: What the folds of a cross-validation are, where they are no random ones.
_FOLDS, _SITES = "folds", "sites"
#: Names of folders as :func:`member_name` makes them, and how many networks anybody may have trained.
_MEMBER = re.compile(r"[A-Za-z0-9_-]{1,120}")
_MOST_MEMBERS = 1000


@dataclass(frozen=True)
class Member:
    """One network of a model: its folder, its card, its fold (0: none), and the label of the ensemble that it is of."""

    folder: Path
    card: ModelCard
    fold: int = 0
    ensemble: str = ""


def member_name(fold: int, number: int, orientation: str, *, n_folds: int, n_members: int, n_orientations: int) -> str:
    """Folder of a member in its model's folder; empty where the model is a single network.

    Parameters
    ----------
    fold, number : int
        From 1.
    orientation : str
    n_folds, n_members, n_orientations : int
        How many of each there are; what there is one of (no folds: 0 or 1) is not named.

    Examples
    --------
    >>> member_name(2, 1, "axial", n_folds=4, n_members=1, n_orientations=1)
    'fold-2'
    >>> member_name(1, 3, "coronal", n_folds=0, n_members=3, n_orientations=3)
    'member-3_orientation-coronal'
    """
    parts = [f"fold-{fold}"] if n_folds > 1 else []
    parts += [f"member-{number}"] if n_members > 1 else []
    parts += [f"orientation-{orientation}"] if n_orientations > 1 else []
    return "_".join(parts)


def write_ensemble(folder: Path, label: str, members: Sequence[tuple[str, int]], *, by_site: bool = False) -> None:
    """Write ``ensemble.json``, once all members are trained.

    Parameters
    ----------
    folder : Path
        ``models/<label>``.
    label : str
    members : sequence of (str, int)
        Folder of each member within ``folder``, and its fold (0 without cross-validation).
    by_site : bool
        Whether each fold holds out a site.
    """
    content = {
        "format_version": FORMAT_VERSION,
        "label": label,
        **({_FOLDS: _SITES} if by_site else {}),
        "members": [{"folder": name, "fold": fold} for name, fold in members],
    }
    write_json(folder / ENSEMBLE_FILE, content)


def holds_out_sites(folder: Path) -> bool:
    """Whether a model is of a cross-validation each fold of which holds out a site."""
    return read_object(folder / ENSEMBLE_FILE).get(_FOLDS) == _SITES


def is_model(folder: Path) -> bool:
    """Whether a folder holds a finished model: a network, or an ensemble of which all members are finished."""
    return (folder / ENSEMBLE_FILE).exists() or (folder / CARD_FILE).exists()


def find_models(output_dir: str | Path) -> list[Path]:
    """The folders ``models/<label>`` of all finished models in an output folder, sorted."""
    return sorted(path for path in models_folder(Path(output_dir)).glob("*") if path.is_dir() and is_model(path))


def read_ensemble(folder: Path) -> tuple[str, list[tuple[str, int]]]:
    """Label of an ensemble, and the folder of each member within its own with its fold; no card is read.

    Raises
    ------
    ModelError
        ``ensemble.json`` is missing or damaged.
    """
    path = folder / ENSEMBLE_FILE
    try:
        content = load_object(path)
        if content["format_version"] > FORMAT_VERSION:
            raise ModelError(f"{path}: written by a newer version; update bids_spectsynth")
        named = [(str(one["folder"]), int(one["fold"])) for one in content["members"]]
        label = str(content["label"])
        # A name with separators could point out of the model's folder.
        if not 0 < len(named) <= _MOST_MEMBERS or not all(_MEMBER.fullmatch(name) for name, _ in named):
            raise ValueError(f"1 to {_MOST_MEMBERS} members are needed, named by letters, digits, - and _")
        if len({name for name, _ in named}) < len(named):
            raise ValueError("a member is named twice")
        problem = label_problem(label)
        if problem:
            raise ValueError(f"label {label!r} {problem}")
    except VALUE_ERRORS as error:
        raise ModelError(f"{path}: damaged ({error}); copy the model folder again or train anew") from error
    return label, named


def load_members(folder: Path) -> tuple[Member, ...]:
    """Cards of a model's networks: one, or those of the ensemble.

    Raises
    ------
    ModelError
        There is no model, a member is missing, or a card is damaged.
    """
    path = folder / ENSEMBLE_FILE
    if not path.exists():
        return (Member(folder, load_card(folder)),)
    label, named = read_ensemble(folder)
    members = tuple(Member(folder / name, load_card(folder / name), fold, label) for name, fold in named)
    kinds = {(one.card.inputs, one.card.space, one.card.scaling, one.card.voxel_size) for one in members}
    if len(kinds) > 1:
        raise ModelError(f"{path}: its networks differ in inputs, space, scaling or voxel size; train the model anew")
    return members


def check_has_measured(members: Sequence[Member]) -> None:
    """Refuse to apply what has seen no measured image at all.

    Raises
    ------
    ModelError
        A network has learned from simulated heads alone.
    """
    for card in (member.card for member in members):
        if card.phantom and not card.participants:
            raise ModelError(
                f"model {card.label} has learned from simulated heads alone and is no model to apply; "
                "train one that starts from it with --initial-model"
            )


def model_name(members: Sequence[Member]) -> str:
    """Label of the whole model, whatever its folder is called: the ``desc-`` of its images."""
    return members[0].ensemble or members[0].card.label


def members_for(members: Sequence[Member], participant: str) -> tuple[Member, ...]:
    """The members that may serve a participant.

    Those that saw nothing of the participant; of a cross-validation these are the one fold that held the participant
    out, or all folds for somebody from elsewhere. Where every member knows the participant, all serve: the image is
    then not held out, and is not rated.

    Parameters
    ----------
    members : sequence of Member
    participant : str
        Label without ``sub-``.
    """
    unseen = tuple(
        one
        for one in members
        if not is_training_participant(one.card, participant) and not is_selection_participant(one.card, participant)
    )
    return unseen or tuple(members)
