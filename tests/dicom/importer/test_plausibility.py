import numpy as np
import pytest
from nilearn.datasets import load_mni152_gm_template
from pydicom.dataset import FileDataset
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bids_spectsynth.dicom.importer.plausibility import doubts, is_upside_down
from bids_spectsynth.dicom.reading.volumes import Volume

HEADER = FileDataset("x", {})


def brain(pitch: float = 0.0, stretch: float = 1.0) -> Volume:
    """A blurred brain on voxels of 4 mm, tilted, of another size than the template's."""
    image = load_mni152_gm_template(resolution=4)
    values = ndimage.gaussian_filter(image.get_fdata(), 1.0)
    affine = np.eye(4)
    turn = Rotation.from_euler("x", pitch, degrees=True).as_matrix()
    affine[:3, :3] = turn @ image.affine[:3, :3] @ np.diag([stretch, 1.0, 1.02])
    return Volume(values.astype(np.float32), affine, HEADER)


@pytest.mark.parametrize("pitch", [-15.0, 0.0, 15.0])
@pytest.mark.parametrize("stretch", [0.93, 1.05])
def test_is_upside_down__only_what_is_turned(pitch, stretch) -> None:
    upright = brain(pitch, stretch)
    assert not is_upside_down(upright)
    for turn in (np.diag([1.0, 1, -1, 1]), np.diag([1.0, -1, -1, 1])):
        turned = Volume(upright.values, turn @ upright.affine, HEADER)
        assert is_upside_down(turned)
        assert doubts(turned, is_brain=True) == ["the brain seems to lie upside down; look at it before you use it"]


def test_doubts__small_field_odd_voxels_and_nothing_in_them() -> None:
    values = np.zeros((20, 20, 4), np.float32)
    lines = doubts(Volume(values, np.diag([2.0, 2.0, 20.0, 1.0]), HEADER), is_brain=True)
    assert [line.partition(" ")[0] for line in lines] == ["the", "the", "no"]
    assert "40 x 40 x 80 mm" in lines[0]
    assert "2.00 x 2.00 x 20.00 mm" in lines[1]


def test_doubts__a_plain_scan_has_none() -> None:
    assert doubts(brain(), is_brain=True) == []


@pytest.mark.parametrize(
    ("shape", "size", "is_odd"),
    [
        ((64, 64, 64), 7.0, False), ((128, 128, 128), 3.3, False), ((64, 64, 40), 3.5, False),
        ((64, 64, 128), 7.0, True), ((64, 64, 128), 3.5, True), ((64, 64, 256), 3.5, True),
    ],
)  # fmt: skip
def test_doubts__a_field_of_more_than_one_head(shape, size, is_odd) -> None:
    values = np.ones(shape, np.float32)
    lines = doubts(Volume(values, np.diag([size, size, size, 1.0]), HEADER), is_brain=False)
    assert [line.partition("(")[0] for line in lines] == ["the field of view is large for a head "] * is_odd


def test_is_upside_down__a_few_bright_voxels_are_no_brain(recwarn) -> None:
    values = np.zeros((64, 64, 64), np.float32)
    values[31, 31, 31] = 500
    for size in (3.5, 3.0):
        assert not is_upside_down(Volume(values, np.diag([size, size, size, 1.0]), HEADER))
    assert not [one for one in recwarn if issubclass(one.category, RuntimeWarning)]
