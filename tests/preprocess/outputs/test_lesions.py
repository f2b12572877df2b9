import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_spectsynth.bids.finding.external import External
from bids_spectsynth.bids.output_files import lesion_path, lesion_volumes
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.writing import write_image, write_matrix
from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import Grid
from bids_spectsynth.preprocess.outputs.lesions import write_lesion

AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
AFFINE[:3, 3] = (-62, -62, -46)
SHAPE = (32, 32, 24)
T1W = Grid(SHAPE, AFFINE)


@pytest.fixture
def source(tmp_path: Path) -> External:
    """A mask on the T1w, on its right."""
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[20:24, 14:18, 10:14] = 1
    path = tmp_path / "hand" / "sub-01" / "anat" / "sub-01_label-lesion_mask.nii.gz"
    path.parent.mkdir(parents=True)
    nib.save(nib.Nifti1Image(mask, AFFINE), path)
    return External(path, "hand", tmp_path / "hand", ("bids:hand:sub-01/anat/other.nii.gz",))


def prepared(tmp_path: Path, space: str, matrix: np.ndarray | None) -> PreparedCase:
    brain = tmp_path / "out" / f"brain_{space}.nii.gz"
    inside = np.zeros(SHAPE, dtype=np.uint8)
    inside[4:28, 4:28, 4:20] = 1
    own = "bids:hand:sub-01/anat/sub-01_desc-brain_mask.nii.gz"
    facts = {"SpatialReference": "x", "ExternalSource": own, "Sources": ["bids:raw:sub-01/anat/sub-01_T1w.nii.gz", own]}
    write_image(brain, nib.Nifti1Image(inside, AFFINE), facts)
    xfm = None
    if matrix is not None:
        xfm = tmp_path / "out" / "xfm.txt"
        write_matrix(xfm, matrix, {})
    return PreparedCase("01", None, space, {}, {"T1w": brain}, xfm, None if xfm is None else "MNI")


def middle(path: Path) -> np.ndarray:
    image = nib.load(path)
    return np.asarray(nib.affines.apply_affine(AFFINE, np.argwhere(np.asarray(image.dataobj) > 0)).mean(axis=0))


def test_write_lesion__where_it_was_drawn_with_what_it_was_made_of(source: External, tmp_path: Path) -> None:
    case = prepared(tmp_path, "T1w", np.diag([2.0, 2, 2, 1]))
    path = lesion_path(tmp_path / "out", case)
    assert path.name == "sub-01_space-T1w_label-lesion_mask.nii.gz"
    write_lesion(path, case, source, T1W)
    image = nib.load(path)
    np.testing.assert_array_equal(np.asarray(image.dataobj), np.asarray(nib.load(source.path).dataobj))
    assert image.get_data_dtype() == np.uint8
    facts = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
    assert facts["Sources"] == ["bids:raw:sub-01/anat/sub-01_T1w.nii.gz", source.uri]
    assert (facts["Type"], facts["ExternalSource"], facts["SpatialReference"]) == ("Lesion", source.uri, "x")
    assert any("not bids:hand:sub-01/anat/other.nii.gz" in note for note in facts["Notes"])
    assert lesion_volumes(path) == pytest.approx((4.096, 4.096))


def test_write_lesion__through_the_transform_in_a_template_space(source: External, tmp_path: Path) -> None:
    # From the template's world to that of the T1w.
    matrix = np.eye(4)
    matrix[:3, 3] = (8, -4, 12)
    case = prepared(tmp_path, "MNI", matrix)
    path = lesion_path(tmp_path / "out", case)
    write_lesion(path, case, source, T1W)
    assert "space-MNI_" in path.name
    np.testing.assert_allclose(middle(path), middle(source.path) - (8, -4, 12), atol=0.5)
    with pytest.raises(ImageError, match="no transform to MNI; prepare the participant again with it"):
        write_lesion(path, prepared(tmp_path, "MNI", None), source, T1W)
