"""All prepared cases of an output folder, measured and judged together."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bids_spectsynth.bids.prepared import PreparedCase, find_prepared, is_unfinished
from bids_spectsynth.bids.transforms import find_transforms
from bids_spectsynth.errors import ImageError
from bids_spectsynth.options.settings import T1W_SPACE
from bids_spectsynth.quality.files import CaseQuality, case_quality, write_quality
from bids_spectsynth.quality.judge import Flag, common_rules, judge

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judgement:
    """What is known of everybody who is prepared.

    Parameters
    ----------
    judged : list of (PreparedCase, tuple of Flag)
        By name.
    unjudged : frozenset of str
        Names of the cases that could not be measured, or whose preparation has not ended: nothing speaks for them.
    """

    judged: list[tuple[PreparedCase, tuple[Flag, ...]]]
    unjudged: frozenset[str]


def measure_folder(output_dir: Path, spaces: Sequence[str]) -> dict[str, CaseQuality]:
    """Measure everybody who is prepared, which takes its time, before :func:`judge_folder` is called under the lock.

    Parameters
    ----------
    output_dir : Path
    spaces : sequence of str
        Labels.

    Returns
    -------
    dict
        By name; without cases that could not be measured, of which the judge says why.
    """
    found, transforms = _find(output_dir, spaces), find_transforms(output_dir)
    measured = {}
    for name, case in found.items():
        with suppress(ImageError):
            if not is_unfinished(output_dir, name):
                measured[name] = case_quality(output_dir, case, transforms)
    return measured


def judge_folder(
    output_dir: Path, spaces: Sequence[str], *, write: bool, known: Mapping[str, CaseQuality] | None = None
) -> Judgement:
    """Judge everybody who is prepared, each case once: in the T1w's space where that is one of the spaces.

    A case with an image that cannot be measured is not judged, with a line. Nor is one whose preparation has begun and
    not ended: some of its images would be of before, some missing.

    Parameters
    ----------
    output_dir : Path
    spaces : sequence of str
        Labels.
    write : bool
        Whether the files of measurements and flags are written.
    known : mapping of str to CaseQuality, optional
        What :func:`measure_folder` found, by name; taken where the images are still those.
    """
    found, transforms = _find(output_dir, spaces), find_transforms(output_dir)
    measured: dict[str, CaseQuality] = {}
    for name in sorted(found):
        if is_unfinished(output_dir, name):
            logger.warning("%s: not judged: its preparation has not ended, here or in another job", name)
            continue
        try:
            measured[name] = case_quality(output_dir, found[name], transforms, (known or {}).get(name))
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
    return Judgement([(found[name], flags[name]) for name in measured], frozenset(found) - frozenset(measured))


def _find(output_dir: Path, spaces: Sequence[str]) -> dict[str, PreparedCase]:
    ordered = sorted(spaces, key=lambda space: space != T1W_SPACE)
    return {case.name: case for space in reversed(ordered) for case in find_prepared(output_dir, space)}


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
