import highdicom as hd
import numpy as np
import pydicom
import pytest

from bids_spectsynth.dicom.export.nuclear import Image, nuclear_file
from bids_spectsynth.dicom.export.research import Shown, parametric_map, segmentation
from bids_spectsynth.dicom.export.slices import magnetic_files
from bids_spectsynth.dicom.geometry import affine_of, axial


@pytest.fixture(params=["NM", "MR"])
def shown(request, head, affine, subject, series):
    frames, placement = axial(head - 30, affine)
    image, own = Image(frames, placement, "1", (-6.0, 6.0)), series(key="z")
    nuclear = nuclear_file(image, subject, own) if request.param == "NM" else None
    files = [nuclear] if nuclear else list(magnetic_files(image, subject, own))
    return Shown(image, own, nuclear), {str(file.SOPInstanceUID) for file in files}


def _references(file: pydicom.Dataset) -> set[str]:
    return {str(element.value) for element in file.iterall() if element.keyword == "ReferencedSOPInstanceUID"}


def _matrix(image: Image) -> np.ndarray:
    """From (i, j, k) to LPS+ mm."""
    return np.diag([-1.0, -1, 1, 1]) @ affine_of(image.placement)


def test_parametric_map__values_and_places_are_those_of_the_map(shown, subject, series, save, dciodvfy) -> None:
    map_, uids = shown
    path = save([parametric_map(map_, subject, series(key="pm"))]) / "0000.dcm"
    file = hd.imread(path)
    volume = file.get_volume(apply_real_world_transform=True).to_patient_orientation("HPL")
    np.testing.assert_allclose(volume.array, map_.image.frames, atol=1e-5)
    np.testing.assert_allclose(volume.affine, _matrix(map_.image)[:, [2, 1, 0, 3]], atol=0.01)
    assert _references(file) <= uids
    assert (file.SyntheticData, file.SeriesDescription, file.FrameOfReferenceUID) == (
        "YES", "SYNTHETIC SPECT", subject.frame_of_reference)  # fmt: skip
    assert dciodvfy(path) == []


def test_segmentation__voxels_and_words_are_those_of_the_foci(shown, subject, series, save, dciodvfy) -> None:
    map_, uids = shown
    labels = np.zeros(map_.image.frames.shape, np.uint8)
    labels[2:4, 3:6, 1], labels[5, 5:7, 4:6] = 1, 2
    foci = [("hyper", "focus 1, L temporal"), ("hypo", "focus 2")]
    path = save([segmentation(map_, labels, foci, subject, series(key="seg", synthetic=False))]) / "0000.dcm"
    file = hd.seg.segread(path)
    volume = file.get_volume(combine_segments=True).to_patient_orientation("HPL")
    assert np.unique(volume.array).tolist() == [0, 1, 2]
    matrix = _matrix(map_.image)
    for number in (1, 2):
        place = np.argwhere(volume.array == number) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
        wanted = np.argwhere(labels == number)[:, ::-1] @ matrix[:3, :3].T + matrix[:3, 3]
        np.testing.assert_allclose(sorted(map(tuple, place.round(3))), sorted(map(tuple, wanted.round(3))), atol=0.01)
    assert [one.SegmentLabel for one in file.SegmentSequence] == ["focus 1, L temporal", "focus 2"]
    assert _references(file) <= uids
    assert (file.SyntheticData, file.SeriesDescription) == ("NO", "RESEARCH SPECT")
    assert dciodvfy(path) == []
