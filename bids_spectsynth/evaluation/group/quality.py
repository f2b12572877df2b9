"""What tells a participant from the others before any statistics: registration, mask volume, level, metrics."""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from bids_spectsynth.bids.output_files import group_table_path
from bids_spectsynth.bids.prepared import PreparedCase, find_prepared
from bids_spectsynth.bids.roles import role_of
from bids_spectsynth.bids.transforms import find_transforms
from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.evaluation.case.metrics import metrics_in
from bids_spectsynth.evaluation.case.volume_measures import VOLUME_MEASURES
from bids_spectsynth.evaluation.columns import NETWORK, Dictionary, counted, in_metric_unit, unitless
from bids_spectsynth.evaluation.statistics.robust import OUTLIER_Z, robust_scores
from bids_spectsynth.images.nifti import READ_ERRORS, opened_image
from bids_spectsynth.options.settings import T1W_SPACE

logger = logging.getLogger(__name__)

Better = Literal["low", "high", ""]


@dataclass(frozen=True)
class Quantity:
    """Something that participants are compared by.

    Parameters
    ----------
    title : str
        For readers, in front of what it is of: ``Overlap of PET to T1w``.
    unit : str
    description : str
    better : {'low', 'high', ''}
        Which side is no fault; empty where both are.
    advice : str
        What to look at, in a sentence.
    digits : int
        Decimals for reading.
    log : bool
        Whether z-scores are of the logarithm, because values differ by factors.
    """

    title: str
    unit: str
    description: str
    better: Better
    advice: str
    digits: int = 3
    log: bool = False


_REGISTRATION = "Look at the registration."
_SYNTHESIS = "Look at the synthetic image and its inputs."


def quantities() -> dict[str, Quantity]:
    """What participants are compared by, with the registered metrics."""
    own = {
        "overlap": Quantity("Overlap", "1", "Dice coefficient of the two brains.", "high", _REGISTRATION),
        "score": Quantity("Score", "1", "Final value of a registration's metric.", "high", _REGISTRATION),
        "mask_volume": Quantity("Brain mask", "mL", "Volume of the brain mask.", "", "Look at the brain mask.", 0),
        "level": Quantity(
            "Level",
            "unit of the image",
            "Mean of a prepared image in the brain; z of its logarithm.",
            "",
            "Look at units, scaling and dose of the image.",
            log=True,
        ),
    }
    metrics = {
        one.name: Quantity(
            one.label, one.unit, f"{one.full_title} in the brain, mean over the slices in the block.",
            "low" if one.lower_is_better else "high", _SYNTHESIS, one.digits,
        )
        for one in metrics_in("brain")
    }  # fmt: skip
    volumes = {
        one.name: Quantity(one.title, one.unit, one.full_title + ".", "low", _SYNTHESIS, one.digits)
        for one in VOLUME_MEASURES.values()
    }
    return {**own, **metrics, **volumes}


def quality_dictionary() -> Dictionary:
    """Data dictionary of ``group_quality.tsv``."""
    levels = {name: one.description for name, one in quantities().items()}
    return {
        "participant_id": {"Description": "Participant."},
        "session_id": {"Description": "Session; n/a without one."},
        "quantity": {"Description": "What participants are compared by.", "Levels": levels},
        "of": {"Description": "Which registration, image or model it is of."},
        "metric_unit": {"Description": "Unit of the value; 1 for none."},
        "value": in_metric_unit("The participant's value."),
        "median": in_metric_unit("Median of all values of this quantity and of the same thing."),
        "mad": in_metric_unit("Median absolute deviation from the median; of level that of its natural logarithm."),
        "n": counted("Values that it is compared with, its own included."),
        "z": unitless(
            "Robust z-score (Iglewicz and Hoaglin 1993): 0.6745 (value - median) / mad; where more than half of the "
            "values are equal by the mean absolute deviation. n/a with fewer than five values."
        ),
    }


def group_quality(output_dir: Path, metrics: pd.DataFrame, volumes: pd.DataFrame) -> pd.DataFrame:
    """Every participant's registrations, brain mask, image levels and metrics, each with its robust z-score.

    Parameters
    ----------
    output_dir : Path
    metrics, volumes : DataFrame
        ``group_metrics.tsv`` and ``group_volumes.tsv``.

    Returns
    -------
    DataFrame
        Columns of :func:`quality_dictionary`, a row for each participant, session, quantity and what it is of.
    """
    rows = [*_registrations(output_dir), *_images(output_dir), *_metrics(metrics), *_volumes(volumes)]
    table = pd.DataFrame(rows, columns=["participant_id", "session_id", "quantity", "of", "value"])
    known = quantities()
    table["metric_unit"] = [known[str(name)].unit for name in table["quantity"]]
    table = table.assign(median=math.nan, mad=math.nan, n=0, z=math.nan)
    for (name, _), group in table.groupby(["quantity", "of"], sort=False):
        values = group["value"].to_numpy(dtype=np.float64)
        logarithmic = known[str(name)].log
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = robust_scores(np.log(values) if logarithmic else values)
        median = math.exp(scores.median) if logarithmic else scores.median
        table.loc[group.index, ["median", "mad", "n"]] = [median, scores.mad, scores.n]
        table.loc[group.index, "z"] = scores.z
    table["n"] = table["n"].astype(int)
    return table[list(quality_dictionary())]


def write_group_quality(table: pd.DataFrame, output_dir: Path) -> Path:
    """Write ``group_quality.tsv`` with its data dictionary."""
    path = group_table_path(output_dir, "quality")
    write_table(path, table, quality_dictionary())
    return path


def _row(case_name: str, quantity: str, of: str, value: float) -> dict[str, Any]:
    participant, _, session = case_name.partition("_")
    names = {"participant_id": participant, "session_id": session or "n/a", "quantity": quantity, "of": of}
    return {**names, "value": value}


def _registrations(output_dir: Path) -> Iterator[dict[str, Any]]:
    transforms = find_transforms(output_dir)
    kinds = {(one.title, one.metric) for one in transforms}
    for one in transforms:
        # Scores of two metrics are not on one scale.
        several = sum(title == one.title for title, _ in kinds) > 1
        scored = f"{one.title} ({one.metric})" if several else one.title
        for name, of, value in (("overlap", one.title, one.overlap), ("score", scored, one.score)):
            if math.isfinite(value):
                yield _row(one.case_name, name, of, value)


def _images(output_dir: Path) -> Iterator[dict[str, Any]]:
    for case in find_prepared(output_dir, T1W_SPACE):
        try:
            yield from _levels(case)
        except READ_ERRORS as error:
            logger.warning("%s: no volume of the mask and no levels (%s)", case.name, " ".join(str(error).split()))


def _levels(case: PreparedCase) -> Iterator[dict[str, Any]]:
    with opened_image(case.masks["T1w"]) as image:
        mask = np.asanyarray(image.dataobj) > 0
        voxel_ml = abs(float(np.linalg.det(image.affine[:3, :3]))) / 1000
    yield _row(case.name, "mask_volume", role_of("T1w").title, float(np.count_nonzero(mask)) * voxel_ml)
    for role, path in case.images.items():
        with opened_image(path) as image:
            data = np.asanyarray(image.dataobj)
            inside = data[mask] if data.shape == mask.shape else np.array([])
        if inside.size:
            yield _row(case.name, "level", role_of(role).title, float(inside.mean(dtype=np.float64)))


def _metrics(metrics: pd.DataFrame) -> Iterator[dict[str, Any]]:
    own = metrics[(metrics["method"] == NETWORK) & (metrics["in_block"] == "true")]
    own = own[own["scale"] == own["scaling"]]
    names = [metric.name for metric in metrics_in("brain")]
    yield from _means(own, names)


def _volumes(volumes: pd.DataFrame) -> Iterator[dict[str, Any]]:
    yield from _means(volumes[volumes["method"] == NETWORK], list(VOLUME_MEASURES))


def _means(rows: pd.DataFrame, names: list[str]) -> Iterator[dict[str, Any]]:
    if rows.empty:
        return
    finite = rows[names].astype(np.float64).replace([np.inf, -np.inf], np.nan)
    keys = ["model", "participant_id", "session_id"]
    means = pd.concat([rows[keys].fillna("n/a"), finite], axis=1).groupby(keys, sort=False).mean()
    for row in means.reset_index().to_dict("records"):
        case = row["participant_id"] if row["session_id"] == "n/a" else f"{row['participant_id']}_{row['session_id']}"
        for name in names:
            if math.isfinite(row[name]):
                yield _row(str(case), name, str(row["model"]), float(row[name]))


def is_outlier(table: pd.DataFrame) -> "pd.Series[bool]":
    """Rows whose robust z lies beyond 3.5 on either side."""
    return table["z"].abs() > OUTLIER_Z
