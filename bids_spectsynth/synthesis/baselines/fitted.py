"""The fitted baselines of a model, and their two files."""

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
from bids_spectsynth.options.settings import Scaling
from bids_spectsynth.synthesis.baselines.files import CARD_FILE, FORMAT_VERSION, TENSORS_FILE

#: Entries of the card that are no baseline's own.
_SHARED = (
    "Description", "FormatVersion", "Inputs", "Space", "Scaling", "Template", "NumberOfParticipants", "Calibration",
    "LeftOut",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Baselines:
    """The fitted baselines of one model.

    Parameters
    ----------
    inputs : tuple of str
        Roles of the model's inputs, which the regression uses.
    space, scaling : str
        As of the model.
    template : str or None
        Template of the mean images' grid.
    n_subjects : int
        Training participants.
    numbers : mapping of str to JSON values
        What the baselines keep in the card, by key.
    arrays : mapping of str to array
        What they keep as tensors, by name.
    left_out : mapping of str to str
        Reason by the name of each baseline that could not be fitted.
    calibration : mapping of str to (gain, offset)
        Of the baselines that are calibrated, see :class:`bids_spectsynth.synthesis.baselines.base.Baseline`.
    """

    inputs: tuple[str, ...]
    space: str
    scaling: Scaling
    template: str | None
    n_subjects: int
    numbers: Mapping[str, Any]
    arrays: Mapping[str, npt.NDArray[Any]]
    left_out: Mapping[str, str]
    calibration: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write ``baselines.safetensors`` and ``baselines.json``, each whole or not at all."""
        with atomic_file(folder / TENSORS_FILE) as file:
            file.write(save({name: np.ascontiguousarray(array) for name, array in self.arrays.items()}))
        card = {
            "Description": "Baselines beside the network, fitted on its training participants",
            "FormatVersion": FORMAT_VERSION,
            "Inputs": self.inputs,
            "Space": self.space,
            "Scaling": self.scaling,
            "Template": self.template,
            "NumberOfParticipants": self.n_subjects,
            **self.numbers,
            "Calibration": {name: list(pair) for name, pair in self.calibration.items()},
            "LeftOut": self.left_out,
        }
        write_json(folder / CARD_FILE, card)

    @classmethod
    def load(cls, folder: Path) -> "Baselines":
        """Read what :meth:`save` wrote.

        Raises
        ------
        ModelError
            A file is missing, damaged, or of a newer version.
        """
        try:
            card = load_object(folder / CARD_FILE)
            if card["FormatVersion"] < FORMAT_VERSION:
                raise ModelError(f"{folder / CARD_FILE}: written by an older version; train the model again")
            if card["FormatVersion"] > FORMAT_VERSION:
                raise ModelError(f"{folder / CARD_FILE}: written by a newer version; update bids_spectsynth")
            return cls(
                inputs=tuple(card["Inputs"]),
                space=card["Space"],
                scaling=card["Scaling"],
                template=card["Template"],
                n_subjects=int(card["NumberOfParticipants"]),
                numbers={name: value for name, value in card.items() if name not in _SHARED},
                arrays=load((folder / TENSORS_FILE).read_bytes()),
                left_out=dict(card["LeftOut"]),
                calibration={
                    name: (float(gain), float(offset)) for name, (gain, offset) in card["Calibration"].items()
                },
            )
        except (*VALUE_ERRORS, SafetensorError) as error:
            reason = " ".join(str(error).split())
            raise ModelError(f"{folder}: the baselines cannot be read ({reason}); train the model again") from error
