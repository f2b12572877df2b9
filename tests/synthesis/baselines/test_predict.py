import numpy as np

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.synthesis.baselines.fitted import Baselines
from bids_spectsynth.synthesis.baselines.predict import predict
from bids_spectsynth.synthesis.baselines.registry import BASELINES
from tests.synthesis.baselines.conftest import SHAPE, brain_mask


def test_all_five_in_range_on_the_grid_and_only_in_the_brain(cohort: list[PreparedCase], fitted: Baselines) -> None:
    mask = brain_mask(cohort[3])
    predictions = predict(fitted, cohort[3])
    assert tuple(predictions) == tuple(BASELINES)
    for image in predictions.values():
        assert image.shape == SHAPE
        assert image.dtype == np.float32
        assert np.abs(image).max() <= 1
        assert (image[~mask] == -1).all()
        assert (image[mask] > -1).any()
