"""All prepared cases of an output folder, measured and judged together."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bids_spectsynth.bids.prepared import PreparedCase, find_prepared, is_unfinished
from bids_spectsynth.bids.transforms import find_transforms
from bids_spectsynth.errors import ImageError
from bids_spectsynth.options.settings import T1W_SPACE
from bids_spectsynth.quality.files import CaseQuality, case_quality, write_quality
from bids_spectsynth.quality.judge import Flag, common_rules, judge

logger = logging.getLogger(__name__)


def judge_folder(
    output_dir: Path, spaces: Sequence[str], *, write: bool
) -> list[tuple[PreparedCase, tuple[Flag, ...]]]:
    """Judge everybody who is prepared, each case once: in the T1w's space where that is one of the spaces.

    An image that cannot be measured is left to the stages that need it, with a line. So is a case whose preparation
    another job has begun and not ended: some of its images would be of before, some missing.

    Parameters
    ----------
    output_dir : Path
    spaces : sequence of str
        Labels.
    write : bool
        Whether the files of measurements and flags are written.

    Returns
    -------
    list of (PreparedCase, tuple of Flag)
        By name; without cases that could not be measured.
    """
    ordered = sorted(spaces, key=lambda space: space != T1W_SPACE)
    found = {case.name: case for space in reversed(ordered) for case in find_prepared(output_dir, space)}
    transforms = find_transforms(output_dir)
    measured: dict[str, CaseQuality] = {}
    for name in sorted(found):
        if is_unfinished(output_dir, name):
            logger.info("%s: not judged: its preparation has not ended, here or in another job", name)
            continue
        try:
            measured[name] = case_quality(output_dir, found[name], transforms)
        except ImageError as error:
            logger.warning("%s: not judged: %s", name, error)
    common = _common_metrics(measured.values())
    comparable = {name: _comparable(quality, common) for name, quality in measured.items()}
    for rule, (broken, n) in common_rules(comparable).items():
        logger.warning(
            "%s: %d of %d cases are beyond the limit, so that it is taken for what these cameras are like, and "
            "nobody is flagged by it; look at one of them",
            rule,
            broken,
            n,
        )
    flags = judge(comparable)
    if write:
        for name, quality in measured.items():
            write_quality(output_dir, found[name], quality, flags[name])
    return [(found[name], flags[name]) for name in measured]


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
