"""Names of what the preparation writes, what it replaces, and what all of its sidecars say."""

from collections.abc import Collection, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bids_spectsynth.bids.names import case_folder, output_path, parse_name, source_uri
from bids_spectsynth.bids.prepared import PREPARED
from bids_spectsynth.bids.roles import ICTAL, T1W, ictal_names, role_of
from bids_spectsynth.bids.scans import CASE_KEY
from bids_spectsynth.bids.sidecars import sidecar_path
from bids_spectsynth.options.settings import T1W_SPACE
from bids_spectsynth.preprocess.backends.base import Backend
from bids_spectsynth.preprocess.outputs.inputs import CaseRecords, PreparedInputs


def image_path(inputs: PreparedInputs, role: str) -> Path:
    """A prepared image."""
    return _path(inputs, role, {"space": inputs.space, "desc": PREPARED}, role_of(role).suffix, ".nii.gz")


def mask_path(inputs: PreparedInputs, role: str) -> Path:
    """The brain mask of a prepared image."""
    return _path(inputs, role, {"space": inputs.space, "desc": "brain"}, "mask", ".nii.gz")


def transform_path(inputs: CaseRecords, name: str, *, inverse: bool) -> Path:
    """The transform of a role to the T1w, or of the T1w to a template; or the way back.

    Parameters
    ----------
    inputs : CaseRecords
    name : str
        A role, or the label of a template.
    inverse : bool
        Whether the way back is meant.
    """
    start, end = transform_ends(inputs, name, inverse=inverse)
    # Which T1w it was stands in the sidecar; other images keep their entities, because there may be two SPECTs.
    role = name if name in inputs.case.images else T1W
    case, datatype = inputs.case, role_of(role).datatype
    own, session = (case.images[role].entities, case.session_of(role)) if role == name else ({}, case.session)
    entities = {**own, "from": start, "to": end, "mode": "image"}
    return output_path(inputs.output_dir, case.participant, session, datatype, entities, "xfm", ".txt")


def transform_ends(inputs: CaseRecords, name: str, *, inverse: bool) -> tuple[str, str]:
    """Labels of the spaces that :func:`transform_path` leads from and to.

    Parameters
    ----------
    inputs, name, inverse
        As :func:`transform_path` takes them.

    Returns
    -------
    start, end : str
        Values of ``from-`` and ``to-``.
    """
    ends = (role_of(name).suffix, T1W) if name in inputs.case.images else (T1W, name)
    return (ends[1], ends[0]) if inverse else ends


def _path(inputs: PreparedInputs, role: str, entities: Mapping[str, str], suffix: str, extension: str) -> Path:
    case, own = inputs.case, inputs.case.images[role].entities
    datatype = role_of(role).datatype
    return output_path(
        inputs.output_dir, case.participant, case.session_of(role), datatype, {**own, **entities}, suffix, extension
    )


def with_sidecar(path: Path) -> list[Path]:
    """A file and its sidecar."""
    return [path, sidecar_path(path)]


def remove_superseded(path: Path) -> None:
    """Delete what another choice of source image left: the same kind of file beside ``path``, of another run, say.

    Otherwise a later run could take the old file for this case's. Of ictal scans there may be several:
    :func:`remove_other_scans`.
    """
    own = _kind(path)
    for other in path.parent.iterdir():
        if other.name.partition(".")[0] != path.name.partition(".")[0] and _kind(other) == own:
            other.unlink(missing_ok=True)


def _kind(path: Path) -> tuple[str | None, ...]:
    entities, suffix, _ = parse_name(path.name)
    return (suffix, *(entities.get(key) for key in ("task", "from", "to", "space", "desc")))


def remove_other_scans(inputs: CaseRecords, written: Collection[Path], space: str | None) -> None:
    """Delete files of ictal scans that another choice left, or an earlier version, which wrote all beside the T1w.

    Parameters
    ----------
    inputs : CaseRecords
        Its session's folder, and those of its scans, are looked into: all scans of a session are one case's.
    written : collection of Path
        Files that stay.
    space : str or None
        Of images and masks; None for transforms.
    """
    case, stems = inputs.case, {path.name.partition(".")[0] for path in written}
    for session in {case.session, *(case.session_of(name) for name in ictal_names(case.images))}:
        folder = case_folder(inputs.output_dir, case.participant, session) / role_of(ICTAL).datatype
        for path in folder.iterdir() if folder.is_dir() else ():
            entities, _, _ = parse_name(path.name)
            if space is None:
                alike = "from" in entities
            else:
                alike = entities.get("space") == space and entities.get("desc") in (PREPARED, "brain")
            if alike and entities.get("task") == ICTAL and path.name.partition(".")[0] not in stems:
                path.unlink(missing_ok=True)


def case_field(inputs: CaseRecords, name: str) -> dict[str, str]:
    """What the sidecars of a scan in another session's folder say: which case it was prepared with."""
    is_own = name not in inputs.case.images or inputs.case.session_of(name) == inputs.case.session
    return {} if is_own else {CASE_KEY: inputs.case.name}


def backend_fields(backend: Backend) -> dict[str, Any]:
    """What sidecars say of the tools."""
    fields = {"Backend": backend.name, "Tools": dict(backend.tools)}
    return {**fields, "BackendOptions": dict(backend.options)} if backend.options else fields


def external_fields() -> dict[str, Any]:
    """What sidecars say of the tools where a transform was made elsewhere: what has read it."""
    return {"Tools": {"nitransforms": version("nitransforms")}}


def sources(inputs: PreparedInputs, role: str) -> list[str]:
    """BIDS URIs of what a prepared image was made from.

    They are its source image, the transforms on the way, and the brain mask where that was made elsewhere.
    """
    files = [inputs.case.images[role].path]
    if role != T1W:
        files.append(transform_path(inputs, role, inverse=False))
    if inputs.space != T1W_SPACE:
        files.append(transform_path(inputs, inputs.space, inverse=False))
    mask = inputs.records[T1W].external if role not in inputs.own_masks else None
    return [*(source_uri(file, inputs.bids_dir, inputs.output_dir) for file in files), *([mask] if mask else [])]
