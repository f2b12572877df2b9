"""The prepared cohort: who may be trained on, who is held out, and which models it has."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from bids_spectsynth.bids.names import bare_label
from bids_spectsynth.bids.prepared import PreparedCase, find_prepared
from bids_spectsynth.bids.roles import INTERICTAL
from bids_spectsynth.errors import ModelError
from bids_spectsynth.options.settings import BY_SITE, Settings
from bids_spectsynth.synthesis.cohort.hold_out import held_out
from bids_spectsynth.synthesis.cohort.sites import check_held_out_sites, read_sites, site_splits
from bids_spectsynth.synthesis.cohort.split import (
    PARTS,
    Part,
    fold_splits,
    read_split_file,
    split_by_counts,
    split_participants,
)
from bids_spectsynth.synthesis.models.ensemble import Member, find_models, load_members


class ImageCase(Protocol):
    """What a split needs to know of a case, prepared or not."""

    @property
    def participant(self) -> str:
        """Label without ``sub-``."""

    @property
    def images(self) -> Mapping[str, object]:
        """Images by role."""

    @property
    def is_state_assumed(self) -> bool:
        """Whether it has an interictal SPECT whose name does not say that it is one."""


AnyCase = TypeVar("AnyCase", bound=ImageCase)


def trainable(cases: Sequence[AnyCase], inputs: Sequence[str]) -> list[AnyCase]:
    """The cases with every input and a SPECT that is known to be interictal."""
    complete = [case for case in cases if all(role in case.images for role in (INTERICTAL, *inputs))]
    return [case for case in complete if not case.is_state_assumed]


def finished_models(settings: Settings) -> dict[Path, tuple[Member, ...]]:
    """Finished models in the output folder, in the requested spaces, with their networks; by folder.

    Raises
    ------
    ModelError
        There is none, or a card is damaged.
    """
    found = {path: load_members(path) for path in find_models(settings.output_dir)}
    # The members of one model share inputs and space.
    fitting = {path: members for path, members in found.items() if members[0].card.space in settings.spaces}
    if not fitting:
        spaces = ", ".join(settings.output_spaces)
        raise ModelError(
            f"{settings.output_dir / 'models'}: no finished model in space {spaces}; run --mode train first or give "
            "--model"
        )
    return fitting


@dataclass(frozen=True)
class Cohort(Generic[AnyCase]):
    """The cases by space, the splits of their participants, and those that have no part in it.

    Parameters
    ----------
    cases : mapping of space to list of cases
    folds : tuple of mapping of participant to part
        One split, or that of each fold of a cross-validation.
    left_out : frozenset of str
        Participants that could take part but are in no split.
    """

    cases: Mapping[str, Sequence[AnyCase]]
    folds: tuple[Mapping[str, Part], ...]
    left_out: frozenset[str] = frozenset()

    @property
    def n_folds(self) -> int:
        """How many folds a cross-validation has; 0 for one split."""
        return len(self.folds) if len(self.folds) > 1 else 0

    @property
    def split(self) -> dict[str, str]:
        """Part of each participant; ``cross-validated`` where it differs between folds."""
        parts = {label: {fold[label] for fold in self.folds} for label in self.folds[0]}
        return {label: next(iter(own)) if len(own) == 1 else "cross-validated" for label, own in parts.items()}

    def part(self, space: str, inputs: Sequence[str], part: Part, fold: int = 0) -> tuple[AnyCase, ...]:
        """Cases of one part of a split that a model of these inputs can use.

        Parameters
        ----------
        space : str
        inputs : sequence of str
            Roles that a case must have, besides the interictal SPECT.
        part : {'train', 'validation', 'test'}
        fold : int
            From 1; 0 without folds.
        """
        split = self.folds[max(fold - 1, 0)]
        return tuple(c for c in trainable(self.cases[space], inputs) if split.get(c.participant) == part)

    def counts(self) -> str:
        """How many participants are in which part, in words."""
        first = list(self.folds[0].values())
        words = ", ".join(f"{first.count(part)} {part}" for part in PARTS)
        if len(self.folds) > 1:
            sizes = [list(fold.values()).count("test") for fold in self.folds]
            always = list(self.split.values()).count("test")
            own = ", ".join(str(size - always) for size in sizes)
            words = f"{len(sizes)} folds that hold out {own}; fold 1: {words}"
            words += f" ({always} of them in every fold)" if always else ""
        return words + (f"; {len(self.left_out)} excluded" if self.left_out else "")


def make_cohort(settings: Settings, names: Collection[str] | None) -> Cohort[PreparedCase]:
    """Split everybody who is prepared and can be trained on; see :func:`split_cohort`.

    Parameters
    ----------
    settings : Settings
    names : collection of str, optional
        Cases (``sub-01``, ``sub-01_ses-x``) to choose from; None for ``participant_label``, or all that is prepared.
        ``session_label`` restricts both to its sessions and what is outside sessions.

    Raises
    ------
    ModelError
        Nothing is prepared, or see :func:`split_cohort`.
    UsageError
        See :func:`split_cohort`.
    """
    cases = {}
    sessions = {None, *(bare_label(label, "ses") for label in settings.session_label)}
    for space in settings.spaces:
        found = find_prepared(settings.output_dir, space, settings.participant_label)
        found = [case for case in found if not settings.session_label or case.session in sessions]
        cases[space] = [case for case in found if names is None or case.name in names]
        if not cases[space]:
            raise ModelError(f"{settings.output_dir}: nobody is prepared in {space}; run --mode preprocess first")
    return split_cohort(settings, cases)


def split_cohort(settings: Settings, cases: Mapping[str, Sequence[AnyCase]]) -> Cohort[AnyCase]:
    """Split everybody who can be trained on; one split (or one set of folds) serves all models of a run.

    All sessions of a participant fall on one side. The models are thus compared on the same held-out participants.

    Parameters
    ----------
    settings : Settings
        With the inputs of all models.
    cases : mapping of space to cases

    Raises
    ------
    ModelError
        Nobody has an interictal SPECT, or there are too few participants.
    UsageError
        The split file does not fit the participants, or the column to hold out by is not there.
    """
    everybody = {case.participant for found in cases.values() for case in found}
    usable = sorted({c.participant for found in cases.values() for i in settings.inputs for c in trainable(found, i)})
    if not usable:
        wanted = " or ".join("+".join(inputs) for inputs in settings.inputs)
        assumed = {case.participant for found in cases.values() for case in found if case.is_state_assumed}
        unnamed = f" ({len(assumed)} with a SPECT whose name lacks task-interictal: rename it)" if assumed else ""
        raise ModelError(
            f"{settings.output_dir}: no participant has an interictal SPECT and {wanted}{unnamed}, so there is nothing "
            "to train on; use --mode preprocess to prepare only, or --model to apply a trained model"
        )
    folds = _folds(settings, usable, everybody)
    return Cohort(cases, folds, frozenset(usable) - set(folds[0]))


def _folds(settings: Settings, usable: Sequence[str], everybody: Collection[str]) -> tuple[dict[str, Part], ...]:
    if settings.split_file is not None:
        return (read_split_file(settings.split_file, usable, known=everybody),)
    kept = held_out(settings) & set(usable)
    others = [label for label in usable if label not in kept]
    seed = settings.random_seed
    folds: tuple[dict[str, Part], ...]
    if settings.cross_validate == BY_SITE:
        sites = read_sites(settings)
        check_held_out_sites(kept, others, sites)
        folds = site_splits(others, sites, settings.split, seed)
    elif settings.cross_validate:
        folds = fold_splits(others, settings.cross_validate, settings.split, seed)
    elif settings.split_counts is not None:
        folds = (split_by_counts(others, settings.split_counts, seed),)
    else:
        folds = (split_participants(others, settings.split, seed),)
    tested: dict[str, Part] = dict.fromkeys(kept, "test")
    return tuple(dict(sorted({**fold, **tested}.items())) for fold in folds)
