"""``--make-normals``: mean and standard deviation of chosen participants' interictal SPECTs, in template space."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import bids_spectsynth
from bids_spectsynth.bids.names import BIDS_VERSION
from bids_spectsynth.bids.output_files import description_file, find_cases, is_phantom
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.public import public_metadata
from bids_spectsynth.bids.roles import INTERICTAL
from bids_spectsynth.bids.sidecars import sidecar
from bids_spectsynth.bids.writing import write_image, write_json
from bids_spectsynth.errors import DatasetError, ImageError
from bids_spectsynth.images.grid import Grid, new_image
from bids_spectsynth.images.smoothing import smooth_in_mask
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.siscom.records import Float32, Float64
from bids_spectsynth.siscom.significance.cohort_error import ErrorSums, Residual
from bids_spectsynth.synthesis.baselines.base import unscaled
from bids_spectsynth.synthesis.baselines.cohort_mean import CohortMean, mean_grid
from bids_spectsynth.synthesis.baselines.template import template_of
from bids_spectsynth.synthesis.cohort.hold_out import fulfilling
from bids_spectsynth.synthesis.data.slices import brain_and_evaluation_mask

logger = logging.getLogger(__name__)

#: Fewer participants have no standard deviation that means something; with fewer than the other, it means little.
MIN_PARTICIPANTS, FEW_PARTICIPANTS = 3, 10


@dataclass(frozen=True, eq=False)
class NormalImages:
    """Mean and spread of interictal SPECTs in a template's space.

    Parameters
    ----------
    template : str
    affine : array, shape (4, 4)
        Voxels to world of the template, RAS+ mm.
    mean : array, shape (I, J, K), float32
        Each scan divided by its brain's mean.
    standard_deviation : array, shape (I, J, K), float32
        Of scans smoothed by ``fwhm``, divided by their brain's mean; 0 where fewer than :data:`MIN_PARTICIPANTS` are.
    coverage : array, shape (I, J, K), float32
        Participants at each voxel.
    fwhm : float
        mm.
    n_participants : int
    """

    template: str
    affine: Float64
    mean: Float32
    standard_deviation: Float32
    coverage: Float32
    fwhm: float
    n_participants: int


def make_normals(settings: Settings) -> Path:
    """Write ``OUT/normals`` from whoever fulfils ``make_normals``; returns the folder.

    Parameters
    ----------
    settings : Settings
        ``make_normals`` is ``COLUMN=VALUE`` of ``participants.tsv``; ``siscom_fwhm`` the smoothing of the standard
        deviation.

    Raises
    ------
    UsageError
        There is no such column, or nobody has the value.
    DatasetError
        Fewer than :data:`MIN_PARTICIPANTS` have a prepared interictal SPECT with a transform to one template.
    """
    condition = settings.make_normals
    assert condition is not None
    labels = fulfilling(settings, (condition,), "--make-normals")
    cases = normal_cases(settings.output_dir, labels)
    images = average_normals(cases, settings.siscom_fwhm)
    if images.n_participants < FEW_PARTICIPANTS:
        logger.warning(
            "--make-normals: %d participants only; their standard deviation is not to be relied on with fewer than %d",
            images.n_participants,
            FEW_PARTICIPANTS,
        )
    folder = settings.output_dir / "normals"
    tracers = [public_metadata(sidecar(case.images[INTERICTAL])) for case in cases]
    common = {key: value for key, value in tracers[0].items() if all(facts.get(key) == value for facts in tracers)}
    # Sums of relative values have no unit, whatever that of the scans was.
    common |= {"Units": "ratio to the brain's mean", "PhantomData": is_phantom(settings.output_dir)}
    _write(folder, images, common, condition)
    logger.info("Normals: %d participants in %s, %s", images.n_participants, images.template, folder)
    return folder


def normal_cases(output_dir: Path, labels: Iterable[str]) -> list[PreparedCase]:
    """One case with an interictal SPECT for each participant, all with a transform to the same template.

    Parameters
    ----------
    output_dir : Path
    labels : iterable of str
        Participants without ``sub-``; those who are not prepared are passed over.

    Returns
    -------
    list of PreparedCase
        Of the template that most have a way to; in T1w space where there are such.
    """
    usable: dict[str, list[PreparedCase]] = {}
    for label in sorted(labels):
        found = [case for case in find_cases(output_dir, label) if INTERICTAL in case.images]
        usable[label] = [case for case in found if not case.is_state_assumed and template_of(case) is not None]
    templates = Counter(name for cases in usable.values() for name in {t for case in cases for t in _templates(case)})
    if not templates:
        return []
    # Of equally many the first in the alphabet, so that a second run gives the same.
    template = min(templates, key=lambda name: (-templates[name], name))
    there = [{case.space for case in cases if template in _templates(case)} for cases in usable.values()]
    spaces = Counter(space for found in there for space in found)
    space = max(spaces, key=lambda name: (spaces[name], name == "T1w"))
    chosen = ([c for c in cases if c.space == space and template in _templates(c)] for cases in usable.values())
    return [cases[0].through(template) for cases in chosen if cases]


def _templates(case: PreparedCase) -> set[str]:
    own = template_of(case)
    return {*(case.template_xfms if case.space == "T1w" else ()), *([own] if own else [])}


def average_normals(cases: Sequence[PreparedCase], fwhm: float) -> NormalImages:
    """Mean and standard deviation of the interictal SPECTs of some cases.

    Parameters
    ----------
    cases : sequence of PreparedCase
        Of one space and template, one for each participant. Those with damaged images are logged and left out.
    fwhm : float
        mm.

    Raises
    ------
    DatasetError
        Fewer than :data:`MIN_PARTICIPANTS` can be used.
    """
    template = template_of(cases[0]) if cases else None
    if template is None or len(cases) < MIN_PARTICIPANTS:
        raise _too_few(len(cases))
    grid = mean_grid(cases)
    mean, spread = CohortMean(grid), ErrorSums.empty(template, fwhm, grid)
    for case in cases:
        try:
            _, mask, affine = brain_and_evaluation_mask(case)
            values = np.maximum(unscaled(case, INTERICTAL), 0)
        except ImageError as error:
            logger.warning("--make-normals: %s left out: %s", case.name, error)
            continue
        level = float(values[mask].mean(dtype=np.float64)) if mask.any() else 0.0
        if not level > 0:
            logger.warning("--make-normals: %s left out: no signal in the brain", case.name)
            continue
        mean.add(case, values, mask, affine)
        smooth = smooth_in_mask(values / np.float32(level), mask, np.linalg.norm(affine[:3, :3], axis=0), fwhm)
        spread = spread.plus(Residual(case, smooth, mask, affine))
    n = len(spread.participants)
    if n < MIN_PARTICIPANTS:
        raise _too_few(n)
    return NormalImages(
        template=template,
        affine=grid.affine,
        mean=mean.result(),
        standard_deviation=_deviation(spread),
        coverage=spread.count.astype(np.float32),
        fwhm=fwhm,
        n_participants=n,
    )


def _deviation(sums: ErrorSums) -> Float32:
    enough = sums.count >= MIN_PARTICIPANTS
    n = sums.count[enough]
    deviation = np.zeros(sums.count.shape, dtype=np.float32)
    deviation[enough] = np.sqrt(np.maximum(sums.squares[enough] - np.square(sums.total[enough]) / n, 0) / (n - 1))
    return deviation


def _too_few(n: int) -> DatasetError:
    return DatasetError(
        f"--make-normals: {n} participants with a prepared interictal SPECT and a transform to a common template, "
        f"{MIN_PARTICIPANTS} needed; prepare them first, or choose another column or value"
    )


def _write(folder: Path, images: NormalImages, common: Mapping[str, Any], condition: str) -> None:
    own = {"Name": "bids_spectsynth", "Version": bids_spectsynth.__version__}
    description = {
        "Name": "Normal SPECT",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [own],
    }
    write_json(description_file(folder), description)
    name, _, cohort = images.template.partition("+")
    stem = f"tpl-{name}" + (f"_cohort-{cohort}" if cohort else "") + "_desc-normals_stat-"
    facts = {
        "NumberOfParticipants": images.n_participants,
        "ChosenBy": condition,
        "Template": images.template,
        **common,
    }
    grid = Grid((images.mean.shape[0], images.mean.shape[1], images.mean.shape[2]), images.affine)
    for stat, values, text in (
        ("mean", images.mean, {"Description": "Mean of the scans, each divided by its brain's mean."}),
        (
            "std",
            images.standard_deviation,
            {
                "Description": "Standard deviation of the smoothed scans, each divided by its brain's mean.",
                "SmoothingFWHM": images.fwhm,
            },
        ),
        ("coverage", images.coverage, {"Description": "Number of scans at each voxel."}),
    ):
        units = {"Units": "participants"} if stat == "coverage" else {}
        write_image(folder / f"{stem}{stat}_spect.nii.gz", new_image(values, grid.affine), {**text, **facts, **units})
