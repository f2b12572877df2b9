"""What a calibration needs of one held-out participant: residuals of voxels and of regional measures."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import INTERICTAL
from bids_spectsynth.evaluation.case.regions import asymmetry_index, case_regions, world_points
from bids_spectsynth.evaluation.case.volume import relative_uptake
from bids_spectsynth.evaluation.uncertainty.predictors import voxel_predictors
from bids_spectsynth.evaluation.uncertainty.residual_map import ResidualSums, residual_sums
from bids_spectsynth.options.settings import T1W_SPACE
from bids_spectsynth.synthesis.baselines.base import unscaled
from bids_spectsynth.synthesis.baselines.template import template_matrix, template_of
from bids_spectsynth.synthesis.data.slices import brain_and_evaluation_mask
from bids_spectsynth.synthesis.prediction.case_prediction import Prediction

Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: Voxels of a participant that are kept: neighbours are alike, so that more tell little.
MAX_VOXELS = 6000
#: Regional measures that have intervals of their own.
UPTAKE, ASYMMETRY = "uptake", "asymmetry"


@dataclass(frozen=True, eq=False)
class Residuals:
    """One participant's residuals, real minus synthetic, both over their in-brain mean.

    Parameters
    ----------
    participant : str
        Label without ``sub-``.
    errors : array, shape (n,)
        Of evenly chosen voxels of the evaluation mask.
    predictors : mapping of str to array, shape (n,)
        See :func:`bids_spectsynth.evaluation.uncertainty.predictors.voxel_predictors`.
    template : str or None
        In whose world ``points`` and the regions lie.
    points : array, shape (3, n), or None
        Those voxels in the template's world, RAS+ mm; None without a transform to a template.
    sums : ResidualSums or None
        Of all voxels.
    regional : mapping of str to mapping of str to float
        Error of each regional measure (``uptake``, ``asymmetry``) by the name of the region.
    """

    participant: str
    errors: Float64
    predictors: Mapping[str, Float64]
    template: str | None
    points: Float64 | None
    sums: ResidualSums | None
    regional: Mapping[str, Mapping[str, float]]


def case_residuals(prediction: Prediction, prepared: PreparedCase) -> Residuals | None:
    """Residuals of a case with an interictal SPECT; None where an image has no signal in the brain.

    Parameters
    ----------
    prediction : Prediction
        Of networks that have not seen the participant.
    prepared : PreparedCase

    Raises
    ------
    ImageError
        A prepared image or the transform cannot be read.
    """
    _, mask, affine = brain_and_evaluation_mask(prepared)
    real = relative_uptake(unscaled(prepared, INTERICTAL), mask)
    synthetic = relative_uptake(prediction.values, mask)
    if real is None or synthetic is None:
        return None
    errors = (real - synthetic)[mask].astype(np.float64)
    points = template_points(prepared, mask, affine)
    chosen = slice(None, None, -(-len(errors) // MAX_VOXELS))
    return Residuals(
        participant=prepared.participant,
        errors=errors[chosen],
        predictors={name: values[chosen] for name, values in voxel_predictors(prediction, mask).items()},
        template=template_of(prepared),
        points=None if points is None else points[:, chosen],
        sums=None if points is None else residual_sums(errors, points),
        regional=regional_errors(regional_measures(real, prepared, mask, affine),
                                  regional_measures(synthetic, prepared, mask, affine)),
    )  # fmt: skip


def template_points(prepared: PreparedCase, mask: Mask, affine: Float64) -> Float64 | None:
    """Voxels of a mask in the template's world.

    Parameters
    ----------
    prepared : PreparedCase
    mask : array of bool, shape (I, J, K)
    affine : array, shape (4, 4)
        Of the mask, to world RAS+ mm.

    Returns
    -------
    array, shape (3, n), or None
        RAS+ mm, in the order of ``np.nonzero(mask)``; None without a transform to a template.

    Raises
    ------
    ImageError
        The transform cannot be read.
    """
    if prepared.space == T1W_SPACE and prepared.template_xfm is None:
        return None
    return world_points(mask, np.linalg.inv(template_matrix(prepared)) @ affine)


def regional_measures(
    relative: npt.NDArray[np.float32], prepared: PreparedCase, mask: Mask, affine: Float64
) -> pd.DataFrame:
    """Uptake of each region and asymmetry index of each pair.

    Parameters
    ----------
    relative : array, shape (I, J, K)
        Relative uptake, in-brain mean 1.
    prepared : PreparedCase
    mask : array of bool, shape (I, J, K)
    affine : array, shape (4, 4)
        Of both, to world RAS+ mm.

    Returns
    -------
    DataFrame
        The regions' table (``region``, ``hemisphere``, centre, ``voxels``, ``volume_ml``) with ``uptake`` and
        ``asymmetry`` (percent, the same in the rows of both sides).
    """
    regions = case_regions(prepared, mask, affine)
    uptake = regions.means(relative[mask].astype(np.float64))
    left, right = uptake[::2], uptake[1::2]
    return regions.table.assign(uptake=uptake, asymmetry=np.repeat(asymmetry_index(left, right), 2))


def measure_names(table: pd.DataFrame) -> dict[str, list[str]]:
    """Names of the regional measures of each row: uptake has one for each side, asymmetry one for both."""
    sides = [f"{region}_{side}" for region, side in zip(table["region"], table["hemisphere"], strict=True)]
    return {UPTAKE: sides, ASYMMETRY: list(table["region"])}


def regional_errors(real: pd.DataFrame, synthetic: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Real minus synthetic of each measure of :func:`regional_measures`, by name; those without a value left out."""
    errors: dict[str, dict[str, float]] = {}
    for measure, names in measure_names(real).items():
        found = (real[measure] - synthetic[measure]).to_numpy(dtype=np.float64)
        errors[measure] = {name: float(value) for name, value in zip(names, found, strict=True) if np.isfinite(value)}
    return errors
