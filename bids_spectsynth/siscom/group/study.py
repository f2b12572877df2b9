"""A reader study: blinded cases of real, synthetic and PET baselines, a form for the readers, and the key apart."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bids_spectsynth.bids.prepared import PreparedCase, find_prepared
from bids_spectsynth.bids.roles import T1W
from bids_spectsynth.bids.writing import write_image, write_table, write_text
from bids_spectsynth.errors import ImageError, UsageError
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.images.nifti import READ_ERRORS, opened_image
from bids_spectsynth.options.settings import T1W_SPACE
from bids_spectsynth.siscom.group.results import Result, number
from bids_spectsynth.siscom.group.study_columns import FORM_DICTIONARY, KEY_DICTIONARY, MOST_FOCI, README
from bids_spectsynth.siscom.group.study_picture import write_mosaic
from bids_spectsynth.siscom.group.truth import Knowledge, Truth
from bids_spectsynth.siscom.records import Float32, Float64

logger = logging.getLogger(__name__)

KINDS = ("real", "synthetic", "pet")
#: Where the sidecar of a map does not say it.
_THRESHOLD = 2.0
_MAPS = {
    "difference": {"Description": "Ictal minus baseline, percent of the brain mean.", "Units": "percent"},
    "z": {"Description": "The difference over its own standard deviation in the brain.", "Units": "1"},
}


@dataclass(frozen=True, kw_only=True, eq=False)
class StudyCase:
    """One ictal scan with one baseline, under a name that tells neither.

    Parameters
    ----------
    name : str
        ``case-001``: numbers follow the order of reading.
    reading : int
        From 1; in each reading an ictal scan occurs once at most, so that weeks can lie between them.
    result : Result
    """

    name: str
    reading: int
    result: Result


def key_folder(folder: Path) -> Path:
    """Where the key of a study lies: beside its folder, with ``-key`` after its name."""
    whole = folder.resolve()
    return whole.with_name(f"{whole.name}-key")


def check_empty(folder: Path) -> None:
    """Refuse a folder for a study that holds anything, or whose key's does.

    Raises
    ------
    UsageError
        One of them is a file or is not empty.
    """
    for one in (folder, key_folder(folder)):
        if one.exists() and (not one.is_dir() or any(one.iterdir())):
            raise UsageError(
                f"--reader-study: {one} is not empty; name a folder that is new, readers may be at work in it"
            )


def design(results: Sequence[Result], seed: int) -> list[StudyCase]:
    """Which baseline of which scan is read when: balanced over the readings, in random order within each.

    Parameters
    ----------
    results : sequence of Result
        In any order. Those of other kinds of baseline, and of participants that the model has seen, take no part.
    seed : int
        Equal seeds give equal designs.
    """
    rng = np.random.default_rng(seed)
    by_scan: dict[str, list[Result]] = {}
    for result in sorted(results, key=lambda one: (one.found.ictal, one.label)):
        if result.kind in KINDS and not result.seen:
            by_scan.setdefault(result.found.ictal, []).append(result)
    labels = sorted({result.label for own in by_scan.values() for result in own})
    place = {label: int(n) for label, n in zip(labels, rng.permutation(len(labels)), strict=True)}
    readings: dict[int, list[Result]] = {}
    for shift, scan in enumerate(rng.permutation(sorted(by_scan)).tolist()):
        # A Latin square: each baseline is as often in the first reading as in the others.
        turned = sorted(by_scan[scan], key=lambda one: (place[one.label] + shift) % len(labels))
        for reading, result in enumerate(turned, start=1):
            readings.setdefault(reading, []).append(result)
    ordered = [
        (reading, own[index]) for reading, own in sorted(readings.items()) for index in rng.permutation(len(own))
    ]
    width = max(3, len(str(len(ordered))))
    return [
        StudyCase(name=f"case-{n:0{width}d}", reading=reading, result=result)
        for n, (reading, result) in enumerate(ordered, start=1)
    ]


def write_study(
    results: Sequence[Result], knowledge: Knowledge, output_dir: Path, folder: Path, seed: int
) -> list[Path]:
    """Write a study and its key; a case whose images cannot be read is named in the log and left out.

    Parameters
    ----------
    results : sequence of Result
    knowledge : Knowledge
        Where the foci are, for the key.
    output_dir : Path
        The output folder with the prepared T1w images.
    folder : Path
        Of the study.
    seed : int

    Returns
    -------
    list of Path
        The form and the key.

    Raises
    ------
    UsageError
        The folder is not empty, or there are no cases.
    """
    check_empty(folder)
    written = []
    for case in design(results, seed):
        try:
            _write_case(case, output_dir, folder / case.name)
        except ImageError as error:
            logger.warning("%s; %s is left out of the reader study", error, case.result.found.clusters.name)
            continue
        written.append(case)
    if not written:
        raise UsageError(
            "--reader-study: no SISCOM of a real, synthetic or PET baseline, of anybody that no model has seen"
        )
    form, key = folder / "form.tsv", key_folder(folder) / "key.tsv"
    write_table(form, pd.DataFrame(_form_rows(written), columns=list(FORM_DICTIONARY)), FORM_DICTIONARY)
    write_text(folder / "README", README.format(n=len(written), readings=max(case.reading for case in written)))
    rows = [_key_row(case, knowledge.of(case.result.found)) for case in written]
    write_table(key, pd.DataFrame(rows, columns=list(KEY_DICTIONARY)), KEY_DICTIONARY)
    logger.info(
        "Reader study: %d cases in %s, their key in %s (keep it from the readers)", len(rows), folder, key.parent
    )
    return [form, key]


def _write_case(case: StudyCase, output_dir: Path, folder: Path) -> None:
    result = case.result
    prepared = _prepared(result, output_dir)
    brain, affine = _voxels(prepared.masks[T1W])
    t1w = np.where(brain > 0, _on(prepared.images[T1W], affine, brain), 0).astype(np.float32)
    missing = [name for name in _MAPS if name not in result.found.maps]
    if missing:
        raise ImageError(f"{result.found.clusters}: the map of {missing[0]} is missing; run the participant again")
    maps = {name: _on(path, affine, brain) for name, path in result.found.maps.items() if name in _MAPS}
    threshold = number(result.facts.get("Threshold"))
    write_image(folder / f"{case.name}_T1w.nii.gz", new_image(t1w, affine), {"Description": "T1w, brain alone."})
    for name, values in maps.items():
        write_image(folder / f"{case.name}_stat-{name}_statmap.nii.gz", new_image(values, affine), _MAPS[name])
    shown = threshold if threshold > 0 else _THRESHOLD
    write_mosaic(folder / f"{case.name}_mosaic.png", case.name, t1w, maps["z"], affine, shown)


def _prepared(result: Result, output_dir: Path) -> PreparedCase:
    """The prepared case that the ictal scan belongs to, which may be of another session."""
    for case in find_prepared(output_dir, T1W_SPACE, (result.found.participant,)):
        own = any(path.name.startswith(f"{result.found.ictal}_space-") for path in case.images.values())
        if own and T1W in case.images and T1W in case.masks:
            return case
    raise ImageError(
        f"{result.found.clusters}: its prepared T1w is not in the output folder; run the participant again"
    )


def _voxels(path: Path) -> tuple[Float32, Float64]:
    # Not as scans are read, of which negative values are no part.
    try:
        with opened_image(path) as image:
            return np.array(image.dataobj, dtype=np.float32), np.array(image.affine, dtype=np.float64)
    except READ_ERRORS as error:
        raise ImageError(
            f"{path}: cannot be read ({' '.join(str(error).split())}); run the participant again"
        ) from error


def _on(path: Path, affine: Float64, like: Float32) -> Float32:
    values, own = _voxels(path)
    if values.shape != like.shape or not np.allclose(own, affine, atol=1e-3):
        raise ImageError(f"{path}: not on the grid of the brain mask; run the participant again")
    return values


def _form_rows(cases: Sequence[StudyCase]) -> Iterator[dict[str, Any]]:
    empty = dict.fromkeys(FORM_DICTIONARY, "")
    for case in cases:
        for focus in range(1, MOST_FOCI + 1):
            yield {**empty, "case": case.name, "reading": case.reading, "focus": focus}


def _key_row(case: StudyCase, known: Sequence[Truth]) -> dict[str, Any]:
    truth = min(known, key=lambda one: one.against, default=None)  # the focus before the resection
    point = truth.point_mm if truth is not None else None
    return {
        "case": case.name,
        "reading": case.reading,
        "participant_id": case.result.participant,
        "ictal": case.result.found.ictal,
        "baseline": case.result.label,
        "kind": case.result.kind,
        "truth": "n/a" if truth is None else "none" if truth.none else truth.against,
        "side": (truth.side if truth else None) or "n/a",
        "lobe": (truth.lobe if truth else None) or "n/a",
        **dict(zip(("x_mm", "y_mm", "z_mm"), point or (float("nan"),) * 3, strict=True)),
    }
