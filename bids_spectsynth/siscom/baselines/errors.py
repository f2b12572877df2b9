"""What each baseline gets wrong on scans without a seizure: gathered once for an output folder, and kept."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bids_spectsynth.bids.output_files import find_synthetic, models_folder
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import INTERICTAL, PET, T1W
from bids_spectsynth.bids.sidecars import read_object
from bids_spectsynth.bids.writing import write_json
from bids_spectsynth.errors import ModelError
from bids_spectsynth.siscom.baselines.request import Request
from bids_spectsynth.siscom.baselines.residuals import Difference, countable, gather_errors
from bids_spectsynth.siscom.baselines.synthetic import siscom_label
from bids_spectsynth.siscom.significance.cohort_error import MIN_PARTICIPANTS, ErrorSums
from bids_spectsynth.siscom.significance.error_files import STEM, StoredError, error_files, load_error, save_error
from bids_spectsynth.synthesis.baselines.files import baseline_files

logger = logging.getLogger(__name__)

#: To be raised with every change of how residuals are computed: what was gathered before is then gathered anew.
_COMPUTATION = 2
#: Errors of baselines that are no model's lie here, in the output folder.
FOLDER = "siscom"


@dataclass(frozen=True)
class Errors:
    """What the baselines of an output folder get wrong.

    Parameters
    ----------
    stored : mapping of str to StoredError
        By the label of the baseline.
    files : mapping of str to Path
        Where each lies.
    foreign : frozenset of str
        Labels of those that came with a model of another place.
    own : mapping of str to sequence of Request
        By participant, the cases that may have gone into those that were gathered here, in their order.
    too_few : mapping of str to int
        How many participants there are of baselines of which nothing is kept, because they are too few.
    """

    stored: Mapping[str, StoredError] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    foreign: frozenset[str] = frozenset()
    own: Mapping[str, Sequence[Request]] = field(default_factory=dict)
    too_few: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Gathered:
    """What was gathered in this output folder: errors and their files, and numbers of those not kept."""

    kept: Mapping[str, tuple[StoredError, Path]] = field(default_factory=dict)
    too_few: Mapping[str, int] = field(default_factory=dict)


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
    output_dir: Path,
    requests: Sequence[Request],
    models: Mapping[str, Path],
    fwhm: float,
    how: str,
    difference: Difference,
    threads: int = 1,
) -> Errors:
    """The errors of all baselines of an output folder, gathered anew where what they come from has changed.

    A model of another place brings its own errors along, and nothing is written to its folder. Of fewer than
    :data:`~bids_spectsynth.siscom.significance.cohort_error.MIN_PARTICIPANTS` nothing is written at all: it would serve
    no map, and show the residuals of single persons.

    Parameters
    ----------
    output_dir : Path
    requests : sequence of Request
        One for each prepared case with an interictal SPECT.
    models : mapping of str to Path
        Folder of each model that is applied or lies in the output folder, by its label.
    fwhm : float
        Of the maps, mm.
    how : str
        Level and gain of the maps.
    difference : callable
        What makes them.
    threads : int
        Cases that are worked on at the same time.

    Raises
    ------
    ModelError
        A file of errors in the output folder is damaged; one of another place is logged and left out.
    """
    folders = {siscom_label(label): folder for label, folder in models.items()}
    here = models_folder(output_dir).resolve()
    foreign = {label: folder for label, folder in folders.items() if folder.resolve().parent != here}
    stored = {label: error for label, folder in foreign.items() if (error := _brought(label, folder)) is not None}
    files = {label: foreign[label] / f"{STEM}.json" for label in stored}
    brought = frozenset(stored)
    gathered: _Gathered | None = None
    own: dict[str, list[Request]] = {}
    template = _template([request.case for request in requests])
    if template is not None:
        identity = _identity(requests, template, fwhm, how)
        gathered = _kept(output_dir, identity)
        if gathered is None:
            logger.info("Errors of the baselines on %d scans without a seizure", len(requests))
            sums = gather_errors(requests, template, fwhm, difference, threads=threads)
            gathered = _save(output_dir, sums, how, identity, folders)
        for request in countable(requests, template):
            own.setdefault(request.case.participant, []).append(request)
    gathered = gathered or _Gathered()
    for label, (error, path) in gathered.kept.items():
        stored.setdefault(label, error)
        files.setdefault(label, path)
    return Errors(stored, files, brought, own, gathered.too_few)


def _brought(label: str, folder: Path) -> StoredError | None:
    """The errors that came with a model of another place; None where there are none that can be read."""
    try:
        return load_error(folder)
    except ModelError as error:
        logger.warning(
            "the errors that came with model %s are not used, its foci not compared with held-out participants: %s",
            label,
            str(error).partition("; remove")[0],
        )
        return None


def _template(cases: Sequence[PreparedCase]) -> str | None:
    """The template that most cases are registered to."""
    names = [case.template for case in cases if case.template is not None]
    return max(sorted(set(names)), key=names.count, default=None)


def _identity(requests: Sequence[Request], template: str, fwhm: float, how: str) -> str:
    """A fingerprint of everything that residuals depend on; images count by size and time."""
    files = []
    for request in requests:
        case = request.case
        own = [path for role, path in case.images.items() if role in (INTERICTAL, PET, T1W)]
        own += [*case.masks.values(), *case.template_xfms.values()]
        own += [case.lesion] if case.lesion else []
        own += [found.path for found in find_synthetic(request.output_dir, case)]
        splits = dict(sorted(request.splits.items()))
        files.append([case.name, case.is_state_assumed, splits, [(path.name, *_stamp(path)) for path in sorted(own)]])
    text = json.dumps([_COMPUTATION, template, fwhm, how, _model_stamps(requests[0]), files])
    return hashlib.sha256(text.encode()).hexdigest()


def _model_stamps(request: Request) -> list[list[object]]:
    """The models whose cohorts may serve, each with what holds its cohort."""
    return sorted(
        [
            folder.name,
            [
                (member.folder.name, path.name, *_stamp(path))
                for member in request.members.get(folder, ())
                for path in baseline_files(member.folder)
            ],
        ]
        for folder in request.models
    )


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of a file; -1 where it is missing."""
    try:
        found = path.stat()
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns


def _save(
    output_dir: Path, found: Mapping[str, ErrorSums], how: str, identity: str, folders: Mapping[str, Path]
) -> _Gathered:
    kept, too_few = {}, {}
    here = models_folder(output_dir).resolve()
    for label, sums in found.items():
        folder, stem = errors_folder(output_dir, label, folders)
        if folder.resolve().parent != here:
            folder, stem = output_dir / FOLDER, f"error-{label}"
        if len(sums.participants) < MIN_PARTICIPANTS:
            too_few[label] = len(sums.participants)
            for path in error_files(folder, stem):
                path.unlink()
        else:
            kept[label] = save_error(folder, sums, label, identity, stem, how=how), folder / f"{stem}.json"
    paths = {label: path.relative_to(output_dir).as_posix() for label, (_, path) in kept.items()}
    content = {
        "Description": "Where the errors of each baseline lie, and of which there are too few participants",
        "Identity": identity,
        "Files": paths,
        "TooFew": too_few,
    }
    write_json(output_dir / FOLDER / "errors.json", content)
    return _Gathered(kept, too_few)


def _kept(output_dir: Path, identity: str) -> _Gathered | None:
    """What an earlier run has gathered from the same files; None where it has not."""
    content = read_object(output_dir / FOLDER / "errors.json")
    paths, too_few = content.get("Files"), content.get("TooFew")
    if content.get("Identity") != identity or not isinstance(paths, dict) or not isinstance(too_few, dict):
        return None
    found = {}
    for label, relative in paths.items():
        path = output_dir / str(relative)
        error = load_error(path.parent, path.stem)
        if error is None or error.identity != identity:
            return None
        found[str(label)] = error, path
    return _Gathered(found, too_few)
