from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from bids_spectsynth.errors import ImageError
from tests.siscom.baselines.conftest import MakeRequest, changed


def test_request__image_on_another_grid_is_refused_by_name(make_request: MakeRequest) -> None:
    request = make_request()
    path = request.output_dir / "other.nii.gz"
    nib.save(nib.Nifti1Image(np.arange(64, dtype=np.float32).reshape(4, 4, 4), np.eye(4)), path)
    request = replace(request, case=replace(request.case, images={**request.case.images, "pet": path}))
    with pytest.raises(ImageError, match=r"other\.nii\.gz: on another grid"):
        request.image("pet")


def test_request__no_value_is_negative(make_request: MakeRequest) -> None:
    request = make_request()
    values = np.where(request.brain, -1.0, 2.0)
    np.testing.assert_array_equal(changed(request, "ictal", values).image("ictal"), np.where(request.brain, 0, 2))
    np.testing.assert_allclose(request.voxel_sizes, 4)
