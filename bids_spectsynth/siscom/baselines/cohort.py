"""The mean SPECT of a model's training cohort, brought to the head, times the ratio of the PETs where there is one."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bids_spectsynth.bids.output_files import models_folder
from bids_spectsynth.bids.prepared import PreparedCase, find_prepared
from bids_spectsynth.bids.roles import INTERICTAL
from bids_spectsynth.bids.roles import PET as PET_ROLE
from bids_spectsynth.errors import ModelError
from bids_spectsynth.siscom.baselines.request import BaselineSource, Request
from bids_spectsynth.siscom.records import BaselineImage, Float32
from bids_spectsynth.synthesis.baselines.base import unscaled
from bids_spectsynth.synthesis.baselines.cohort_mean import sample_in_brain
from bids_spectsynth.synthesis.baselines.files import TENSORS_FILE, has_baselines
from bids_spectsynth.synthesis.baselines.fitted import Baselines
from bids_spectsynth.synthesis.baselines.mean import pet_ratio, without_cases
from bids_spectsynth.synthesis.data.harmonising import harmonised
from bids_spectsynth.synthesis.models.card import ModelCard, has_trained
from bids_spectsynth.synthesis.models.ensemble import load_members, members_for
from bids_spectsynth.synthesis.models.training_scans import input_widths

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class TrainingMean:
    """A training cohort's mean that can be brought to a case.

    Parameters
    ----------
    folder : Path
        Of the network whose baselines hold it.
    model : str
        Label of the model.
    baselines : Baselines
        Without the participant, where the cohort is of this output folder.
    with_ratio : bool
        Whether the case and the cohort have PETs.
    n_participants : int
        In the mean; the participant itself does not count.
    seen : bool
        Whether the participant's own SPECT is part of the mean and cannot be taken out of it.
    widths : mapping of str to float
        Resolution (FWHM, mm) that the cohort's PETs were brought to; empty where they were not.
    """

    folder: Path
    model: str
    baselines: Baselines
    with_ratio: bool
    n_participants: int
    seen: bool
    widths: Mapping[str, float] = field(default_factory=dict)


def choose_mean(request: Request) -> TrainingMean | None:
    """The training cohort that serves a case best.

    Models of one study share their cohort but for participants who lack an input, so one mean serves for all: one
    without the participant before others, one with a PET ratio before others, then that of most participants.

    Parameters
    ----------
    request : Request

    Returns
    -------
    TrainingMean or None
        None where no model has a mean that the case has a way to. Models that cannot be read are logged.
    """
    found = [mean for folder in request.models if (mean := _mean_of(folder, request)) is not None]
    return max(found, key=lambda mean: (not mean.seen, mean.with_ratio, mean.n_participants), default=None)


def _mean_of(folder: Path, request: Request) -> TrainingMean | None:
    case = request.case
    try:
        members = request.members.get(folder) or load_members(folder)
        member = members_for(members, case.participant)[0]
        if not has_baselines(member.folder):
            return None
        baselines = Baselines.load(member.folder)
    except ModelError as error:
        logger.warning("%s: left out as a cohort: %s", case.name, error)
        return None
    if "mean_spect" not in baselines.arrays or case.through(baselines.template).template != baselines.template:
        return None
    own: list[PreparedCase] = []
    seen = has_trained(member.card, case.participant)
    if seen and folder.resolve().parent == models_folder(request.output_dir).resolve():
        own = _training_cases(request, member.card)
    n_participants = baselines.n_subjects
    if own:
        n_participants -= 1
        if not n_participants:
            return None
        baselines, seen = without_cases(baselines, own), False
    ratio = PET_ROLE in case.images and "mean_pet" in baselines.arrays
    label, widths = member.ensemble or member.card.label, input_widths([member.card], "none")
    return TrainingMean(folder, label, baselines, ratio, n_participants, seen, widths)


def _training_cases(request: Request, card: ModelCard) -> list[PreparedCase]:
    """The participant's own cases that the mean was fitted to."""
    wanted = {INTERICTAL, *card.inputs}
    cases = find_prepared(request.output_dir, card.space, (request.case.participant,))
    own = [case for case in cases if wanted <= case.images.keys() and not case.is_state_assumed]
    return [harmonised(case, input_widths([card], "none")) for case in own]


def _available(request: Request) -> str | None:
    if not request.models:
        return "no model, and so no training cohort"
    return None if choose_mean(request) else "no model with a cohort's mean in a template that the participant has"


def _make(request: Request) -> list[BaselineImage]:
    mean = choose_mean(request)
    if mean is None:
        return []
    widths = mean.widths if mean.with_ratio else {}
    case = harmonised(request.case, widths).through(mean.baselines.template)

    def on_head(name: str) -> Float32:
        arrays = mean.baselines.arrays
        return sample_in_brain(arrays[name], arrays["mean_affine"], case, request.brain, request.affine)

    values = on_head("mean_spect")
    notes = [f"Mean of the {mean.n_participants} training participants of model {mean.model}."]
    sources = [mean.folder / TENSORS_FILE]
    if mean.with_ratio:
        values = values * _ratio(request, unscaled(case, PET_ROLE), on_head("mean_pet"))
        notes.append("Times the ratio of the participant's PET to the cohort's mean PET.")
        sources.append(case.images[PET_ROLE])
        if PET_ROLE in case.smoothing:
            notes.append(f"The PET was smoothed by {case.smoothing[PET_ROLE]:.1f} mm, as those of the cohort were.")
    if mean.seen:
        notes.append("The participant's own SPECT may be part of the mean.")
    return [
        BaselineImage(
            kind="cohort",
            label="Cohort",
            values=values,
            mask=request.brain,
            seen=mean.seen,
            model=mean.model,
            sources=tuple(sources),
            notes=tuple(notes),
        )
    ]


def _ratio(request: Request, pet: Float32, mean_pet: Float32) -> Float32:
    """The ratio of the PETs; outside a lesion nothing depends on it."""
    ratio = pet_ratio(pet, mean_pet, request.healthy(request.brain), request.affine)
    if request.lesion is None:
        return ratio
    return np.where(request.lesion, pet_ratio(pet, mean_pet, request.brain, request.affine), ratio)


COHORT = BaselineSource(
    name="cohort",
    title="Training cohort's mean SPECT",
    description=(
        "The mean interictal SPECT of a model's training participants, brought to the head through the template, times "
        "the ratio of the PETs where there is one."
    ),
    available=_available,
    make=_make,
)
