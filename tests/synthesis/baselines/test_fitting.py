from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.baselines.fitted import Baselines
from bids_spectsynth.synthesis.baselines.fitting import StraightLine, fit_baselines
from bids_spectsynth.synthesis.baselines.predict import predict
from bids_spectsynth.synthesis.baselines.registry import BASELINES
from bids_spectsynth.synthesis.data.slices import load_case
from tests.synthesis.baselines.conftest import AFFINE, SHAPE, TEMPLATE, brain_mask, make_case, save, spect_mask, world


def test_template_space_averages_on_the_grid_itself(tmp_path: Path) -> None:
    cases = [make_case(tmp_path, f"{n:02d}", seed=n, space=TEMPLATE) for n in range(3)]
    fitted = fit_baselines(cases[:2], ("pet",), "volume")
    mask = brain_mask(cases[0])
    expected = [np.asarray(nib.load(case.images["interictal"]).dataobj) for case in cases[:2]]
    mean = sum(data / data[mask].mean() for data in expected) / 2
    np.testing.assert_array_equal(fitted.arrays["mean_affine"], AFFINE)
    np.testing.assert_allclose(fitted.arrays["mean_spect"][mask], mean[mask], rtol=1e-4)
    assert predict(fitted, cases[2])["meanSpect"].shape == SHAPE


def test_fitted_where_the_spect_was_measured(cohort: list[PreparedCase], tmp_path: Path) -> None:
    measured = world()[..., 2] > 6
    case = spect_mask(cohort[0], measured, tmp_path / "mask.nii.gz")
    cut = np.asarray(nib.load(case.images["interictal"]).dataobj) * measured
    case = replace(case, images={**case.images, "interictal": save(tmp_path / "cut.nii.gz", cut)})
    found = fit_baselines([case], ("T1w", "pet"), "volume")
    arrays = load_case(case, ("T1w", "pet"), "volume")
    values = arrays.target[arrays.evaluation_mask]
    assert found.numbers["Constant"] == pytest.approx(values.mean(), abs=1e-6)
    assert found.numbers["Constant"] > arrays.target[arrays.mask].mean() + 0.1
    predicted = predict(found, case)
    for name in ("regression", "meanSpect", "meanSpectPetRatio"):
        # Least squares with an offset: no mean error where it was fitted.
        assert (predicted[name][arrays.evaluation_mask] - values).mean() == pytest.approx(0, abs=0.02), name
    # What was not measured is not averaged as if it were 0.
    middle = arrays.evaluation_mask & ndimage.binary_erosion(arrays.evaluation_mask)
    assert np.abs(predicted["meanSpect"] - arrays.target)[middle].mean() < 0.02


def test_a_mean_that_is_too_bright_is_calibrated(cohort: list[PreparedCase], tmp_path: Path) -> None:
    # One hot voxel a head, in another place each time, sets the scale of the real SPECTs and fades in their mean.
    rng = np.random.default_rng(0)
    cases = []
    for number, case in enumerate(cohort):
        data = np.asarray(nib.load(case.images["interictal"]).dataobj).copy()
        places = np.argwhere(brain_mask(case))
        for k in np.unique(places[:, 2]):
            own = places[places[:, 2] == k]
            data[tuple(own[rng.integers(len(own))])] *= 2
        path = save(tmp_path / f"hot{number}.nii.gz", data)
        cases.append(replace(case, images={**case.images, "interictal": path}))
    fitted = fit_baselines(cases[:3], ("pet",), "slice")
    gain, offset = fitted.calibration["meanSpect"]
    real, mask = load_case(cases[3], ("pet",), "slice").target, brain_mask(cases[3])
    plain = predict(replace(fitted, calibration=dict.fromkeys(fitted.calibration, (1.0, 0.0))), cases[3])
    better = predict(fitted, cases[3])
    assert (plain["meanSpect"] - real)[mask].mean() > 0.1
    for name in ("meanSpect", "meanSpectPetRatio"):
        assert abs((better[name] - real)[mask].mean()) < 0.5 * abs((plain[name] - real)[mask].mean())
        assert np.square(better[name] - real)[mask].mean() < 0.85 * np.square(plain[name] - real)[mask].mean()
    expected = np.clip(gain * plain["meanSpect"] + offset, -1, 1)
    np.testing.assert_allclose(better["meanSpect"][mask], expected[mask], rtol=1e-5)
    assert (better["meanSpect"][~mask] == -1).all()


def test_no_overlap_of_spect_and_brain_is_said(cohort: list[PreparedCase], tmp_path: Path) -> None:
    case = spect_mask(cohort[0], ~brain_mask(cohort[0]), tmp_path / "mask.nii.gz")
    with pytest.raises(ModelError, match="no training SPECT overlaps"):
        fit_baselines([replace(case, template=None)], ("pet",), "slice")


def test_without_pet_two_baselines_are_left_out(cohort: list[PreparedCase], fitted: Baselines) -> None:
    def without(case: PreparedCase) -> PreparedCase:
        return replace(case, images={role: path for role, path in case.images.items() if role != "pet"})

    no_pet = fit_baselines([cohort[0], without(cohort[1])], ("T1w",), "slice")
    assert set(no_pet.left_out) == {"petCopy", "meanSpectPetRatio"}
    assert "1 of 2 cases without PET" in no_pet.left_out["petCopy"]
    assert tuple(predict(no_pet, cohort[3])) == ("constant", "regression", "meanSpect")
    from_t1w = fit_baselines(cohort[:2], ("T1w",), "slice")
    assert tuple(predict(from_t1w, cohort[3])) == tuple(BASELINES)
    assert tuple(predict(from_t1w, without(cohort[3]))) == ("constant", "regression", "meanSpect")


def test_without_a_template_the_means_are_left_out(cohort: list[PreparedCase], fitted: Baselines) -> None:
    lost = replace(cohort[3], template_xfm=None, template=None)
    assert tuple(predict(fitted, lost)) == ("constant", "petCopy", "regression")
    other = fit_baselines([cohort[0], replace(cohort[1], template="Other")], ("pet",), "slice")
    assert set(other.left_out) == {"meanSpect", "meanSpectPetRatio"}
    assert tuple(predict(other, cohort[3])) == ("constant", "petCopy", "regression")


def test_cases_of_one_space_are_needed(cohort: list[PreparedCase]) -> None:
    with pytest.raises(ModelError, match="one space"):
        fit_baselines([], ("pet",), "slice")
    with pytest.raises(ModelError, match="one space"):
        fit_baselines([cohort[0], replace(cohort[1], space="Other")], ("pet",), "slice")


def test_line_through_the_voxels_of_several_cases() -> None:
    line = StraightLine()
    for seed in (1, 2):
        x = np.random.default_rng(seed).normal(size=50).astype(np.float32)
        line.add(x, 0.7 * x - 0.2)
    assert line.result() == pytest.approx((0.7, -0.2), abs=1e-6)
    flat = StraightLine()
    flat.add(np.full(4, -1, np.float32), np.full(4, 0.5, np.float32))
    gain, offset = flat.result()
    assert offset - gain == pytest.approx(0.5)
