import numpy as np

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.synthesis.baselines.fitted import Baselines
from bids_spectsynth.synthesis.baselines.predict import predict
from bids_spectsynth.synthesis.data.slices import load_case


def test_pet_copy_is_the_scaled_pet(cohort: list[PreparedCase], fitted: Baselines) -> None:
    expected = load_case(cohort[3], ("pet",), "slice", target=False).inputs[0]
    np.testing.assert_array_equal(predict(fitted, cohort[3])["petCopy"], expected)
