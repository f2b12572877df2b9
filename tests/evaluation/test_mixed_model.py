import math
import warnings

import numpy as np
import pytest
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM

from bids_spectsynth.evaluation import mixed_model
from bids_spectsynth.evaluation.mixed_model import mixed_model_test, variance_ratio


def slices(
    seed: int, counts: list[int], between: float = 0.02, within: float = 0.03
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(len(counts)), counts)
    second = rng.normal(0.2, 0.05, subjects.size)
    difference = 0.01 + rng.normal(0, between, len(counts))[subjects] + rng.normal(0, within, subjects.size)
    return second + difference, second, np.array([f"sub-{number:02d}" for number in subjects])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_subjects", [3, 11, 48])
def test_equals_the_closed_form_of_a_balanced_design(seed: int, n_subjects: int) -> None:
    first, second, subjects = slices(seed, [40] * n_subjects)
    result = mixed_model_test(first, second, subjects)
    # Where the slices vary more between subjects than within, the estimate is the mean and its variance is that of
    # the subjects' means over their number: the test is that of the subjects' means.
    means = (first - second).reshape(n_subjects, 40).mean(axis=1)
    assert result.estimate == pytest.approx(means.mean(), rel=1e-10)
    assert result.standard_error == pytest.approx(means.std(ddof=1) / math.sqrt(n_subjects), rel=1e-10)
    expected = stats.ttest_1samp(means, 0)
    assert result.statistic == pytest.approx(expected.statistic, rel=1e-10)
    assert result.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert (result.df, result.note) == (n_subjects - 1, "")


@pytest.mark.parametrize("seed", range(5))
def test_equals_a_direct_fit_from_the_same_start(seed: int) -> None:
    first, second, subjects = slices(seed, [30, 40, 22, 35, 18, 40, 40, 25, 31, 40, 12])
    result = mixed_model_test(first, second, subjects)
    difference = first - second
    spread = difference.std()
    _, codes = np.unique(subjects, return_inverse=True)
    start = mixed_model.MixedLMParams.from_components(
        fe_params=np.array([difference.mean() / spread]),
        cov_re=np.array([[variance_ratio(difference / spread, codes)]]),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = MixedLM(difference / spread, np.ones((difference.size, 1)), groups=subjects).fit(
            reml=True, start_params=start, gtol=1e-7
        )
    assert result.estimate == pytest.approx(spread * fit.fe_params[0], rel=1e-10)
    assert result.standard_error == pytest.approx(spread * fit.bse_fe[0], rel=1e-10)
    assert result.p == pytest.approx(2 * stats.t.sf(abs(fit.fe_params[0] / fit.bse_fe[0]), 10), rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_finds_the_same_maximum_as_a_fit_with_statsmodels_own_start(seed: int) -> None:
    first, second, subjects = slices(seed, [30, 40, 22, 35, 18, 40, 40, 25, 31, 40, 12], between=0.04)
    result = mixed_model_test(first, second, subjects)
    difference = first - second
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = MixedLM(difference / difference.std(), np.ones((difference.size, 1)), groups=subjects).fit(gtol=1e-9)
    assert result.estimate == pytest.approx(difference.std() * fit.fe_params[0], rel=1e-6, abs=1e-9)
    assert result.standard_error == pytest.approx(difference.std() * fit.bse_fe[0], rel=1e-6)


def test_few_subjects_make_it_less_sure_than_a_z_test() -> None:
    result = mixed_model_test(*slices(1, [40] * 4))
    assert result.p > 2 * stats.norm.sf(abs(result.statistic))


def test_no_variance_between_subjects_is_said_and_no_warning_printed(recwarn: pytest.WarningsRecorder) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(6, 30))
    noise -= noise.mean(axis=1, keepdims=True)
    result = mixed_model_test(noise.ravel(), np.zeros(180), np.repeat(np.arange(6), 30))
    assert math.isnan(result.p)
    assert "did not converge: singular matrix" in result.note
    assert not recwarn.list


@pytest.mark.parametrize("failure", [np.linalg.LinAlgError("Singular matrix"), ValueError("odd\nthing"), KeyError()])
def test_a_fit_that_fails_is_a_note(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(mixed_model.MixedLM, "fit", fail)
    result = mixed_model_test(*slices(1, [20] * 5))
    assert math.isnan(result.p)
    assert result.note.startswith("the mixed model did not converge: ")
    assert "\n" not in result.note


@pytest.mark.parametrize("flaw", ["not converged", "no error"])
def test_a_fit_without_an_end_is_a_note(monkeypatch: pytest.MonkeyPatch, flaw: str) -> None:
    class Fit:
        converged = flaw != "not converged"
        fe_params = np.array([0.1])
        bse_fe = np.array([math.nan if flaw == "no error" else 0.1])

    monkeypatch.setattr(mixed_model.MixedLM, "fit", lambda *_, **__: Fit())
    result = mixed_model_test(*slices(1, [20] * 5))
    assert math.isnan(result.p)
    assert "did not converge" in result.note


@pytest.mark.parametrize(
    ("first", "subjects", "reason"),
    [
        ([], [], "no pairs"),
        ([1.0, 2.0, 4.0], ["a", "a", "a"], "fewer than two subjects"),
        ([1.0, 2.0, 4.0], ["a", "b", "c"], "one slice per subject"),
        ([1.0, 1.0, 1.0], ["a", "a", "b"], "all differences are equal"),
        ([1.0, 2.0, math.inf], ["a", "a", "b"], "fewer than two subjects"),
        ([1.0, 1.0, 2.0, 2.0], ["a", "a", "b", "b"], "singular matrix"),
    ],
)
def test_too_little_data_gives_a_reason(first: list[float], subjects: list[str], reason: str) -> None:
    result = mixed_model_test(first, np.zeros(len(first)), subjects)
    assert reason in result.note
    assert math.isnan(result.p)
    assert math.isnan(result.estimate)
