from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_spectsynth.bids.output_files import synthetic_path
from bids_spectsynth.bids.writing import write_image
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.siscom.baselines.request import Request
from bids_spectsynth.siscom.baselines.residuals import (
    error_on_head,
    gather_errors,
    median_difference,
    own_baselines,
    residual_of,
)
from bids_spectsynth.siscom.records import BaselineImage
from bids_spectsynth.siscom.significance.error_files import save_error
from tests.siscom.baselines.conftest import MakeRequest, changed
from tests.synthesis.baselines.conftest import TEMPLATE, shifted, world

DIFFERENCE = median_difference(12.0)


def cohort(make: MakeRequest, splits: Mapping[str, str]) -> list[Request]:
    """Heads whose synthetic image of model ``best`` is their SPECT with an error that differs between sides."""
    rng = np.random.default_rng(0)
    requests = []
    for label, split in splits.items():
        matrix = shifted(*rng.uniform(-4, 4, 3))
        request = make(label, matrix=matrix, splits={"best": split})
        real = request.image("interictal")
        error = 1 + rng.normal() * np.where(world()[..., 0] < matrix[0, 3], 0.02, 0.1)
        path = synthetic_path(request.output_dir, request.case, "best")
        image = new_image((5 * real * error).astype(np.float32), request.affine)
        write_image(path, image, {"Synthetic": True})
        requests.append(request)
    return requests


def test_median_difference__percent_of_the_brain_mean_and_nothing_for_a_gain(make_request: MakeRequest) -> None:
    request = make_request()
    real, mask = request.image("interictal"), request.brain
    same = BaselineImage(kind="real", label="Real", values=7 * real, mask=mask)
    assert np.abs(DIFFERENCE(real, same, mask, request)[0]).max() < 1e-3
    lifted = real + np.float32(0.1 * real[mask].mean()) * (world()[..., 2] > 14)
    found, peak = DIFFERENCE(lifted.astype(np.float32), same, mask, request)
    assert np.isnan(peak)
    assert 4 < found[mask].max() < 11
    assert not found[~mask].any()
    wild = replace(same, values=np.where(mask, same.values, 1e5).astype(np.float32))
    np.testing.assert_array_equal(DIFFERENCE(real, wild, mask, request)[0], DIFFERENCE(real, same, mask, request)[0])
    with pytest.raises(ValueError, match="signal"):
        DIFFERENCE(0 * real, same, mask, request)


def test_gather_errors__only_participants_that_the_model_has_not_seen(make_request: MakeRequest) -> None:
    parts = dict.fromkeys(("01", "02", "03"), "test") | {"04": "train", "05": "validation", "06": "external"}
    requests = cohort(make_request, parts)
    unknown = replace(requests[0], case=replace(requests[0].case, participant="07"), splits={})
    sums = gather_errors([*requests, requests[0], unknown], TEMPLATE, 12.0, DIFFERENCE, ("synthetic",))
    assert sums["Best"].participants == ("01", "02", "03", "06")
    assert sums["Best"].fwhm == 12.0


def test_gather_errors__does_not_depend_on_the_number_of_threads(make_request: MakeRequest) -> None:
    requests = cohort(make_request, dict.fromkeys(("01", "02", "03"), "test"))
    one, three = (
        gather_errors([*requests, requests[0]], TEMPLATE, 12.0, DIFFERENCE, ("synthetic",), threads)["Best"]
        for threads in (1, 3)
    )
    assert one.participants == three.participants == ("01", "02", "03")
    np.testing.assert_array_equal(one.total, three.total)


def test_gather_errors__pet_is_taught_by_the_interictal_scan(make_request: MakeRequest) -> None:
    request = make_request("01")
    wild = np.where(request.brain, np.random.default_rng(0).uniform(0, 900, request.brain.shape), 0)
    plain, other = (own_baselines(one, ("pet",))[0] for one in (request, changed(request, "ictal", wild)))
    np.testing.assert_array_equal(plain.values, other.values)
    sums = gather_errors([request], TEMPLATE, 12.0, DIFFERENCE, ("pet", "cohort"))
    assert list(sums) == ["Pet"]


def test_gather_errors__damaged_images_cost_their_participant_alone(
    make_request: MakeRequest, caplog: pytest.LogCaptureFixture
) -> None:
    requests = cohort(make_request, dict.fromkeys(("01", "02"), "test"))
    requests[0].case.images["interictal"].write_bytes(b"nothing")
    sums = gather_errors(requests, TEMPLATE, 12.0, DIFFERENCE, ("synthetic",))
    assert sums["Best"].participants == ("02",)
    assert "sub-01: its residual does not count" in caplog.text
    assert gather_errors([], TEMPLATE, 12.0, DIFFERENCE) == {}


def test_error_on_head__the_own_participant_is_left_out_of_what_was_stored(
    make_request: MakeRequest, tmp_path: Path
) -> None:
    requests = cohort(make_request, {f"{index:02d}": "test" for index in range(7)})
    sums = gather_errors(requests, TEMPLATE, 12.0, DIFFERENCE, ("synthetic",))["Best"]
    stored = save_error(tmp_path / "all", sums, "Best", "weights")
    found, note = error_on_head(stored, requests[3], DIFFERENCE)
    assert found is not None
    assert note is None
    assert found.n_participants == 6
    own = residual_of(requests[3], own_baselines(requests[3], ("synthetic",))[0], DIFFERENCE)
    without = save_error(tmp_path / "without", sums.without(own), "Best", "weights")
    wanted, _ = error_on_head(without, requests[3], DIFFERENCE)
    assert wanted is not None
    np.testing.assert_allclose(found.mean, wanted.mean, atol=1e-4)
    np.testing.assert_allclose(found.standard_deviation, wanted.standard_deviation, rtol=1e-3)
    stranger = make_request("99")
    everybody, _ = error_on_head(stored, stranger, DIFFERENCE)
    assert everybody is not None
    assert everybody.n_participants == 7


def test_error_on_head__too_few_is_said(make_request: MakeRequest, tmp_path: Path) -> None:
    requests = cohort(make_request, {f"{index:02d}": "test" for index in range(5)})
    sums = gather_errors(requests, TEMPLATE, 12.0, DIFFERENCE, ("synthetic",))["Best"]
    stored = save_error(tmp_path, sums, "Best", "weights")
    found, note = error_on_head(stored, requests[0], DIFFERENCE)
    assert found is None
    assert "4 held-out participants, 5 needed" in str(note)
    assert error_on_head(stored, make_request("99"), DIFFERENCE)[0] is not None
    gone = replace(requests[0], output_dir=tmp_path / "elsewhere")
    assert "cannot be taken out" in str(error_on_head(stored, gone, DIFFERENCE)[1])


def test_error_on_head__of_two_sessions_that_is_taken_out_whose_residual_counted(
    make_request: MakeRequest, tmp_path: Path
) -> None:
    requests = cohort(make_request, {f"{index:02d}": "test" for index in range(6)})
    real = requests[3].image("interictal")
    other = changed(requests[3], "interictal", real * np.where(world()[..., 0] < 0, 1.3, 1))
    sums = gather_errors([*requests, other], TEMPLATE, 12.0, DIFFERENCE, ("synthetic",))["Best"]
    stored = save_error(tmp_path / "all", sums, "Best", "weights")
    wanted, found, wrong = (
        error_on_head(stored, request, DIFFERENCE, own)[0]
        for request, own in ((requests[3], ()), (other, [requests[3], other]), (other, ()))
    )
    assert wanted is not None
    assert found is not None
    assert wrong is not None
    np.testing.assert_array_equal(found.mean, wanted.mean)
    assert np.nanmax(np.abs(wrong.mean - wanted.mean)) > 0.1


def test_error_on_head__no_map_for_a_label_that_is_known_but_has_no_scan_here(
    make_request: MakeRequest, tmp_path: Path
) -> None:
    requests = cohort(make_request, {f"{index:02d}": "test" for index in range(7)})
    sums = gather_errors(requests, TEMPLATE, 12.0, DIFFERENCE, ("synthetic",))["Best"]
    stored = save_error(tmp_path, sums, "Best", "weights")
    case = requests[0].case
    alone = {role: path for role, path in case.images.items() if role != "interictal"}
    lone = replace(requests[0], case=replace(case, images=alone))
    found, note = error_on_head(stored, lone, DIFFERENCE)
    assert found is None
    assert "cannot be taken out" in str(note)
    found, note = error_on_head(stored, requests[0], DIFFERENCE, foreign=True)
    assert found is None
    assert "know a participant of this label" in str(note)
    assert error_on_head(stored, make_request("99"), DIFFERENCE, foreign=True)[0] is not None
