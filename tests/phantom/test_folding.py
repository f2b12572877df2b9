import numpy as np
import pytest

from bids_spectsynth.errors import UsageError
from bids_spectsynth.phantom.anatomy import Anatomy, Person, make_anatomy
from bids_spectsynth.phantom.atlas import load_atlas
from bids_spectsynth.phantom.participants import make_cohort


def person(fold_seed: int | None, age: int = 40) -> Anatomy:
    """One individual, with folds of its own or the template's; everything else is the same."""
    folding = None if fold_seed is None else np.random.default_rng(fold_seed)
    return make_anatomy(np.random.default_rng(1), load_atlas(), Person(age, "F"), 3.4, folding)


def correlation(first: Anatomy, second: Anatomy) -> float:
    """Of the grey matter of two heads in the cerebrum's outer mantle."""
    mantle = (first.shell < -2) & (first.shell > -12) & (first.brain > 0.9)
    return float(np.corrcoef(first.grey[mantle], second.grey[mantle])[0, 1])


def test_folds_are_an_individuals_own_and_repeat() -> None:
    plain, first, again, second = (person(seed) for seed in (None, 5, 5, 6))
    assert np.array_equal(first.grey, again.grey)
    # Nobody's cortex predicts anybody else's, nor the template's.
    assert abs(correlation(first, second)) < 0.3
    assert abs(correlation(first, plain)) < 0.3


def test_fractions_stay_fractions_and_what_is_deep_stays() -> None:
    plain, folded = person(None), person(5)
    for anatomy in (plain, folded):
        assert anatomy.grey.min() >= 0
        assert (anatomy.grey + anatomy.white).max() <= 1 + 1e-5
    deep = plain.shell < -21
    assert np.allclose(plain.grey[deep], folded.grey[deep])
    assert np.array_equal(plain.brain, folded.brain)


def test_sulci_widen_with_age() -> None:
    young, old = (person(5, age) for age in (20, 60))
    mantle = (young.shell < -2) & (young.shell > -12)
    assert old.fluid[mantle].mean() > young.fluid[mantle].mean()


def test_an_unknown_kind_of_folds(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match="folds none: must be one of average, individual"):
        make_cohort(tmp_path / "out", 1, folds="none")
