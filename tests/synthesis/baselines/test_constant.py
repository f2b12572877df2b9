import numpy as np
import pytest

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.synthesis.baselines.fitted import Baselines
from bids_spectsynth.synthesis.baselines.predict import predict
from bids_spectsynth.synthesis.data.slices import load_case


def test_constant_is_the_mean_of_the_training_targets(cohort: list[PreparedCase], fitted: Baselines) -> None:
    arrays = [load_case(case, ("T1w",), "slice") for case in cohort[:3]]
    values = np.concatenate([a.target[a.mask] for a in arrays])
    assert fitted.numbers["Constant"] == pytest.approx(values.mean(), abs=1e-6)
    predicted = predict(fitted, cohort[3])["constant"]
    assert set(np.unique(predicted)) == {np.float32(-1), np.float32(fitted.numbers["Constant"])}
