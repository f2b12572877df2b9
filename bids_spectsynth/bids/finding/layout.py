"""A PyBIDS layout that knows SPECT and looks only at the participants and sessions that are asked for."""

import functools
import json
import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_spectsynth.bids.access import ASK_OWNER, folder_problem, is_text, read_problem, shown, subfolders
from bids_spectsynth.bids.names import bare_label, parse_name
from bids_spectsynth.bids.sidecars import load_object
from bids_spectsynth.errors import DatasetError, ImageError

if TYPE_CHECKING:
    from bids.layout import BIDSLayout

logger = logging.getLogger(__name__)

CONFIG_FILE = "pybids_config.json"
_SHOWN_LABELS = 12


def list_labels(labels: Sequence[str]) -> str:
    """Labels for an error message: all of a few, the first dozen of many."""
    shown = ", ".join(labels[:_SHOWN_LABELS])
    rest = len(labels) - _SHOWN_LABELS
    return f"{shown} and {rest} more" if rest > 0 else shown or "none"


def find_participants(bids_dir: Path, chosen: Sequence[str] = ()) -> tuple[str, ...]:
    """Labels of the participants to process, without ``sub-``, sorted.

    Parameters
    ----------
    bids_dir : Path
        Root of a BIDS dataset.
    chosen : sequence of str
        Labels with or without ``sub-``; empty for all.

    Raises
    ------
    DatasetError
        The folder is no BIDS dataset, or has no participant of that label (the message names those it has).
    """
    _check_description(bids_dir)
    problem = folder_problem(bids_dir)
    if problem is not None:
        raise DatasetError(f"{bids_dir}: {problem}")
    names = [path.name for path in subfolders(bids_dir, "sub-")]
    known = tuple(bare_label(name, "sub") for name in names if is_text(name))
    for name in names:
        if not is_text(name) and not chosen:
            logger.warning("%s: the name of the folder is not UTF-8; left out; rename it", shown(name))
    if not known:
        raise DatasetError(f"{bids_dir}: no sub-* folder; give the root of a BIDS dataset")
    labels = dict.fromkeys(bare_label(label, "sub") for label in chosen)
    unknown = [label for label in labels if label not in known]
    if unknown:
        raise DatasetError(f"{bids_dir}: no participant {', '.join(unknown)}; there are {list_labels(known)}")
    return tuple(sorted(labels)) if labels else known


def check_root(bids_dir: Path) -> None:
    """Refuse a root that is no folder, or that lies where nobody may look.

    Raises
    ------
    DatasetError
    """
    try:
        if not bids_dir.is_dir():
            raise DatasetError(f"{bids_dir}: no such folder; give the root of a BIDS dataset")
    except PermissionError as error:
        raise DatasetError(f"{bids_dir}: {ASK_OWNER}") from error


def _check_description(bids_dir: Path) -> None:
    path = bids_dir / "dataset_description.json"
    check_root(bids_dir)
    try:
        load_object(path)
    except PermissionError as error:
        raise DatasetError(f"{path}: {ASK_OWNER}") from error
    except OSError as error:
        raise DatasetError(
            f"{bids_dir}: not a BIDS dataset (dataset_description.json: {error.strerror}); give the root of one"
        ) from error
    except ValueError as error:
        raise DatasetError(f"{path}: not valid JSON ({error}); correct the file") from error
    except TypeError as error:
        raise DatasetError(f"{path}: not a JSON object; correct the file") from error


def find_sessions(bids_dir: Path, participants: Sequence[str], chosen: Sequence[str] = ()) -> tuple[str, ...]:
    """Labels of the chosen sessions, without ``ses-``; empty where none is chosen, which means all.

    Parameters
    ----------
    bids_dir : Path
        Root of a BIDS dataset.
    participants : sequence of str
        Labels without ``sub-``.
    chosen : sequence of str
        Labels with or without ``ses-``; empty for all.

    Raises
    ------
    DatasetError
        None of the participants has a session of that label (the message names those that they have).
    """
    labels = tuple(dict.fromkeys(bare_label(label, "ses") for label in chosen))
    if not labels:
        return ()
    folders = (path for label in participants for path in subfolders(bids_dir / f"sub-{label}", "ses-"))
    known = sorted({bare_label(path.name, "ses") for path in folders if is_text(path.name)})
    unknown = [label for label in labels if label not in known]
    if unknown:
        raise DatasetError(f"{bids_dir}: no session {', '.join(unknown)}; there are {list_labels(known)}")
    return labels


def closed_folders(bids_dir: Path, participants: Sequence[str], sessions: Sequence[str] = ()) -> dict[Path, str]:
    """Folders of the participants that cannot be read, and why.

    Parameters
    ----------
    bids_dir : Path
        Root of a BIDS dataset.
    participants, sessions : sequence of str
        See :func:`build_layout`; nobody else's folder is looked at.

    Returns
    -------
    dict of Path to str
        Folders of participants, sessions and datatypes.
    """
    found: dict[Path, str] = {}
    datatypes = set(_datatypes())

    def look_at(folder: Path) -> None:
        problem = folder_problem(folder)
        if problem is not None:
            found[folder] = problem
            return
        for inner in subfolders(folder, ""):
            if inner.name in datatypes:
                problem = folder_problem(inner)
                if problem is not None:
                    found[inner] = problem
            elif inner.parent.parent == bids_dir and _is_chosen(inner.name, sessions):
                look_at(inner)

    for label in participants:
        look_at(bids_dir / f"sub-{label}")
    return found


def _is_chosen(name: str, sessions: Sequence[str]) -> bool:
    return name.startswith("ses-") and is_text(name) and (not sessions or bare_label(name, "ses") in sessions)


def build_layout(
    bids_dir: Path,
    participants: Sequence[str],
    sessions: Sequence[str] = (),
    closed: Collection[Path] = (),
    database: Path | None = None,
) -> "BIDSLayout":
    """Index the images of some participants, without their metadata.

    Images are those that lie directly in the folder of a datatype. What lies deeper (a backup, say) is not entered.

    Parameters
    ----------
    bids_dir : Path
        Root of a BIDS dataset.
    participants : sequence of str
        Labels without ``sub-``; nobody else's folder is entered.
    sessions : sequence of str
        Labels without ``ses-``; other sessions are not entered. Empty for all. Images without a session always count.
    closed : collection of Path
        Folders that cannot be read (:func:`closed_folders`).
    database : Path, optional
        Folder that PyBIDS keeps the index in; what lies there is used as it is. None keeps it in memory.

    Returns
    -------
    BIDSLayout
        With the datatype and suffix ``spect``. Sidecars are read by :func:`read_metadata`, one image at a time.
    """
    # PyBIDS takes a second to import; stages that read the output folder only need not wait for it.
    from bids.layout import BIDSLayout, BIDSLayoutIndexer

    indexer = BIDSLayoutIndexer(
        validate=False,
        index_metadata=False,
        ignore=ignored(bids_dir, participants, sessions, closed),
        config_filename=f".no-such-file-{CONFIG_FILE}",
    )
    config = _anchored(read_config(), bids_dir)
    return BIDSLayout(
        str(bids_dir),
        validate=False,
        derivatives=False,
        config=[config],
        indexer=indexer,
        database_path=None if database is None else str(database),
    )


@functools.cache
def read_config() -> dict[str, Any]:
    """The PyBIDS configuration: entities and the patterns that find them in paths."""
    text = resources.files("bids_spectsynth.data").joinpath(CONFIG_FILE).read_text(encoding="utf-8")
    return dict(json.loads(text))


def _datatypes() -> list[str]:
    """Folders that BIDS gives to images, as the pattern of the entity lists them."""
    (pattern,) = (entity["pattern"] for entity in read_config()["entities"] if entity["name"] == "datatype")
    return str(pattern).partition("(")[2].partition(")")[0].split("|")


def _anchored(config: Mapping[str, Any], bids_dir: Path) -> dict[str, Any]:
    """A configuration whose patterns look at what is below the dataset's root only.

    PyBIDS matches them against absolute paths, where a folder above the dataset may be called ``pet`` or ``run-1``.
    """
    root = re.escape(str(bids_dir.absolute()).rstrip("/"))
    entities = [{**entity, "pattern": rf"\A{root}(?s:.*?)(?:{entity['pattern']})"} for entity in config["entities"]]
    return {**config, "entities": entities}


def ignored(
    bids_dir: Path, participants: Sequence[str], sessions: Sequence[str], closed: Collection[Path]
) -> list[re.Pattern[str]]:
    """Patterns, matched against paths from the root with a leading slash, of what is not indexed.

    Parameters
    ----------
    bids_dir, participants, sessions, closed
        See :func:`build_layout`.
    """
    subjects, datatypes = ("|".join(map(re.escape, labels)) for labels in (participants, _datatypes()))
    labels = "|".join(map(re.escape, sessions)) if sessions else "[^/]+"
    image = r"/[^/]*\.nii(?:\.gz)?"
    wanted = rf"/(?:sub-(?:{subjects})(?:/ses-(?:{labels}))?(?:/(?:{datatypes})(?:{image})?)?)?"
    patterns = [rf"\A(?!{wanted}\Z)", r"[\ud800-\udfff]"]
    if closed:
        barred = (re.escape(path.relative_to(bids_dir).as_posix()) for path in closed)
        patterns.append(rf"\A/(?:{'|'.join(barred)})\Z")
    return [re.compile(pattern) for pattern in patterns]


def read_metadata(image: Path, bids_dir: Path) -> dict[str, Any]:
    """Sidecar of an image by BIDS' inheritance: files nearer to the image win.

    Parameters
    ----------
    image : Path
        An image in the dataset.
    bids_dir : Path
        Root of the dataset, where inheritance begins.

    Raises
    ------
    ImageError
        A sidecar that applies is no JSON object.
    """
    metadata: dict[str, Any] = {}
    for path in _sidecars(image, bids_dir):
        try:
            metadata.update(load_object(path))
        except (OSError, ValueError) as error:
            problem = read_problem(path) or f"{getattr(error, 'strerror', None) or error}; correct or remove it"
            raise ImageError(f"{path}: cannot read the sidecar: {problem}") from error
        except TypeError as error:
            raise ImageError(f"{path}: the sidecar is not a JSON object; correct or remove it") from error
    return metadata


def _sidecars(image: Path, bids_dir: Path) -> Iterator[Path]:
    """Sidecars that apply, from the root inwards; in one folder the one that names more entities comes last."""
    own, suffix, _ = parse_name(image.name)
    folders = [bids_dir]
    for part in image.parent.relative_to(bids_dir).parts:
        folders.append(folders[-1] / part)
    for folder in folders:
        found = []
        for path in folder.glob(f"*{suffix}.json"):
            entities, its_suffix, _ = parse_name(path.name)
            if its_suffix == suffix and entities.items() <= own.items():
                found.append((len(entities), path))
        yield from (path for _, path in sorted(found))
