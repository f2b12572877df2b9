from dataclasses import replace
from pathlib import Path

import numpy as np

from bids_spectsynth.synthesis.baselines.fitting import fit_baselines
from bids_spectsynth.synthesis.baselines.predict import predict
from bids_spectsynth.synthesis.baselines.quadratic import feature_names
from bids_spectsynth.synthesis.data.slices import load_case
from tests.synthesis.baselines.conftest import brain_mask, make_case, save


def test_regression_finds_a_quadratic_relation(tmp_path: Path) -> None:
    cases = [make_case(tmp_path, f"{n:02d}", seed=n) for n in range(3)]
    for case in cases:
        arrays = load_case(case, ("T1w", "pet"), "volume", target=False)
        t1w, pet = arrays.inputs.astype(np.float64)
        target = 0.1 + 0.3 * t1w - 0.2 * pet + 0.1 * t1w * pet - 0.15 * pet**2
        # Volume scaling maps 0 to -1 and the 99.8th percentile to 1; undo it up to its own factor.
        save(case.images["interictal"], np.where(arrays.mask, target + 1, 0))
    fitted = fit_baselines(cases[:2], ("T1w", "pet"), "volume")
    real = load_case(cases[2], ("T1w",), "volume").target
    mask = brain_mask(cases[2])
    error = (predict(fitted, cases[2])["regression"] - real)[mask]
    assert np.abs(error).mean() < 0.05
    assert fitted.arrays["coefficients"].shape == (len(feature_names(("T1w", "pet"))),)
    assert np.abs(error).mean() < 0.3 * np.abs(fitted.numbers["Constant"] - real[mask]).mean()


def test_regression_survives_inputs_that_say_nothing(tmp_path: Path) -> None:
    cases = [make_case(tmp_path, f"{n:02d}", seed=n) for n in range(2)]
    same = [replace(case, images={**case.images, "T2w": case.images["T1w"]}) for case in cases]
    twice = predict(fit_baselines(same[:1], ("T1w", "T2w"), "slice"), same[1])["regression"]
    once = predict(fit_baselines(cases[:1], ("T1w",), "slice"), cases[1])["regression"]
    np.testing.assert_allclose(twice, once, atol=1e-4)
