import json

import nibabel as nib
import numpy as np
import pytest

from bids_spectsynth.errors import ImageError
from bids_spectsynth.synthesis.prediction.reading import network_output


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
