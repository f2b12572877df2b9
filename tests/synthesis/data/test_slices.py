import dataclasses

import nibabel as nib
import numpy as np
import pytest
import torch

from bids_spectsynth.errors import ImageError, ModelError
from bids_spectsynth.synthesis.data.batches import shuffled_batches
from bids_spectsynth.synthesis.data.gathering import gather_slices
from bids_spectsynth.synthesis.data.scaling import scaling_coefficients
from bids_spectsynth.synthesis.data.slices import PreparedCases, brain_and_evaluation_mask, load_case
from bids_spectsynth.synthesis.data.storage import decode

#: Half of a step of the stored numbers, and what float32 adds.
STEP = 0.51 / 32767


@pytest.mark.parametrize("scaling", ["slice", "volume"])
def test_load_case_scales_and_can_be_undone(tmp_path, make_volumes, write_prepared, scaling):
    prepared = write_prepared(tmp_path, "01", 3)
    arrays = load_case(prepared, ("T1w", "pet"), scaling)
    volumes, mask = make_volumes(3)
    assert arrays.inputs.shape == (2, 32, 32, 16)
    assert arrays.inputs.dtype == arrays.target.dtype == np.float32
    assert arrays.inputs.min() == arrays.target.min() == -1
    assert arrays.inputs.max() == arrays.target.max() == 1
    np.testing.assert_array_equal(arrays.mask, mask)
    assert arrays.target_mean == pytest.approx(volumes["interictal"][mask].mean(), rel=1e-6)
    assert arrays.target_units == "counts"
    varies = arrays.target_slope > 0
    slope, intercept = scaling_coefficients(volumes["interictal"], mask, scaling)
    np.testing.assert_array_equal(arrays.target_slope, slope)
    undone = (arrays.target - intercept)[..., varies] / arrays.target_slope[varies]
    inside = arrays.target[..., varies] < 1 if scaling == "volume" else np.ones_like(undone, dtype=bool)
    np.testing.assert_allclose(undone[inside], volumes["interictal"][..., varies][inside], rtol=1e-5, atol=1e-3)


def test_input_order_and_absent_target(tmp_path, write_prepared):
    prepared = write_prepared(tmp_path, "01", 3)
    both = load_case(prepared, ("T1w", "pet"), "slice")
    one = load_case(prepared, ("pet",), "slice", target=False)
    np.testing.assert_array_equal(one.inputs[0], both.inputs[1])
    assert one.target is None
    assert one.target_slope is None


def test_missing_or_misfitting_images(tmp_path, write_prepared):
    prepared = write_prepared(tmp_path, "01", 3)
    with pytest.raises(ImageError, match="sub-01: no prepared T2w image"):
        load_case(prepared, ("T2w",), "slice")
    nib.Nifti1Image(np.arange(8 * 8 * 8.0).reshape(8, 8, 8), np.eye(4)).to_filename(prepared.images["pet"])
    with pytest.raises(ImageError, match=r"pet\.nii\.gz: 8 x 8 x 8 voxels, the brain mask has 32 x 32 x 16"):
        load_case(prepared, ("pet",), "slice")


def with_spect_mask(prepared, data):
    path = prepared.masks["T1w"].with_name("spect_mask.nii.gz")
    nib.Nifti1Image(data.astype(np.uint8), np.eye(4)).to_filename(path)
    return dataclasses.replace(prepared, masks={**prepared.masks, "interictal": path})


def test_load_case__evaluation_mask_is_the_brain_where_the_spect_was_measured(tmp_path, make_volumes, write_prepared):
    prepared = write_prepared(tmp_path, "01", 3)
    _, mask = make_volumes(3)
    np.testing.assert_array_equal(load_case(prepared, ("pet",), "slice").evaluation_mask, mask)
    measured = np.zeros_like(mask)
    measured[:16] = True
    arrays = load_case(with_spect_mask(prepared, measured), ("pet",), "slice")
    np.testing.assert_array_equal(arrays.evaluation_mask, mask & measured)
    np.testing.assert_array_equal(arrays.mask, mask)
    for found, expected in zip(
        brain_and_evaluation_mask(with_spect_mask(prepared, measured)),
        (arrays.mask, arrays.evaluation_mask, arrays.affine),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)
    assert load_case(prepared, ("pet",), "slice", target=False).evaluation_mask is None
    data, _ = gather_slices([arrays], 16, masks=True)
    np.testing.assert_array_equal(np.moveaxis(data.masks[:, 0].numpy(), 0, -1), mask & measured)
    with pytest.raises(ImageError, match=r"spect_mask\.nii\.gz: 4 x 4 x 4 voxels"):
        load_case(with_spect_mask(prepared, np.indices((4, 4, 4))[0] > 0), ("pet",), "slice")


def test_digest_follows_the_mask_of_the_spect(tmp_path, write_prepared):
    prepared = write_prepared(tmp_path, "01", 3)
    digests = {PreparedCases((prepared,), ("pet",), "slice").digest()}
    for n in (0, 1):
        case = with_spect_mask(prepared, np.full((32, 32, 16), n))
        digests.add(PreparedCases((case,), ("pet",), "slice").digest())
    assert len(digests) == 3


def test_unreadable_sidecar_leaves_the_units_open(tmp_path, write_prepared):
    prepared = write_prepared(tmp_path, "01", 3)
    next(prepared.images["interictal"].parent.glob("*.json")).write_text("[not json")
    assert load_case(prepared, ("pet",), "slice").target_units == "arbitrary"


def test_gathered_slices_are_those_with_most_brain(make_case):
    cases = [make_case("01", 1), make_case("02", 2)]
    data, statistics = gather_slices(cases, 6, masks=True)
    assert len(data) == 12
    assert data.cases.tolist() == [0] * 6 + [1] * 6
    for row in (0, 5, 6, 11):
        case, k = cases[row // 6], 5 + row % 6
        assert case.mask[..., k].sum() >= case.mask[..., 4].sum()
        np.testing.assert_allclose(decode(data.images[row]).numpy(), case.inputs[..., k], atol=STEP)
        np.testing.assert_allclose(decode(data.targets[row, 0]).numpy(), case.target[..., k], atol=STEP)
        np.testing.assert_array_equal(data.masks[row, 0].numpy(), case.mask[..., k])
    assert statistics.participants == ("01", "02")
    assert statistics.mean_in_brain == pytest.approx(np.mean([case.target_mean for case in cases]))
    assert statistics.units == "counts"
    assert statistics.grid_shape == (32, 32, 16)


def test_gather_needs_cases_of_one_shape(make_case):
    with pytest.raises(ModelError, match="no participant"):
        gather_slices([], 4, masks=False)
    with pytest.raises(ModelError, match=r"sub-02.*--voxel-size"):
        gather_slices([make_case("01", 1), make_case("02", 2, shape=(32, 32, 12))], 4, masks=False)


def test_masks_are_kept_only_on_request(make_case):
    data, _ = gather_slices([make_case("01", 1)], 99, masks=False)
    assert len(data) == 16
    assert len(data.masks) == 0


def test_prepared_cases_read_one_at_a_time(tmp_path, write_prepared):
    cases = PreparedCases(tuple(write_prepared(tmp_path, label, 1) for label in ("01", "02")), ("pet",), "slice")
    assert len(cases) == 2
    assert [case.participant for case in cases] == ["01", "02"]
    assert [case.inputs.shape[0] for case in cases] == [1, 1]


def test_digest_follows_content(tmp_path, write_prepared):
    first = PreparedCases((write_prepared(tmp_path / "a", "01", 1),), ("pet",), "slice")
    same = PreparedCases((write_prepared(tmp_path / "b", "01", 1),), ("pet",), "slice")
    other = PreparedCases((write_prepared(tmp_path / "c", "01", 2),), ("pet",), "slice")
    more_inputs = PreparedCases(first.cases, ("T1w", "pet"), "slice")
    assert first.digest() == same.digest()
    assert len({first.digest(), other.digest(), more_inputs.digest()}) == 3
    same.cases[0].images["pet"].unlink()
    with pytest.raises(ImageError, match="prepare the participant again"):
        same.digest()
    with pytest.raises(ImageError, match="no prepared FLAIR"):
        PreparedCases(first.cases, ("FLAIR",), "slice").digest()


def test_batches_cover_all_slices_once():
    batches = shuffled_batches(17, 8, torch.Generator().manual_seed(1))
    assert [len(batch) for batch in batches] == [8, 8, 1]
    assert sorted(torch.cat(batches).tolist()) == list(range(17))
    again = shuffled_batches(17, 8, torch.Generator().manual_seed(1))
    assert [b.tolist() for b in batches] == [b.tolist() for b in again]
    assert torch.cat(batches).tolist() != list(range(17))


def test_processes_share_the_slices_evenly():
    parts = [
        torch.cat(shuffled_batches(10, 3, torch.Generator().manual_seed(1), rank=rank, processes=3)).tolist()
        for rank in range(3)
    ]
    assert [len(part) for part in parts] == [4, 4, 4]
    assert {index for part in parts for index in part} == set(range(10))


def test_load_case__image_that_is_constant_in_the_brain(tmp_path, write_prepared):
    prepared = write_prepared(tmp_path, "01", 1)
    image = nib.load(prepared.images["pet"])
    mask = np.asarray(nib.load(prepared.masks["T1w"]).dataobj) > 0
    nib.save(nib.Nifti1Image(np.where(mask, 7, 0).astype(np.float32), image.affine), prepared.images["pet"])
    with pytest.raises(ImageError, match=r"pet\.nii\.gz: the same value \(7\) everywhere in the brain"):
        load_case(prepared, ("T1w", "pet"), "slice")
