"""Names of the files of a SISCOM, and how they are found again.

They lie beside the prepared ictal scan and keep its entities, so that each of several ictal scans has its own.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bids_spectsynth.bids.names import file_name, parse_name
from bids_spectsynth.options.settings import T1W_SPACE

Statistic = Literal["difference", "z", "znull", "zcohort"]
STATISTICS: tuple[Statistic, ...] = ("difference", "z", "znull", "zcohort")
#: Values of ``desc-`` begin so.
PREFIX = "siscom"


def _path(ictal: Path, desc: str, suffix: str, extension: str, **more: str) -> Path:
    entities, _, _ = parse_name(ictal.name)
    return ictal.with_name(file_name({**entities, "desc": desc, **more}, suffix, extension))


def map_path(ictal: Path, label: str, statistic: Statistic) -> Path:
    """A map.

    Parameters
    ----------
    ictal : Path
        The prepared ictal scan.
    label : str
        Of the baseline.
    statistic : {'difference', 'z', 'znull', 'zcohort'}
    """
    return _path(ictal, f"{PREFIX}{label}", "statmap", ".nii.gz", stat=statistic)


def clusters_path(ictal: Path, label: str) -> Path:
    """The table of foci of one baseline."""
    return _path(ictal, f"{PREFIX}{label}", "clusters", ".tsv")


def concordance_path(ictal: Path) -> Path:
    """The table that compares the baselines of one ictal scan."""
    return _path(ictal, PREFIX, "concordance", ".tsv")


def siscom_files(ictal: Path) -> list[Path]:
    """All files of the SISCOMs of an ictal scan that exist, sidecars included, sorted.

    Parameters
    ----------
    ictal : Path
        The prepared ictal scan.
    """
    wanted, _, _ = parse_name(ictal.name)
    wanted.pop("desc", None)
    found = []
    for path in ictal.parent.glob(f"*_desc-{PREFIX}*"):
        entities, suffix, _ = parse_name(path.name)
        entities.pop("desc", None)
        entities.pop("stat", None)
        if entities == wanted and suffix in ("statmap", "clusters", "concordance"):
            found.append(path)
    return sorted(found)


@dataclass(frozen=True)
class Found:
    """The files of one ictal scan and one baseline in the output folder.

    Parameters
    ----------
    participant, session : str, str or None
        Labels; the session is that of the ictal scan.
    ictal : str
        Stem of the ictal scan's file name up to its space, e.g. ``sub-01_ses-2_task-ictal_run-1``.
    label : str
        Of the baseline.
    clusters : Path
    maps : dict of str to Path
        Those that exist, by statistic.
    """

    participant: str
    session: str | None
    ictal: str
    label: str
    clusters: Path
    maps: dict[Statistic, Path]


def find_siscom(output_dir: Path, participant: str = "*") -> list[Found]:
    """All tables of foci of an output folder with their maps, sorted by path.

    Parameters
    ----------
    output_dir : Path
    participant : str
        Label; all by default.
    """
    patterns = [f"sub-{participant}/{between}spect/*_desc-{PREFIX}*_clusters.tsv" for between in ("", "ses-*/")]
    found = []
    for path in sorted(path for pattern in patterns for path in output_dir.glob(pattern)):
        entities, _, _ = parse_name(path.name)
        label = entities["desc"].removeprefix(PREFIX)
        maps = {statistic: map_path(path, label, statistic) for statistic in STATISTICS}
        stem = path.name.partition(f"_space-{T1W_SPACE}")[0]
        existing = {name: image for name, image in maps.items() if image.exists()}
        found.append(Found(entities["sub"], entities.get("ses"), stem, label, path, existing))
    return found
