import numpy as np
import pytest

from bids_spectsynth.synthesis.data.slices import load_case
from bids_spectsynth.synthesis.prediction.predict import predict
from bids_spectsynth.synthesis.prediction.units import to_units


def test_units_follow_slope_and_intercept(trained):
    model, _, prepared = trained
    arrays = load_case(prepared, model.card.inputs, model.card.scaling, target=False)
    output = predict(model, arrays)
    values, slope, intercept = to_units(output, arrays.mask, model.card)
    np.testing.assert_array_equal(values, (slope * output + intercept).astype(np.float32))
    np.testing.assert_array_equal(slope, intercept)
    brain = arrays.mask.any(axis=(0, 1))
    assert ((slope > 0) == brain).all()
    assert values.min() >= 0
    assert values[arrays.mask].mean() == pytest.approx(model.card.target_statistics["mean_in_brain"], rel=1e-5)
    assert (len(set(slope[brain])) == 1) == (model.card.scaling == "volume")
