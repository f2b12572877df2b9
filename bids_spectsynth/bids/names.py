"""File names: entities in the order of BIDS, folders of a case, and ``bids:`` URIs."""

import re
from collections.abc import Mapping
from pathlib import Path

#: The version of the standard that output folders and simulated cohorts follow.
BIDS_VERSION = "1.10.1"
#: Order of entities in a file name (BIDS schema, restricted to those used here; ``from``, ``to`` and ``mode`` are
#: those of transforms, which the schema lacks).
ENTITY_ORDER = (
    "sub",
    "ses",
    "task",
    "acq",
    "ce",
    "trc",
    "rec",
    "run",
    "from",
    "to",
    "mode",
    "space",
    "res",
    "label",
    "desc",
    "stat",
)
_VALUE = re.compile(r"[0-9A-Za-z+]+")


def file_name(entities: Mapping[str, str], suffix: str, extension: str) -> str:
    """BIDS file name: entities in the standard's order, then suffix and extension.

    Parameters
    ----------
    entities : mapping of str to str
        By short key, in any order; keys of :data:`ENTITY_ORDER`.
    suffix, extension : str
        E.g. ``spect`` and ``.nii.gz``.

    Raises
    ------
    ValueError
        An entity is unknown or its value has other characters than letters, digits and ``+``.
    """
    unknown = set(entities) - set(ENTITY_ORDER)
    if unknown:
        raise ValueError(f"unknown entity {min(unknown)}")
    for key, value in entities.items():
        if not is_label(value):
            raise ValueError(f"{key}-{value}: letters and digits only")
    pairs = [f"{key}-{entities[key]}" for key in ENTITY_ORDER if key in entities]
    return "_".join([*pairs, suffix]) + extension


def parse_name(name: str) -> tuple[dict[str, str], str, str]:
    """Take a BIDS file name apart; the inverse of :func:`file_name`, for any entity.

    Parameters
    ----------
    name : str
        A file name without folders.

    Returns
    -------
    entities : dict of str to str
        By short key, in the order of the name. Parts without a hyphen before the suffix are left out.
    suffix, extension : str
        ``brain_mask`` has no suffix of two words: ``desc-brain_mask.nii.gz`` gives ``desc`` ``brain``, suffix ``mask``.
        The extension begins at the first dot.
    """
    stem, dot, extension = name.partition(".")
    *parts, suffix = stem.split("_")
    pairs = (part.partition("-") for part in parts)
    return {key: value for key, hyphen, value in pairs if hyphen}, suffix, dot + extension


def is_label(value: str) -> bool:
    """Whether a label has only characters that BIDS allows: letters and digits of ASCII, and ``+``."""
    return _VALUE.fullmatch(value) is not None


def bare_label(label: str, prefix: str) -> str:
    """A participant or session label without its ``sub-`` or ``ses-``, whichever way the user wrote it."""
    return label.removeprefix(f"{prefix}-")


def case_folder(output_dir: Path, participant: str, session: str | None) -> Path:
    """``sub-01`` or ``sub-01/ses-x`` in the output folder.

    Parameters
    ----------
    output_dir : Path
    participant, session : str, str or None
        Labels without prefix.
    """
    folder = output_dir / f"sub-{participant}"
    return folder / f"ses-{session}" if session else folder


def output_path(
    output_dir: Path,
    participant: str,
    session: str | None,
    datatype: str,
    entities: Mapping[str, str],
    suffix: str,
    extension: str,
) -> Path:
    """Path of a derivative; ``sub`` and ``ses`` are added to ``entities``.

    Parameters
    ----------
    output_dir : Path
    participant, session : str, str or None
        Labels without prefix.
    datatype : str
        ``anat``, ``pet`` or ``spect``.
    entities : mapping of str to str
        The other entities by short key, in any order.
    suffix, extension : str
        E.g. ``spect`` and ``.nii.gz``. For a brain mask give ``desc`` ``brain`` and the suffix ``mask``.

    Raises
    ------
    ValueError
        See :func:`file_name`.
    """
    own = {"sub": participant} | ({"ses": session} if session else {})
    return case_folder(output_dir, participant, session) / datatype / file_name({**entities, **own}, suffix, extension)


def source_uri(path: Path, bids_dir: Path, output_dir: Path) -> str:
    """``bids::`` URI of a file in the output folder, ``bids:raw:`` URI of one in the input dataset.

    The output folder is tried first, because it may lie in the input's ``derivatives``.

    Parameters
    ----------
    path : Path
        A file, which need not exist.
    bids_dir, output_dir : Path
        The two folders that may hold it.

    Raises
    ------
    ValueError
        The file is in neither folder.
    """
    for root, name in ((output_dir, ""), (bids_dir, "raw")):
        for candidate, base in ((path, root), (path.resolve(), root.resolve())):
            if candidate.is_relative_to(base):
                return f"bids:{name}:{candidate.relative_to(base).as_posix()}"
    raise ValueError(f"{path} lies neither in {output_dir} nor in {bids_dir}")
