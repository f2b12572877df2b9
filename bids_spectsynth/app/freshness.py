"""What must be made again, and why: the files of a case and a model, and all that they depend on.

Each set of files has one manifest (:mod:`bids_spectsynth.bids.manifests`), which decides. Files that an earlier version
has made have none: times, sidecars and columns decide about them, once.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bids_spectsynth.app.model_choice import AppliedModel
from bids_spectsynth.bids.finding.cases import Case
from bids_spectsynth.bids.manifests import Product, file_record, is_younger, manifest_path
from bids_spectsynth.bids.output_files import (
    CALIBRATION,
    ORIGINAL_SPACE,
    case_tables,
    interval_paths,
    rating_path,
    rating_tables,
    regional_intervals_path,
    standard_deviation_path,
    synthetic_path,
)
from bids_spectsynth.bids.prepared import PreparedCase, find_prepared
from bids_spectsynth.bids.roles import T1W, role_of
from bids_spectsynth.bids.sidecars import sidecar, sidecar_path
from bids_spectsynth.bids.table_records import table_fault
from bids_spectsynth.bids.transforms import external_source, find_transforms
from bids_spectsynth.evaluation.case.region_columns import REGIONS_DICTIONARY, VOLUME_DICTIONARY
from bids_spectsynth.evaluation.case.slice_columns import slice_dictionary
from bids_spectsynth.evaluation.columns import Dictionary
from bids_spectsynth.evaluation.uncertainty.files import calibration_paths
from bids_spectsynth.evaluation.uncertainty.rating import CALIBRATION_DICTIONARY
from bids_spectsynth.options.settings import T1W_SPACE, Settings
from bids_spectsynth.options.spaces import BUILT_IN_TEMPLATE, parse_space
from bids_spectsynth.synthesis.baselines.files import baseline_files
from bids_spectsynth.synthesis.models.card import ModelCard, card_checksum
from bids_spectsynth.synthesis.models.scan_records import recorded_numbers
from bids_spectsynth.synthesis.models.training_scans import HARMONISED_FWHM, comparison_basis, input_widths
from bids_spectsynth.synthesis.prediction.reading import AFFINE_KEY, SHAPE_KEY
from bids_spectsynth.synthesis.prediction.sidecar import model_checksum

_MODEL, _SAMPLING, _RANGE, _SPLIT = "the model", "the sampling", "the data range", "the side of the split"
_CARD = "the card of the model"


def image_product(model: AppliedModel, case: PreparedCase, settings: Settings, *, calibrated: bool = False) -> Product:
    """The synthetic image of a case, in all geometries, and how far it may be wrong where that is requested.

    Parameters
    ----------
    model : AppliedModel
    case : PreparedCase
        In the model's space.
    settings : Settings
        For ``output_dir``, ``samples`` and ``harmonise``.
    calibrated : bool
        Whether standard deviation and intervals come from the calibration in the model's folder.
    """
    output_dir, label = settings.output_dir, model.label
    cards = [member.card for member in model.members_for(case.participant)]
    path, deviation = (find(output_dir, case, label) for find in (synthetic_path, standard_deviation_path))
    inputs = prepared_files(case)
    widths = input_widths(cards, settings.harmonise)
    # Beside the cards, from which they follow: images that know nothing of it stay current.
    basis = comparison_basis(cards, case)
    behind = [*(card_checksum(card) for card in cards), *([widths] if widths else []), *([basis] if basis else [])]
    options: dict[str, Any] = {_MODEL: model_checksum(cards), _CARD: behind}
    images = [path]
    if case.space == T1W_SPACE:
        own = sidecar(case.images[T1W])
        options["the grid of the original T1w"] = [own.get(SHAPE_KEY), own.get(AFFINE_KEY)]
        images.append(synthetic_path(output_dir, case, label, space=ORIGINAL_SPACE))
    if calibrated:
        # Not among the inputs: a run that does not ask for the intervals makes nothing anew.
        files = [*calibration_paths(model.folder), *transform_files(case).values()]
        checksums = [file_record(file).sha256 for file in files]
        options[_SAMPLING] = [CALIBRATION, *checksums]
        tables = [regional_intervals_path(output_dir, case, label)]
        images += [deviation, *interval_paths(output_dir, case, label), *tables]
    elif settings.samples:
        options[_SAMPLING] = _sampling(cards, settings.samples)
        images.append(deviation)
    if cards[0].prior_sha256:
        inputs |= transform_files(case)

    def is_current() -> bool:
        if calibrated:
            return False
        same = settings.samples == 0 or _is_same_sampling(deviation, cards, settings.samples)
        # Another resolution of the inputs makes another image.
        same = same and recorded_numbers(sidecar(path), HARMONISED_FWHM) == widths
        return same and is_output_of(path, cards) and is_younger((path, sidecar_path(path)), tuple(inputs.values()))

    return Product(
        name=f"{case.name}: image of {label}",
        manifest=manifest_path(output_dir, path),
        inputs=inputs,
        options=options,
        outputs=_with_sidecars(images),
        is_current=is_current,
    )


def ratings_product(model: AppliedModel, case: PreparedCase, split: str, settings: Settings) -> Product:
    """The tables that rate a synthetic image: by slice, by region and as a volume.

    Parameters
    ----------
    model : AppliedModel
    case : PreparedCase
        With an interictal SPECT; with a lesion mask if that is left out.
    split : str
        The side of the model's split that it is on.
    settings : Settings
        For ``output_dir`` and ``data_range``.
    """
    output_dir, label = settings.output_dir, model.label
    members = model.members_for(case.participant)
    table, tables = rating_path(output_dir, case, label, "metrics"), case_tables(output_dir, case, label)
    baselines = {
        f"{path.name} of network {number}": path
        for number, member in enumerate(members, start=1)
        for path in baseline_files(member.folder)
    }
    image = synthetic_path(output_dir, case, label)
    inputs = {
        "the synthetic image": image,
        "the sidecar of the synthetic image": sidecar_path(image),
        **prepared_files(case),
        **transform_files(case),
        **_lesion_files(case),
        **baselines,
    }
    # The rule of earlier versions, which neither looked at the sidecar nor at the transform.
    older = [image, *prepared_files(case).values(), *baselines.values()]
    if members[0].card.prior_sha256:
        older += transform_files(case).values()

    def is_current() -> bool:
        same = _are_whole(tables) and _is_same_rating(table, settings.data_range, split)
        return same and is_younger(tuple(tables), tuple(older))

    return Product(
        name=f"{case.name}: ratings of {label}",
        manifest=manifest_path(output_dir, table),
        inputs=inputs,
        options={
            _MODEL: model_checksum([member.card for member in members]),
            _RANGE: settings.data_range,
            _SPLIT: split,
            "the set of columns": [list(columns) for columns in _rating_columns()],
        },
        outputs=_with_sidecars(tables),
        is_current=is_current,
    )


def calibration_product(model: AppliedModel, case: PreparedCase, split: str, settings: Settings) -> Product:
    """The table that rates the standard deviation of a synthetic image.

    Parameters
    ----------
    model : AppliedModel
    case : PreparedCase
        With an interictal SPECT; with a lesion mask if that is left out.
    split : str
        The side of the model's split that it is on.
    settings : Settings
        For ``output_dir``.
    """
    output_dir, label = settings.output_dir, model.label
    table = rating_path(output_dir, case, label, "calibration")
    inputs = {
        "the synthetic image": synthetic_path(output_dir, case, label),
        "its standard deviation": standard_deviation_path(output_dir, case, label),
        **prepared_files(case),
        **_lesion_files(case),
    }
    return Product(
        name=f"{case.name}: calibration of {label}",
        manifest=manifest_path(output_dir, table),
        inputs=inputs,
        options={
            _SAMPLING: list(_sampled(standard_deviation_path(output_dir, case, label))),
            _SPLIT: split,
            "the set of columns": list(CALIBRATION_DICTIONARY),
        },
        outputs=_with_sidecars([table]),
        is_current=lambda: not _is_cut(table) and is_younger((table,), tuple(inputs.values())),
    )


def remove_ratings(output_dir: Path, case: PreparedCase, label: str) -> None:
    """Remove what rates a synthetic image, which is made anew or must not be rated.

    Parameters
    ----------
    output_dir : Path
    case : PreparedCase
    label : str
        Of the model.
    """
    _remove(rating_tables(output_dir, case, label), output_dir)


def remove_image(output_dir: Path, case: PreparedCase, label: str) -> None:
    """Remove a synthetic image that is made anew, and what goes with it: standard deviation, intervals and ratings.

    The image's own manifest stays: it does not fit what is made until that is complete.

    Parameters
    ----------
    output_dir : Path
    case : PreparedCase
    label : str
        Of the model.
    """
    remove_ratings(output_dir, case, label)
    intervals = interval_paths(output_dir, case, label)
    table = regional_intervals_path(output_dir, case, label)
    _remove([standard_deviation_path(output_dir, case, label), *intervals, table], output_dir)
    own = synthetic_path(output_dir, case, label), synthetic_path(output_dir, case, label, space=ORIGINAL_SPACE)
    for path in _with_sidecars(own):
        path.unlink(missing_ok=True)


def _remove(paths: Sequence[Path], output_dir: Path) -> None:
    for path in paths:
        for stale in (path, sidecar_path(path), manifest_path(output_dir, path)):
            stale.unlink(missing_ok=True)


def prepared_files(case: PreparedCase) -> dict[str, Path]:
    """The prepared images of a case and their masks, by what a line of the log calls them."""
    images = {f"the {role_of(role).title}": path for role, path in case.images.items()}
    return images | {f"the brain mask of the {role_of(role).title}": path for role, path in case.masks.items()}


def _lesion_files(case: PreparedCase) -> dict[str, Path]:
    """The lesion mask of a case, if it has one."""
    return {} if case.lesion is None else {"the lesion mask": case.lesion}


def transform_files(case: PreparedCase) -> dict[str, Path]:
    """The transform of a case to its template, if it has one."""
    return {} if case.template_xfm is None else {"the transform to the template": case.template_xfm}


def _with_sidecars(paths: Sequence[Path]) -> tuple[Path, ...]:
    return tuple(one for path in paths for one in (path, sidecar_path(path)))


def _sampling(cards: Sequence[ModelCard], samples: int) -> tuple[str, int]:
    """Over what the standard deviation is taken, and over how many."""
    return ("ensemble", len(cards)) if len(cards) > 1 else ("dropout", samples)


def _sampled(deviation: Path) -> tuple[Any, Any]:
    """The same of a standard deviation that lies there."""
    facts = sidecar(deviation)
    return facts.get("SampledBy"), facts.get("Samples")


def _is_same_sampling(deviation: Path, cards: Sequence[ModelCard], samples: int) -> bool:
    return is_output_of(deviation, cards) and _sampled(deviation) == _sampling(cards, samples)


def is_output_of(path: Path, cards: Sequence[ModelCard]) -> bool:
    """Whether an image is of these very networks, as its sidecar has it, and not of others of the same label."""
    return bool(sidecar(path).get("ModelChecksum") == model_checksum(cards))


def _rating_columns() -> tuple[Dictionary, ...]:
    """What the columns of the tables of a rating mean, in the order of the tables."""
    return slice_dictionary(), REGIONS_DICTIONARY, VOLUME_DICTIONARY


def _is_cut(table: Path) -> bool:
    try:
        return bool(table_fault(table))
    except OSError:
        return True


def _are_whole(tables: Sequence[Path]) -> bool:
    """Whether the tables of a rating are as written, with today's columns: earlier ones lack what the group needs."""
    if any(map(_is_cut, tables)):
        return False
    try:
        found = [list(pd.read_csv(path, sep="\t", nrows=0).columns) for path in tables]
    except (OSError, ValueError):
        return False
    return found == [list(columns) for columns in _rating_columns()]


def _is_same_rating(table: Path, data_range: float, split: str) -> bool:
    try:
        rated = pd.read_csv(table, sep="\t")
    except ValueError:
        return False
    if not rated["training"].astype(str).str.startswith("t").all():
        return False  # a fingerprint of an earlier version, which equals none of today's
    return set(rated["data_range"]) == {data_range} and set(rated["split"]) == {split}


def holds_what_is_gone(case: Case, settings: Settings) -> bool:
    """Whether the output folder holds of a case what was made elsewhere and is not given any more."""
    given = {None, *(one.uri for one in case.external.values())}
    everything = [
        one for space in settings.spaces for one in find_prepared(settings.output_dir, space, [case.participant])
    ]
    found = [external_source(sidecar(one.masks[T1W])) for one in everything if one.name == case.name]
    targets = {T1W, *settings.spaces, parse_space(BUILT_IN_TEMPLATE).label}
    transforms = find_transforms(settings.output_dir, case.participant)
    found += [one.external for one in transforms if one.case_name == case.name and one.target in targets]
    return not given.issuperset(found)
