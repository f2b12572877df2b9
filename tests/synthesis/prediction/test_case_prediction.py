import nibabel as nib
import numpy as np
import pytest

from bids_spectsynth.synthesis.data.slices import load_case
from bids_spectsynth.synthesis.prediction.case_prediction import predict_case, whole_card
from bids_spectsynth.synthesis.prediction.predict import predict
from bids_spectsynth.synthesis.prediction.synthetic_image import synthesise
from tests.synthesis.prediction.conftest import settings_for


def test_predict_case__both_scales_and_the_image_that_is_written(trained):
    model, output_dir, prepared = trained
    found = predict_case([model], prepared, whole_card([model], None))
    arrays = load_case(prepared, model.card.inputs, model.card.scaling, target=False)
    np.testing.assert_allclose(found.scaled, predict(model, arrays), atol=1e-6)
    np.testing.assert_allclose(found.values, found.slope * found.scaled + found.intercept, rtol=1e-5, atol=1e-5)
    assert found.values[found.mask].mean() == pytest.approx(model.card.target_statistics["mean_in_brain"], rel=1e-4)
    assert (found.units, found.standard_deviation, found.warning) == ("counts", None, "")
    written = nib.load(synthesise([model], prepared, output_dir, settings_for(output_dir)))
    np.testing.assert_allclose(found.image.get_fdata(), written.get_fdata(), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found.image.affine, written.affine)
    assert found.image.header.get_xyzt_units()[0] == "mm"


def test_predict_case__standard_deviation_is_in_units_and_in_the_brain(trained):
    model, _, prepared = trained
    found = predict_case([model], prepared, whole_card([model], "named"), samples=3)
    assert found.standard_deviation is not None
    assert found.standard_deviation.dtype == np.float32
    assert (found.standard_deviation >= 0).all()
    assert not found.standard_deviation[~found.mask].any()


def test_whole_card__takes_the_label_that_is_given(trained):
    model, _, _ = trained
    assert [whole_card([model], label).label for label in (None, "named")] == ["demo", "named"]
