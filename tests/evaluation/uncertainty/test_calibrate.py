import pytest

from bids_spectsynth.errors import ModelError
from bids_spectsynth.evaluation.uncertainty.calibrate import calibrate_model
from bids_spectsynth.evaluation.uncertainty.files import load_calibrations


def test_calibrate_model__writes_one_for_all_and_one_for_each(cohort, tmp_path):
    by_case = {head.case.participant: head.prediction for head in cohort}
    calibrate_model(tmp_path, [head.case for head in cohort], lambda case: by_case[case.participant], "sha256:x")
    stored = load_calibrations(tmp_path)
    assert stored.everybody.n_participants == 8
    assert len(stored.held_out) == 8
    assert stored.of("03").n_participants == 7


def test_calibrate_model__of_too_few_writes_nothing(cohort, tmp_path):
    by_case = {head.case.participant: head.prediction for head in cohort}
    with pytest.raises(ModelError, match="5 held-out participants with a SPECT are too few"):
        calibrate_model(tmp_path, [h.case for h in cohort[:5]], lambda case: by_case[case.participant], "sha256:x")
    assert not list(tmp_path.iterdir())


def test_calibrate_model__a_damaged_image_costs_its_participant_alone(make_head, tmp_path, caplog):
    heads = [make_head(tmp_path, f"{number:02d}", number) for number in range(1, 8)]
    heads[2].case.images["interictal"].write_bytes(b"none")
    by_case = {head.case.participant: head.prediction for head in heads}
    (tmp_path / "m").mkdir()
    calibrate_model(tmp_path / "m", [h.case for h in heads], lambda case: by_case[case.participant], "sha256:x")
    assert load_calibrations(tmp_path / "m").everybody.n_participants == 6
    assert [record for record in caplog.messages if record.startswith("sub-03: left out of the calibration")]
