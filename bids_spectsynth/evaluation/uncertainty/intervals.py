"""Standard deviation and interval of each voxel of a synthetic image, from a model's calibration."""

import numpy as np
import numpy.typing as npt

from bids_spectsynth.bids.output_files import CALIBRATION
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.errors import ImageError
from bids_spectsynth.evaluation.uncertainty.calibration_fit import Calibration
from bids_spectsynth.evaluation.uncertainty.predictors import in_brain_mean, voxel_predictors
from bids_spectsynth.evaluation.uncertainty.residuals import template_points
from bids_spectsynth.synthesis.baselines.template import template_of
from bids_spectsynth.synthesis.prediction.case_prediction import ErrorMaps, Prediction

Volume = npt.NDArray[np.float32]

#: Coverage of the interval that is written as images.
COVERAGE = 0.90


def calibrated_maps(prediction: Prediction, prepared: PreparedCase, calibration: Calibration) -> ErrorMaps:
    """Standard deviation and 90 % interval of a synthetic image.

    Parameters
    ----------
    prediction : Prediction
    prepared : PreparedCase
        For its way to the template.
    calibration : Calibration
        That the participant did not go into.

    Raises
    ------
    ImageError
        The image has no signal in the brain, or the transform to the template cannot be read.
    """
    mask = prediction.mask
    try:
        mean, predictors = in_brain_mean(prediction, mask), voxel_predictors(prediction, mask)
    except ValueError as error:
        raise ImageError(f"{prepared.name}: no uncertainty of the synthetic image ({error})") from error
    # In another template's world the places of the calibration are other places.
    here = template_of(prepared) == calibration.template
    points = template_points(prepared, mask, prediction.affine) if here else None
    deviation = np.zeros(mask.shape, dtype=np.float32)
    deviation[mask] = mean * calibration.standard_deviation(predictors, points)
    reach = np.float32(calibration.sd_factors[calibration.levels.index(COVERAGE)]) * deviation
    values = np.where(mask, prediction.values, 0).astype(np.float32)
    entries = {
        "UncertaintyDescription": (
            "From the errors of images of held-out participants, the participant itself left out; noise of the "
            "measured SPECT is part of them. Errors are of the uptake over its mean in the brain, and are given here "
            "in the units of this image: divide a measured SPECT by its own mean before it is compared."
        ),
        "SampledBy": CALIBRATION,
        "Samples": calibration.n_participants,
        "IntervalCoverage": COVERAGE,
        "IntervalFactors": {f"{level:g}": round(factor, 6) for level, factor in factors_by_level(calibration).items()},
    }
    return ErrorMaps(deviation, np.maximum(values - reach, 0).astype(np.float32), values + reach, entries)


def factors_by_level(calibration: Calibration) -> dict[float, float]:
    """Half widths of the intervals in standard deviations, by coverage."""
    return dict(zip(calibration.levels, calibration.sd_factors, strict=True))
