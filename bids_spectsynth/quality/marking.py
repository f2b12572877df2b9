"""The flags of a case in the sidecars of its synthetic images, which say what the file of the case says."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from bids_spectsynth.bids.manifests import FOLDER, FileRecord, file_record, read_manifest, write_manifest
from bids_spectsynth.bids.names import case_folder
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.sidecars import read_object
from bids_spectsynth.bids.writing import folder_lock, write_json
from bids_spectsynth.quality.files import read_flags
from bids_spectsynth.quality.judge import QC, Flag


def judging_lock(output_dir: Path) -> AbstractContextManager[None]:
    """Hold what keeps files of cases and sidecars of images equal: whoever writes either of them holds it.

    Of jobs that judge at the same time, the one that sees more cases must not be overwritten by the other.

    Parameters
    ----------
    output_dir : Path
    """
    return folder_lock(output_dir / FOLDER)


def mark_as_judged(output_dir: Path, case: PreparedCase) -> None:
    """Let the synthetic images of a case, which were written without the lock, say what its file says by now.

    Parameters
    ----------
    output_dir : Path
    case : PreparedCase
    """
    with judging_lock(output_dir):
        mark_images(output_dir, case, read_flags(output_dir, case))


def mark_images(output_dir: Path, case: PreparedCase, flags: Sequence[Flag]) -> None:
    """Write flags into the sidecars of all synthetic images of a case, where they say something else.

    The images stay current by their manifests. To be called under :func:`judging_lock`.

    Parameters
    ----------
    output_dir : Path
    case : PreparedCase
        In any space.
    flags : sequence of Flag
        None of them takes the entry away.
    """
    entry = {QC: [flag.as_json() for flag in flags]} if flags else {}
    before: dict[str, FileRecord] = {}
    folder = case_folder(output_dir, case.participant, case.session) / "spect"
    for path in sorted(folder.glob("*_desc-*_spect.json")):
        facts = read_object(path)
        if facts.get("Synthetic") is not True or {key: facts[key] for key in facts if key == QC} == entry:
            continue
        before[path.name] = file_record(path)
        write_json(path, {key: facts[key] for key in facts if key != QC} | entry)
    if before:
        _record(output_dir, folder, before)


def _record(output_dir: Path, folder: Path, before: Mapping[str, FileRecord]) -> None:
    """Bring manifests up to date that knew the sidecars as they were; any other one decides as it would have."""
    manifests = output_dir / FOLDER / folder.relative_to(output_dir)
    for path in sorted(manifests.glob("*_spect.json")):
        manifest = read_manifest(path)
        if manifest is None:
            continue
        known = [name for name in before if _is_known(before[name], manifest.outputs.get(name))]
        if known:
            now = {name: file_record(folder / name) for name in known}
            write_manifest(path, replace(manifest, outputs={**manifest.outputs, **now}))


def _is_known(record: FileRecord, recorded: FileRecord | None) -> bool:
    return recorded is not None and record.sha256 == recorded.sha256
