"""The files of a calibration, beside the model that it is of."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from bids_spectsynth.bids.sidecars import VALUE_ERRORS, load_object
from bids_spectsynth.bids.writing import atomic_file, write_json
from bids_spectsynth.errors import ModelError
from bids_spectsynth.evaluation.uncertainty.calibration_fit import PLACE, Calibration, RegionalScale
from bids_spectsynth.evaluation.uncertainty.factors import LEVELS, MIN_PARTICIPANTS
from bids_spectsynth.evaluation.uncertainty.predictors import EDGES, NETWORK
from bids_spectsynth.evaluation.uncertainty.predictors import UPTAKE as UPTAKE_PREDICTOR
from bids_spectsynth.evaluation.uncertainty.residual_map import SHAPE, ResidualSums
from bids_spectsynth.evaluation.uncertainty.residuals import ASYMMETRY, UPTAKE
from bids_spectsynth.synthesis.models.card import participant_hash

FORMAT_VERSION = 1
#: By which an earlier way of calibrating is told from this one: calibrations are then made again.
METHOD_VERSION = 1
#: What a calibration may rest on.
PREDICTORS = (EDGES, NETWORK, UPTAKE_PREDICTOR, PLACE)
#: Names of the files without extension: for everybody, and for the participants behind the calibration.
STEM, HELD_OUT_STEM = "calibration", "calibration_heldout"
#: Key of both JSON files where inputs were harmonised.
_WIDTHS = "HarmonisedFWHM"


@dataclass(frozen=True, eq=False)
class StoredCalibrations:
    """The calibrations of a model.

    Parameters
    ----------
    everybody : Calibration
        For all who did not go into it.
    held_out : mapping of str to Calibration
        By hash: for each participant that went into it, one without that participant. Empty where the model has come
        from elsewhere without that file.
    salt : str
        Of the hashes.
    identity : str
        Of the networks whose images are calibrated.
    widths : mapping of str to float
        Resolution (FWHM, mm) to which the inputs of those images were brought, by role; empty where they were not.
    """

    everybody: Calibration
    held_out: Mapping[str, Calibration]
    salt: str
    identity: str
    widths: Mapping[str, float] = field(default_factory=dict)

    def of(self, participant: str) -> Calibration:
        """The calibration that a participant (label without ``sub-``) did not go into."""
        return self.held_out.get(participant_hash(self.salt, participant), self.everybody)


def calibration_paths(folder: Path) -> list[Path]:
    """The four files in a model's folder, whether they are there or not."""
    return [folder / f"{stem}.{extension}" for stem in (STEM, HELD_OUT_STEM) for extension in ("json", "safetensors")]


def save_calibrations(
    folder: Path,
    everybody: Calibration,
    held_out: Mapping[str, Calibration],
    identity: str,
    widths: Mapping[str, float] | None = None,
) -> None:
    """Write the calibrations of a model, each file whole or not at all.

    Parameters
    ----------
    folder : Path
        ``models/<label>``.
    everybody : Calibration
    held_out : mapping of str to Calibration
        By label of the participant that did not go in; labels become salted hashes.
    identity : str
        Of the networks.
    widths : mapping of str to float, optional
        Resolution (FWHM, mm) to which the inputs of the images were brought, by role.
    """
    salt = _salt(identity, everybody, held_out)
    hashed = {participant_hash(salt, label): one for label, one in held_out.items()}
    shared: dict[str, Any] = {
        "FormatVersion": FORMAT_VERSION,
        "Identity": identity,
        "Salt": salt,
        "Levels": list(everybody.levels),
    }
    if widths:
        shared[_WIDTHS] = dict(widths)
    records = {STEM: {"": everybody}, HELD_OUT_STEM: dict(sorted(hashed.items()))}
    about = {
        STEM: "How large errors of the model's images are, from held-out participants; for everybody else",
        HELD_OUT_STEM: "The same for each of those participants, from the others; not needed elsewhere",
    }
    for stem, own in records.items():
        maps = save({f"{part}{name}": values for name, one in own.items() for part, values in _maps(one)})
        with atomic_file(folder / f"{stem}.safetensors") as file:
            file.write(maps)
        numbers = {name: _numbers(one) for name, one in own.items()}
        content = {**shared, "Maps": hashlib.sha256(maps).hexdigest(), "Calibrations": numbers}
        write_json(folder / f"{stem}.json", {"Description": about[stem], **content})


def _salt(identity: str, everybody: Calibration, held_out: Mapping[str, Calibration]) -> str:
    """A salt that is the same whenever the same calibrations are made: what is equal has equal files."""
    digest = hashlib.sha256(f"{identity} {sorted(held_out)} {_numbers(everybody)}".encode())
    return digest.hexdigest()[:32]


def load_calibrations(folder: Path) -> StoredCalibrations | None:
    """Read what :func:`save_calibrations` wrote; None where there is none.

    Raises
    ------
    ModelError
        A file is damaged, incomplete, or of another version.
    """
    if not (folder / f"{STEM}.json").exists():
        return None
    card, found = _load(folder, STEM)
    if "" not in found:
        raise ModelError(f"{folder / STEM}.json: has no calibration; remove it, and it is made again")
    held_out: Mapping[str, Calibration] = {}
    if (folder / f"{HELD_OUT_STEM}.json").exists():
        other, held_out = _load(folder, HELD_OUT_STEM)
        if other.salt != card.salt:
            raise ModelError(f"{folder / HELD_OUT_STEM}.json: not of {STEM}.json; remove both, and they are made again")
    return StoredCalibrations(found[""], held_out, card.salt, card.identity, card.widths)


def _maps(one: Calibration) -> list[tuple[str, npt.NDArray[np.float32]]]:
    return [("squares", one.place.squares.astype(np.float32)), ("weights", one.place.weights.astype(np.float32))]


def _numbers(one: Calibration) -> dict[str, Any]:
    return {
        "NumberOfParticipants": one.n_participants,
        "Template": one.template,
        "Predictors": list(one.predictors),
        "Coefficients": one.coefficients.tolist(),
        "SdFactor": one.sd_factor,
        "Factors": list(one.factors),
        "Regional": {
            measure: {"Scales": dict(scale.scales), "Usual": scale.usual, "Factors": list(scale.factors)}
            for measure, scale in one.regional.items()
        },
    }


@dataclass(frozen=True)
class _Card:
    salt: str
    identity: str
    widths: Mapping[str, float]


def _load(folder: Path, stem: str) -> tuple[_Card, dict[str, Calibration]]:
    path = folder / f"{stem}.json"
    try:
        card = load_object(path)
        if card["FormatVersion"] != FORMAT_VERSION or tuple(card["Levels"]) != LEVELS:
            raise ModelError(f"{path}: of another version; remove it, and it is made again")
        maps = (folder / f"{stem}.safetensors").read_bytes()
        if hashlib.sha256(maps).hexdigest() != card["Maps"]:
            raise ValueError("its maps are of another calibration")
        arrays = load(maps)
        found = {str(name): _calibration(one, arrays, name) for name, one in card["Calibrations"].items()}
        widths = {str(role): _positive(width) for role, width in card.get(_WIDTHS, {}).items()}
        return _Card(str(card["Salt"]), str(card["Identity"]), widths), found
    except (*VALUE_ERRORS, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{path}: cannot be read ({reason}); remove it, and it is made again") from error


def _calibration(numbers: Mapping[str, Any], arrays: Mapping[str, Any], name: str) -> Calibration:
    squares, weights = (np.asarray(arrays[f"{part}{name}"], dtype=np.float64) for part in ("squares", "weights"))
    if squares.shape != SHAPE or weights.shape != SHAPE or not np.isfinite([squares, weights]).all():
        raise ValueError("a map of another shape, or not finite")
    predictors = tuple(map(str, numbers["Predictors"]))
    coefficients = np.array([_finite(value) for value in numbers["Coefficients"]])
    if len(coefficients) != len(predictors) + 1:
        raise ValueError("not as many coefficients as predictors")
    if not set(predictors) <= set(PREDICTORS) or len(set(predictors)) < len(predictors):
        raise ValueError("predictors that there are not")
    n_participants = int(_positive(numbers["NumberOfParticipants"]))
    if n_participants < MIN_PARTICIPANTS:
        raise ValueError(f"{n_participants} participants are too few")
    template = numbers["Template"]
    return Calibration(
        predictors=predictors,
        coefficients=coefficients,
        place=ResidualSums(np.maximum(squares, 0), np.maximum(weights, 0)),
        sd_factor=_positive(numbers["SdFactor"]),
        factors=_factors(numbers["Factors"]),
        regional={measure: _scale(numbers["Regional"][measure]) for measure in (UPTAKE, ASYMMETRY)},
        n_participants=n_participants,
        template=None if template is None else str(template),
    )


def _scale(numbers: Mapping[str, Any]) -> RegionalScale:
    scales = {str(name): _positive(value) for name, value in numbers["Scales"].items()}
    return RegionalScale(scales=scales, usual=_positive(numbers["Usual"]), factors=_factors(numbers["Factors"]))


def _factors(values: Any) -> tuple[float, ...]:
    factors = tuple(_positive(value) for value in values)
    if len(factors) != len(LEVELS):
        raise ValueError("not as many factors as levels")
    return factors


def _positive(value: Any) -> float:
    number = _finite(value)
    if not number > 0:
        raise ValueError(f"{number} is not above zero")
    return number


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no finite number")
    return float(value)
