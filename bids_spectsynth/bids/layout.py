"""A PyBIDS layout that knows SPECT and looks only at the participants and sessions that are asked for."""

import re
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_spectsynth.bids.names import bare_label, parse_name
from bids_spectsynth.bids.sidecars import load_object
from bids_spectsynth.errors import DatasetError, ImageError

if TYPE_CHECKING:
    from bids.layout import BIDSLayout

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
    known = tuple(sorted(bare_label(path.name, "sub") for path in bids_dir.glob("sub-*") if path.is_dir()))
    if not known:
        raise DatasetError(f"{bids_dir}: no sub-* folder; give the root of a BIDS dataset")
    labels = dict.fromkeys(bare_label(label, "sub") for label in chosen)
    unknown = [label for label in labels if label not in known]
    if unknown:
        raise DatasetError(f"{bids_dir}: no participant {', '.join(unknown)}; there are {list_labels(known)}")
    return tuple(sorted(labels)) if labels else known


def _check_description(bids_dir: Path) -> None:
    path = bids_dir / "dataset_description.json"
    if not bids_dir.is_dir():
        raise DatasetError(f"{bids_dir}: no such folder; give the root of a BIDS dataset")
    try:
        load_object(path)
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
    folders = (path for label in participants for path in (bids_dir / f"sub-{label}").glob("ses-*"))
    known = sorted({bare_label(path.name, "ses") for path in folders if path.is_dir()})
    unknown = [label for label in labels if label not in known]
    if unknown:
        raise DatasetError(f"{bids_dir}: no session {', '.join(unknown)}; there are {list_labels(known)}")
    return labels


def build_layout(bids_dir: Path, participants: Sequence[str], sessions: Sequence[str] = ()) -> "BIDSLayout":
    """Index the images of some participants, in memory, without their metadata.

    Parameters
    ----------
    bids_dir : Path
        Root of a BIDS dataset.
    participants : sequence of str
        Labels without ``sub-``; nobody else's folder is entered.
    sessions : sequence of str
        Labels without ``ses-``; other sessions are not entered. Empty for all. Images without a session always count.

    Returns
    -------
    BIDSLayout
        With the datatype and suffix ``spect``. Sidecars are read by :func:`read_metadata`, one image at a time.
    """
    # PyBIDS takes a second to import; stages that read the output folder only need not wait for it.
    from bids.layout import BIDSLayout, BIDSLayoutIndexer

    config = resources.files("bids_spectsynth.data").joinpath(CONFIG_FILE)
    indexer = BIDSLayoutIndexer(validate=False, index_metadata=False, ignore=_ignored(participants, sessions))
    with resources.as_file(config) as path:
        return BIDSLayout(str(bids_dir), validate=False, derivatives=False, config=[str(path)], indexer=indexer)


def _ignored(participants: Sequence[str], sessions: Sequence[str]) -> list[re.Pattern[str]]:
    """Patterns, matched against paths from the root with a leading slash, of what is not indexed."""
    subjects = "|".join(re.escape(label) for label in participants)
    patterns = [rf"^/(?!sub-(?:{subjects})(?:/|$))", r"^(?!.*\.nii(?:\.gz)?$).*\.[^/]*$"]
    if sessions:
        labels = "|".join(re.escape(label) for label in sessions)
        patterns.append(rf"^/[^/]+/ses-(?!(?:{labels})(?:/|$))")
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
            raise ImageError(f"{path}: cannot read the sidecar ({error}); correct or remove it") from error
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
