from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.losses import fold_losses, read_losses, write_losses
from bids_spectsynth.options.settings import Settings

_weights = st.dictionaries(st.sampled_from(["edge", "nmi", "x1"]), st.floats(0, 1e9), max_size=3)


@given(_weights)
def test_write_losses__is_read_back(weights: dict[str, float]) -> None:
    read = read_losses(list(weights.items()))
    assert read_losses(write_losses(read)) == read
    assert dict(read) == {name: weight for name, weight in weights.items() if weight > 0}
    assert [name for name, _ in read] == sorted(name for name, _ in read)


@pytest.mark.parametrize("value", ["l1", "l1=", "=1", "a b=1", "l1=x", "l1=-1", "l1=nan", ["l1=1", "l1=2"], 5, [5]])
def test_read_losses__other_forms_are_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        read_losses(value)


def test_fold_losses__a_term_with_an_option_of_its_own_is_told_by_it_alone() -> None:
    folded = fold_losses({"loss": ["ssim=0", "edge=2", "l1=50"], "epochs": 3}, Settings)
    assert folded == {"epochs": 3, "ssim_weight": 0, "l1_weight": 50, "loss": (("edge", 2.0),)}
    assert fold_losses(folded, Settings) == folded
    assert fold_losses({"epochs": 3}, Settings) == {"epochs": 3}


def test_fold_losses__two_weights_are_refused_and_one_said_twice_is_not() -> None:
    assert fold_losses({"loss": "l1=50", "l1_weight": 50}, Settings)["l1_weight"] == 50
    with pytest.raises(UsageError, match=r"^--loss: l1=50 is not --l1-weight 60; leave one"):
        fold_losses({"loss": "l1=50", "l1_weight": 60}, Settings)
