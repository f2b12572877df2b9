"""PyBIDS' index of a whole dataset, kept in a folder and used again as long as the dataset's images are the same."""

import hashlib
import importlib.metadata
import json
import logging
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_spectsynth.bids.access import subfolders
from bids_spectsynth.bids.finding.layout import build_layout, closed_folders, find_participants, ignored, read_config
from bids_spectsynth.bids.sidecars import read_object
from bids_spectsynth.bids.writing import folder_lock, write_json
from bids_spectsynth.errors import SpectSynthError, UsageError

if TYPE_CHECKING:
    from bids.layout import BIDSLayout

logger = logging.getLogger(__name__)

_STAMP = "bids_spectsynth.json"
#: The index in PyBIDS' database folders.
INDEX = "layout_index.sqlite"


@dataclass(frozen=True)
class ChosenLayout:
    """A layout of a whole dataset that shows some of its files only.

    Parameters
    ----------
    layout : BIDSLayout
    bids_dir : Path
    hidden : sequence of re.Pattern
        Of paths from the root with a leading slash.
    """

    layout: "BIDSLayout"
    bids_dir: Path
    hidden: Sequence[re.Pattern[str]]

    def get(self, **query: Any) -> list[str]:
        """Paths of the files of a query, which asks for ``return_type="filename"``."""
        return [path for path in self.layout.get(**query) if not self._is_hidden(Path(path))]

    def _is_hidden(self, path: Path) -> bool:
        place = f"/{path.relative_to(self.bids_dir).as_posix()}"
        return any(pattern.search(place) for pattern in self.hidden)


def stored_layout(
    bids_dir: Path, participants: Sequence[str], sessions: Sequence[str], closed: Collection[Path], database: Path
) -> ChosenLayout:
    """As :func:`~bids_spectsynth.bids.finding.layout.build_layout`, from an index that is kept.

    It is of the whole dataset, so that jobs of single participants share it. Where images were added, removed or
    renamed since, or PyBIDS or the dataset's place are others, it is made anew with a line.

    Parameters
    ----------
    bids_dir, participants, sessions, closed
        See :func:`~bids_spectsynth.bids.finding.layout.build_layout`.
    database : Path
        Folder of the index, made if missing.

    Raises
    ------
    UsageError
        The folder cannot be written, or PyBIDS cannot make the index there.
    """
    everybody = find_participants(bids_dir)
    barred = closed_folders(bids_dir, everybody, ())
    stamp = _stamp(bids_dir, everybody)
    try:
        with folder_lock(database):
            known = read_object(database / _STAMP).get("Stamp")
            # Without an index the stamp says nothing.
            known = known if (database / INDEX).is_file() else None
            if known is not None and known != stamp:
                logger.info("--bids-database-dir: the dataset is not as it was indexed; the index is made anew")
            layout = _open(bids_dir, everybody, barred, database, anew=known != stamp)
            # The last step, so that it vouches for a whole index.
            write_json(database / _STAMP, {"Stamp": stamp})
    except OSError as error:
        raise UsageError(f"--bids-database-dir: {database}: {error.strerror or error}") from error
    return ChosenLayout(layout, bids_dir, ignored(bids_dir, participants, sessions, closed))


def _open(bids_dir: Path, everybody: Sequence[str], barred: Collection[Path], database: Path, *, anew: bool) -> Any:
    if not anew:
        try:
            return build_layout(bids_dir, everybody, (), barred, database)
        # Whatever a damaged database leads to in PyBIDS and SQLite.
        except Exception as error:
            reason = " ".join(str(error).split())[:100]
            logger.warning("--bids-database-dir: the index cannot be read (%s); it is made anew", reason)
    # First the stamp: one that outlived a killed process would vouch for what that left of an index.
    (database / _STAMP).unlink(missing_ok=True)
    (database / INDEX).unlink(missing_ok=True)
    try:
        return build_layout(bids_dir, everybody, (), barred, database)
    except (SpectSynthError, OSError):
        raise
    # SQLAlchemy's errors (a full disk, a file system without locks) have no base in common with the system's.
    except Exception as error:
        raise UsageError(f"--bids-database-dir: {database}: {' '.join(str(error).split())[:200]}") from error


def _stamp(bids_dir: Path, everybody: Sequence[str]) -> str:
    """Changes with the names of the files that are indexed, and with what indexes them."""
    digest = hashlib.sha256()
    facts = [str(bids_dir.absolute()), importlib.metadata.version("pybids"), json.dumps(read_config(), sort_keys=True)]
    for text in (*facts, *(name for label in everybody for name in _names(bids_dir / f"sub-{label}"))):
        digest.update(text.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()


def _names(subject: Path) -> Iterator[str]:
    for place in (subject, *subfolders(subject, "ses-")):
        for datatype in subfolders(place, ""):
            try:
                names = sorted(path.name for path in datatype.iterdir())
            except OSError:
                continue
            yield from (f"{place.name}/{datatype.name}/{name}" for name in names if ".nii" in name)
