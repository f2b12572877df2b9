"""A participant's own segmentation among folders of derivatives: fMRIPrep, FreeSurfer, FastSurfer, SynthSeg."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path

from bids_spectsynth.bids.access import folder_problem, is_text, subfolders
from bids_spectsynth.bids.names import bare_label, parse_name
from bids_spectsynth.options.settings import T1W_SPACE
from bids_spectsynth.siscom.foci.labels import Label, freesurfer_labels, read_label_table
from bids_spectsynth.siscom.foci.volumes import LabelVolume, read_labels

#: Volumes of a FreeSurfer or FastSurfer subject, the ones with parts of the cortex first.
_SUBJECT_FILES = (
    "aparc+aseg.mgz",
    "aparc.DKTatlas+aseg.mgz",
    "aparc.DKTatlas+aseg.mapped.mgz",
    "aparc.DKTatlas+aseg.deep.mgz",
    "aseg.mgz",
)
#: Where fMRIPrep and others keep FreeSurfer's subjects within a folder of derivatives.
_SUBJECT_FOLDERS = ("", "sourcedata/freesurfer", "freesurfer")
_EXTENSIONS = (".nii.gz", ".nii", ".mgz")
_DSEG, _SYNTHSEG = "dseg", "synthseg"
#: ``desc-`` of segmentations with FreeSurfer's numbers; others need a table.
_DESCRIPTIONS = ("aparcaseg", "aseg")
# Names within a folder in the order of use; a plain dseg of fMRIPrep holds tissues.
_ORDER = ("desc-aparcaseg", "subject", _SYNTHSEG, "other", "desc-aseg")


@dataclass(frozen=True)
class Candidate:
    """A file that may be a segmentation of a participant's T1w.

    Parameters
    ----------
    path, folder : Path
        The file, and the folder of derivatives that it was found in.
    session : str or None
        That its name or folder gives.
    kind : str
        How it is named, which decides what its numbers mean.
    """

    path: Path
    folder: Path
    session: str | None
    kind: str

    def is_like(self, other: "Candidate") -> bool:
        """Whether only the name within one folder decides between two of them."""
        return (
            self.path.parent == other.path.parent
            and self.session == other.session
            and (self.kind == other.kind != "subject")
        )


def find_segmentations(
    folders: Sequence[Path], participant: str, session: str | None
) -> tuple[list[Candidate], list[str]]:
    """Segmentations of a participant, in the order in which they are to be tried.

    By folder as given, then those of the T1w's session before those without one, then by kind, parts of the cortex
    first. Those of another session are left out: its T1w lies elsewhere in the scanner.

    Parameters
    ----------
    folders : sequence of Path
    participant : str
        Label without ``sub-``.
    session : str or None
        That of the T1w, label without ``ses-``.

    Returns
    -------
    candidates : list of Candidate
    notes : list of str
        One line for each folder that cannot be read or has only other sessions.
    """
    found, notes = [], []
    for folder in folders:
        problem = folder_problem(folder)
        if problem is not None:
            notes.append(f"--derivatives: {folder}: {problem}; correct the option")
            continue
        own = [*_subjects(folder, participant), *_images(folder, participant)]
        fitting = [one for one in own if one.session in (None, session)]
        found += sorted(
            fitting, key=lambda one: (one.session != session, _ORDER.index(one.kind), _subject_rank(one), one.path)
        )
        if own and not fitting:
            sessions = ", ".join(sorted({f"ses-{one.session}" for one in own}))
            notes.append(f"{folder}: sub-{participant} has segmentations of {sessions} alone, the T1w is of "
                         f"{f'ses-{session}' if session else 'no session'}; not used")  # fmt: skip
    return found, notes


@lru_cache(maxsize=64)
def holds_segmentations(folder: Path) -> bool:
    """Whether a folder of derivatives has a segmentation of anybody; one may hold nothing but masks or transforms."""
    return next(chain(_subjects(folder, None), _images(folder, None)), None) is not None


def _subject_rank(candidate: Candidate) -> int:
    return _SUBJECT_FILES.index(candidate.path.name) if candidate.kind == "subject" else 0


def _subjects(folder: Path, participant: str | None) -> Iterator[Candidate]:
    """Volumes of FreeSurfer's subjects ``sub-01`` and ``sub-01_ses-x``; of everybody's for None."""
    for place in _SUBJECT_FOLDERS:
        for subject in subfolders(folder / place, f"sub-{participant or ''}"):
            name, _, session = subject.name.partition("_ses-")
            is_wanted = name == f"sub-{participant}" if participant else "_" not in name
            if not is_wanted or not (session.isalnum() or not session):
                continue
            for file in _SUBJECT_FILES:
                if _is_file(path := subject / "mri" / file):
                    yield Candidate(path, folder, session or None, "subject")


def _images(folder: Path, participant: str | None) -> Iterator[Candidate]:
    """``*_dseg`` and ``*_synthseg`` in the T1w's space, named or in folders as BIDS has them; of everybody for None."""
    yield from _images_in(folder, [folder], participant)
    everybody = [path for path in subfolders(folder, "sub-") if "_" not in path.name] if participant is None else ()
    for subject in [folder / f"sub-{participant}"] if participant else everybody:
        places = [subject, subject / "anat"]
        for own in subfolders(subject, "ses-"):
            places += [own, own / "anat"]
        yield from _images_in(folder, places, bare_label(subject.name, "sub"))


def _images_in(folder: Path, places: Sequence[Path], participant: str | None) -> Iterator[Candidate]:
    for place in places:
        for path in sorted(place.glob(f"sub-{participant or ''}*")):
            entities, suffix, extension = parse_name(path.name)
            wanted = participant or bare_label(path.name.partition("_")[0], "sub")
            if entities.get("sub") != wanted or extension not in _EXTENSIONS or not is_text(path.name):
                continue
            if not _is_file(path) or suffix not in (_DSEG, _SYNTHSEG) or entities.get("space", T1W_SPACE) != T1W_SPACE:
                continue
            beside = next((part.name for part in (place, place.parent) if part.name.startswith("ses-")), None)
            session = entities.get("ses", bare_label(beside, "ses") if beside else None)
            described = entities.get("desc") in _DESCRIPTIONS and suffix == _DSEG
            kind = f"desc-{entities['desc']}" if described else _SYNTHSEG if suffix == _SYNTHSEG else "other"
            yield Candidate(path, folder, session, kind)


def _is_file(path: Path) -> bool:
    """Whether a file has this name; a link that leads nowhere is one too, so that reading it says what to do."""
    return os.path.lexists(path) and not os.path.isdir(path)  # noqa: PTH112  (Path.is_dir raises without permission)


def read_segmentation(candidate: Candidate) -> LabelVolume:
    """Read a segmentation and what its numbers mean: the table beside or above it, else FreeSurfer's numbers.

    Raises
    ------
    ImageError
        The volume or its table cannot be read.
    """
    data, affine = read_labels(candidate.path)
    table = find_label_table(candidate)
    labels: dict[int, Label] = freesurfer_labels() if table is None else dict(read_label_table(table))
    source = candidate.path.relative_to(candidate.folder).as_posix()
    meaning = f"names of {table.name}" if table else "FreeSurfer's numbers"
    return LabelVolume(data=data, affine=affine, labels=labels, source=f"{source} ({meaning})")


def find_label_table(candidate: Candidate) -> Path | None:
    """The table of a segmentation's labels by the inheritance of BIDS: the nearest folder, then the most entities.

    None where there is none, and for what is no BIDS derivative.
    """
    if candidate.kind in ("subject", _SYNTHSEG):
        return None
    entities, suffix, _ = parse_name(candidate.path.name)
    place = candidate.path.parent
    while True:
        tables = []
        for path in place.glob("*.tsv"):
            own, table_suffix, _ = parse_name(path.name)
            if table_suffix == suffix and own.items() <= entities.items():
                tables.append((-len(own), path))
        if tables:
            return min(tables)[1]
        if place == candidate.folder or candidate.folder not in place.parents:
            return None
        place = place.parent
