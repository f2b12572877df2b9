"""What is known of a model: the content of ``model.json``."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bids_spectsynth.bids.sidecars import VALUE_ERRORS, load_object
from bids_spectsynth.errors import ModelError, label_problem, size_text
from bids_spectsynth.options.presets import CONFIG_NAMES, PRESETS, RECIPE_OPTIONS
from bids_spectsynth.options.settings import T1W_SPACE, Scaling
from bids_spectsynth.synthesis.data.orientation import ORIENTATIONS, slice_size
from bids_spectsynth.synthesis.models.card_schema import check_values
from bids_spectsynth.synthesis.network.recipe import recipe_of

#: 1 had no recipes, 2 no cropped slices, 3 no initial models, 4 no harmonised inputs: earlier software refuses what it
#: would apply wrongly, or whose participants it would take for held out.
FORMAT_VERSION = 5
#: Of a card with initial models, and of one without either, which earlier software may read.
_INITIAL_FORMAT_VERSION, PLAIN_FORMAT_VERSION = 4, 3
_READABLE = (1, 2, 3, 4, 5)
CARD_FILE = "model.json"
STATEMENT = (
    "This model makes synthetic interictal SPECT. Its images are estimates from other scans, not measurements, and are "
    "not for diagnosis."
)


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What is known of a model; the content of ``model.json``.

    Parameters
    ----------
    label : str
        Letters and digits; the ``desc-`` of its images.
    inputs : tuple of str
        Roles of the input channels, in order.
    target : str
    space : str
        ``T1w`` or a template name.
    voxel_size : float
        mm.
    grid_shape : tuple of int
        (I, J, K) of the prepared images.
    scaling : {'slice', 'volume'}
    architecture : mapping
        ``levels``, ``base_filters``, ``input_channels``, ``output_channels`` of the generator, ``slice_shape`` (height
        and width of the slices that it learned from), and what else there is.
    losses : mapping
        Weights of the terms.
    training : mapping
        Epochs, best epoch, batch, rates, seed, precision, device, counts of participants and slices.
    versions : mapping
        Of this package, torch and Python.
    target_statistics : mapping
        ``mean_in_brain`` and ``units`` of the training cohort's SPECT, and with ``heights``, ``log_gain`` and
        ``log_step`` its shape along the axis (:mod:`bids_spectsynth.synthesis.data.through_slice`).
    validation : mapping
        In-brain metrics of the best epoch.
    config : mapping
        The training configuration in full.
    salt, participants : str, tuple of str
        Salted SHA-256 of the training participants' labels, see :func:`is_training_participant`.
    selection_participants : tuple of str
        The same of the validation participants, who chose the epoch, see :func:`is_selection_participant`.
    weights_sha256 : str
        Checksum of the weights, see :func:`weights_checksum`.
    prior_sha256 : str
        Checksum of the baselines' files, of which a cohort prior is made; empty without one.
    licence, created, statement : str
    phantom : bool or None
        Whether it was trained on simulated data; None if unknown.
    initial_models : tuple of mapping
        The model whose weights the training started from, the one that this started from, and so on: ``label``,
        ``weights_sha256``, ``created``, ``phantom``, ``salt``, ``participants`` and ``selection_participants`` of each.
    scans : mapping
        Resolution, cameras, tracers and attenuation correction of the training scans, by role
        (:func:`bids_spectsynth.synthesis.data.scans.describe_scans`); empty where they were not recorded.
    harmonised : mapping of str to float
        Resolution (FWHM, mm) to which sharper inputs are brought, by role; empty without ``--harmonise``.
    """

    label: str
    inputs: tuple[str, ...]
    target: str
    space: str
    voxel_size: float
    grid_shape: tuple[int, int, int]
    scaling: Scaling
    architecture: Mapping[str, Any]
    losses: Mapping[str, float]
    training: Mapping[str, Any]
    versions: Mapping[str, str]
    target_statistics: Mapping[str, Any]
    validation: Mapping[str, float]
    config: Mapping[str, Any]
    salt: str
    participants: tuple[str, ...]
    selection_participants: tuple[str, ...]
    weights_sha256: str
    created: str
    prior_sha256: str = ""
    licence: str = "unspecified; ask the authors"
    statement: str = STATEMENT
    phantom: bool | None = None
    initial_models: tuple[Mapping[str, Any], ...] = ()
    scans: Mapping[str, Any] = field(default_factory=dict)
    harmonised: Mapping[str, float] = field(default_factory=dict)
    format_version: int = field(default=PLAIN_FORMAT_VERSION)

    @property
    def configuration(self) -> str:
        """What the model shares with those that were trained with other seeds: its label without the seed."""
        return str(self.config.get("configuration") or self.label)

    @property
    def seed(self) -> int:
        """Seed of initial weights, order and dropout; -1 if unknown."""
        return int(self.config.get("seed", -1))

    @property
    def preset_name(self) -> str:
        """``fard2024`` or ``best`` where, inputs and losses aside, all is as in a preset; else ``custom``."""
        # What an older card lacks did not exist then: it was as in the article.
        old = PRESETS["fard2024"]
        own = {name: _plain(self.config.get(CONFIG_NAMES.get(name, name), old[name])) for name in RECIPE_OPTIONS}
        for preset, values in PRESETS.items():
            if all(own[name] == _plain(values[name]) for name in RECIPE_OPTIONS):
                return preset
        return "custom"

    @property
    def slice_shape(self) -> tuple[int, int]:
        """Height and width of the slices that the network learned from; earlier ones learned from whole slices."""
        whole = slice_size(self.grid_shape, self.config.get("orientation", "axial"))
        height, width = self.architecture.get("slice_shape", whole)
        return height, width

    @property
    def is_cropped(self) -> bool:
        """Whether the network learned from slices that were cropped to the brain."""
        return self.slice_shape != slice_size(self.grid_shape, self.config.get("orientation", "axial"))

    @property
    def template(self) -> str | None:
        """The template whose space the model works in; None for the T1w's own."""
        return None if self.space == T1W_SPACE else self.space


def format_version(*, initial_models: bool, harmonised: bool) -> int:
    """The lowest version that says all that a card of such a model must say."""
    return FORMAT_VERSION if harmonised else _INITIAL_FORMAT_VERSION if initial_models else PLAIN_FORMAT_VERSION


def participant_hash(salt: str, participant: str) -> str:
    """SHA-256 of salt and label (without ``sub-``), hexadecimal."""
    return hashlib.sha256(f"{salt}:{participant}".encode()).hexdigest()


def is_training_participant(card: ModelCard, participant: str) -> bool:
    """Whether the model was trained on a participant of this label (without ``sub-``), or one that it started from was.

    Labels are compared, not people: ``01`` of another dataset counts as the ``01`` that trained.
    """
    known = ((card.salt, card.participants), *((one["salt"], one["participants"]) for one in card.initial_models))
    return any(participant_hash(salt, participant) in hashes for salt, hashes in known)


def has_trained(card: ModelCard, participant: str) -> bool:
    """Whether the model's own training had a participant of this label; what is fitted beside it has seen the same."""
    return participant_hash(card.salt, participant) in card.participants


def is_selection_participant(card: ModelCard, participant: str) -> bool:
    """Whether a participant of this label (without ``sub-``) was among those that chose the model's epoch.

    Or that of a model that it started from.
    """
    earlier = ((one["salt"], one["selection_participants"]) for one in card.initial_models)
    known = ((card.salt, card.selection_participants), *earlier)
    return any(participant_hash(salt, participant) in hashes for salt, hashes in known)


#: Fields that say how a model came to be; its images and their sidecars have nothing of them.
_HISTORY = ("created", "initial_models", "licence", "participants", "salt", "scans", "selection_participants",
            "statement", "training", "validation", "versions")  # fmt: skip
#: Fields of which a card that does not use them has the checksum of before there were such.
_LATER = ("harmonised",)


def card_checksum(card: ModelCard) -> str:
    """SHA-256 of what a model's images depend on besides its weights: a corrected card makes them outdated."""
    own = dataclasses.asdict(card)
    content = {name: own[name] for name in own if name not in _HISTORY and (own[name] or name not in _LATER)}
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def load_card(folder: Path) -> ModelCard:
    """Read ``model.json``.

    Raises
    ------
    ModelError
        There is no such folder or card, or the card is damaged or of a newer version.
    """
    path = folder / CARD_FILE
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such model folder")
    try:
        content = load_object(path)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such file; not a model folder, or its training is not finished") from error
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); copy the model folder again") from error
    version = content.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ModelError(
            f"{path}: card of version {version}, this software knows up to {FORMAT_VERSION}; update bids_spectsynth"
        )
    if version not in _READABLE:
        raise ModelError(f"{path}: not a model card of bids_spectsynth (no format_version {FORMAT_VERSION})")
    return _card_from(content, path)


def _card_from(content: dict[str, Any], path: Path) -> ModelCard:
    fields = {f.name: f for f in dataclasses.fields(ModelCard)}
    values = {name: value for name, value in content.items() if name in fields}
    try:
        for name in ("inputs", "participants", "selection_participants", "grid_shape"):
            values[name] = tuple(values[name])
        values["initial_models"] = tuple(values.get("initial_models", ()))
        card = ModelCard(**values)
        _check_card(card)
    except VALUE_ERRORS as error:
        raise ModelError(f"{path}: incomplete or damaged card ({error}); copy the model folder again") from error
    return card


def _check_card(card: ModelCard) -> None:
    """Raise KeyError, TypeError or ValueError where the card lacks what applying the model needs."""
    check_values(vars(card))
    levels = int(card.architecture["levels"])
    recipe = recipe_of(card.config, len(card.inputs))
    if card.architecture["input_channels"] != recipe.n_channels or recipe.orientation not in ORIENTATIONS:
        raise ValueError("the number of inputs is not that of the network")
    if not all(type(n) is int for n in card.slice_shape):
        raise ValueError("slice_shape is not two whole numbers")
    whole = slice_size(card.grid_shape, recipe.orientation)
    fits = all(0 < n <= m and n % 2**levels == 0 for n, m in zip(card.slice_shape, whole, strict=True))
    if card.is_cropped and not fits:
        raise ValueError(
            f"slices of {size_text(card.slice_shape)} pixels do not fit the grid or the levels of the network"
        )
    problem = label_problem(card.label)
    if problem:
        raise ValueError(f"label {card.label!r} {problem}")
    statistics = card.target_statistics
    if len({len(statistics[name]) for name in ("heights", "log_gain", "log_step")}) != 1:
        raise ValueError("the profiles along the axis differ in length")
