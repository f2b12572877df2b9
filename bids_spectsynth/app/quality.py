"""The stage that judges prepared images, and the training without whoever is flagged."""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from bids_spectsynth.app.stages import Context
from bids_spectsynth.bids.participants import update_participants
from bids_spectsynth.bids.prepared import PreparedCase, find_prepared
from bids_spectsynth.bids.transforms import find_transforms
from bids_spectsynth.errors import ImageError, ModelError, Outcome
from bids_spectsynth.options.settings import T1W_SPACE, Settings
from bids_spectsynth.quality.files import CaseQuality, case_quality, write_quality
from bids_spectsynth.quality.judge import Flag, flagged_names, judge
from bids_spectsynth.synthesis.computing.devices import environment_rank
from bids_spectsynth.synthesis.training.train_models import train_models

logger = logging.getLogger(__name__)


def quality_outcomes(context: Context) -> Iterator[Outcome]:
    """Judge all prepared cases of the output folder, and say what is doubtful about those of this run.

    An image that cannot be measured is left to the stages that need it.

    Parameters
    ----------
    context : Context
        Gets the flags of all cases.
    """
    settings = context.settings
    cases = _judged_cases(settings)
    context.flags = _judge_all(settings, cases)
    own = {case.name for case in context.cases} if settings.mode != "train" else {case.name for case in cases}
    for case in cases:
        flags = context.flags.get(case.name, ())
        if not flags or case.name not in own:
            continue
        for flag in flags:
            logger.warning("%s, %s: %s", case.name, flag.name, flag.sentence)
        reason = f"doubtful images: {flagged_names(flags)}"
        yield Outcome(case.participant, case.session, "quality", "failed" if settings.strict else "ok", reason)


def _judged_cases(settings: Settings) -> list[PreparedCase]:
    """Everybody prepared, each case once: in the T1w's space where that is one of the spaces."""
    ordered = sorted(settings.spaces, key=lambda space: space != T1W_SPACE)
    found = {case.name: case for space in reversed(ordered) for case in find_prepared(settings.output_dir, space)}
    return [found[name] for name in sorted(found)]


def _judge_all(settings: Settings, cases: Iterable[PreparedCase]) -> Mapping[str, tuple[Flag, ...]]:
    output_dir, transforms = settings.output_dir, find_transforms(settings.output_dir)
    measured: dict[str, tuple[PreparedCase, CaseQuality]] = {}
    for case in cases:
        try:
            measured[case.name] = case, case_quality(output_dir, case, transforms)
        except ImageError as error:
            logger.warning("%s: not judged: %s", case.name, error)
    common = _common_metrics([quality for _, quality in measured.values()])
    flags = judge({name: _comparable(quality, common) for name, (_, quality) in measured.items()})
    if environment_rank().is_first:
        for name, (case, quality) in measured.items():
            write_quality(output_dir, case, transforms, quality, flags[name])
    return flags


def _common_metrics(qualities: Iterable[CaseQuality]) -> Mapping[str, str]:
    """What most scores of each role are: those of another backend cannot be compared with them."""
    counts: dict[str, Counter[str]] = {}
    for quality in qualities:
        for role, metric in quality.metrics.items():
            counts.setdefault(role, Counter())[metric] += 1
    return {role: count.most_common(1)[0][0] for role, count in counts.items()}


def _comparable(quality: CaseQuality, common: Mapping[str, str]) -> Mapping[str, float]:
    other = {f"{role}.score" for role, metric in quality.metrics.items() if metric != common[role]}
    return {name: value for name, value in quality.measures.items() if name not in other}


def train_unflagged(context: Context, names: Collection[str] | None) -> tuple[list[Path], list[Outcome]]:
    """Train on everybody whose prepared images are not doubtful; see
    :func:`bids_spectsynth.synthesis.training.train_models.train_models`.

    Parameters
    ----------
    context : Context
    names : collection of str, optional
        Cases to choose from; None for all that is prepared.

    Raises
    ------
    ModelError, UsageError
        As of the training; where flags have left cases out, the line says so.
    """
    settings, left_out = context.settings, context.left_out
    if not left_out:
        return train_models(settings, names)
    everybody = [case for space in settings.spaces for case in find_prepared(settings.output_dir, space)]
    chosen = {case.name for case in everybody} if names is None else set(names)
    lost = sorted(chosen & left_out)
    if lost:
        logger.warning("Not trained on, because of quality flags: %s (--include-flagged takes them)", " ".join(lost))
    try:
        found = train_models(settings, chosen - left_out)
    except ModelError as error:
        if not lost:
            raise
        hint = f"{len(lost)} of {len(chosen)} cases are left out by quality flags, --include-flagged takes them"
        raise ModelError(f"{error}; {hint}") from error
    kept = {case.participant for case in everybody if case.name in chosen - left_out}
    gone = {case.participant for case in everybody if case.name in lost} - kept
    if gone and environment_rank().is_first:
        update_participants(settings.output_dir, {label: {"split": "excluded"} for label in gone})
    return found
