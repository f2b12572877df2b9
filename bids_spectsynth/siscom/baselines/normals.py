"""Healthy SPECT in a template's space: the files of ``--normals``, and their way to a head."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from bids_spectsynth.bids.names import parse_name
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.sidecars import as_number, sidecar
from bids_spectsynth.errors import DatasetError
from bids_spectsynth.images.reading import load_image
from bids_spectsynth.siscom.baselines.request import BaselineSource, Request
from bids_spectsynth.siscom.records import BaselineImage, CohortError, Float32
from bids_spectsynth.siscom.significance.shrinkage import predicted_deviation
from bids_spectsynth.synthesis.baselines.cohort_mean import sample_in_brain
from bids_spectsynth.synthesis.data.tracers import tracer_note

#: What ``stat-`` or ``desc-`` may say, in lower case.
MEAN_WORDS = ("mean", "normalsmean")
SD_WORDS = ("sd", "std", "stdev", "normalssd", "normalsstd")
_SUFFIX = "spect"
#: A standard deviation of another smoothing than the map's says nothing of the map (FWHM, mm).
_FWHM_TOLERANCE = 0.5
#: Share of a voxel that the image must cover.
_COVERED = 0.99


@dataclass(frozen=True)
class Normals:
    """The files of normal SPECT.

    Parameters
    ----------
    template : str
        Label of the space that they lie in.
    mean, standard_deviation : Path, Path or None
        Relative to the brain's mean.
    n_participants : int
        0 where no sidecar says it.
    fwhm : float
        Gaussian that smoothed each participant before the standard deviation was taken, mm; NaN if unknown.
    """

    template: str
    mean: Path
    standard_deviation: Path | None
    n_participants: int
    fwhm: float


def find_normals(folder: Path) -> list[Normals]:
    """Normal SPECT in a folder of BIDS derivatives, by template.

    Files are named ``tpl-<template>[_cohort-X][_res-Y][_desc-normals]_stat-mean_spect.nii.gz``, and ``stat-std`` for
    the standard deviation; ``space-`` may stand for ``tpl-``, ``desc-mean`` and ``desc-sd`` for ``stat-``. They may lie
    in folders within.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    DatasetError
        There is no mean image, or more than one of a template.
    """
    means: dict[str, Path] = {}
    deviations: dict[str, Path] = {}
    for path in sorted(path for path in folder.rglob("*.nii*") if path.name.endswith((".nii", ".nii.gz"))):
        entities, suffix, _ = parse_name(path.name)
        template = _template_of(entities)
        words = {str(entities.get(key, "")).lower() for key in ("stat", "desc")}
        if suffix != _SUFFIX or template is None or "sub" in entities:
            continue
        for wanted, found in ((MEAN_WORDS, means), (SD_WORDS, deviations)):
            if words & set(wanted):
                if template in found:
                    raise DatasetError(
                        f"--normals: {found[template].name} and {path.name} in {folder} are of one kind; keep one"
                    )
                found[template] = path
    if not means:
        raise DatasetError(
            f"--normals: {folder} has no mean SPECT; call it tpl-<template>_desc-normals_stat-mean_spect.nii.gz"
        )
    return [_normals(template, path, deviations.get(template)) for template, path in means.items()]


def _template_of(entities: Mapping[str, str]) -> str | None:
    name = entities.get("tpl") or entities.get("space")
    cohort = entities.get("cohort")
    return f"{name}+{cohort}" if name and cohort else name


def _normals(template: str, mean: Path, deviation: Path | None) -> Normals:
    facts: Mapping[str, Any] = {**sidecar(mean), **(sidecar(deviation) if deviation else {})}
    number = as_number(facts.get("NumberOfParticipants"))
    return Normals(
        template=template,
        mean=mean,
        standard_deviation=deviation,
        n_participants=int(number) if np.isfinite(number) else 0,
        fwhm=as_number(facts.get("SmoothingFWHM")),
    )


def normals_for(folder: Path, case: PreparedCase) -> Normals | None:
    """The normals in a template that the case has a way to; None without one.

    Raises
    ------
    DatasetError
        See :func:`find_normals`.
    """
    return next((one for one in find_normals(folder) if case.through(one.template).template == one.template), None)


def on_head(path: Path, normals: Normals, request: Request) -> Float32:
    """An image of normals at the brain's voxels of a case; shape (I, J, K).

    It is 0 outside, and where the image has no signal: interpolation would make a rim of what it has beside nothing.

    Parameters
    ----------
    path : Path
        Mean or standard deviation.
    normals : Normals
        That it is of.
    request : Request

    Raises
    ------
    ImageError
        The image or the transform cannot be read.
    """
    image: nib.Nifti1Image = load_image(path)[0]
    values = np.maximum(np.asarray(image.dataobj, dtype=np.float32), 0)
    case = request.case.through(normals.template)
    affine = np.asarray(image.affine, dtype=np.float64)
    carried, cover = (
        sample_in_brain(volume, affine, case, request.brain, request.affine)
        for volume in (values, (values > 0).astype(np.float32))
    )
    return np.divide(carried, cover, out=np.zeros_like(carried), where=cover >= _COVERED)


def normals_error(request: Request) -> tuple[CohortError | None, str | None]:
    """The standard deviation of the normals on a head, percent of the brain mean, and a note for readers.

    Parameters
    ----------
    request : Request

    Returns
    -------
    error : CohortError or None
        None where there is no standard deviation, or one of another smoothing than the map's.
    note : str or None
        One sentence: why there is none, or what was assumed.
    """
    normals = None if request.normals is None else normals_for(request.normals, request.case)
    if normals is None or normals.standard_deviation is None:
        return None, "The normals have no standard deviation." if normals else None
    note = None
    if np.isnan(normals.fwhm):
        note = f"No SmoothingFWHM beside {normals.standard_deviation.name}: taken for the map's {request.fwhm:g} mm."
    elif abs(normals.fwhm - request.fwhm) > _FWHM_TOLERANCE:
        return None, (
            f"The normals' standard deviation was not used: it is of scans smoothed by {normals.fwhm:g} mm, not "
            f"{request.fwhm:g} mm."
        )
    deviation = 100 * on_head(normals.standard_deviation, normals, request)
    known = deviation > 0
    if normals.n_participants > 1:
        variance = np.square(deviation[known], dtype=np.float64)
        deviation[known] = predicted_deviation(variance, np.full(len(variance), float(normals.n_participants)))
    deviation[~known] = np.nan
    mean = np.where(known, np.float32(0), np.float32(np.nan))
    return CohortError(mean=mean, standard_deviation=deviation, n_participants=normals.n_participants), note


def _available(request: Request) -> str | None:
    if request.normals is None:
        return "no --normals"
    try:
        found = normals_for(request.normals, request.case)
    except DatasetError as error:
        return str(error)
    return None if found else "no transform to the template of the normals"


def _make(request: Request) -> list[BaselineImage]:
    normals = None if request.normals is None else normals_for(request.normals, request.case)
    if normals is None:
        return []
    values = on_head(normals.mean, normals, request)
    mask = np.asarray(request.brain & (values > 0))
    number = str(normals.n_participants) if normals.n_participants else "an unknown number of"
    facts = sidecar(normals.mean)
    found = [
        f"Mean of {number} normals in {normals.template}.",
        tracer_note(sidecar(request.case.images[request.ictal]), facts),
        "The normals were simulated." if facts.get("PhantomData") is True else None,
    ]
    return [
        BaselineImage(
            kind="normals",
            label="Normals",
            values=np.where(mask, values, np.float32(0)),
            mask=mask,
            sources=(normals.mean,),
            notes=tuple(note for note in found if note),
        )
    ]


NORMALS = BaselineSource(
    name="normals",
    title="Normals",
    description="The mean SPECT of people without epilepsy, or of chosen participants, brought to the head.",
    available=_available,
    make=_make,
)
