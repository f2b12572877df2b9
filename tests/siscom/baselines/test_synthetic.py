from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from bids_spectsynth.bids.output_files import CALIBRATION, standard_deviation_path, synthetic_path
from bids_spectsynth.bids.writing import write_image
from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.siscom.baselines.request import Request
from bids_spectsynth.siscom.baselines.synthetic import (
    RESERVED,
    SYNTHETIC,
    calibrated_path,
    expected_deviation,
    left_out,
    siscom_label,
)
from tests.siscom.baselines.conftest import MakeRequest
from tests.synthesis.baselines.conftest import save, world


@given(st.text(alphabet="abcXYZ0189-_+ ", max_size=12))
def test_siscom_label__letters_and_digits_with_a_capital_and_no_other_baseline(model: str) -> None:
    label = siscom_label(model)
    assert label not in RESERVED
    assert label == "" or (label.isalnum() and not label[0].islower())


def add(request: Request, model: str) -> Path:
    path = synthetic_path(request.output_dir, request.case, model)
    write_image(path, new_image(values(request), request.affine), {"Synthetic": True})
    return path


def values(request: Request) -> np.ndarray:
    return np.random.default_rng(0).uniform(1, 2, request.brain.shape).astype(np.float32)


@pytest.mark.parametrize(
    ("split", "seen", "words"),
    [
        ("test", False, ""),
        ("external", False, ""),
        ("train", True, "learned"),
        ("validation", True, "chose"),
    ],
)
def test_synthetic__seen_is_marked(make_request: MakeRequest, split: str, seen: bool, words: str) -> None:
    request = make_request(splits={"best": split})
    assert SYNTHETIC.available(request)
    path = add(request, "best")
    assert SYNTHETIC.available(request) is None
    (found,) = SYNTHETIC.make(request)
    assert (found.kind, found.label, found.model, found.synthetic, found.seen) == (
        "synthetic",
        "Best",
        "best",
        True,
        seen,
    )
    assert words in " ".join(found.notes)
    assert found.sources == (path,)
    np.testing.assert_array_equal(found.values, np.where(request.brain, values(request), 0))


def test_synthetic__one_for_each_model(make_request: MakeRequest) -> None:
    request = make_request(splits={"b": "test", "a": "train"})
    add(request, "b")
    add(request, "a")
    assert [(one.label, one.seen) for one in SYNTHETIC.make(request)] == [("A", True), ("B", False)]


def test_synthetic__of_an_unknown_model_is_left_out_with_a_reason(make_request: MakeRequest) -> None:
    request = make_request(splits={"a": "test"})
    add(request, "b")
    assert SYNTHETIC.available(request) == "of no model that is known here"
    add(request, "a")
    assert [one.model for one in SYNTHETIC.make(request)] == ["a"]
    (line,) = left_out(request)
    assert line.startswith("synthetic SPECT of b left out: ")


def add_deviation(request: Request, values: np.ndarray, sampled_by: str = CALIBRATION) -> Path:
    path = standard_deviation_path(request.output_dir, request.case, "best")
    facts = {"Synthetic": True, "StandardDeviationOf": "interictal", "SampledBy": sampled_by}
    write_image(path, new_image(values.astype(np.float32), request.affine), facts)
    return path


def test_calibrated_path__a_spread_of_samples_is_none(make_request: MakeRequest) -> None:
    request = make_request(splits={"best": "test"})
    assert calibrated_path(request.output_dir, request.case, "best") is None
    for sampled_by, calibrated in (("dropout", False), ("ensemble", False), (CALIBRATION, True)):
        path = add_deviation(request, values(request), sampled_by)
        assert calibrated_path(request.output_dir, request.case, "best") == (path if calibrated else None)


def test_expected_deviation__is_smoothed_as_a_variance_in_the_brain_without_the_lesion(
    make_request: MakeRequest, tmp_path: Path
) -> None:
    request = make_request(splits={"best": "test"})
    add(request, "best")
    (baseline,) = SYNTHETIC.make(request)
    assert expected_deviation(request, baseline) is None
    # Where half the voxels have 3 and half have 4, finely mixed, a variance is 12.5.
    mixed = np.where(np.indices(request.brain.shape).sum(axis=0) % 2, 3.0, 4.0)
    lesion = request.brain & (world()[..., 0] > 21)
    assert 0 < lesion.sum() < request.brain.sum() / 2
    add_deviation(request, np.where(lesion, 1e4, mixed))
    apart = replace(request, case=replace(request.case, lesion=save(tmp_path / "lesion.nii.gz", lesion)))
    found = expected_deviation(apart, baseline)
    assert found is not None
    healthy = request.brain & ~lesion
    assert (np.isfinite(found) == request.brain).all()
    # In the lesion the shape of what is beside it goes on.
    np.testing.assert_allclose(found[lesion], np.sqrt(12.5), rtol=0.1)
    deep = ndimage.binary_erosion(healthy, iterations=2)
    np.testing.assert_allclose(found[deep], np.sqrt(12.5), rtol=0.02)
    # Without the mask of the lesion its values reach out of it.
    assert np.nanmax(expected_deviation(request, baseline)) > 1000
    pet = replace(baseline, kind="pet", model="")
    assert expected_deviation(request, pet) is None


def test_expected_deviation__an_error_of_zero_says_nothing(make_request: MakeRequest) -> None:
    request = make_request(splits={"best": "test"})
    add(request, "best")
    (baseline,) = SYNTHETIC.make(request)
    left = world()[..., 0] < 0
    add_deviation(request, np.where(left, 0, 5))
    found = expected_deviation(request, baseline)
    assert found is not None
    np.testing.assert_allclose(found[request.brain], 5, rtol=1e-4)
    # One voxel outside the brain, so that the file is not refused as constant.
    corner = np.zeros(request.brain.shape)
    corner[0, 0, 0] = 1
    add_deviation(request, corner)
    assert expected_deviation(request, baseline) is None


def test_calibrated_path__of_other_networks_than_the_image_is_none(make_request: MakeRequest) -> None:
    request = make_request(splits={"best": "test"})
    path = add_deviation(request, values(request))
    for checksum, same in (("sha256:1", True), ("sha256:2", False)):
        image = synthetic_path(request.output_dir, request.case, "best")
        write_image(image, new_image(values(request), request.affine), {"Synthetic": True, "ModelChecksum": checksum})
        facts = {"StandardDeviationOf": "interictal", "SampledBy": CALIBRATION, "ModelChecksum": "sha256:1"}
        write_image(path, new_image(values(request), request.affine), facts)
        assert (calibrated_path(request.output_dir, request.case, "best") is not None) is same


def test_expected_deviation__on_another_grid_is_an_error_that_names_the_file(make_request: MakeRequest) -> None:
    request = make_request(splits={"best": "test"})
    add(request, "best")
    (baseline,) = SYNTHETIC.make(request)
    path = add_deviation(request, values(request)[:-1])
    with pytest.raises(ImageError, match=path.name):
        expected_deviation(request, baseline)
