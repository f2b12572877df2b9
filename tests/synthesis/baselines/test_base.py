import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.writing import write_matrix
from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.baselines.base import BASELINES, Baselines, predict
from bids_spectsynth.synthesis.baselines.files import has_baselines
from bids_spectsynth.synthesis.baselines.fitting import fit_baselines
from bids_spectsynth.synthesis.baselines.quadratic import feature_names, quadratic_features
from bids_spectsynth.synthesis.data.slices import load_case

SHAPE = (20, 22, 14)
AFFINE = np.array([[4.0, 0, 0, -40], [0, 4, 0, -60], [0, 0, 4, -20], [0, 0, 0, 1]])
TEMPLATE = "MNI152NLin2009aSym"


def world() -> np.ndarray:
    index = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1)
    return index @ AFFINE[:3, :3].T + AFFINE[:3, 3]


def pattern(points: np.ndarray) -> np.ndarray:
    """A smooth uptake that is defined in the template's world, positive inside its brain."""
    x, y, z = np.moveaxis(points, -1, 0)
    return 50 + 15 * np.sin(x / 12) + 10 * np.cos(y / 15) + 8 * np.sin(z / 9)


def brain(points: np.ndarray) -> np.ndarray:
    x, y, z = np.moveaxis(points, -1, 0)
    return (x / 30) ** 2 + ((y + 17) / 34) ** 2 + ((z - 6) / 20) ** 2 < 1


def make_case(
    folder: Path, name: str, *, seed: int = 0, matrix: np.ndarray | None = None, pet: bool = True, space: str = "T1w"
) -> PreparedCase:
    """A head whose anatomy is the template's, moved by ``matrix`` (template to T1w world), with its own uptake gain."""
    rng = np.random.default_rng(seed)
    matrix = np.eye(4) if matrix is None else matrix
    points = (world() - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T
    mask = brain(points)
    t1w = np.where(mask, 100 + 20 * rng.normal(size=SHAPE), 0)
    metabolism = np.where(mask, (30 + 5 * rng.normal(size=SHAPE)) * pattern(points) / 50, 0)
    spect = np.where(mask, pattern(points), 0) * rng.uniform(0.5, 2)
    images = {"T1w": t1w, "interictal": spect} | ({"pet": metabolism} if pet else {})
    paths = {role: save(folder / f"{name}_{role}.nii.gz", data) for role, data in images.items()}
    xfm = folder / f"{name}_from-T1w_to-{TEMPLATE}_mode-image_xfm.txt"
    write_matrix(xfm, matrix, {})
    masks = {"T1w": save(folder / f"{name}_mask.nii.gz", mask.astype(np.uint8))}
    return PreparedCase(name, None, space, paths, masks, xfm, TEMPLATE if space == "T1w" else space)


def save(path: Path, data: np.ndarray) -> Path:
    dtype = np.uint8 if data.dtype == np.uint8 else np.float32
    nib.save(nib.Nifti1Image(data.astype(dtype), AFFINE), path)
    return path


def shifted(x: float = 0, y: float = 0, z: float = 0, stretch: float = 1) -> np.ndarray:
    matrix = np.diag([stretch, stretch, stretch, 1.0])
    matrix[:3, 3] = x, y, z
    return matrix


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> list[PreparedCase]:
    folder = tmp_path_factory.mktemp("cohort")
    moves = (shifted(), shifted(5, -3, 2), shifted(-4, 6, 0, 0.95), shifted(2, 2, -4, 1.05))
    return [make_case(folder, f"{n:02d}", seed=n, matrix=m) for n, m in enumerate(moves)]


@pytest.fixture(scope="module")
def fitted(cohort: list[PreparedCase]) -> Baselines:
    return fit_baselines(cohort[:3], ("T1w", "pet"), "slice")


def test_all_five_in_range_on_the_grid_and_only_in_the_brain(cohort: list[PreparedCase], fitted: Baselines) -> None:
    mask = brain_mask(cohort[3])
    predictions = predict(fitted, cohort[3])
    assert tuple(predictions) == BASELINES
    for image in predictions.values():
        assert image.shape == SHAPE
        assert image.dtype == np.float32
        assert np.abs(image).max() <= 1
        assert (image[~mask] == -1).all()
        assert (image[mask] > -1).any()


def brain_mask(case: PreparedCase) -> np.ndarray:
    return np.asarray(nib.load(case.masks["T1w"]).dataobj) > 0


def test_constant_is_the_mean_of_the_training_targets(cohort: list[PreparedCase], fitted: Baselines) -> None:
    arrays = [load_case(case, ("T1w",), "slice") for case in cohort[:3]]
    values = np.concatenate([a.target[a.mask] for a in arrays])
    assert fitted.constant == pytest.approx(values.mean(), abs=1e-6)
    predicted = predict(fitted, cohort[3])["constant"]
    assert set(np.unique(predicted)) == {np.float32(-1), np.float32(fitted.constant)}


def test_pet_copy_is_the_scaled_pet(cohort: list[PreparedCase], fitted: Baselines) -> None:
    expected = load_case(cohort[3], ("pet",), "slice", target=False).inputs[0]
    np.testing.assert_array_equal(predict(fitted, cohort[3])["petCopy"], expected)


def test_regression_finds_a_quadratic_relation(tmp_path: Path) -> None:
    cases = [make_case(tmp_path, f"{n:02d}", seed=n) for n in range(3)]
    for case in cases:
        arrays = load_case(case, ("T1w", "pet"), "volume", target=False)
        t1w, pet = arrays.inputs.astype(np.float64)
        target = 0.1 + 0.3 * t1w - 0.2 * pet + 0.1 * t1w * pet - 0.15 * pet**2
        # Volume scaling maps 0 to -1 and the 99.8th percentile to 1; undo it up to its own factor.
        save(case.images["interictal"], np.where(arrays.mask, target + 1, 0))
    fitted = fit_baselines(cases[:2], ("T1w", "pet"), "volume")
    real = load_case(cases[2], ("T1w",), "volume").target
    mask = brain_mask(cases[2])
    error = (predict(fitted, cases[2])["regression"] - real)[mask]
    assert np.abs(error).mean() < 0.05
    assert fitted.coefficients.shape == (len(feature_names(("T1w", "pet"))),)
    assert np.abs(error).mean() < 0.3 * np.abs(fitted.constant - real[mask]).mean()


def test_regression_survives_inputs_that_say_nothing(tmp_path: Path) -> None:
    cases = [make_case(tmp_path, f"{n:02d}", seed=n) for n in range(2)]
    same = [replace(case, images={**case.images, "T2w": case.images["T1w"]}) for case in cases]
    twice = predict(fit_baselines(same[:1], ("T1w", "T2w"), "slice"), same[1])["regression"]
    once = predict(fit_baselines(cases[:1], ("T1w",), "slice"), cases[1])["regression"]
    np.testing.assert_allclose(twice, once, atol=1e-4)


def test_mean_spect_follows_the_affine(cohort: list[PreparedCase], fitted: Baselines) -> None:
    # Every head has the template's uptake up to a gain, so the mean through the affine is the subject's own SPECT.
    real = load_case(cohort[3], ("T1w",), "slice").target
    inner = brain_mask(cohort[3])
    error = (predict(fitted, cohort[3])["meanSpect"] - real)[inner]
    assert np.abs(error).mean() < 0.05
    astray = replace(cohort[3], template_xfm=cohort[0].template_xfm)
    wrong = (predict(fitted, astray)["meanSpect"] - real)[inner]
    assert np.abs(wrong).mean() > 2 * np.abs(error).mean()


def test_mean_spect_ignores_the_gain_of_each_scan(cohort: list[PreparedCase], tmp_path: Path) -> None:
    fitted = fit_baselines(cohort[:2], ("pet",), "slice")
    data = np.asarray(nib.load(cohort[1].images["interictal"]).dataobj)
    louder = save(tmp_path / "louder.nii.gz", 100 * data)
    again = fit_baselines(
        [cohort[0], replace(cohort[1], images={**cohort[1].images, "interictal": louder})], ("pet",), "slice"
    )
    np.testing.assert_allclose(again.mean_spect, fitted.mean_spect, rtol=1e-4)


def test_template_space_averages_on_the_grid_itself(tmp_path: Path) -> None:
    cases = [make_case(tmp_path, f"{n:02d}", seed=n, space=TEMPLATE) for n in range(3)]
    fitted = fit_baselines(cases[:2], ("pet",), "volume")
    mask = brain_mask(cases[0])
    expected = [np.asarray(nib.load(case.images["interictal"]).dataobj) for case in cases[:2]]
    mean = sum(data / data[mask].mean() for data in expected) / 2
    np.testing.assert_array_equal(fitted.mean_affine, AFFINE)
    np.testing.assert_allclose(fitted.mean_spect[mask], mean[mask], rtol=1e-4)
    assert predict(fitted, cases[2])["meanSpect"].shape == SHAPE


def spect_mask(case: PreparedCase, data: np.ndarray, path: Path) -> PreparedCase:
    return replace(case, masks={**case.masks, "interictal": save(path, data.astype(np.uint8))})


def test_fitted_where_the_spect_was_measured(cohort: list[PreparedCase], tmp_path: Path) -> None:
    measured = world()[..., 2] > 6
    case = spect_mask(cohort[0], measured, tmp_path / "mask.nii.gz")
    cut = np.asarray(nib.load(case.images["interictal"]).dataobj) * measured
    case = replace(case, images={**case.images, "interictal": save(tmp_path / "cut.nii.gz", cut)})
    found = fit_baselines([case], ("T1w", "pet"), "volume")
    arrays = load_case(case, ("T1w", "pet"), "volume")
    values = arrays.target[arrays.rated]
    assert found.constant == pytest.approx(values.mean(), abs=1e-6)
    assert found.constant > arrays.target[arrays.mask].mean() + 0.1
    predicted = predict(found, case)
    for name in ("regression", "meanSpect", "meanSpectPetRatio"):
        # Least squares with an offset: no mean error where it was fitted.
        assert (predicted[name][arrays.rated] - values).mean() == pytest.approx(0, abs=0.02), name
    # What was not measured is not averaged as if it were 0.
    middle = arrays.rated & ndimage.binary_erosion(arrays.rated)
    assert np.abs(predicted["meanSpect"] - arrays.target)[middle].mean() < 0.02


def test_a_mean_that_is_too_bright_is_calibrated(cohort: list[PreparedCase], tmp_path: Path) -> None:
    # One hot voxel a head, in another place each time, sets the scale of the real SPECTs and fades in their mean.
    rng = np.random.default_rng(0)
    cases = []
    for number, case in enumerate(cohort):
        data = np.asarray(nib.load(case.images["interictal"]).dataobj).copy()
        places = np.argwhere(brain_mask(case))
        for k in np.unique(places[:, 2]):
            own = places[places[:, 2] == k]
            data[tuple(own[rng.integers(len(own))])] *= 2
        path = save(tmp_path / f"hot{number}.nii.gz", data)
        cases.append(replace(case, images={**case.images, "interictal": path}))
    fitted = fit_baselines(cases[:3], ("pet",), "slice")
    gain, offset = fitted.calibration["meanSpect"]
    real, mask = load_case(cases[3], ("pet",), "slice").target, brain_mask(cases[3])
    plain = predict(replace(fitted, calibration=dict.fromkeys(fitted.calibration, (1.0, 0.0))), cases[3])
    better = predict(fitted, cases[3])
    assert (plain["meanSpect"] - real)[mask].mean() > 0.1
    for name in ("meanSpect", "meanSpectPetRatio"):
        assert abs((better[name] - real)[mask].mean()) < 0.5 * abs((plain[name] - real)[mask].mean())
        assert np.square(better[name] - real)[mask].mean() < 0.85 * np.square(plain[name] - real)[mask].mean()
    expected = np.clip(gain * plain["meanSpect"] + offset, -1, 1)
    np.testing.assert_allclose(better["meanSpect"][mask], expected[mask], rtol=1e-5)
    assert (better["meanSpect"][~mask] == -1).all()


def test_no_overlap_of_spect_and_brain_is_said(cohort: list[PreparedCase], tmp_path: Path) -> None:
    case = spect_mask(cohort[0], ~brain_mask(cohort[0]), tmp_path / "mask.nii.gz")
    with pytest.raises(ModelError, match="no training SPECT overlaps"):
        fit_baselines([replace(case, template=None)], ("pet",), "slice")


def test_ratio_baseline_carries_the_subjects_deficit(
    cohort: list[PreparedCase], fitted: Baselines, tmp_path: Path
) -> None:
    pet = np.asarray(nib.load(cohort[3].images["pet"]).dataobj).copy()
    place = brain_mask(cohort[3]) & (world()[..., 0] < -12)
    pet[place] *= 0.5
    images = {**cohort[3].images, "pet": save(tmp_path / "deficit.nii.gz", pet)}
    healthy = predict(fitted, cohort[3])
    ill = predict(fitted, replace(cohort[3], images=images))
    np.testing.assert_array_equal(ill["meanSpect"], healthy["meanSpect"])
    change = ill["meanSpectPetRatio"] - healthy["meanSpectPetRatio"]
    assert change[place].mean() < -0.2


def test_without_pet_two_baselines_are_left_out(cohort: list[PreparedCase], fitted: Baselines) -> None:
    def without(case: PreparedCase) -> PreparedCase:
        return replace(case, images={role: path for role, path in case.images.items() if role != "pet"})

    no_pet = fit_baselines([cohort[0], without(cohort[1])], ("T1w",), "slice")
    assert set(no_pet.left_out) == {"petCopy", "meanSpectPetRatio"}
    assert "1 of 2 cases without PET" in no_pet.left_out["petCopy"]
    assert tuple(predict(no_pet, cohort[3])) == ("constant", "regression", "meanSpect")
    from_t1w = fit_baselines(cohort[:2], ("T1w",), "slice")
    assert tuple(predict(from_t1w, cohort[3])) == BASELINES
    assert tuple(predict(from_t1w, without(cohort[3]))) == ("constant", "regression", "meanSpect")


def test_without_a_template_the_means_are_left_out(cohort: list[PreparedCase], fitted: Baselines) -> None:
    lost = replace(cohort[3], template_xfm=None, template=None)
    assert tuple(predict(fitted, lost)) == ("constant", "petCopy", "regression")
    other = fit_baselines([cohort[0], replace(cohort[1], template="Other")], ("pet",), "slice")
    assert set(other.left_out) == {"meanSpect", "meanSpectPetRatio"}
    assert tuple(predict(other, cohort[3])) == ("constant", "petCopy", "regression")


def test_saved_baselines_predict_the_same(cohort: list[PreparedCase], fitted: Baselines, tmp_path: Path) -> None:
    assert not has_baselines(tmp_path)
    fitted.save(tmp_path)
    assert has_baselines(tmp_path)
    before, after = predict(fitted, cohort[3]), predict(Baselines.load(tmp_path), cohort[3])
    assert list(before) == list(after)
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])
    text = (tmp_path / "baselines.json").read_text()
    assert not any(str(path) in text for path in cohort[0].images.values())


def test_saved_without_means(cohort: list[PreparedCase], tmp_path: Path) -> None:
    fit_baselines([replace(cohort[0], template=None)], ("pet",), "slice").save(tmp_path)
    loaded = Baselines.load(tmp_path)
    assert loaded.mean_spect is None
    assert set(loaded.left_out) == {"meanSpect", "meanSpectPetRatio"}


def test_damaged_files_are_named(fitted: Baselines, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        Baselines.load(tmp_path)
    fitted.save(tmp_path)
    card = json.loads((tmp_path / "baselines.json").read_text())
    (tmp_path / "baselines.json").write_text(json.dumps({**card, "FormatVersion": 99}))
    with pytest.raises(ModelError, match="newer version"):
        Baselines.load(tmp_path)
    (tmp_path / "baselines.json").write_text(json.dumps(card))
    (tmp_path / "baselines.safetensors").write_bytes(b"damaged")
    with pytest.raises(ModelError, match="cannot be read"):
        Baselines.load(tmp_path)


def test_cases_of_one_space_are_needed(cohort: list[PreparedCase]) -> None:
    with pytest.raises(ModelError, match="one space"):
        fit_baselines([], ("pet",), "slice")
    with pytest.raises(ModelError, match="one space"):
        fit_baselines([cohort[0], replace(cohort[1], space="Other")], ("pet",), "slice")


@given(st.integers(1, 4))
def test_features_are_named(n: int) -> None:
    roles = ("T1w", "T2w", "FLAIR", "pet")[:n]
    values = dict(zip(roles, np.random.default_rng(n).normal(size=(n, 5)), strict=True))
    names = feature_names(roles)
    features = quadratic_features(np.stack(list(values.values())))
    assert len(names) == len(features) == 1 + n + n * (n + 1) // 2
    for name, feature in zip(names[1:], features[1:], strict=True):
        np.testing.assert_allclose(feature, np.prod([values[part] for part in name.split("*")], axis=0))
    assert (features[0] == 1).all()
