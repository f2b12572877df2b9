import logging
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.bids.output_files import CALIBRATION, standard_deviation_path, synthetic_path
from bids_spectsynth.bids.sidecars import sidecar
from bids_spectsynth.bids.writing import write_image, write_matrix
from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.options.settings import Settings, make_settings
from bids_spectsynth.siscom import participant
from bids_spectsynth.siscom.baselines.errors import Errors
from bids_spectsynth.siscom.baselines.registry import SOURCES
from bids_spectsynth.siscom.baselines.request import Request
from bids_spectsynth.siscom.baselines.residuals import gather_errors, median_difference
from bids_spectsynth.siscom.outputs.columns import CLUSTERS_DICTIONARY
from bids_spectsynth.siscom.outputs.paths import clusters_path, concordance_path, find_siscom, map_path, siscom_files
from bids_spectsynth.siscom.participant import Work, choices_of, level_and_gain, make_siscom, source_uri_or_name
from bids_spectsynth.siscom.significance.error_files import save_error
from tests.synthesis.baselines.conftest import AFFINE, TEMPLATE, make_case, world

NAME = "sub-01_ses-b_task-ictal_trc-HMPAO_run-1_space-T1w_desc-preproc_spect.nii.gz"
LEFT = (-14.0, -17.0, 6.0)

pytestmark = pytest.mark.usefixtures("few_simulations")


def settings_of(folder: Path, **values: Any) -> Settings:
    (folder / "data").mkdir(exist_ok=True)
    given = {"bids_dir": folder / "data", "output_dir": folder / "out", "analysis_level": "participant"}
    return make_settings({**given, **values})


def work_of(folder: Path, facts: dict[str, Any] | None = None, **values: Any) -> Work:
    """A small head with interictal SPECT and PET; its ictal scan is the interictal one with a hot spot on the left."""
    settings = settings_of(folder, **values)
    case = make_case(folder, "01")
    interictal = np.asarray(nib.load(case.images["interictal"]).dataobj)
    hot = interictal * np.where(np.linalg.norm(world() - LEFT, axis=-1) < 9, 1.8, 1)
    ictal = settings.output_dir / "sub-01" / "ses-b" / "spect" / NAME
    write_image(ictal, new_image((2 * hot).astype(np.float32), AFFINE), facts or {})
    case = replace(case, images={**case.images, "ictal": ictal}, template_xfms={TEMPLATE: case.template_xfm})
    request = Request(case=case, output_dir=settings.output_dir, fwhm=settings.siscom_fwhm)
    return Work(request=request, settings=settings, errors=Errors(), durations={})


def changed(work: Work, role: str, values: np.ndarray) -> Work:
    """The work with other values of an image."""
    path = work.case.images[role]
    nib.save(nib.Nifti1Image(values.astype(np.float32), AFFINE), path)
    return replace(work, request=replace(work.request))


def test_make_siscom__writes_maps_and_foci_of_every_baseline_that_there_is(tmp_path: Path) -> None:
    work = work_of(tmp_path)
    assert make_siscom(work) == []
    found = find_siscom(tmp_path / "out")
    assert [(one.label, one.session, tuple(one.maps)) for one in found] == [
        ("Pet", "b", ("difference", "z", "znull")),
        ("Real", "b", ("difference", "z", "znull")),
    ]
    table = pd.read_csv(clusters_path(work.ictal, "Real"), sep="\t")
    assert list(table) == list(CLUSTERS_DICTIONARY)
    first = table.iloc[0]
    assert (first["rank"], first["sign"], first["side"]) == (1, "hyper", "L")
    assert np.linalg.norm(first[["x_mm", "y_mm", "z_mm"]].to_numpy(dtype=float) - LEFT) < 10


def test_make_siscom__who_names_baselines_is_told_which_there_are_not(tmp_path: Path) -> None:
    lines = make_siscom(work_of(tmp_path, siscom_baselines=["normals", "synthetic", "real"]))
    assert [line.partition(":")[0] for line in lines] == ["Synthetic interictal SPECT", "Normals"]


def test_make_siscom__files_hold_what_their_sidecars_say(tmp_path: Path) -> None:
    work = work_of(tmp_path, {"SpatialReference": "bids:raw:a.nii.gz", "InjectionStart": 10})
    make_siscom(work)
    difference, z = (map_path(work.ictal, "Real", one) for one in ("difference", "z"))
    values, scores = (np.asarray(nib.load(path).dataobj) for path in (difference, z))
    facts = sidecar(difference)
    np.testing.assert_allclose(values, scores * facts["StandardDeviationPercent"], atol=1e-3)
    assert facts["SpatialReference"] == "bids:raw:a.nii.gz"
    assert facts["Sources"] == [f"bids::sub-01/ses-b/spect/{NAME}", "01_interictal.nii.gz"]
    assert "Synthetic" not in facts
    assert (facts["LevelUsed"], facts["SmoothingFWHM"], facts["Threshold"]) == ("mode", 12, 2)
    assert facts["Levels"]["mode"] == pytest.approx(2, rel=0.03)
    np.testing.assert_allclose(nib.load(difference).affine, AFFINE)


def test_make_siscom__files_of_an_earlier_run_go(tmp_path: Path) -> None:
    work = work_of(tmp_path, siscom_baselines=["real"])
    old = map_path(work.ictal, "Gone", "z")
    other = map_path(work.ictal.with_name(NAME.replace("run-1", "run-10")), "Gone", "z")
    for path in (old, other):
        path.write_bytes(b"")
    assert make_siscom(work) == []
    assert not old.exists()
    assert other.exists()
    assert all("siscomReal" in path.name for path in siscom_files(work.ictal))


def test_make_siscom__a_baseline_that_cannot_be_used_costs_itself_alone(tmp_path: Path) -> None:
    work = work_of(tmp_path, siscom_baselines=["real", "pet"])
    work = changed(work, "interictal", np.where(work.request.brain, 7, 0))
    (line,) = make_siscom(work)
    assert line.startswith("Measured interictal SPECT left out: the baseline is constant")
    assert [one.label for one in find_siscom(tmp_path / "out")] == ["Pet"]


def test_make_siscom__no_baseline_at_all_is_an_error_with_the_reasons(tmp_path: Path) -> None:
    work = work_of(tmp_path, siscom_baselines=["normals"])
    with pytest.raises(ImageError, match=r"no baseline to subtract \(.*: no --normals\)"):
        make_siscom(work)
    constant = work_of(tmp_path, siscom_baselines=["real"])
    constant = changed(constant, "ictal", np.where(constant.request.brain, 7, 0))
    with pytest.raises(ImageError, match=f"{NAME}.*the ictal scan is constant"):
        make_siscom(constant)
    assert siscom_files(constant.ictal) == []


def test_make_siscom__the_source_is_interpolated_once_where_it_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    matrix = np.eye(4)
    matrix[:3, 3] = 30, -20, 8
    raw, xfm = "sub-01/spect/sub-01_spect.nii.gz", "sub-01/ses-b/spect/sub-01_from-T1w_to-spect_mode-image_xfm.txt"
    facts = {"Sources": [f"bids:raw:{raw}", f"bids::{xfm}"]}
    work = work_of(tmp_path, facts, siscom_baselines=["real"])
    with caplog.at_level(logging.WARNING):
        make_siscom(work)
    assert f"{NAME}: the source image is not there" in caplog.text
    caplog.clear()
    # The same scan on voxels of its own: somewhere else, and in other units.
    prepared = np.asarray(nib.load(work.ictal).dataobj)
    path = tmp_path / "data" / raw
    path.parent.mkdir(parents=True)
    nib.save(nib.Nifti1Image(3 * prepared, matrix @ AFFINE), path)
    write_matrix(tmp_path / "out" / xfm, matrix, {})
    with caplog.at_level(logging.WARNING):
        make_siscom(work)
    assert "source image" not in caplog.text
    found = sidecar(map_path(work.ictal, "Real", "difference"))
    assert found["Levels"]["mode"] == pytest.approx(6, rel=0.03)
    np.testing.assert_allclose(np.array(found["Route"]["Matrix"])[:3, 3], matrix[:3, 3], atol=1)


def test_make_siscom__errors_of_another_smoothing_give_no_map_and_it_is_said(tmp_path: Path) -> None:
    work = work_of(tmp_path, siscom_baselines=["pet"])
    sums = gather_errors([work.request], TEMPLATE, 9.0, median_difference(9.0), ("pet",))["Pet"]
    stored = save_error(tmp_path, sums, "Pet", "images")
    make_siscom(replace(work, errors=Errors({"Pet": stored})))
    assert not map_path(work.ictal, "Pet", "zcohort").exists()
    notes = sidecar(map_path(work.ictal, "Pet", "z"))["Notes"]
    assert "No map against the cohort: its errors are those of maps of 9 mm." in notes


def test_make_siscom__errors_of_another_level_or_of_too_few_give_no_map_and_it_is_said(tmp_path: Path) -> None:
    work = work_of(tmp_path, siscom_baselines=["pet"])
    sums = gather_errors([work.request], TEMPLATE, 12.0, median_difference(12.0), ("pet",))["Pet"]
    for how, said in (("mean, gain off", "mean, gain off"), ("", "an unknown level and gain")):
        stored = save_error(tmp_path, sums, "Pet", "images", how=how)
        make_siscom(replace(work, errors=Errors({"Pet": stored})))
        notes = sidecar(map_path(work.ictal, "Pet", "z"))["Notes"]
        current = "mode, gain on, trend on, method 2"
        assert f"No map against the cohort: its errors are those of maps by {said}, not {current}." in notes
    make_siscom(replace(work, errors=Errors(too_few={"Pet": 3})))
    notes = sidecar(map_path(work.ictal, "Pet", "z"))["Notes"]
    assert "No map against the cohort: 3 held-out participants, 5 needed." in notes


def test_make_siscom__the_cohort_map_takes_its_shape_from_calibrated_deviations(tmp_path: Path) -> None:
    work = work_of(tmp_path, siscom_baselines=["synthetic"])
    request = replace(work.request, splits={"best": "test"})
    made = np.asarray(nib.load(request.case.images["interictal"]).dataobj)
    write_image(synthetic_path(request.output_dir, request.case, "best"), new_image(made, AFFINE), {"Synthetic": True})
    sums = gather_errors([request], TEMPLATE, 12.0, median_difference(12.0), ("synthetic",))["Best"]
    # Eight scans that err alike everywhere.
    count = np.where(sums.count > 0, 8.0, 0.0)
    sums = replace(
        sums,
        count=count,
        total=0 * count,
        squares=count * 25,
        participants=tuple(map(str, range(8))),
        peaks=(4.0,) * 8,
    )
    stored = save_error(tmp_path, sums, "Best", "weights", how=level_and_gain(work.choices))
    work = replace(work, request=request, errors=Errors({"Best": stored}))

    def divided() -> tuple[np.ndarray, dict[str, Any]]:
        make_siscom(work)
        paths = [map_path(work.ictal, "Best", one) for one in ("difference", "zcohort")]
        difference, z = (np.asarray(nib.load(path).dataobj) for path in paths)
        found = np.divide(difference, z, out=np.full_like(z, np.nan), where=np.abs(z) > 0.2)
        return found, sidecar(paths[1])["Cohort"]

    plain, facts = divided()
    assert facts == {"Participants": 8}
    assert np.nanstd(plain) < 0.01 * np.nanmean(plain)
    right = world()[..., 0] > 0
    deviation = standard_deviation_path(request.output_dir, request.case, "best")
    write_image(
        deviation,
        new_image(np.where(right, 2, 1).astype(np.float32), AFFINE),
        {"Synthetic": True, "StandardDeviationOf": "interictal", "SampledBy": CALIBRATION},
    )
    shaped, facts = divided()
    assert facts == {"Participants": 8, "DeviationShape": "calibrated uncertainty of the synthetic SPECT"}
    far = np.abs(world()[..., 0]) > 14
    assert 1.1 < np.nanmedian(shaped[far & right]) / np.nanmedian(shaped[far & ~right]) <= 2.01
    # One that cannot be read costs the shape alone, and readers are told.
    deviation.write_bytes(b"damaged")
    again, facts = divided()
    assert facts == {"Participants": 8}
    np.testing.assert_array_equal(again, plain)
    notes = sidecar(map_path(work.ictal, "Best", "zcohort"))["Notes"]
    assert any(note.startswith("The calibrated deviations of the synthetic image cannot be read") for note in notes)


def test_make_siscom__mask_of_another_grid_is_one_clear_line(tmp_path: Path) -> None:
    work = work_of(tmp_path, siscom_baselines=["real"])
    mask = tmp_path / "ictal_mask.nii.gz"
    values = np.zeros((30, 30, 30), np.uint8)
    values[5:-5, 5:-5, 5:-5] = 1
    nib.save(nib.Nifti1Image(values, AFFINE), mask)
    masks = {**work.case.masks, "ictal": mask}
    work = replace(work, request=replace(work.request, case=replace(work.case, masks=masks)))
    with pytest.raises(ImageError, match=r"ictal_mask.*another grid"):
        make_siscom(work)


def test_choices_of__are_those_of_the_options(tmp_path: Path) -> None:
    values = {"siscom_fwhm": 10, "siscom_threshold": 1.5, "siscom_level": "median", "siscom_extent": 3}
    choices = choices_of(settings_of(tmp_path, **values))
    assert (choices.fwhm, choices.threshold, choices.level, choices.least_ml) == (10, 1.5, "median", 3)


def test_source_uri_or_name__of_a_file_of_neither_folder_is_its_name(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert source_uri_or_name(tmp_path / "out" / "a" / "b.nii.gz", settings) == "bids::a/b.nii.gz"
    assert source_uri_or_name(tmp_path / "data" / "b.nii.gz", settings) == "bids:raw:b.nii.gz"
    assert source_uri_or_name(tmp_path / "b.nii.gz", settings) == "b.nii.gz"


def test_make_siscom__tables_say_that_a_synthetic_image_went_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = SOURCES["real"]
    made = [replace(one, synthetic=True) for one in source.make(work_of(tmp_path).request)]
    monkeypatch.setitem(participant.SOURCES, "real", replace(source, make=lambda request: made))
    work = work_of(tmp_path, siscom_baselines=["real", "pet"])
    make_siscom(work)
    said = {label: sidecar(clusters_path(work.ictal, label)).get("Synthetic") for label in ("Real", "Pet")}
    assert said == {"Real": True, "Pet": None}
    assert sidecar(concordance_path(work.ictal))["Synthetic"] is True


def test_make_siscom__a_run_that_ends_begins_no_further_baseline(tmp_path: Path) -> None:
    work = work_of(tmp_path)
    work.stop.set()
    with pytest.raises(CancelledError):
        make_siscom(work)
    assert siscom_files(work.ictal) == []


def test_make_siscom__the_volume_of_a_lesion_is_what_was_left_out_of_each_comparison(tmp_path: Path) -> None:
    """Not what was drawn: a mask reaches out of the brain, and a scan may not show all of it."""
    work = work_of(tmp_path)
    drawn = np.linalg.norm(world() - (14, -17, 6), axis=-1) < 16
    path = work.ictal.with_name("sub-01_space-T1w_label-lesion_mask.nii.gz")
    write_image(path, new_image(drawn.astype(np.uint8), AFFINE), {"Volume": 999.0, "VolumeInBrain": 99.0})
    work = replace(work, request=replace(work.request, case=replace(work.case, lesion=path)))
    assert make_siscom(work) == []
    for label, mask in (("Real", work.request.measured), ("Pet", work.request.brain)):
        facts = sidecar(map_path(work.ictal, label, "z"))
        volume = np.count_nonzero(drawn & mask) * abs(np.linalg.det(AFFINE[:3, :3])) / 1000
        assert facts["LesionVolume"] == pytest.approx(volume, abs=1e-3)
        assert any(f"The lesion mask ({volume:.1f} mL of the brain that both scans show)" in n for n in facts["Notes"])
