"""The file of a baseline's errors: sums with a card, beside the model that they are of."""

import secrets
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from bids_spectsynth.bids.sidecars import VALUE_ERRORS, load_object
from bids_spectsynth.bids.writing import atomic_file, write_json
from bids_spectsynth.errors import ModelError
from bids_spectsynth.images.grid import Grid
from bids_spectsynth.siscom.significance.cohort_error import MIN_PARTICIPANTS, ErrorSums
from bids_spectsynth.synthesis.models.card import participant_hash

FORMAT_VERSION = 2
#: Smoothing, mm, beyond which no brain is left.
_MOST_FWHM = 200
#: Name of the files without extension.
STEM = "siscom_error"
_TENSORS = ("count", "total", "squares")


@dataclass(frozen=True, eq=False)
class StoredError:
    """Sums of residuals as a file has them.

    Parameters
    ----------
    sums : ErrorSums
        Its participants are hashes, see :meth:`name_of`.
    baseline : str
        As ``desc-siscom<baseline>`` has it.
    identity : str
        What the residuals depend on: the weights of the model, how maps are made.
    salt : str
    how : str
        Level and gain of the maps; empty where the file does not say.
    """

    sums: ErrorSums
    baseline: str
    identity: str
    salt: str
    how: str = ""

    def name_of(self, participant: str) -> str:
        """What a participant (label without ``sub-``) is called in ``sums``."""
        return participant_hash(self.salt, participant)

    def has(self, participant: str) -> bool:
        """Whether a participant's residual is in the sums."""
        return self.name_of(participant) in self.sums.participants


def save_error(
    folder: Path, sums: ErrorSums, baseline: str, identity: str, stem: str = STEM, *, how: str = ""
) -> StoredError:
    """Write sums and card, each whole or not at all; labels of participants become salted hashes.

    Voxels of fewer than :data:`~bids_spectsynth.siscom.significance.cohort_error.MIN_PARTICIPANTS` become empty: they
    serve no map, and would show the residual of a single person.

    Parameters
    ----------
    folder : Path
        Of the model, for that of a synthetic baseline.
    sums : ErrorSums
        With labels of participants.
    baseline, identity : str
        See :class:`StoredError`.
    stem : str
        Name of the two files without extension.
    how : str
        See :class:`StoredError`.
    """
    enough = sums.count >= MIN_PARTICIPANTS
    count, total, squares = (np.where(enough, getattr(sums, name), 0.0) for name in _TENSORS)
    sums = replace(sums, count=count, total=total, squares=squares)
    salt = secrets.token_hex(16)
    named = sorted(
        (participant_hash(salt, label), peak) for label, peak in zip(sums.participants, sums.peaks, strict=True)
    )
    hashed, peaks = tuple(name for name, _ in named), tuple(peak for _, peak in named)
    with atomic_file(folder / f"{stem}.safetensors") as file:
        arrays = {name: np.ascontiguousarray(getattr(sums, name)) for name in _TENSORS}
        file.write(save({**arrays, "affine": np.ascontiguousarray(sums.grid.affine)}))
    card = {
        "Description": "Residuals of held-out scans without a seizure: real interictal minus baseline, percent",
        "FormatVersion": FORMAT_VERSION,
        "Baseline": baseline,
        "Template": sums.template,
        "SmoothingFWHM": sums.fwhm,
        "LevelAndGain": how,
        "NumberOfParticipants": len(hashed),
        "Identity": identity,
        "Salt": salt,
        "Participants": hashed,
        "Peaks": [round(peak, 4) if np.isfinite(peak) else None for peak in peaks],
    }
    write_json(folder / f"{stem}.json", card)
    return StoredError(replace(sums, participants=hashed, peaks=peaks), baseline, identity, salt, how)


def load_error(folder: Path, stem: str = STEM) -> StoredError | None:
    """Read what :func:`save_error` wrote; None where there is none.

    Parameters
    ----------
    folder : Path
    stem : str

    Raises
    ------
    ModelError
        A file is damaged or of another version.
    """
    path = folder / f"{stem}.json"
    if not path.exists():
        return None
    try:
        card = load_object(path)
        if card["FormatVersion"] != FORMAT_VERSION:
            raise ModelError(
                f"{path}: of version {card['FormatVersion']}, not {FORMAT_VERSION}; remove it to have it made"
            )
        arrays = load((folder / f"{stem}.safetensors").read_bytes())
        count, total, squares = (np.asarray(arrays[name], dtype=np.float64) for name in _TENSORS)
        if not count.shape == total.shape == squares.shape or count.ndim != 3 or arrays["affine"].shape != (4, 4):
            raise ValueError("arrays of different shapes")
        i, j, k = count.shape
        sums = ErrorSums(
            template=str(card["Template"]),
            fwhm=float(card["SmoothingFWHM"]),
            grid=Grid((i, j, k), np.asarray(arrays["affine"], dtype=np.float64)),
            count=count,
            total=total,
            squares=squares,
            participants=tuple(map(str, card["Participants"])),
            peaks=tuple(float("nan") if peak is None else float(peak) for peak in card["Peaks"]),
        )
        if not 0 < sums.fwhm < _MOST_FWHM or not all(np.isfinite(one).all() for one in arrays.values()):
            raise ValueError("a width or an array that is not finite")
        if len(sums.peaks) != len(sums.participants):
            raise ValueError("not as many peaks as participants")
        how = str(card.get("LevelAndGain", ""))
        return StoredError(sums, str(card["Baseline"]), str(card["Identity"]), str(card["Salt"]), how)
    except (*VALUE_ERRORS, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{path}: cannot be read ({reason}); remove it, and it is made again") from error


def error_files(folder: Path, stem: str = STEM) -> list[Path]:
    """The files of errors that a folder holds."""
    return [path for path in (folder / f"{stem}.json", folder / f"{stem}.safetensors") if path.exists()]
