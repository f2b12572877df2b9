"""What a run would do, said without doing it (``--dry-run``)."""

import logging
from collections.abc import Sequence

from bids_spectsynth.bids.cases import Case
from bids_spectsynth.exit_codes import Outcome
from bids_spectsynth.logs import LOGGER_NAME
from bids_spectsynth.settings import Settings

logger = logging.getLogger(f"{LOGGER_NAME}.plan")


def log_plan(settings: Settings, cases: Sequence[Case], outcomes: Sequence[Outcome]) -> None:
    """Say which files each participant gives, who is skipped, and which stages and models follow."""
    for line in plan_lines(settings, cases, outcomes):
        logger.info("%s", line)


def plan_lines(settings: Settings, cases: Sequence[Case], outcomes: Sequence[Outcome]) -> list[str]:
    """Lines of the plan; paths are relative to the dataset."""
    lines = [f"dry run: nothing is written; {len(cases)} to prepare, {len(outcomes)} skipped or failed"]
    for case in cases:
        lines.append(f"{case.name}:")
        for role, image in case.images.items():
            path = image.path
            shown = path.relative_to(settings.bids_dir) if path.is_relative_to(settings.bids_dir) else path
            lines.append(f"  {role}: {shown} ({image.reason})")
        lines.extend(f"  warning: {warning}" for warning in case.warnings)
    for outcome in outcomes:
        session = f" ses-{outcome.session}" if outcome.session else ""
        lines.append(f"sub-{outcome.participant}{session}: {outcome.status}: {outcome.reason}")
    return [*lines, *_stage_lines(settings)]


def _stage_lines(settings: Settings) -> list[str]:
    from bids_spectsynth.preprocess.workflow import resolve_backend
    from bids_spectsynth.synthesis.cohort import model_labels

    backend = resolve_backend(settings.backend)
    spaces = ", ".join(settings.output_spaces)
    prepare = f"prepare with the {backend} backend at {settings.voxel_size:g} mm in {spaces}"
    train = f"train {', '.join(model_labels(settings).values())}"
    apply = f"apply {settings.model}" if settings.model else "apply the models in the output folder that fit"
    if settings.mode == "train":
        stages = [train]
    elif settings.mode == "preprocess":
        stages = [prepare]
    elif settings.mode == "apply" or settings.model is not None:
        stages = [prepare, apply]
    else:
        stages = [prepare, train, apply]
    return [f"then: {stage}" for stage in stages]
