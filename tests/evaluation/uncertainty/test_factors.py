import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.evaluation.uncertainty.factors import LEVELS, MIN_PARTICIPANTS, interval_factors, summary


def cohort(rng, n, between):
    """Absolute ratios of participants whose scales differ by a factor (SD of its logarithm)."""
    return [np.abs(rng.standard_normal(400)) * np.exp(between * rng.standard_normal()) for _ in range(n)]


@pytest.mark.parametrize("n", [5, 8, 20])
def test_interval_factors__cover_further_participants_as_often_as_they_say(n):
    rng = np.random.default_rng(4)
    found = []
    for _ in range(150):
        factors = interval_factors([summary(own) for own in cohort(rng, n, 0.3)])
        new = cohort(rng, 6, 0.3)
        found.append([np.mean([np.mean(own <= factor) for own in new]) for factor in factors])
    np.testing.assert_allclose(np.mean(found, axis=0), LEVELS, atol=0.015)


def test_interval_factors__without_the_correction_few_participants_would_be_too_sure():
    rng = np.random.default_rng(5)
    plain, corrected = [], []
    for _ in range(200):
        own = cohort(rng, 5, 0.6)
        new = np.concatenate(cohort(rng, 6, 0.6))
        plain.append(np.mean(new <= np.quantile(np.concatenate(own), 0.9)))
        corrected.append(np.mean(new <= interval_factors([summary(one) for one in own])[2]))
    assert np.mean(plain) < 0.89
    assert abs(np.mean(corrected) - 0.9) < abs(np.mean(plain) - 0.9)


@given(st.floats(0.01, 100), st.integers(0, 1000))
def test_interval_factors__grow_with_the_ratios_and_with_the_level(scale, seed):
    summaries = [summary(own) for own in cohort(np.random.default_rng(seed), 6, 0.2)]
    factors = interval_factors(summaries)
    assert list(factors) == sorted(factors)
    np.testing.assert_allclose(interval_factors([scale * one for one in summaries]), scale * np.array(factors))


def test_interval_factors__of_too_few():
    with pytest.raises(ValueError, match=f"4 participants, {MIN_PARTICIPANTS} needed"):
        interval_factors([summary(np.ones(3))] * 4)


def test_summary__is_ascending_and_has_the_quantiles():
    values = summary(np.random.default_rng(1).random(10000))
    assert (np.diff(values) >= 0).all()
    assert values[250] == pytest.approx(0.5, abs=0.02)
