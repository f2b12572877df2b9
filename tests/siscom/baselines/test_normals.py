from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_spectsynth.bids.writing import write_image, write_json
from bids_spectsynth.errors import DatasetError
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.siscom.baselines.normals import NORMALS, find_normals, normals_error
from bids_spectsynth.siscom.significance.shrinkage import predicted_deviation
from tests.siscom.baselines.conftest import MakeRequest
from tests.synthesis.baselines.conftest import AFFINE, TEMPLATE, brain, pattern, shifted, world


def write(path: Path, values: np.ndarray, **facts: object) -> Path:
    write_image(path, new_image(values.astype(np.float32), AFFINE), facts)
    return path


def mean_image() -> np.ndarray:
    # Beyond the brain too, as a head may be larger than those of the template.
    return pattern(world()) / 50


def deviation() -> np.ndarray:
    return np.where(world()[..., 0] < 0, 0.05, 0.1)


@pytest.mark.parametrize(
    ("mean", "spread"),
    [
        (f"tpl-{TEMPLATE}_desc-normals_stat-mean_spect.nii.gz", f"tpl-{TEMPLATE}_desc-normals_stat-std_spect.nii.gz"),
        (f"tpl-{TEMPLATE}_res-02_desc-mean_spect.nii.gz", f"tpl-{TEMPLATE}_res-02_desc-sd_spect.nii.gz"),
        (f"spect/group_space-{TEMPLATE}_stat-mean_spect.nii.gz", f"spect/group_space-{TEMPLATE}_stat-SD_spect.nii"),
    ],
)
def test_find_normals__accepts_usual_names(tmp_path: Path, mean: str, spread: str) -> None:
    write(tmp_path / mean, mean_image(), NumberOfParticipants=12)
    write(tmp_path / spread, deviation(), SmoothingFWHM=12)
    write(tmp_path / f"sub-01/spect/sub-01_space-{TEMPLATE}_desc-mean_spect.nii.gz", mean_image())
    (found,) = find_normals(tmp_path)
    assert (found.template, found.n_participants, found.fwhm) == (TEMPLATE, 12, 12)
    assert (found.mean, found.standard_deviation) == (tmp_path / mean, tmp_path / spread)


def test_find_normals__cohort_of_a_template_and_several_templates(tmp_path: Path) -> None:
    write(tmp_path / "tpl-MNIInfant_cohort-3_stat-mean_spect.nii.gz", mean_image())
    write(tmp_path / "tpl-MNI152Lin_stat-mean_spect.nii.gz", mean_image())
    assert {one.template for one in find_normals(tmp_path)} == {"MNIInfant+3", "MNI152Lin"}
    assert all(one.n_participants == 0 and np.isnan(one.fwhm) for one in find_normals(tmp_path))


def test_find_normals__none_or_two_of_a_kind_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no mean SPECT; call it tpl-"):
        find_normals(tmp_path)
    write(tmp_path / "tpl-A_stat-mean_spect.nii.gz", mean_image())
    write(tmp_path / "tpl-A_res-2_desc-mean_spect.nii.gz", mean_image())
    with pytest.raises(DatasetError, match=r"of one kind; keep one"):
        find_normals(tmp_path)


def test_normals__carried_to_the_head(tmp_path: Path, make_request: MakeRequest) -> None:
    folder = tmp_path / "normals"
    write(folder / f"tpl-{TEMPLATE}_stat-mean_spect.nii.gz", mean_image(), NumberOfParticipants=20, TracerName="ECD")
    request = make_request(normals=folder, matrix=shifted(6, -3, 2), sidecars={"ictal": {"TracerName": "HMPAO"}})
    assert NORMALS.available(request) is None
    (found,) = NORMALS.make(request)
    assert (found.kind, found.label, found.seen) == ("normals", "Normals", False)
    here = pattern(world() - [6, -3, 2]) / 50
    inner = request.brain & brain((world() - [6, -3, 2]) * 1.2)
    np.testing.assert_allclose(found.values[inner], here[inner], rtol=0.05)
    assert not found.values[~found.mask].any()
    assert any("20 normals" in note for note in found.notes)
    assert any("another tracer" in note for note in found.notes)


def test_normals_error__percent_and_wide_enough_for_a_further_scan(tmp_path: Path, make_request: MakeRequest) -> None:
    folder = tmp_path / "normals"
    write(folder / f"tpl-{TEMPLATE}_stat-mean_spect.nii.gz", mean_image(), NumberOfParticipants=15)
    path = write(folder / f"tpl-{TEMPLATE}_stat-std_spect.nii.gz", deviation(), SmoothingFWHM=12)
    request = make_request(normals=folder)
    error, note = normals_error(request)
    assert error is not None
    assert note is None
    inside = request.brain
    plain = 100 * deviation()[inside]
    np.testing.assert_allclose(
        error.standard_deviation[inside], predicted_deviation(plain**2, np.full(len(plain), 15.0)), rtol=1e-4
    )
    assert not error.mean[inside].any()
    assert np.isnan(error.standard_deviation[~inside]).all()
    other, note = normals_error(replace(request, fwhm=8.0))
    assert other is None
    assert "12 mm, not 8 mm" in str(note)
    write_json(path.with_name(path.name.replace(".nii.gz", ".json")), {})
    assumed, note = normals_error(replace(request, fwhm=8.0))
    assert assumed is not None
    assert "No SmoothingFWHM" in str(note)


def test_normals__reasons_for_none(tmp_path: Path, make_request: MakeRequest) -> None:
    request = make_request()
    assert NORMALS.available(request) == "no --normals"
    assert normals_error(request) == (None, None)
    assert "no mean SPECT" in str(NORMALS.available(replace(request, normals=tmp_path / "nowhere")))
    write(tmp_path / "n" / "tpl-Other_stat-mean_spect.nii.gz", mean_image())
    assert "template" in str(NORMALS.available(replace(request, normals=tmp_path / "n")))


def test_normals__no_rim_of_what_is_interpolated_with_nothing(tmp_path: Path, make_request: MakeRequest) -> None:
    folder = tmp_path / "normals"
    inside = world()[..., 0] < 10
    write(folder / f"tpl-{TEMPLATE}_stat-mean_spect.nii.gz", np.where(inside, 2, 0))
    request = make_request(normals=folder, matrix=shifted(1.3, 0.7, 0.4))
    (found,) = NORMALS.make(request)
    assert found.mask.any()
    assert found.mask.sum() < request.brain.sum()
    np.testing.assert_allclose(found.values[found.mask], 2, rtol=1e-5)
