"""What each baseline gets wrong on scans without a seizure: gathered once for an output folder, and kept."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bids_spectsynth.bids.output_files import find_synthetic, models_folder
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import INTERICTAL
from bids_spectsynth.bids.sidecars import read_object
from bids_spectsynth.bids.writing import write_json
from bids_spectsynth.siscom.baselines.request import Request
from bids_spectsynth.siscom.baselines.residuals import Difference, gather_errors
from bids_spectsynth.siscom.baselines.synthetic import siscom_label
from bids_spectsynth.siscom.significance.error_files import STEM, StoredError, load_error, save_error

logger = logging.getLogger(__name__)

#: Errors of baselines that are no model's lie here, in the output folder.
FOLDER = "siscom"


@dataclass(frozen=True)
class Errors:
    """Errors by the label of their baseline, and where each lies."""

    stored: Mapping[str, StoredError] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)


def errors_folder(output_dir: Path, label: str, models: Mapping[str, Path]) -> tuple[Path, str]:
    """Folder and stem of the files of a baseline's errors.

    Parameters
    ----------
    output_dir : Path
    label : str
        Of the baseline.
    models : mapping of str to Path
        Folder of each model, by the label of its baseline.
    """
    if label in models:
        return models[label], STEM
    return output_dir / FOLDER, f"error-{label}"


def baseline_errors(
    requests: Sequence[Request], models: Mapping[str, Path], fwhm: float, how: str, difference: Difference
) -> Errors:
    """The errors of all baselines of an output folder, gathered anew where what they come from has changed.

    A model of another place brings its own errors along, and nothing is written to its folder.

    Parameters
    ----------
    requests : sequence of Request
        One for each prepared case with an interictal SPECT.
    models : mapping of str to Path
        Folder of each model that is applied, by its label.
    fwhm : float
        Of the maps, mm.
    how : str
        How maps are made besides.
    difference : callable
        What makes them.

    Raises
    ------
    ModelError
        A file of errors is damaged.
    """
    folders = {siscom_label(label): folder for label, folder in models.items()}
    foreign = {}
    if requests:
        own = models_folder(requests[0].output_dir).resolve()
        foreign = {label: folder for label, folder in folders.items() if folder.resolve().parent != own}
    stored = {label: error for label, folder in foreign.items() if (error := load_error(folder)) is not None}
    files = {label: foreign[label] / f"{STEM}.json" for label in stored}
    template = _template([request.case for request in requests])
    if template is not None:
        identity = _identity(requests, template, fwhm, how)
        gathered = _gathered(requests, template, fwhm, identity, difference, folders)
        for label, (error, path) in gathered.items():
            stored.setdefault(label, error)
            files.setdefault(label, path)
    return Errors(stored, files)


def _template(cases: Sequence[PreparedCase]) -> str | None:
    """The template that most cases are registered to."""
    names = [case.template for case in cases if case.template is not None]
    return max(sorted(set(names)), key=names.count, default=None)


def _identity(requests: Sequence[Request], template: str, fwhm: float, how: str) -> str:
    """A fingerprint of everything that residuals depend on; images count by size and time."""
    files = []
    for request in requests:
        images = [path for role, path in request.case.images.items() if role == INTERICTAL or role in ("pet", "T1w")]
        images += [found.path for found in find_synthetic(request.output_dir, request.case)]
        splits = dict(sorted(request.splits.items()))
        files.append([request.case.name, splits, [(path.name, *_stamp(path)) for path in sorted(images)]])
    models = sorted(path.name for path in (requests[0].models if requests else ()))
    text = json.dumps([template, fwhm, how, models, files])
    return hashlib.sha256(text.encode()).hexdigest()


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _gathered(
    requests: Sequence[Request],
    template: str,
    fwhm: float,
    identity: str,
    difference: Difference,
    folders: Mapping[str, Path],
) -> dict[str, tuple[StoredError, Path]]:
    output_dir = requests[0].output_dir
    index = output_dir / FOLDER / "errors.json"
    kept = _kept(output_dir, identity)
    if kept is not None:
        return kept
    logger.info("Errors of the baselines on %d scans without a seizure", len(requests))
    found = {}
    own = models_folder(output_dir).resolve()
    for label, sums in gather_errors(requests, template, fwhm, difference).items():
        folder, stem = errors_folder(output_dir, label, folders)
        if folder.resolve().parent != own:
            folder, stem = output_dir / FOLDER, f"error-{label}"
        found[label] = save_error(folder, sums, label, identity, stem), folder / f"{stem}.json"
    paths = {label: path.relative_to(output_dir).as_posix() for label, (_, path) in found.items()}
    write_json(index, {"Description": "Where the errors of each baseline lie", "Identity": identity, "Files": paths})
    return found


def _kept(output_dir: Path, identity: str) -> dict[str, tuple[StoredError, Path]] | None:
    """What an earlier run has gathered from the same files; None where it has not."""
    content = read_object(output_dir / FOLDER / "errors.json")
    if content.get("Identity") != identity or not isinstance(content.get("Files"), dict):
        return None
    found = {}
    for label, relative in content["Files"].items():
        path = output_dir / str(relative)
        error = load_error(path.parent, path.stem)
        if error is None or error.identity != identity:
            return None
        found[str(label)] = error, path
    return found
