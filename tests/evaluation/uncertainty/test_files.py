import json
import shutil

import numpy as np
import pytest

from bids_spectsynth.errors import ModelError
from bids_spectsynth.evaluation.uncertainty.calibration_fit import fit_calibration
from bids_spectsynth.evaluation.uncertainty.files import calibration_paths, load_calibrations, save_calibrations


@pytest.fixture
def folder(residuals, tmp_path):
    everybody = fit_calibration(residuals)
    held_out = {own.participant: fit_calibration(residuals, own.participant) for own in residuals[:3]}
    save_calibrations(tmp_path, everybody, held_out, "sha256:x")
    return tmp_path


def test_round_trip__each_gets_the_calibration_without_oneself(folder, residuals):
    stored = load_calibrations(folder)
    assert stored.identity == "sha256:x"
    for label, left_out in (("02", "02"), ("99", None), ("07", None)):
        expected, found = fit_calibration(residuals, left_out), stored.of(label)
        np.testing.assert_allclose(found.coefficients, expected.coefficients)
        np.testing.assert_allclose(found.place.squares, expected.place.squares, rtol=1e-6, atol=1e-9)
        assert found.factors == pytest.approx(expected.factors)
        assert found.sd_factor == pytest.approx(expected.sd_factor)
        assert found.predictors == expected.predictors
        assert found.n_participants == expected.n_participants
        assert found.regional["asymmetry"].scales == pytest.approx(dict(expected.regional["asymmetry"].scales))


def test_no_label_is_in_the_files(folder):
    for path in calibration_paths(folder):
        content = path.read_bytes()
        assert b"sub-" not in content
    assert set(json.loads((folder / "calibration_heldout.json").read_text())["Calibrations"]).isdisjoint({"01", "02"})


def test_a_model_that_was_passed_on_without_the_second_file(folder, residuals):
    for path in calibration_paths(folder)[2:]:
        path.unlink()
    stored = load_calibrations(folder)
    assert stored.of("02") is stored.everybody
    assert load_calibrations(folder / "elsewhere") is None


@pytest.mark.parametrize(
    "change",
    [
        lambda card: card.update(FormatVersion=99),
        lambda card: card["Calibrations"].clear(),
        lambda card: card["Calibrations"][""].update(SdFactor=-1),
        lambda card: card["Calibrations"][""].update(SdFactor=float("nan")),
        lambda card: card["Calibrations"][""].update(Factors=[1, 2]),
        lambda card: card["Calibrations"][""].update(Coefficients=[1]),
        lambda card: card["Calibrations"][""].pop("Regional"),
        lambda card: card.update(Calibrations=3),
        lambda card: card.pop("Salt"),
        lambda card: card.pop("Identity"),
        lambda card: card.update(Maps="0" * 64),
        lambda card: card["Calibrations"][""].update(NumberOfParticipants=float("inf")),
        lambda card: card["Calibrations"][""].update(NumberOfParticipants=1),
        lambda card: card["Calibrations"][""]["Coefficients"].__setitem__(0, 10**400),
        lambda card: card["Calibrations"][""]["Predictors"].__setitem__(0, "foo"),
        lambda card: card["Calibrations"][""]["Predictors"].__setitem__(0, "uptake"),
    ],
)
def test_a_damaged_card_is_one_line(folder, change):
    path = folder / "calibration.json"
    card = json.loads(path.read_text())
    change(card)
    path.write_text(json.dumps(card))
    with pytest.raises(ModelError, match=r"calibration\.json: .*remove it") as error:
        load_calibrations(folder)
    assert "\n" not in str(error.value)


def test_maps_that_are_cut_or_of_another_model(folder, tmp_path):
    maps = folder / "calibration.safetensors"
    maps.write_bytes(maps.read_bytes()[:100])
    with pytest.raises(ModelError, match="cannot be read"):
        load_calibrations(folder)


def test_files_of_two_calibrations(folder, residuals, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    save_calibrations(other, fit_calibration(residuals), {"01": fit_calibration(residuals, "01")}, "sha256:y")
    for path in calibration_paths(other)[2:]:
        shutil.copy(path, folder / path.name)
    with pytest.raises(ModelError, match=r"not of calibration\.json"):
        load_calibrations(folder)


def test_equal_calibrations_have_equal_files(folder, residuals, tmp_path_factory):
    """Jobs that make them at the same time write the same, whichever comes last."""
    other = tmp_path_factory.mktemp("other")
    held_out = {own.participant: fit_calibration(residuals, own.participant) for own in residuals[:3]}
    save_calibrations(other, fit_calibration(residuals), held_out, "sha256:x")
    for path in calibration_paths(folder):
        assert path.read_bytes() == (other / path.name).read_bytes(), path.name


def test_maps_of_another_calibration_are_noticed(folder, residuals, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    save_calibrations(other, fit_calibration(residuals[:6]), {}, "sha256:x")
    shutil.copy(other / "calibration.safetensors", folder)
    with pytest.raises(ModelError, match="of another calibration"):
        load_calibrations(folder)


def test_round_trip__of_harmonised_inputs(folder, residuals, tmp_path):
    assert load_calibrations(folder).widths == {}
    assert "HarmonisedFWHM" not in json.loads((folder / "calibration.json").read_text())
    save_calibrations(tmp_path, fit_calibration(residuals), {}, "sha256:x", {"pet": 7.5})
    assert load_calibrations(tmp_path).widths == {"pet": 7.5}
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"HarmonisedFWHM": {"pet": "x"}}))
    with pytest.raises(ModelError, match="cannot be read"):
        load_calibrations(tmp_path)
