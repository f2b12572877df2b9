import dataclasses

import numpy as np
import pytest

from bids_spectsynth.evaluation.uncertainty.predictors import in_brain_mean, voxel_predictors


def test_voxel_predictors__do_not_depend_on_units(cohort):
    head = cohort[0]
    other = dataclasses.replace(head.prediction, values=9 * head.prediction.values)
    for name, values in voxel_predictors(head.prediction, head.mask).items():
        np.testing.assert_allclose(voxel_predictors(other, head.mask)[name], values, atol=1e-6)


def test_voxel_predictors__have_what_the_network_predicts(make_head, tmp_path):
    head = make_head(tmp_path, "01", 1, network=True)
    found = voxel_predictors(head.prediction, head.mask)
    assert sorted(found) == ["edges", "network", "uptake"]
    assert np.corrcoef(found["network"], np.log(head.sd[head.mask]))[0, 1] > 0.99


def test_in_brain_mean__of_an_empty_image(cohort):
    head = cohort[0]
    assert in_brain_mean(head.prediction, head.mask) == pytest.approx(float(head.prediction.values[head.mask].mean()))
    empty = dataclasses.replace(head.prediction, values=0 * head.prediction.values)
    with pytest.raises(ValueError, match="no signal"):
        in_brain_mean(empty, head.mask)
