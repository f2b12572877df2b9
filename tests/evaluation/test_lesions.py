"""Ratings that leave out a lesion: nothing in them depends on the images in it."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bids_spectsynth.bids.output_files import case_tables, rating_path, standard_deviation_path, synthetic_path
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.writing import write_image, write_json
from bids_spectsynth.errors import ImageError
from bids_spectsynth.evaluation.case.evaluate import evaluate_case
from bids_spectsynth.evaluation.columns import LESION_KEY
from bids_spectsynth.evaluation.uncertainty.rating import calibrate_case
from bids_spectsynth.options.settings import Scaling
from bids_spectsynth.synthesis.baselines.fitting import fit_baselines
from bids_spectsynth.synthesis.data.slices import load_case
from bids_spectsynth.synthesis.models.card import CARD_FILE
from tests.evaluation.case.test_evaluate import AFFINE, CARD, SHAPE, brain, prepare, with_spect_mask, write_synthetic


def lesion() -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[5:10, 4:9, 3:6] = True
    return mask


def with_lesion(case: PreparedCase, mask: np.ndarray | None = None) -> PreparedCase:
    path = case.masks["T1w"].with_name("lesion.nii.gz")
    inside = lesion() if mask is None else mask
    write_image(path, nib.Nifti1Image(inside.astype(np.uint8), AFFINE), {})
    return dataclasses.replace(case, lesion=path)


def change(path: Path, gain: float, seed: int, mask: np.ndarray) -> None:
    """Other values in a part of an image."""
    image = nib.load(path)
    data = np.asarray(image.dataobj, dtype=np.float32)
    wild = gain * np.random.default_rng(seed).random(SHAPE)
    text = path.with_name(path.name.replace(".nii.gz", ".json")).read_text()
    write_image(path, nib.Nifti1Image(np.where(mask, wild, data).astype(np.float32), AFFINE), json.loads(text))


def tables(case: PreparedCase, out: Path) -> list[str]:
    return [path.read_text() for path in case_tables(out, case, CARD.label)]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "model"
    folder.mkdir(parents=True)
    fit_baselines([prepare(tmp_path, name) for name in ("01", "02")], CARD.inputs, "volume").save(folder)
    return folder


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scaling=st.sampled_from(["slice", "volume"]),
    gain=st.floats(0, 500),
    seed=st.integers(0, 99),
    own_mask=st.booleans(),
)
def test_evaluate_case__every_table_is_the_same_whatever_lies_in_the_lesion(
    tmp_path: Path, model: Path, scaling: Scaling, gain: float, seed: int, own_mask: bool
) -> None:
    write_json(model / CARD_FILE, dataclasses.asdict(dataclasses.replace(CARD, scaling=scaling)))
    case = prepare(tmp_path, "03")
    case = with_lesion(with_spect_mask(case) if own_mask else case)
    write_synthetic(case, tmp_path)
    evaluate_case(case, model, tmp_path, 2.0, "test")
    before = tables(case, tmp_path)
    for number, path in enumerate((case.images["interictal"], synthetic_path(tmp_path, case, CARD.label))):
        change(path, gain, seed + number, lesion())
    evaluate_case(case, model, tmp_path, 2.0, "test")
    assert tables(case, tmp_path) == before
    evaluate_case(dataclasses.replace(case, lesion=None), model, tmp_path, 2.0, "test")
    assert all(counted != left_out for counted, left_out in zip(tables(case, tmp_path), before, strict=True))


def test_evaluate_case__a_lesion_leaves_fewer_voxels_and_the_tables_say_so(tmp_path: Path, model: Path) -> None:
    write_json(model / CARD_FILE, dataclasses.asdict(CARD))
    case = prepare(tmp_path, "03")
    write_synthetic(case, tmp_path)
    found: dict[bool, Any] = {}
    for left_out in (False, True):
        path = evaluate_case(with_lesion(case) if left_out else case, model, tmp_path, 2.0, "test")
        volume = pd.read_csv(rating_path(tmp_path, case, CARD.label, "volume"), sep="\t")
        found[left_out] = pd.read_csv(path, sep="\t"), volume["rated_voxels"].iloc[0]
        for one in case_tables(tmp_path, case, CARD.label):
            assert json.loads(one.with_suffix(".json").read_text()).get(LESION_KEY, False) is left_out
    assert found[False][1] - found[True][1] == np.count_nonzero(lesion() & brain())
    merged = [one[one["slice"] == 4]["mask_voxels"].iloc[0] for one, _ in (found[False], found[True])]
    assert merged[0] - merged[1] == 25
    # A slice without lesion is rated as before but for the level on the other scale.
    outside = [one[(one["slice"] == 7) & (one["scale"] == "slice")].to_csv() for one, _ in found.values()]
    assert len(set(outside)) == 1


def write_output(case: PreparedCase, out: Path, output: np.ndarray) -> None:
    """A network's output, on the scale of its training, as the synthetic image that is made of it."""
    slope = np.linspace(1, 3, SHAPE[2])
    scales = {"Synthetic": True, "ScaleSlope": slope.tolist(), "ScaleIntercept": slope.tolist()}
    image = nib.Nifti1Image((slope * output + slope).astype(np.float32), AFFINE)
    write_image(synthetic_path(out, case, CARD.label), image, scales)


@pytest.mark.parametrize("uptake", [0.1, 1.3, 3.0])
@pytest.mark.parametrize("scaling", ["slice", "volume"])
def test_evaluate_case__what_is_brightest_lies_in_the_lesion_and_a_perfect_network_has_no_error(
    tmp_path: Path, model: Path, scaling: Scaling, uptake: float
) -> None:
    """It has learned from images that were scaled by all of the slice, or of the brain."""
    write_json(model / CARD_FILE, dataclasses.asdict(dataclasses.replace(CARD, scaling=scaling)))
    case = with_lesion(prepare(tmp_path, "03"))
    spect = np.asarray(nib.load(case.images["interictal"]).dataobj)
    spect = np.where(lesion(), uptake * spect.max(), spect).astype(np.float32)
    write_image(case.images["interictal"], nib.Nifti1Image(spect, AFFINE), {"Units": "arbitrary"})
    target = load_case(case, CARD.inputs, scaling).target
    assert target is not None
    write_output(case, tmp_path, target)
    table = pd.read_csv(evaluate_case(case, model, tmp_path, 2.0, "test"), sep="\t")
    own = table[(table["scale"] == scaling) & (table["method"] == "pix2pix")]
    assert own["mask_rmse"].max() < 1e-5
    assert own["rmse"].max() < 1e-5
    # One that is wrong is not flattered by it, and its baselines are brought to the level alike.
    assert table[(table["method"] == "meanSpect")]["mask_rmse"].min() > 0.05
    write_output(case, tmp_path, np.roll(target, 3, axis=0))
    table = pd.read_csv(evaluate_case(case, model, tmp_path, 2.0, "test"), sep="\t")
    assert table["mask_rmse"].min() > 0.05


def test_evaluate_case__a_level_that_is_wrong_is_an_error_in_slices_without_lesion_alone(
    tmp_path: Path, model: Path
) -> None:
    write_json(model / CARD_FILE, dataclasses.asdict(CARD))
    case = with_lesion(prepare(tmp_path, "03"))
    target = load_case(case, CARD.inputs, "slice").target
    assert target is not None
    write_output(case, tmp_path, 0.8 * (target + 1) - 1)
    table = pd.read_csv(evaluate_case(case, model, tmp_path, 2.0, "test"), sep="\t")
    own = table[(table["scale"] == "slice") & (table["method"] == "pix2pix")].set_index("slice")["mask_rmse"]
    assert own[[3, 4, 5]].max() < 1e-5
    assert own[[2, 6, 7]].min() > 0.1


def test_evaluate_case__slices_of_which_a_lesion_leaves_less_than_half_are_not_rated(
    tmp_path: Path, model: Path
) -> None:
    write_json(model / CARD_FILE, dataclasses.asdict(CARD))
    case = prepare(tmp_path, "03")
    write_synthetic(case, tmp_path)
    mask = np.zeros(SHAPE, dtype=bool)
    # Of 12 columns: 6 in slice 3, 7 in slice 4, all but one voxel in slice 5.
    mask[:8, :, 3], mask[:9, :, 4], mask[:, :, 5] = True, True, True
    mask[5, 5, 5] = False
    tables = [
        pd.read_csv(evaluate_case(one, model, tmp_path, 2.0, "test"), sep="\t")
        for one in (case, with_lesion(case, mask))
    ]
    assert [sorted(one["slice"].unique()) for one in tables] == [[2, 3, 4, 5, 6, 7], [2, 3, 6, 7]]
    assert {len(own) for one in tables for _, own in one.groupby(["method", "scale", "slice"])} == {1}
    # What is left of them still counts in the measures of the volume.
    volume = pd.read_csv(rating_path(tmp_path, case, CARD.label, "volume"), sep="\t")
    assert set(volume["rated_voxels"]) == {np.count_nonzero(brain() & ~mask)}
    with pytest.raises(ImageError, match="more than half of it in every slice; nothing can be rated"):
        evaluate_case(with_lesion(case, np.arange(SHAPE[0])[:, None, None] < np.full(SHAPE, 9)), model, tmp_path, 2.0,
                      "test")  # fmt: skip


def test_evaluate_case__a_lesion_of_all_or_on_another_grid_is_said(tmp_path: Path, model: Path) -> None:
    write_json(model / CARD_FILE, dataclasses.asdict(CARD))
    case = prepare(tmp_path, "03")
    write_synthetic(case, tmp_path)
    with pytest.raises(ImageError, match="covers all of the brain that the SPECT shows"):
        evaluate_case(with_lesion(case, brain()), model, tmp_path, 2.0, "test")
    with pytest.raises(ImageError, match=r"lesion.nii.gz: 12 x 12 x 12 voxels, the brain mask has"):
        evaluate_case(with_lesion(case, np.arange(12**3).reshape(12, 12, 12) > 9), model, tmp_path, 2.0, "test")


def test_calibrate_case__the_same_whatever_lies_in_the_lesion(tmp_path: Path) -> None:
    case = with_lesion(prepare(tmp_path, "03"))
    write_synthetic(case, tmp_path)
    image, deviation = synthetic_path(tmp_path, case, CARD.label), standard_deviation_path(tmp_path, case, CARD.label)
    spread = np.random.default_rng(1).uniform(0.5, 2, SHAPE).astype(np.float32)
    write_image(deviation, nib.Nifti1Image(spread, AFFINE), {"StandardDeviationOf": "x"})
    facts = {"model": "m", "configuration": "m", "split": "test", "sampled_by": "dropout", "samples": 9}
    table, found = rating_path(tmp_path, case, CARD.label, "calibration"), []
    for gain in (None, 90.0):
        if gain is not None:
            for path in (case.images["interictal"], image, deviation):
                change(path, gain, 3, lesion())
        calibrate_case(case, image, deviation, table, dict(facts))
        found.append(table.read_text())
    assert found[0] == found[1]
    assert json.loads(table.with_suffix(".json").read_text())[LESION_KEY] is True
    calibrate_case(dataclasses.replace(case, lesion=None), image, deviation, table, dict(facts))
    assert table.read_text() != found[0]
