import dataclasses

import pytest

from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.training.finished import check_replaceable, finished_card
from tests.synthesis.models.conftest import make_model
from tests.synthesis.training.conftest import CONFIG, fit


def test_a_finished_model_is_left_alone_unless_something_changed(tmp_path, cohort):
    card = fit(cohort, CONFIG, tmp_path)
    same = fit(([], []), dataclasses.replace(CONFIG, checkpoint_every=9), tmp_path)
    assert same == card
    other = fit(cohort, dataclasses.replace(CONFIG, data="other images"), tmp_path)
    assert other.created >= card.created
    assert other.salt != card.salt


def test_a_finished_model_of_other_options_is_not_replaceable(tmp_path, cohort):
    check_replaceable(tmp_path, CONFIG)
    fit(cohort, CONFIG, tmp_path)
    check_replaceable(tmp_path, CONFIG)
    check_replaceable(tmp_path, dataclasses.replace(CONFIG, epochs=9))
    with pytest.raises(ModelError, match=r"\(seed differ\).*--model-label"):
        check_replaceable(tmp_path, dataclasses.replace(CONFIG, seed=9))
    with pytest.raises(ModelError, match=r"\(epochs differ\)"):
        check_replaceable(tmp_path, dataclasses.replace(CONFIG, epochs=1))


@pytest.mark.parametrize(
    ("patience", "trained", "best", "asked", "outcome"),
    [
        # Trained for all of its ten epochs.
        (0, 10, 3, 4, "current"),
        (0, 10, 8, 9, "current"),
        (0, 10, 8, 4, "refused"),
        (4, 10, 8, 0, "current"),
        (4, 10, 8, 6, "current"),
        # Ended by patience: a longer one goes on, a shorter one ends before.
        (4, 7, 3, 5, "continued"),
        (4, 7, 3, 0, "continued"),
        (4, 7, 3, 3, "current"),
        (4, 9, 5, 3, "refused"),
    ],
)
def test_finished_card__of_another_patience_counts_where_it_keeps_the_same_epoch(
    tmp_path, patience, trained, best, asked, outcome
):
    own = dataclasses.replace(CONFIG, epochs=10, patience=patience)
    card, _ = make_model(tmp_path, config=own.as_json(), training={"epochs": trained, "best_epoch": best})
    config = dataclasses.replace(own, patience=asked)
    assert (finished_card(tmp_path, config) == card) is (outcome == "current")
    if outcome == "refused":
        with pytest.raises(ModelError, match=f"give --patience {patience},"):
            check_replaceable(tmp_path, config)
    else:
        check_replaceable(tmp_path, config)
