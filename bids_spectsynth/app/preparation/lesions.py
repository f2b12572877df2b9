"""Lesion masks of the cases of a run: brought to the grid of the prepared images, or removed where they are gone."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bids_spectsynth.app.freshness import transform_files
from bids_spectsynth.bids.access import read_problem
from bids_spectsynth.bids.finding.cases import Case
from bids_spectsynth.bids.finding.external import External
from bids_spectsynth.bids.manifests import Product, make_if_outdated, manifest_path
from bids_spectsynth.bids.names import parse_name
from bids_spectsynth.bids.output_files import find_cases, lesion_path, lesion_volumes, ratings_of, volume_text
from bids_spectsynth.bids.participants import LESION_VOLUME, note_unrated, update_participants
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import T1W
from bids_spectsynth.bids.sidecars import sidecar, sidecar_path
from bids_spectsynth.bids.transforms import external_source
from bids_spectsynth.errors import ImageError, Outcome, reason_of
from bids_spectsynth.evaluation.columns import LESION_KEY
from bids_spectsynth.images.grid import Grid
from bids_spectsynth.logs import LOGGER_NAME
from bids_spectsynth.options.settings import T1W_SPACE, Settings
from bids_spectsynth.preprocess.outputs.lesions import write_lesion
from bids_spectsynth.preprocess.records import content_stamp
from bids_spectsynth.synthesis.prediction.reading import original_grid

logger = logging.getLogger(f"{LOGGER_NAME}.run")


def prepare_lesions(cases: Sequence[Case], outcomes: Sequence[Outcome], settings: Settings) -> list[Outcome]:
    """Write the lesion masks of cases that are prepared, remove those that are not given any more, note volumes.

    Parameters
    ----------
    cases : sequence of Case
    outcomes : sequence of Outcome
        Of their preparation.
    settings : Settings

    Returns
    -------
    list of Outcome
        The same, but failed for whom the mask cannot be used.
    """
    found = []
    people = set()
    prepared = {(outcome.participant, outcome.session) for outcome in outcomes if outcome.status == "ok"}
    failures: dict[tuple[str, str | None], str] = {}
    for case in cases:
        if (case.participant, case.session) not in prepared:
            continue
        people.add(case.participant)
        try:
            _prepare(case, settings)
        except Exception as error:
            logger.debug("%s, lesion mask", case.name, exc_info=error)
            failures[case.participant, case.session] = reason_of(error)
    rows = {label: {LESION_VOLUME: _largest(label, settings.output_dir)} for label in sorted(people)}
    if rows:
        update_participants(settings.output_dir, rows)
    for outcome in outcomes:
        reason = failures.get((outcome.participant, outcome.session))
        found.append(outcome if reason is None else replace(outcome, status="failed", reason=reason))
    return found


def _largest(participant: str, output_dir: Path) -> str:
    """Volume of the largest lesion mask of a participant that lies there, mL; sessions outside the run have theirs."""
    prepared = [case.lesion for case in find_cases(output_dir, participant)]
    volume = max((lesion_volumes(path)[0] for path in prepared if path is not None), default=0.0)
    return volume_text(volume) if volume > 0 else ""


def _prepare(case: Case, settings: Settings) -> None:
    """The prepared masks of a case in all spaces that lie there: SISCOM has another than a run may ask for."""
    output_dir = settings.output_dir
    spaces = [one for one in find_cases(output_dir, case.participant) if one.name == case.name]
    if case.lesion is None:
        _withdraw(case, spaces, settings)
        return
    for prepared in spaces:
        was_there = lesion_path(output_dir, prepared).exists()
        try:
            _write(prepared, case.lesion, output_dir)
        except Exception as error:
            if prepared.space in (T1W_SPACE, *settings.spaces):
                # An earlier mask of a space must not serve anybody beside an image that this one was drawn on.
                if _is_refusal(error, case.lesion):
                    for one in spaces:
                        _remove(one, output_dir)
                raise
            _remove(prepared, output_dir)
            # Every run comes here; only one that takes something away is to be heard.
            level = logging.WARNING if was_there else logging.INFO
            logger.log(level, "%s: no lesion mask in %s, which this run does not ask for: %s", case.name,
                       prepared.space, reason_of(error))  # fmt: skip


def _is_refusal(error: Exception, source: External) -> bool:
    """Whether it is the mask that cannot be used: a disk that does not answer, or no memory, says nothing of it."""
    cause = error.__cause__
    # Damage that only the reader finds has no number of the system.
    of_system = isinstance(cause, MemoryError) or (isinstance(cause, OSError) and cause.errno is not None)
    return isinstance(error, ImageError) and not of_system and read_problem(source.path) is None


def _withdraw(case: Case, spaces: Sequence[PreparedCase], settings: Settings) -> None:
    """Remove the prepared masks of a case that has none any more, with a line."""
    paths = {one.space: lesion_path(settings.output_dir, one) for one in spaces}
    removed = [external_source(sidecar(path)) or path.name for path in paths.values() if path.exists()]
    for prepared in spaces:
        _remove(prepared, settings.output_dir)
    if removed and settings.lesion_mask == "none":
        logger.info("%s: --lesion-mask none: the prepared lesion mask of %s is removed", case.name, removed[0])
    elif removed:
        logger.warning("%s: the lesion mask %s is not given any more: it is removed, and what rests on it is made "
                       "anew; to keep it, give it again with --derivatives", case.name, removed[0])  # fmt: skip


def _remove(prepared: PreparedCase, output_dir: Path) -> None:
    """Remove a prepared mask, and the ratings that it was left out of."""
    path = lesion_path(output_dir, prepared)
    if path.exists():
        # The mask last: where a run ends between, the next one goes on.
        _remove_ratings(prepared, output_dir)
    _unlink(path, output_dir)


def _remove_ratings(prepared: PreparedCase, output_dir: Path) -> None:
    """Remove ratings that a mask was left out of, with a line: a run that does not rate, or another model, would not.

    Noted for the group level; whoever rates them takes that back.
    """
    tables = [path for path in ratings_of(output_dir, prepared) if sidecar(path).get(LESION_KEY) is True]
    models = sorted({parse_name(path.name)[0]["desc"] for path in tables})
    for model in models:
        note_unrated(output_dir, prepared.name, prepared.participant, model)
    for path in tables:
        _unlink(path, output_dir)
    if models:
        logger.warning("%s: ratings in %s that the earlier lesion mask was left out of are removed, of %s; those that "
                       "this run does not make anew, --mode apply with the model makes", prepared.name, prepared.space,
                       ", ".join(models))  # fmt: skip


def _unlink(path: Path, output_dir: Path) -> None:
    for stale in (path, sidecar_path(path), manifest_path(output_dir, path)):
        stale.unlink(missing_ok=True)


def _write(case: PreparedCase, source: External, output_dir: Path) -> None:
    path = lesion_path(output_dir, case)
    shape, affine = original_grid(case.images[T1W])
    inputs: Mapping[str, Path] = {
        "the lesion mask": source.path,
        "the brain mask": case.masks[T1W],
        **(transform_files(case) if case.template == case.space else {}),
    }
    product = Product(
        name=f"{case.name}: lesion mask in {case.space}",
        manifest=manifest_path(output_dir, path),
        inputs=inputs,
        options={
            # Hands and programs may leave size and time as they were.
            "the content of the lesion mask": content_stamp(source.path),
            "the name of the lesion mask": [source.uri, *source.superseded],
            "the voxels of the lesion mask": "all that are reached into",
            "the grid of the original T1w": [list(shape), affine.tolist()],
        },
        outputs=(path, sidecar_path(path)),
        is_current=lambda: False,
    )

    def make() -> None:
        notes = write_lesion(path, case, source, Grid(shape, affine)).notes
        # Behind what may fail; the manifest, by which a run that ends between goes on, comes last.
        _remove_ratings(case, output_dir)
        for note in notes:
            logger.warning("%s: %s: %s", case.name, source.uri, note)

    make_if_outdated(product, make)
