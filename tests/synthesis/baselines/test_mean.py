from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.synthesis.baselines.fitted import Baselines
from bids_spectsynth.synthesis.baselines.fitting import fit_baselines
from bids_spectsynth.synthesis.baselines.mean import pet_ratio
from bids_spectsynth.synthesis.baselines.predict import predict
from bids_spectsynth.synthesis.data.slices import load_case
from tests.synthesis.baselines.conftest import AFFINE, SHAPE, brain_mask, save, world

MASK = np.zeros(SHAPE, dtype=bool)
MASK[4:12, 5:14, 3:9] = True


def test_mean_spect_follows_the_affine(cohort: list[PreparedCase], fitted: Baselines) -> None:
    # Every head has the template's uptake up to a gain, so the mean through the affine is the subject's own SPECT.
    real = load_case(cohort[3], ("T1w",), "slice").target
    inner = brain_mask(cohort[3])
    error = (predict(fitted, cohort[3])["meanSpect"] - real)[inner]
    assert np.abs(error).mean() < 0.05
    astray = replace(cohort[3], template_xfm=cohort[0].template_xfm)
    wrong = (predict(fitted, astray)["meanSpect"] - real)[inner]
    assert np.abs(wrong).mean() > 2 * np.abs(error).mean()


def test_mean_spect_ignores_the_gain_of_each_scan(cohort: list[PreparedCase], tmp_path: Path) -> None:
    fitted = fit_baselines(cohort[:2], ("pet",), "slice")
    data = np.asarray(nib.load(cohort[1].images["interictal"]).dataobj)
    louder = save(tmp_path / "louder.nii.gz", 100 * data)
    again = fit_baselines(
        [cohort[0], replace(cohort[1], images={**cohort[1].images, "interictal": louder})], ("pet",), "slice"
    )
    np.testing.assert_allclose(again.arrays["mean_spect"], fitted.arrays["mean_spect"], rtol=1e-4)


def test_ratio_baseline_carries_the_subjects_deficit(
    cohort: list[PreparedCase], fitted: Baselines, tmp_path: Path
) -> None:
    pet = np.asarray(nib.load(cohort[3].images["pet"]).dataobj).copy()
    place = brain_mask(cohort[3]) & (world()[..., 0] < -12)
    pet[place] *= 0.5
    images = {**cohort[3].images, "pet": save(tmp_path / "deficit.nii.gz", pet)}
    healthy = predict(fitted, cohort[3])
    ill = predict(fitted, replace(cohort[3], images=images))
    np.testing.assert_array_equal(ill["meanSpect"], healthy["meanSpect"])
    change = ill["meanSpectPetRatio"] - healthy["meanSpectPetRatio"]
    assert change[place].mean() < -0.2


def test_ratio_shows_a_deficit_and_stays_quiet_where_there_is_no_signal() -> None:
    mask = MASK
    mean = mask.astype(np.float32)
    deficit = mask.copy()
    deficit[8:] = False
    pet = np.where(deficit, 0.5, mean).astype(np.float32)
    ratio = pet_ratio(7 * pet, 3 * mean, mask, AFFINE)
    assert np.median(ratio[deficit]) < 0.7 * np.median(ratio[mask & ~deficit])
    np.testing.assert_allclose(pet_ratio(5 * mean, mean, mask, AFFINE)[mask], 1, rtol=1e-5)
    np.testing.assert_array_equal(pet_ratio(0 * pet, mean, mask, AFFINE)[mask], 1)
    dark = np.where(deficit, 0, mean).astype(np.float32)
    noisy = dark + 0.02 * np.random.default_rng(0).random(SHAPE).astype(np.float32)
    between = pet_ratio(noisy, dark, mask, AFFINE)
    assert between[mask].max() < 1.5
    assert (between[~mask] == 0).all()
