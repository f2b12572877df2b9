import dataclasses
import json

import nibabel as nib
import numpy as np
import pytest
import torch
from scipy import ndimage

from bids_spectsynth.errors import ImageError, ModelError
from bids_spectsynth.images.intensity import apply_scaling, scaling_coefficients
from bids_spectsynth.options.settings import make_settings
from bids_spectsynth.synthesis.computing.computation import resolve_precision
from bids_spectsynth.synthesis.data.gathering import gather_slices
from bids_spectsynth.synthesis.data.slices import CaseArrays, PreparedCases, load_case
from bids_spectsynth.synthesis.data.through_slice import brain_slices, relative_heights, slice_gains
from bids_spectsynth.synthesis.models.folder import load_model
from bids_spectsynth.synthesis.prediction.predict import predict
from bids_spectsynth.synthesis.prediction.reading import network_output
from bids_spectsynth.synthesis.prediction.synthetic_image import synthesise
from bids_spectsynth.synthesis.prediction.units import to_units
from bids_spectsynth.synthesis.training.config import TrainingConfig
from bids_spectsynth.synthesis.training.train import train


@pytest.fixture(scope="module", params=["slice", "volume"])
def trained(request, tmp_path_factory, write_prepared):
    """A model after one epoch, the output folder that it lies in, and a participant that it has not seen."""
    output = tmp_path_factory.mktemp("out")
    prepared = [write_prepared(output, label, seed) for label, seed in (("01", 1), ("02", 2), ("03", 3), ("04", 4))]
    config = TrainingConfig(
        label="demo", inputs=("T1w", "pet"), scaling=request.param, voxel_size=2.0, slices_per_subject=8, epochs=1,
        base_filters=2, seed=1,
    )  # fmt: skip
    training, validation = (
        PreparedCases(tuple(part), config.inputs, config.scaling) for part in (prepared[:2], prepared[2:3])
    )
    train(training, validation, config, output / "models" / "demo", device="cpu", progress=False)
    return load_model(output / "models" / "demo", torch.device("cpu")), output, prepared[3]


def settings_for(output, voxel_size=2.0):
    return make_settings(
        {"bids_dir": output / "none", "output_dir": output, "analysis_level": "participant", "voxel_size": voxel_size}
    )


def test_predicting_changes_nothing_in_the_model(trained):
    model, _, prepared = trained
    arrays = load_case(prepared, model.card.inputs, model.card.scaling, target=False)
    before = {name: value.clone() for name, value in model.generator.state_dict().items()}
    first = predict(model, arrays)
    model.generator.train()
    second = predict(model, arrays)
    model.generator.eval()
    assert all(torch.equal(value, before[name]) for name, value in model.generator.state_dict().items())
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(predict(model, arrays, batch_size=3), first, atol=1e-5)


def test_slices_without_brain_are_not_predicted(trained, monkeypatch):
    model, _, prepared = trained
    arrays = load_case(prepared, model.card.inputs, model.card.scaling, target=False)
    forward, seen = type(model.generator).forward, []

    def counted(self, image):
        seen.append(len(image))
        return forward(self, image)

    monkeypatch.setattr(type(model.generator), "forward", counted)
    output = predict(model, arrays, batch_size=4)
    brain = arrays.mask.any(axis=(0, 1))
    assert output.shape == arrays.mask.shape
    assert output.dtype == np.float32
    assert sum(seen) == brain.sum() < len(brain)
    assert (output[..., ~brain] == -1).all()
    assert (output[..., brain].max(axis=(0, 1)) > -1).all()


def test_units_follow_slope_and_intercept(trained):
    model, _, prepared = trained
    arrays = load_case(prepared, model.card.inputs, model.card.scaling, target=False)
    output = predict(model, arrays)
    values, slope, intercept = to_units(output, arrays.mask, model.card)
    np.testing.assert_array_equal(values, (slope * output + intercept).astype(np.float32))
    np.testing.assert_array_equal(slope, intercept)
    brain = arrays.mask.any(axis=(0, 1))
    assert ((slope > 0) == brain).all()
    assert values.min() >= 0
    assert values[arrays.mask].mean() == pytest.approx(model.card.target_statistics["mean_in_brain"], rel=1e-5)
    assert (len(set(slope[brain])) == 1) == (model.card.scaling == "volume")


def test_written_image_and_its_way_back(trained):
    model, output_dir, prepared = trained
    path = synthesise([model], prepared, output_dir, settings_for(output_dir))
    assert path == output_dir / "sub-04/spect/sub-04_task-interictal_space-T1w_desc-demo_spect.nii.gz"
    arrays = load_case(prepared, model.card.inputs, model.card.scaling, target=False)
    np.testing.assert_allclose(network_output(path), predict(model, arrays), atol=2e-6)
    image = nib.load(path)
    np.testing.assert_allclose(image.affine, arrays.affine)
    sidecar = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
    assert sidecar["Synthetic"] is True
    assert sidecar["Description"] == "Synthetic interictal SPECT; not a measurement"
    assert sidecar["Model"] == "demo"
    assert sidecar["ModelURI"] == "bids::models/demo/model.json"
    assert (output_dir / sidecar["ModelURI"].removeprefix("bids::")).is_file()
    assert sidecar["Units"] == "counts"
    assert f"{model.card.target_statistics['mean_in_brain']:.6g}" in sidecar["UnitsDescription"]
    assert sidecar["SpatialReference"] == "T1w"
    assert sidecar["SkullStripped"] is True
    assert [source for source in sidecar["Sources"] if not (output_dir / source.removeprefix("bids::")).is_file()] == []
    assert len(sidecar["Sources"]) == 3
    assert len(sidecar["ScaleSlope"]) == len(sidecar["ScaleIntercept"]) == 16


def test_native_geometry_shows_the_same_head(trained):
    model, output_dir, prepared = trained
    path = synthesise([model], prepared, output_dir, settings_for(output_dir))
    native_path = path.with_name(path.name.replace("space-T1w", "space-orig"))
    native, grid = nib.load(native_path), nib.load(path)
    assert native.shape == (20, 30, 28)
    np.testing.assert_allclose(native.affine[:3, :3], [[0, 0, 2.5], [-2, 0, 0], [0, 1.5, 0]])
    sidecar = json.loads(native_path.with_name(native_path.name.replace(".nii.gz", ".json")).read_text())
    assert sidecar["SpatialReference"] == "orig"
    assert "ScaleSlope" not in sidecar
    index = np.array([9, 14, 13])
    world = native.affine @ [*index, 1]
    at = (np.linalg.inv(grid.affine) @ world)[:3]
    wanted = ndimage.map_coordinates(np.asarray(grid.dataobj), at[:, None], order=1)[0]
    assert np.asarray(native.dataobj)[tuple(index)] == pytest.approx(wanted, rel=1e-5)


def test_template_space_has_no_native_copy(trained, tmp_path):
    model, _, prepared = trained
    model = dataclasses.replace(model, card=dataclasses.replace(model.card, space="MNI152NLin6Sym"))
    moved = dataclasses.replace(prepared, space="MNI152NLin6Sym")
    settings = dataclasses.replace(settings_for(tmp_path), bids_dir=prepared.images["T1w"].parents[2])
    path = synthesise([model], moved, tmp_path, settings)
    assert [p.name for p in path.parent.glob("*.nii.gz")] == [path.name]
    assert "space-MNI152NLin6Sym" in path.name
    # A model from elsewhere is named by its checksum, not by a path of this machine.
    sidecar = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
    assert "ModelURI" not in sidecar
    assert sidecar["ModelChecksum"].startswith("sha256:")
    assert sidecar["Precision"] == resolve_precision("auto", torch.device("cpu"))


def test_misfitting_case_is_refused_and_nothing_written(trained, tmp_path, write_prepared):
    model, _, _ = trained
    prepared = write_prepared(tmp_path, "09", 9)
    with pytest.raises(ModelError, match="voxels of 2 mm, not 1"):
        synthesise([model], prepared, tmp_path, settings_for(tmp_path, voxel_size=1.0))
    sidecar = prepared.images["T1w"].with_name("sub-09_space-T1w_desc-preproc_T1w.json")
    sidecar.write_text('{"OriginalShape": [1, 2]}')
    with pytest.raises(ImageError, match="OriginalShape or OriginalAffine missing"):
        synthesise([model], prepared, tmp_path, settings_for(tmp_path))
    sidecar.unlink()
    with pytest.raises(ImageError, match="cannot read the sidecar"):
        synthesise([model], prepared, tmp_path, settings_for(tmp_path))
    assert not list(tmp_path.rglob("*desc-demo*"))


@pytest.mark.parametrize("content", ["[]", "{}", '{"ScaleSlope": [1], "ScaleIntercept": [1]}', "{"])
def test_network_output_of_a_damaged_sidecar(trained, tmp_path, content):
    path = tmp_path / "sub-01_spect.nii.gz"
    nib.Nifti1Image(np.zeros((4, 4, 4), np.float32), np.eye(4)).to_filename(path)
    (tmp_path / "sub-01_spect.json").write_text(content)
    with pytest.raises(ImageError, match="sub-01_spect"):
        network_output(path)


@pytest.mark.parametrize("cut", [False, True])
def test_network_output_of_a_damaged_image(tmp_path, cut):
    path = tmp_path / "sub-01_spect.nii.gz"
    values = np.random.default_rng(0).random((20, 20, 20), dtype=np.float32)
    nib.Nifti1Image(values, np.eye(4)).to_filename(path)
    (tmp_path / "sub-01_spect.json").write_text(json.dumps({"ScaleSlope": [1] * 20, "ScaleIntercept": [1] * 20}))
    network_output(path)
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(content[:half] + b"" if cut else content[:half] + bytes(half))
    with pytest.raises(ImageError, match="sub-01_spect"):
        network_output(path)


def simulated_head(seed, shape=(40, 48, 40)):
    """A SPECT-like volume: cortex, white matter, deep nuclei, individual shape and uptake, 14 mm resolution at 4 mm."""
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    warp = [1 + rng.normal(0, 0.04) for _ in range(3)]
    radius = np.sqrt((x * warp[0] / 0.72) ** 2 + (y * warp[1] / 0.85) ** 2 + ((z * warp[2] + 0.1 * y) / 0.8) ** 2)

    def field(sigma):
        noise = ndimage.gaussian_filter(rng.normal(size=shape), sigma)
        return noise / noise.std()

    folds = 1 + 0.25 * np.sin(14 * x + rng.normal()) * np.sin(13 * y) * np.sin(9 * z)
    cortex = np.exp(-(((radius - 0.85) / 0.14) ** 2)) * folds * (1 + 0.15 * z)
    nuclei = 1.3 * np.exp(-((np.abs(x) - 0.25) ** 2 + y**2 + (z + 0.05) ** 2) / 0.015)
    cerebellum = 1.2 * np.exp(-((np.abs(x) - 0.3) ** 2 + (y + 0.5) ** 2 + (z + 0.55) ** 2) / 0.03)
    uptake = (0.3 + cortex + nuclei + cerebellum) * (1 + 0.08 * field(6) + 0.06 * field(3))
    mask = radius < 1
    volume = ndimage.gaussian_filter(uptake * mask, 1.5) * mask * (1 + 0.01 * field(1))
    return (volume.clip(0) * rng.uniform(20, 200)).astype(np.float32), mask


def ideal_case(label, seed):
    volume, mask = simulated_head(seed)
    slope, intercept = scaling_coefficients(volume, mask, "slice")
    scaled = apply_scaling(volume, slope, intercept)
    return volume, CaseArrays(
        label, None, scaled[None], scaled, mask, np.eye(4), slope, intercept, float(volume[mask].mean()), "counts"
    )


def through_slice_change(volume, mask):
    """Mean absolute difference between neighbouring slices in the brain, relative to the mean in the brain."""
    both = mask[..., 1:] & mask[..., :-1]
    return np.abs(np.diff(volume, axis=2))[both].mean() / volume[mask].mean()


@pytest.fixture(scope="module")
def profiles():
    _, statistics = gather_slices([ideal_case(f"{seed:02d}", seed)[1] for seed in range(4)], 10, masks=False)
    return np.array(statistics.log_gain), np.array(statistics.log_step)


@pytest.mark.parametrize("seed", [100, 101, 102])
def test_slice_scaled_volume_is_recovered(profiles, seed):
    """The output of an ideal network, which is the slice-scaled real SPECT, becomes that SPECT again."""
    volume, case = ideal_case("99", seed)
    recovered = slice_gains(case.target, case.mask, *profiles) * (case.target + 1) / 2
    recovered *= volume[case.mask].mean() / recovered[case.mask].mean()
    stacked = (case.target + 1) * (volume[case.mask].mean() / (case.target + 1)[case.mask].mean())

    def error(image):
        return np.sqrt(np.mean((image - volume)[case.mask] ** 2)) / volume[case.mask].mean()

    assert error(recovered) < 0.08
    assert error(recovered) < error(stacked)
    ratio = through_slice_change(recovered, case.mask) / through_slice_change(volume, case.mask)
    assert ratio == pytest.approx(1, abs=0.03)


def test_gains_that_a_network_gets_wrong_are_evened_out(profiles):
    volume, case = ideal_case("99", 100)
    factors = np.random.default_rng(0).uniform(0.75, 1, volume.shape[2])
    output = (factors * (case.target + 1) - 1).astype(np.float32)
    recovered = slice_gains(output, case.mask, *profiles) * (output + 1) / 2
    ratio = through_slice_change(recovered, case.mask) / through_slice_change(volume, case.mask)
    assert through_slice_change(output + 1, case.mask) / through_slice_change(volume, case.mask) > 1.2
    assert ratio == pytest.approx(1, abs=0.05)


def test_gains_do_not_depend_on_the_unit(profiles):
    _, case = ideal_case("99", 101)
    log_gain, log_step = profiles
    first = slice_gains(case.target, case.mask, log_gain, log_step)
    np.testing.assert_allclose(slice_gains(case.target, case.mask, log_gain + 5, log_step), first, rtol=1e-6)


def test_gains_where_there_is_nothing_to_compare():
    mask = np.zeros((12, 12, 6), dtype=bool)
    zeros = np.zeros(33)
    output = np.full(mask.shape, -1, dtype=np.float32)
    assert (slice_gains(output, mask, zeros, zeros) == 0).all()
    mask[4:8, 4:8, [1, 4]] = True
    assert brain_slices(mask).tolist() == [1, 4]
    assert relative_heights(mask).tolist() == [0, 1]
    np.testing.assert_allclose(slice_gains(output, mask, zeros, zeros), [0, 1, 0, 0, 1, 0])
