"""The simulated cohort on disk: a BIDS dataset, and its truth in a folder beside it."""

import json
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import get_args

from bids_spectsynth.errors import UsageError
from bids_spectsynth.phantom import sidecars
from bids_spectsynth.phantom.anatomy import Folds
from bids_spectsynth.phantom.plan import Size, SubjectPlan
from bids_spectsynth.phantom.seizures import IctalScans
from bids_spectsynth.phantom.subject import make_subject


def truth_folder(out: Path) -> Path:
    """Where the truth of the dataset `out` is: the sibling folder with ``-truth`` after its name."""
    out = out.resolve()
    return out.with_name(out.name + "-truth")


def dicom_folder(out: Path) -> Path:
    """Where the DICOM series of the dataset `out` go: the sibling folder with ``-dicom`` after its name."""
    out = out.resolve()
    return out.with_name(out.name + "-dicom")


def make_cohort(
    out: Path,
    n: int,
    *,
    size: str = "small",
    seed: int = 0,
    nprocs: int = 1,
    folds: str = "average",
    ictal: str = "some",
    further: Sequence[Path] = (),
) -> None:
    """Write a simulated BIDS dataset, and its truth beside it.

    Subject number i is the same in every cohort of the same size and seed, however many subjects it has.

    Parameters
    ----------
    out : Path
        Folder of the dataset; created, or empty. The truth goes to `truth_folder(out)`.
    n : int
        Number of subjects, at least 1.
    size : {'small', 'paper'}
        ``paper``: matrices and voxel sizes of Fard et al. 2024, Table 1; ``small``: the same fields of view with
        coarser voxels.
    seed : int
        Not negative; equal seeds give equal bytes.
    nprocs : int
        Processes that simulate subjects side by side. With more than one, a script must guard its call with
        ``if __name__ == "__main__"`` (the processes are spawned).
    folds : {'average', 'individual'}
        Cortical folds of the template, deformed, or of each individual's own.
    ictal : {'some', 'study', 'widespread'}
        Ictal scans in every second subject; or in all of them two, with a seizure's focus and without a seizure, for
        measuring SISCOM; or the same with a seizure over a fifth of the brain.
    further : sequence of Path
        Folders for something else that is made of the dataset: refused here, before hours of work, unless empty.

    Raises
    ------
    UsageError
        A number or the size is out of range, or `out` or the truth folder holds files already.
    OSError
        The folders cannot be written.
    """
    out = Path(out).resolve()
    plans = _plans(n, size, seed, nprocs, folds, ictal)
    truth = truth_folder(out)
    for folder in (out, truth, *further):
        _prepare(folder)
    _write_dataset_files(out, truth, plans)
    work = partial(make_subject, dataset=out, truth=truth)
    if nprocs == 1 or n == 1:
        for plan in plans:
            work(plan)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(nprocs, n), mp_context=context) as pool:
        for _ in pool.map(work, plans):
            continue


def _plans(n: int, size: str, seed: int, nprocs: int, folds: str, ictal: str) -> list[SubjectPlan]:
    """Checked options as one plan per subject."""
    if n < 1:
        raise UsageError(f"number of subjects {n}: must be 1 or more")
    if seed < 0:
        raise UsageError(f"seed {seed}: must not be negative")
    if nprocs < 1:
        raise UsageError(f"number of processes {nprocs}: must be 1 or more")
    sizes: dict[str, Size] = {known: known for known in get_args(Size)}
    kinds: dict[str, Folds] = {known: known for known in get_args(Folds)}
    scans: dict[str, IctalScans] = {known: known for known in get_args(IctalScans)}
    if size not in sizes:
        raise UsageError(f"size {size}: must be one of {', '.join(sizes)}")
    if folds not in kinds:
        raise UsageError(f"folds {folds}: must be one of {', '.join(kinds)}")
    if ictal not in scans:
        raise UsageError(f"ictal scans {ictal}: must be one of {', '.join(scans)}")
    return [SubjectPlan(index, sizes[size], seed, kinds[folds], scans[ictal]) for index in range(n)]


def _prepare(folder: Path) -> None:
    """Create the folder; refuse one with content."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file; name a folder that is new or empty")
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"{folder}: is not empty; name a folder that is new or empty")
    folder.mkdir(parents=True, exist_ok=True)


def _write_dataset_files(out: Path, truth: Path, plans: list[SubjectPlan]) -> None:
    """Top-level files of the dataset and of the truth."""
    first = plans[0]
    description = sidecars.dataset_description(len(plans), first.size, first.seed, first.folds, first.ictal_scans)
    _write(out / "dataset_description.json", json.dumps(description, indent=2) + "\n")
    # Others' validators know no SPECT.
    _write(out / ".bidsignore", "**/spect\n")
    _write(out / "README", sidecars.README)
    rows = ["participant_id\tage\tsex\tresection" + ("\tfocus_side\tfocus_lobe" if first.study else "")]
    for plan in plans:
        person, seizure = plan.person(), plan.seizure()
        row = f"sub-{plan.label}\t{person.age}\t{person.sex}\t{'yes' if plan.cavity else 'no'}"
        rows.append(row + ("" if seizure is None else f"\t{seizure.side}\t{seizure.lobe}"))
    _write(out / "participants.tsv", "\n".join(rows) + "\n")
    dictionary = {**sidecars.PARTICIPANTS_DICTIONARY, **(sidecars.STUDY_PARTICIPANTS_DICTIONARY if first.study else {})}
    _write(out / "participants.json", json.dumps(dictionary, indent=2) + "\n")
    _write(truth / "README", sidecars.TRUTH_README + (sidecars.STUDY_TRUTH_README if first.study else ""))


def _write(path: Path, text: str) -> None:
    """UTF-8 text with Unix line ends."""
    path.write_text(text, encoding="utf-8", newline="\n")
