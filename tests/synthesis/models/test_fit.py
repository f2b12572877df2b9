import dataclasses
import gzip

import nibabel as nib
import numpy as np
import pytest

from bids_spectsynth.errors import ImageError, ModelError
from bids_spectsynth.synthesis.models.fit import check_fit
from tests.synthesis.models.conftest import make_model


def test_fit(tmp_path, write_prepared):
    card, _ = make_model(tmp_path / "model")
    prepared = write_prepared(tmp_path / "out", "07", 1)
    check_fit(card, prepared, 2.0)
    check_fit(card, prepared)
    with pytest.raises(ModelError, match=r"sub-07 has no pet; use a model"):
        check_fit(card, dataclasses.replace(prepared, images={"T1w": prepared.images["T1w"]}), 2.0)
    with pytest.raises(ModelError, match=r"sub-07 is in MNI152NLin6Sym; prepare it with --output-spaces T1w"):
        check_fit(card, dataclasses.replace(prepared, space="MNI152NLin6Sym"), 2.0)
    with pytest.raises(ModelError, match=r"voxels of 2 mm, not 1; prepare with --voxel-size 2"):
        check_fit(card, prepared, 1.0)
    nib.Nifti1Image(np.zeros((32, 32, 12)), np.eye(4)).to_filename(prepared.images["pet"])
    with pytest.raises(ModelError, match=r"32 x 32 x 16 voxels, .*pet\.nii\.gz has 32 x 32 x 12"):
        check_fit(card, prepared)
    for content in (b"", gzip.compress(b"short"), gzip.compress(bytes(400))):
        prepared.images["T1w"].write_bytes(content)
        with pytest.raises(ImageError, match="prepare the participant again"):
            check_fit(card, prepared, 2.0)
