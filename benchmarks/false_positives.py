"""How often the tests of the group level find a difference where there is none, and how often intervals hold the truth.

Simulates cohorts in which two methods do not differ: differences of slices with variance 1, a share of which (the
intraclass correlation, ICC) is between subjects, the rest within, where neighbouring slices correlate by rho. For the
equivalence test, whose null hypothesis is a difference as large as the margin, the true difference is the margin.
Prints the share of cohorts with p below .01 and .05, and the share of 95 % intervals that hold the true value, each
with its Monte-Carlo standard error.

python benchmarks/false_positives.py
"""

import argparse
from collections.abc import Callable, Sequence

import numpy as np
from scipy.signal import lfilter

from bids_spectsynth.evaluation.statistics.effect_size import bca_interval, hedges_g, studentised_interval
from bids_spectsynth.evaluation.statistics.mixed_model import mixed_model_test
from bids_spectsynth.evaluation.statistics.paired_tests import equivalence_test, paired_t_test, signed_rank_test

CONDITIONS = [(icc, rho) for icc in (0.0, 0.05, 0.2) for rho in (0.0, 0.9)]
LEVELS = (0.01, 0.05)
#: In standard deviations of a slice's difference.
MARGIN = 1.0


def simulate(rng: np.random.Generator, shape: tuple[int, int, int], icc: float, rho: float) -> np.ndarray:
    """Differences of slices without a true difference; shape: cohorts, subjects, slices."""
    noise = rng.standard_normal(shape) * np.sqrt(1 - rho**2)
    # The first slice has the variance of all others.
    noise[..., 0] /= np.sqrt(1 - rho**2)
    within = lfilter([1], [1, -rho], noise, axis=-1)
    return np.sqrt(icc) * rng.standard_normal((*shape[:2], 1)) + np.sqrt(1 - icc) * within


def p_values(test: Callable[[np.ndarray], float], cohorts: np.ndarray) -> np.ndarray:
    """p of a test for each cohort."""
    return np.array([test(cohort) for cohort in cohorts])


def subject_t(cohort: np.ndarray) -> float:
    """p of the primary test."""
    return paired_t_test(cohort.mean(axis=1), np.zeros(len(cohort))).p


def wilcoxon(cohort: np.ndarray) -> float:
    """p of the signed-rank test."""
    return signed_rank_test(cohort.mean(axis=1), np.zeros(len(cohort))).p


def equivalence(cohort: np.ndarray) -> float:
    """p of the equivalence test of a difference that is as large as the margin."""
    return equivalence_test(cohort.mean(axis=1) + MARGIN, np.zeros(len(cohort)), MARGIN).p


def mixed(cohort: np.ndarray) -> float:
    """p of the mixed model."""
    subjects = np.repeat(np.arange(cohort.shape[0]), cohort.shape[1])
    return mixed_model_test(cohort.ravel(), np.zeros(cohort.size), subjects).p


def slice_t(cohort: np.ndarray) -> float:
    """p of the article's test."""
    return paired_t_test(cohort.ravel(), np.zeros(cohort.size)).p


def intervals(means: np.ndarray, n_resamples: int, seed: int) -> dict[str, tuple[float, float]]:
    """95 % intervals of the mean and of Hedges g from one mean per subject; the last two are not used."""
    studentised = studentised_interval(means, n_resamples, np.random.default_rng(seed))
    effect, mean = (
        bca_interval(means, statistic, n_resamples, np.random.default_rng(seed))
        for statistic in (hedges_g, lambda values: values.mean(axis=-1))
    )
    drawn = means[np.random.default_rng(seed).integers(0, means.size, (n_resamples, means.size))]
    percentile = np.percentile(drawn.mean(axis=1), (2.5, 97.5))
    return {
        "studentised, mean": (studentised.low, studentised.high),
        "BCa, Hedges g": (effect.low, effect.high),
        "BCa, mean": (mean.low, mean.high),
        "percentile, mean": (float(percentile[0]), float(percentile[1])),
    }


def share(hits: np.ndarray) -> str:
    """A share with its standard error."""
    rate = float(np.mean(hits))
    return f"{rate:.4f} ±{np.sqrt(rate * (1 - rate) / len(hits)):.4f}"


def print_tests(cohorts: np.ndarray, n_mixed: int) -> None:
    """One line per test."""
    tests: Sequence[tuple[str, Callable[[np.ndarray], float], np.ndarray]] = (
        ("subject_t", subject_t, cohorts),
        ("wilcoxon", wilcoxon, cohorts),
        ("equivalence", equivalence, cohorts),
        ("mixed", mixed, cohorts[:n_mixed]),
        ("slice_t", slice_t, cohorts),
    )
    for name, test, chosen in tests:
        p = p_values(test, chosen)
        # A test that gave no p found nothing.
        shares = "  ".join(share(np.nan_to_num(p, nan=1.0) < level) for level in LEVELS)
        without = int(np.isnan(p).sum())
        print(f"  {name:18s} {len(p):5d}  {shares}" + (f"  ({without} without a fit)" if without else ""))


def print_coverage(cohorts: np.ndarray, n_resamples: int) -> None:
    """One line per interval."""
    found = [intervals(cohort.mean(axis=1), n_resamples, seed) for seed, cohort in enumerate(cohorts)]
    for name in found[0]:
        holds = np.array([own[name][0] <= 0 <= own[name][1] for own in found])
        print(f"  {name:18s} {len(holds):5d}  {share(holds)}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=2000)
    parser.add_argument("--mixed-cohorts", type=int, default=500)
    parser.add_argument("--subjects", type=int, default=11)
    parser.add_argument("--slices", type=int, default=100)
    parser.add_argument("--bootstrap-samples", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1234)
    args = parser.parse_args()
    print(f"{args.subjects} subjects x {args.slices} slices, no true difference; share of cohorts, ± standard error")
    for number, (icc, rho) in enumerate(CONDITIONS):
        rng = np.random.default_rng([args.seed, number])
        cohorts = simulate(rng, (args.cohorts, args.subjects, args.slices), icc, rho)
        print(f"\nICC {icc:g}, rho {rho:g}\n  test             cohorts  p < .01         p < .05")
        print_tests(cohorts, args.mixed_cohorts)
        print("  interval (95 %)  cohorts  holds the truth")
        print_coverage(cohorts, args.bootstrap_samples)


if __name__ == "__main__":
    main()
