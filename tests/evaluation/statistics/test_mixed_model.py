import math
import warnings

import numpy as np
import pytest
from scipy import optimize, stats
from statsmodels.regression.mixed_linear_model import MixedLM, MixedLMParams

from bids_spectsynth.evaluation.statistics import mixed_model
from bids_spectsynth.evaluation.statistics.mixed_model import MixedModelResult, mixed_model_test, variance_ratio


def slices(
    seed: int, counts: list[int], between: float = 0.02, within: float = 0.03
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(len(counts)), counts)
    second = rng.normal(0.2, 0.05, subjects.size)
    difference = 0.01 + rng.normal(0, between, len(counts))[subjects] + rng.normal(0, within, subjects.size)
    return second + difference, second, np.array([f"sub-{number:02d}" for number in subjects])


def standard_error(result: MixedModelResult) -> float:
    return result.estimate / result.statistic


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_subjects", [3, 11, 48])
def test_equals_the_closed_form_of_a_balanced_design(seed: int, n_subjects: int) -> None:
    first, second, subjects = slices(seed, [40] * n_subjects)
    result = mixed_model_test(first, second, subjects)
    # Where the slices vary more between subjects than within, the estimate is the mean and its variance is that of
    # the subjects' means over their number: the test is that of the subjects' means.
    means = (first - second).reshape(n_subjects, 40).mean(axis=1)
    assert result.estimate == pytest.approx(means.mean(), rel=1e-10)
    assert standard_error(result) == pytest.approx(means.std(ddof=1) / math.sqrt(n_subjects), rel=1e-10)
    expected = stats.ttest_1samp(means, 0)
    assert result.statistic == pytest.approx(expected.statistic, rel=1e-10)
    assert result.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert (result.df, result.note) == (n_subjects - 1, "")


def with_statsmodels(difference: np.ndarray, subjects: np.ndarray, start: float | None = None) -> tuple[float, float]:
    """Estimate and standard error of a general solver that goes through all slices, and its own maximum."""
    spread = difference.std()
    _, codes = np.unique(subjects, return_inverse=True)
    first = None
    if start is not None:
        first = MixedLMParams.from_components(
            fe_params=np.array([difference.mean() / spread]), cov_re=np.array([[start]])
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MixedLM(difference / spread, np.ones((difference.size, 1)), groups=codes)
        fit = model.fit(reml=True, start_params=first, gtol=1e-9)
    return float(spread * fit.fe_params[0]), float(spread * fit.bse_fe[0])


@pytest.mark.parametrize("between", [0.02, 0.04, 0.2])
@pytest.mark.parametrize("seed", range(5))
def test_equals_statsmodels_where_numbers_of_slices_differ(seed: int, between: float) -> None:
    first, second, subjects = slices(seed, [30, 40, 22, 35, 18, 40, 40, 25, 31, 40, 12], between=between)
    result = mixed_model_test(first, second, subjects)
    difference = first - second
    _, codes = np.unique(subjects, return_inverse=True)
    estimate, error = with_statsmodels(difference, subjects, variance_ratio(difference, codes))
    assert result.estimate == pytest.approx(estimate, rel=1e-6, abs=1e-9)
    assert standard_error(result) == pytest.approx(error, rel=1e-5)
    assert result.p == pytest.approx(2 * stats.t.sf(abs(result.statistic), 10), rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_finds_the_same_maximum_as_statsmodels_from_its_own_start(seed: int) -> None:
    first, second, subjects = slices(seed, [30, 40, 22, 35, 18, 40, 40, 25, 31, 40, 12], between=0.04)
    result = mixed_model_test(first, second, subjects)
    estimate, error = with_statsmodels(first - second, subjects)
    assert result.estimate == pytest.approx(estimate, rel=1e-6, abs=1e-9)
    assert standard_error(result) == pytest.approx(error, rel=1e-6)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("n_subjects", [2, 3, 6])
def test_equals_the_likelihood_by_its_definition(seed: int, n_subjects: int) -> None:
    counts = list(np.random.default_rng(seed).integers(2, 9, n_subjects))
    first, second, codes = slices(seed, counts, between=0.06)
    values = (first - second) / 0.03
    same = codes[:, None] == codes

    def likelihood(mean: float, ratio: float) -> float:
        """Restricted log-likelihood with matrices of all slices, the variance within at its best."""
        covariance = np.eye(values.size) + ratio * same
        inverse = np.linalg.inv(covariance)
        squares = (values - mean) @ inverse @ (values - mean)
        terms = (values.size - 1) * np.log(squares), np.linalg.slogdet(covariance)[1], np.log(inverse.sum())
        return -float(sum(terms)) / 2

    def mean_of(ratio: float) -> float:
        weights = np.linalg.inv(np.eye(values.size) + ratio * same).sum(axis=0)
        return float(weights @ values / weights.sum())

    logs = np.linspace(-8, 8, 161)
    best = logs[np.argmax([likelihood(mean_of(np.exp(t)), np.exp(t)) for t in logs])]
    result = mixed_model_test(first, second, codes)
    if best == logs[0]:
        assert "singular matrix" in result.note
        return
    found = optimize.minimize_scalar(
        lambda t: -likelihood(mean_of(np.exp(t)), np.exp(t)), bounds=(best - 0.1, best + 0.1), method="bounded",
        options={"xatol": 1e-9},
    )  # fmt: skip
    ratio = float(np.exp(found.x))
    mean = mean_of(ratio)
    assert result.estimate == pytest.approx(0.03 * mean, rel=1e-5)
    step = np.array([1e-3, 1e-3 * ratio])
    second_derivative = np.empty((2, 2))
    for (i, j), _ in np.ndenumerate(second_derivative):
        corners = [(a, b, a * b) for a in (1, -1) for b in (1, -1)]
        values_there = [
            sign * likelihood(*(np.array([mean, ratio]) + a * step * np.eye(2)[i] + b * step * np.eye(2)[j]))
            for a, b, sign in corners
        ]
        second_derivative[i, j] = sum(values_there) / (4 * step[i] * step[j])
    assert standard_error(result) == pytest.approx(0.03 * math.sqrt(np.linalg.inv(-second_derivative)[0, 0]), rel=1e-3)


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


def test_a_likelihood_that_is_highest_without_a_variance_between_subjects_is_said() -> None:
    # The mean squares speak for some variance between subjects, the likelihood, which weighs them otherwise, does not.
    rng = np.random.default_rng(1)
    counts = np.array([2, 40, 40, 40])
    codes = np.repeat(np.arange(4), counts)
    values = rng.standard_normal(codes.size)
    for code, mean in enumerate((-0.9, 0.1, 0.2, 0.3)):
        values[codes == code] += mean - values[codes == code].mean()
    assert variance_ratio(values, codes) > 0
    assert "singular matrix" in mixed_model_test(values, np.zeros(values.size), codes).note


def test_a_likelihood_that_rises_is_followed_where_the_mean_squares_see_no_variance() -> None:
    # Two slices that agree far from the rest count little in the mean squares and much in the likelihood.
    counts = np.array([40, 40, 40, 1, 1, 1, 1, 1, 1])
    codes = np.repeat(np.arange(counts.size), counts)
    found = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        values = 0.5 + rng.normal(0, 0.12, counts.size)[codes] + rng.standard_normal(codes.size)
        if variance_ratio(values, codes) <= 0:
            result = mixed_model_test(values, np.zeros(values.size), codes)
            if not result.note:
                found += 1
                estimate, error = with_statsmodels(values, codes, 0.05)
                assert result.estimate == pytest.approx(estimate, rel=1e-3)
                assert standard_error(result) == pytest.approx(error, rel=1e-3)
    assert found > 0


@pytest.mark.parametrize("failure", [np.linalg.LinAlgError("Singular matrix"), ValueError("odd\nthing"), KeyError()])
def test_a_fit_that_fails_is_a_note(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(mixed_model, "_best_ratio", fail)
    result = mixed_model_test(*slices(1, [20] * 5))
    assert math.isnan(result.p)
    assert result.note.startswith("the mixed model did not converge: ")
    assert "\n" not in result.note


def test_a_fit_without_an_end_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixed_model, "_best_ratio", lambda *_: math.nan)
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
        ([1.0, 1.0, 2.0, 2.0], ["a", "a", "b", "b"], "no variance within subjects"),
    ],
)
def test_too_little_data_gives_a_reason(first: list[float], subjects: list[str], reason: str) -> None:
    result = mixed_model_test(first, np.zeros(len(first)), subjects)
    assert reason in result.note
    assert math.isnan(result.p)
    assert math.isnan(result.estimate)
