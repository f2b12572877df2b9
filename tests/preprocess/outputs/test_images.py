"""What is left out of the computation does not show in the files."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from bids_spectsynth.bids.prepared import find_prepared
from bids_spectsynth.images.grid import Grid
from bids_spectsynth.images.resampling import resample_image
from bids_spectsynth.preprocess.outputs import images as outputs
from bids_spectsynth.preprocess.workflow.build import preprocess

pytestmark = pytest.mark.usefixtures("tiny_template")


def test_computing_only_the_brains_voxels_changes_no_bit(
    tiny: Any, make_case: Any, make_options: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = make_case("01")
    tiny.matrices["pet"] = np.array([[0.98, -0.17, 0, 3], [0.17, 0.98, 0, -2], [0, 0, 1, 5], [0, 0, 0, 1.0]])

    def voxels(name: str) -> dict[str, np.ndarray]:
        options = make_options(output_dir=tmp_path / name, work_dir=tmp_path / f"{name}-work")
        assert preprocess([case], options)[0].status == "ok"
        files = sorted((tmp_path / name).rglob("sub-*/**/*.nii.gz"))
        return {file.name: np.asanyarray(nib.load(file).dataobj) for file in files}

    fast = voxels("fast")

    def plain(image: Any, grid: Any, matrix: Any, order: int) -> nib.Nifti1Image:
        return resample_image(image, Grid(grid.shape, grid.affine), matrix, order)

    monkeypatch.setattr(outputs, "resample_image", plain)
    slow = voxels("slow")
    assert len(fast) == 6
    assert fast.keys() == slow.keys()
    for name, values in fast.items():
        np.testing.assert_array_equal(values, slow[name], err_msg=name)
        assert values.any()


def test_write_prepared__an_image_that_fails_in_one_space_keeps_no_other_from_being_written(
    tiny: Any, make_case: Any, make_options: Any, tmp_path: Path
) -> None:
    tiny.matrices["T1w"] = np.eye(4)
    tiny.matrices["T1w"][:3, 3] = (900, 0, 0)
    (outcome,) = preprocess([make_case("01")], make_options(output_spaces=["MNI152NLin2009aSym", "T1w"]))
    assert outcome.status == "failed"
    assert "field of view of space-MNI152NLin2009aSym" in outcome.reason
    assert find_prepared(tmp_path / "out", "MNI152NLin2009aSym") == []
    (case,) = find_prepared(tmp_path / "out", "T1w")
    assert {"T1w", "pet", "interictal"} <= case.images.keys()
