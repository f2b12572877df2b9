import dataclasses
import json

import nibabel as nib
import numpy as np
import pytest
import torch
from scipy import ndimage

from bids_spectsynth.errors import ImageError, ModelError
from bids_spectsynth.synthesis.computing.computation import resolve_precision
from bids_spectsynth.synthesis.data.slices import load_case
from bids_spectsynth.synthesis.prediction.predict import predict
from bids_spectsynth.synthesis.prediction.reading import network_output
from bids_spectsynth.synthesis.prediction.synthetic_image import synthesise
from tests.synthesis.prediction.conftest import settings_for


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
