import dataclasses

import pytest

from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.training.finished import check_replaceable
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
