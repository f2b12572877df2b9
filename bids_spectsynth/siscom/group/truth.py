"""Where a seizure started, or where was operated, as far as a dataset says it.

What says it, the nearest to the scan first: the truth beside a simulated dataset, the sidecar of the raw ictal scan
(``FocusSide``, ``FocusLobe``, ``ResectedSide``, ``ResectedLobe``), columns of the dataset's ``participants.tsv``.
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from bids_spectsynth.bids.dataset import is_simulated
from bids_spectsynth.bids.names import case_folder, parse_name
from bids_spectsynth.bids.output_files import participants_file
from bids_spectsynth.bids.participants import read_rows
from bids_spectsynth.bids.sidecars import read_object
from bids_spectsynth.siscom.group.results import number
from bids_spectsynth.siscom.outputs.paths import Found
from bids_spectsynth.siscom.records import Names

logger = logging.getLogger(__name__)

Against = Literal["focus", "resected"]
#: Spellings of columns and keys, without case and all but letters: of side and lobe, and of both in one value.
_FOCUS = ("focus", "ez", "soz", "onset", "seizure", "seizureonset", "seizureonsetzone", "epileptogeniczone")
_RESECTED = ("resected", "resection", "surgery", "surgical", "operation", "operated")
_SIDE_WORDS = ("side", "hemisphere", "hemi", "laterality", "lateralization", "lateralisation")
_SIDES = {"l": "L", "lh": "L", "left": "L", "r": "R", "rh": "R", "right": "R"}
_LOBES = {
    "frontal": "frontal", "temporal": "temporal", "parietal": "parietal", "occipital": "occipital",
    "insula": "insula", "insular": "insula", "cingulate": "cingulate", "deep": "deep", "cerebellum": "cerebellum",
    "fle": "frontal", "tle": "temporal", "ple": "parietal", "ole": "occipital", "mtle": "temporal",
    "f": "frontal", "t": "temporal", "p": "parietal", "o": "occipital",
}  # fmt: skip
#: Lobes of foci that lie in what the truth calls deep: insula, mesial and subcortical grey matter.
_DEEP = ("deep", "insula", "cingulate")


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What is known of one ictal scan.

    Parameters
    ----------
    against : {'focus', 'resected'}
    source : str
        What says it: ``phantom``, ``sidecar`` or ``participants.tsv``.
    side : str or None
        ``L`` or ``R``.
    lobe : str or None
    point_mm : tuple of float or None
        Centre of the focus in the world of the T1w, RAS+.
    none : bool
        Whether it is known that there was no seizure.
    """

    against: Against
    source: str
    side: str | None = None
    lobe: str | None = None
    point_mm: tuple[float, float, float] | None = None
    none: bool = False

    def is_at(self, names: Names) -> bool:
        """Whether a place lies in the true lobe, on the true side where that is known."""
        lobes = _DEEP if self.lobe == "deep" else (self.lobe,)
        return names.lobe in lobes and (self.side is None or names.side == self.side)


class Knowledge:
    """What a dataset knows of its ictal scans; reads each file once, and names in the log what it cannot read.

    Parameters
    ----------
    bids_dir : Path
        The input dataset.
    """

    def __init__(self, bids_dir: Path) -> None:
        self._bids_dir = bids_dir
        resolved = bids_dir.resolve()
        self._phantom = resolved.with_name(f"{resolved.name}-truth") if is_simulated(bids_dir) else None
        self._participants = _participants(participants_file(bids_dir))

    def of(self, scan: Found) -> list[Truth]:
        """What is known of an ictal scan, at most once for each of focus and resection."""
        known = [*self._simulated(scan), *_told(self._sidecar(scan), "sidecar")]
        known += _told(self._participants.get(scan.participant, {}), "participants.tsv")
        return list({truth.against: truth for truth in reversed(known)}.values())[::-1]

    def _sidecar(self, scan: Found) -> Mapping[str, str]:
        folder = case_folder(self._bids_dir, scan.participant, scan.session) / "spect"
        paths = sorted(folder.glob(f"{scan.ictal}*.json"))
        # A scan whose name is told by more than its stem cannot be told from another.
        return {key: str(value) for key, value in read_object(paths[0]).items()} if len(paths) == 1 else {}

    def _simulated(self, scan: Found) -> list[Truth]:
        if self._phantom is None:
            return []
        path = self._phantom / f"sub-{scan.participant}" / f"sub-{scan.participant}_foci.tsv"
        if not path.is_file():
            return []
        try:
            _, rows = read_rows(path)
            foci = [row for row in rows if row["kind"] == "hyper"]
            own = [row for row in foci if row.get("scan", "n/a") in ("n/a", _scan_name(scan))]
            return [_simulated(own[0])] if own else [Truth(against="focus", source="phantom", none=True)]
        except (OSError, ValueError, KeyError) as error:
            logger.warning("%s: not a table of simulated foci (%s); not used", path, " ".join(str(error).split()))
            return []


def _participants(path: Path) -> dict[str, Mapping[str, str]]:
    if not path.is_file():
        return {}
    try:
        columns, rows = read_rows(path)
    except (OSError, ValueError) as error:
        logger.warning("%s: not a tab-separated text table (%s); no focus is known from it", path, error)
        return {}
    if "participant_id" not in columns:
        return {}
    return {row["participant_id"].strip().removeprefix("sub-"): row for row in rows}


def _told(values: Mapping[str, str], source: str) -> list[Truth]:
    """Focus and resection as the columns of a table or the keys of a sidecar tell them."""
    kinds: tuple[tuple[Against, Sequence[str]], ...] = (("focus", _FOCUS), ("resected", _RESECTED))
    plain = {re.sub("[^a-z]", "", name.lower()): value for name, value in values.items()}
    found = []
    for against, stems in kinds:
        sides = [f"{stem}{word}" for stem in stems for word in _SIDE_WORDS] + [f"sideof{stem}" for stem in stems]
        lobes = [f"{stem}{word}" for stem in stems for word in ("lobe", "region", "location", "localisation")]
        lobes += [f"{stem}localization" for stem in stems]
        both = list(stems)
        side = _first(plain, [*sides, *lobes, *both], side_of)
        lobe = _first(plain, [*lobes, *both], lobe_of)
        if side or lobe:
            found.append(Truth(against=against, source=source, side=side, lobe=lobe))
    return found


def side_of(text: str) -> str | None:
    """``L`` or ``R`` of a value such as ``left``, ``LH`` or ``Left temporal``; None for both, none or another.

    Examples
    --------
    >>> side_of("Left temporal"), side_of("R"), side_of("left and right"), side_of("bilateral")
    ('L', 'R', None, None)
    """
    found = {_SIDES[word] for word in _words(text) if word in _SIDES}
    return found.pop() if len(found) == 1 else None


def lobe_of(text: str) -> str | None:
    """The lobe of a value such as ``temporal``, ``TLE`` or ``left mesial temporal``; None for two, none or another.

    Examples
    --------
    >>> lobe_of("TLE"), lobe_of("left mesial temporal"), lobe_of("frontal/temporal"), lobe_of("unknown")
    ('temporal', 'temporal', None, None)
    """
    found = {_LOBES[word] for word in _words(text) if word in _LOBES}
    return found.pop() if len(found) == 1 else None


def _words(text: str) -> list[str]:
    # "temporalLeft" has two.
    return re.findall("[a-z]+", re.sub("([a-z])([A-Z][a-z])", r"\1 \2", text).lower())


def _first(values: Mapping[str, str], names: Sequence[str], read: Callable[[str], str | None]) -> str | None:
    found = (read(values[name]) for name in names if name in values)
    return next((value for value in found if value is not None), None)


def _scan_name(scan: Found) -> str:
    """The scan as the truth of a simulated cohort names it, such as ``ictal_run-1``."""
    entities, _, _ = parse_name(f"{scan.ictal}_spect")
    return entities.get("task", "ictal") + (f"_run-{entities['run']}" if "run" in entities else "")


def _simulated(row: Mapping[str, str]) -> Truth:
    x, y, z = (number(row[name]) for name in "xyz")
    if not np.isfinite([x, y, z]).all():
        raise ValueError("a focus without a place")
    side = side_of(row.get("side", "")) or side_of(row["name"])
    lobe = lobe_of(row.get("lobe", "")) or lobe_of(row["name"])
    return Truth(against="focus", source="phantom", side=side, lobe=lobe, point_mm=(x, y, z))
