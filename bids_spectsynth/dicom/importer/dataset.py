"""Where imported images go in a BIDS dataset, and the dataset's own files where there are none yet."""

from collections.abc import Mapping
from pathlib import Path

from bids_spectsynth import __version__
from bids_spectsynth.bids.dataset import CODE_NAME, PHANTOM_NAME
from bids_spectsynth.bids.names import BIDS_VERSION, output_path
from bids_spectsynth.bids.output_files import description_file, participants_file
from bids_spectsynth.bids.participants import read_rows
from bids_spectsynth.bids.roles import role_of
from bids_spectsynth.bids.writing import folder_lock, write_json, write_text
from bids_spectsynth.errors import DatasetError

_README = """\
# Scans imported from DICOM

Written by bids_spectsynth-import. SPECT is not part of BIDS yet: the spect folders follow the entities and sidecars of
PET. Sidecars hold neither names nor identifiers nor dates; times count from midnight. Left and right are as the DICOM
headers said.
"""


def image_path(
    bids_dir: Path,
    participant: str,
    session: str | None,
    role: str,
    *,
    tracer: str | None = None,
    run: int | None = None,
) -> Path:
    """Path of an imported image.

    Parameters
    ----------
    bids_dir : Path
    participant, session : str, str or None
        Labels without prefix.
    role : str
        ``T1w``, ``pet``, ``ictal`` or ``interictal``.
    tracer : str, optional
        Its label.
    run : int, optional
        Where there are several of the role.
    """
    found = role_of(role)
    entities: dict[str, str] = {"task": found.task} if found.task else {}
    entities |= {"trc": tracer} if tracer and found.is_nuclear else {}
    entities |= {"run": str(run)} if run else {}
    return output_path(bids_dir, participant, session, found.datatype, entities, found.suffix, ".nii.gz")


def write_dataset(bids_dir: Path, participant: str, *, simulated: bool) -> None:
    """Write ``dataset_description.json``, README, ``.bidsignore`` and a row of ``participants.tsv`` where they lack.

    Parameters
    ----------
    bids_dir : Path
    participant : str
        Label without ``sub-``.
    simulated : bool
        Whether the scans are of a simulated patient: the description then says so.

    Raises
    ------
    DatasetError
        ``participants.tsv`` is no table.
    """
    with folder_lock(bids_dir):
        if not description_file(bids_dir).exists():
            write_json(description_file(bids_dir), _description(simulated))
        if not any(bids_dir.glob("README*")):
            write_text(bids_dir / "README", _README)
        if not (bids_dir / ".bidsignore").exists():
            # Others' validators know no SPECT.
            write_text(bids_dir / ".bidsignore", "**/spect\n.bids_spectsynth.lock\n")
        _add_participant(participants_file(bids_dir), f"sub-{participant}")


def _description(simulated: bool) -> Mapping[str, object]:
    makers = [{"Name": PHANTOM_NAME, "Version": __version__}] if simulated else []
    return {
        "Name": "Simulated scans imported from DICOM" if simulated else "Scans imported from DICOM",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "raw",
        "GeneratedBy": [*makers, {"Name": f"{CODE_NAME}-import", "Version": __version__}],
    }


def _add_participant(path: Path, name: str) -> None:
    try:
        columns, rows = read_rows(path)
    except FileNotFoundError:
        columns, rows = ["participant_id"], []
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: not a table ({error}); mend or remove it") from error
    if "participant_id" not in columns:
        raise DatasetError(f"{path}: the column participant_id is missing; mend or remove the file")
    if any(row["participant_id"] == name for row in rows):
        return
    cells = [[row.get(column) or "n/a" for column in columns] for row in rows]
    cells.append([name if column == "participant_id" else "n/a" for column in columns])
    write_text(path, "".join("\t".join(line) + "\n" for line in [columns, *cells]))
