import dataclasses

import pytest

from bids_spectsynth.errors import ModelError
from tests.synthesis.training.conftest import CONFIG, fit


def test_a_participant_cannot_train_and_validate(tmp_path, cohort):
    with pytest.raises(ModelError, match="participant 02 is in training and in validation"):
        fit((cohort[0], [dataclasses.replace(cohort[1][0], participant="02")]), CONFIG, tmp_path)
