import nibabel as nib
import numpy as np
import pytest

from bids_spectsynth.evaluation.uncertainty.residuals import (
    MAX_VOXELS,
    case_residuals,
    measure_names,
    regional_errors,
    regional_measures,
)


def test_case_residuals__are_real_minus_synthetic_over_the_brain_mean(cohort):
    head = cohort[0]
    found = case_residuals(head.prediction, head.case)
    real = np.asarray(nib.load(head.case.images["interictal"]).dataobj)[head.mask]
    synthetic = head.prediction.values[head.mask]
    expected = real / real.mean() - synthetic / synthetic.mean()
    step = -(-len(expected) // MAX_VOXELS)
    np.testing.assert_allclose(found.errors, expected[::step], atol=1e-5)
    assert found.points.shape == (3, len(found.errors))
    assert all(len(values) == len(found.errors) for values in found.predictors.values())


def test_case_residuals__without_a_transform_have_no_place(make_head, tmp_path):
    head = make_head(tmp_path, "01", 1, transform=False)
    found = case_residuals(head.prediction, head.case)
    assert found.points is None
    assert found.sums is None
    assert set(found.regional["asymmetry"]) == {"hemisphere"}


def test_case_residuals__of_an_image_without_signal(make_head, tmp_path):
    head = make_head(tmp_path, "01", 1)
    outside = np.where(head.mask, 0, 5).astype(np.float32)
    nib.Nifti1Image(outside, head.prediction.affine).to_filename(head.case.images["interictal"])
    assert case_residuals(head.prediction, head.case) is None


def test_regional_measures__know_left_from_right(cohort):
    head = cohort[0]
    x = (head.prediction.affine @ [0, 0, 0, 1])[0] + 6 * np.arange(head.mask.shape[0])
    values = np.where(x[:, None, None] < 0, 1.5, 0.5).astype(np.float32) * head.mask
    table = regional_measures(values, head.case, head.mask, head.prediction.affine)
    assert (table["asymmetry"] > 90).all()
    assert set(table.loc[table["hemisphere"] == "L", "uptake"].round(3)) == {1.5}


def test_regional_errors__have_a_name_for_each_side(cohort):
    head = cohort[0]
    table = regional_measures(head.prediction.values, head.case, head.mask, head.prediction.affine)
    names = measure_names(table)
    assert names["uptake"][-2:] == ["hemisphere_L", "hemisphere_R"]
    assert names["asymmetry"][-2:] == ["hemisphere", "hemisphere"]
    errors = regional_errors(table.assign(uptake=table["uptake"] + 0.25), table)
    assert list(errors["uptake"].values()) == pytest.approx([0.25] * len(errors["uptake"]))
    assert set(errors["asymmetry"].values()) == {0.0}
