import numpy as np
import pytest
import torch

from bids_spectsynth.errors import ImageError
from bids_spectsynth.synthesis.prediction.case_prediction import predict_case
from bids_spectsynth.synthesis.prediction.plausible import check_synthetic

MASK = np.zeros((8, 8, 8), dtype=bool)
MASK[2:6, 2:6, 2:6] = True


def image():
    scaled = np.full(MASK.shape, -1, dtype=np.float32)
    scaled[MASK] = np.linspace(-0.5, 0.9, 64)
    return scaled


def test_check_synthetic__image_passes():
    check_synthetic(image(), 20 * (image() + 1), MASK, "sub-01", "demo")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda scaled: np.where(MASK, np.nan, scaled), "holds values that are no numbers"),
        (lambda scaled: np.where(MASK, 0.3, scaled), "is the same everywhere in the brain"),
        (lambda scaled: np.where(MASK, np.sign(scaled - 0.8), scaled), "at the end of the network's range in 100%"),
    ],
)
def test_check_synthetic__no_image(spoil, message):
    scaled = spoil(image())
    with pytest.raises(ImageError, match=message):
        check_synthetic(scaled, 20 * (scaled + 1), MASK, "sub-01", "demo")


def test_check_synthetic__units_far_beyond_the_cohort():
    values = 20 * (image() + 1)
    values[3, 3, 3] = np.inf
    with pytest.raises(ImageError, match="no numbers"):
        check_synthetic(image(), values, MASK, "sub-01", "demo")
    values[3, 3, 3] = 1e9
    with pytest.raises(ImageError, match="sub-01: the synthetic image of model demo reaches 64 times its mean"):
        check_synthetic(image(), values, MASK, "sub-01", "demo")


def test_predict_case__network_of_nan(trained):
    model, _, prepared = trained
    weights = {name: value.clone() for name, value in model.generator.state_dict().items()}
    with torch.no_grad():
        model.generator.state_dict()["last.1.bias"][:] = torch.nan
    try:
        with pytest.raises(ImageError, match="sub-04: the synthetic image of model demo holds values"):
            predict_case([model], prepared, model.card)
    finally:
        model.generator.load_state_dict(weights)
