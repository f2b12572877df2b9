"""Files of scanners' habits: signs of spacing, feet first, oblique, enhanced, compressed, damaged."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import EnhancedMRImageStorage, JPEG2000Lossless, JPEGLossless
from scipy.spatial.transform import Rotation

from bids_spectsynth.dicom.reading.files import group_series, read_headers
from bids_spectsynth.dicom.reading.volumes import check_geometry, read_plane, read_volumes
from bids_spectsynth.errors import ImageError


def volumes(place: Path, **more: bool):
    (series,) = group_series(read_headers(place))
    return read_volumes(series, **more)


def turned(affine: np.ndarray, degrees: float, axis: str) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
    return matrix @ affine


@pytest.mark.parametrize("axis", [0, 1, 2, None])
@pytest.mark.parametrize("turn", [("z", 0), ("y", 180), ("x", 180), ("x", 90), ("y", 77)])
def test_read_volumes__nuclear_of_either_sign_and_any_pose(
    axis, turn, nuclear, save, head, affine, same_places
) -> None:
    # A flipped axis makes the spacing negative; half a turn about y is feet first, about x GE's upside down.
    flip = np.eye(4)
    values = head if axis is None else np.flip(head, axis)
    if axis is not None:
        flip[axis, axis], flip[axis, 3] = -1, head.shape[axis] - 1
    placed = turned(affine, turn[1], turn[0])
    file = nuclear(values, placed @ flip)
    assert (float(file.SpacingBetweenSlices) < 0) == (axis is not None)
    (volume,) = volumes(save([file]))
    assert same_places(volume.values, volume.affine, head, placed) < 0.001
    assert volume.notes == ()


def test_read_volumes__the_detector_decides_where_both_speak(nuclear, save, head, affine, same_places) -> None:
    file = nuclear()
    file.ImagePositionPatient, file.ImageOrientationPatient = [0, 0, 0], [0, 1, 0, 1, 0, 0]
    (volume,) = volumes(save([file]))
    assert same_places(volume.values, volume.affine, head, affine) < 0.001


def test_read_volumes__orientation_at_the_top_alone_and_thickness_for_spacing(nuclear, save, head, affine) -> None:
    file = nuclear(DetectorInformationSequence=[Dataset()])
    file.SpacingBetweenSlices = None
    (volume,) = volumes(save([file]))
    np.testing.assert_allclose(volume.affine, affine, atol=1e-6)
    assert volume.notes == ("The distance of slices is not given: the thickness of a slice was taken",)


def test_read_volumes__slice_vector_orders_the_frames(nuclear, save, head, affine, same_places) -> None:
    file = nuclear(head[:, :, ::-1], affine)
    file.SliceVector = list(range(8, 0, -1))
    (volume,) = volumes(save([file]))
    assert same_places(volume.values, volume.affine, head, affine) < 0.001


def test_read_volumes__without_orientation_it_is_asked_for_and_with_force_assumed(nuclear, save, head) -> None:
    file = nuclear(DetectorInformationSequence=[])
    del file.ImageOrientationPatient, file.ImagePositionPatient
    place = save([file])
    with pytest.raises(ImageError, match=r"does not say how it lies .*--force"):
        volumes(place)
    (volume,) = volumes(place, assume_orientation=True)
    # Rows to the left, columns to the back, frames upwards; the middle at the origin.
    np.testing.assert_allclose(volume.affine[:3, :3], np.diag([-2.0, -2.5, 3.0]), atol=1e-6)
    middle = volume.affine @ [*(np.array(head.shape) - 1) / 2, 1]
    np.testing.assert_allclose(middle[:3], 0, atol=1e-9)
    assert len(volume.notes) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"NumberOfSlices": 4}, "several energy windows"),
        ({"NumberOfEnergyWindows": 2}, "several energy windows"),
        ({"NumberOfDetectors": 2, "NumberOfSlices": None, "SliceVector": None}, "several energy windows, detectors"),
        ({"NumberOfTimeSlices": 2}, "several energy windows, detectors or times"),
        ({"EnergyWindowVector": [1, 1, 1, 1, 2, 2, 2, 2]}, r"windows or detectors \(EnergyWindowVector"),
        ({"DetectorVector": [1, 2] * 4}, r"windows or detectors \(DetectorVector"),
        ({"SliceVector": [1, 2, 3, 4, 5, 6, 7, 7]}, "missing or there twice"),
        ({"PixelSpacing": None}, "damaged or incomplete"),
        ({"SpacingBetweenSlices": None, "SliceThickness": None}, "how large its voxels are"),
    ],
)
def test_read_volumes__nuclear_that_is_no_volume_is_one_line(change, message, nuclear, save) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        volumes(save([nuclear(**change)]))
    assert str(caught.value).startswith("series 4 (NM, ")
    assert "\n" not in str(caught.value)


def test_read_volumes__single_slices_in_any_order_with_slopes_of_their_own(slices, save, head, affine, same_places):
    files = slices()
    files[3].RescaleSlope = str(2 * float(files[3].RescaleSlope))
    expected = head.copy()
    expected[:, :, 3] *= 2
    (volume,) = volumes(save([files[n] for n in (5, 2, 7, 0, 1, 3, 6, 4)]))
    assert same_places(volume.values, volume.affine, expected, affine) < 0.002


def test_read_volumes__a_missing_slice_is_named(slices, save) -> None:
    files = slices()
    place = save(files[:4] + files[5:])
    with pytest.raises(ImageError, match="a slice is 1 missing after number 4 of 7"):
        volumes(place)
    (series,) = group_series(read_headers(place))
    with pytest.raises(ImageError, match=r"series 2 .*missing"):
        check_geometry(series)


def test_read_volumes__mixed_orientations_are_refused(slices, save, affine) -> None:
    files = [*slices(), *slices(affine=turned(affine, 90, "x"))[:3]]
    with pytest.raises(ImageError, match=r"mixed orientations \(3 of 11"):
        volumes(save(files))


def test_read_volumes__several_images_at_one_place_are_refused(slices, save) -> None:
    with pytest.raises(ImageError, match="several echoes, times or repetitions"):
        volumes(save([*slices(), *slices()]))


def _enhanced(files: list[Dataset], order: list[int]) -> Dataset:
    made = files[0]
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    frames = []
    for number in order:
        position, values, frame = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = files[number].ImagePositionPatient
        values.RescaleSlope, values.RescaleIntercept = files[number].RescaleSlope, "0"
        frame.PlanePositionSequence, frame.PixelValueTransformationSequence = [position], [values]
        frames.append(frame)
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = made.PixelSpacing
    orientation.ImageOrientationPatient = made.ImageOrientationPatient
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    made.SharedFunctionalGroupsSequence, made.PerFrameFunctionalGroupsSequence = [shared], frames
    made.NumberOfFrames = len(order)
    made.PixelData = b"".join(files[number].PixelData for number in order)
    return made


def test_read_volumes__enhanced_multi_frame(slices, save, head, affine, same_places) -> None:
    place = save([_enhanced(slices(), [4, 0, 6, 1, 7, 2, 5, 3])])
    (volume,) = volumes(place)
    assert same_places(volume.values, volume.affine, head, affine) < 0.001
    check_geometry(group_series(read_headers(place))[0])


def test_read_volumes__enhanced_with_a_missing_frame_is_refused(slices, save) -> None:
    with pytest.raises(ImageError, match="1 missing"):
        volumes(save([_enhanced(slices(), [0, 1, 2, 4, 5, 6, 7])]))


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLossless])
def test_read_volumes__compressed_without_a_decoder_says_what_to_do(syntax, nuclear, save) -> None:
    file = nuclear()
    file.file_meta.TransferSyntaxUID = syntax
    file.PixelData = encapsulate([b"\0\1"] * 8)
    file["PixelData"].VR = "OB"
    with pytest.raises(ImageError, match=r"compressed \(JPEG .*decompress the series"):
        volumes(save([file]))


def test_read_volumes__cut_pixels_are_one_line(nuclear, save) -> None:
    file = nuclear()
    file.PixelData = file.PixelData[:100]
    with pytest.raises(ImageError, match="pixels cannot be read"):
        volumes(save([file]))


def test_read_plane__a_single_slice_knows_its_place(slices, save, head, affine, same_places) -> None:
    (header,) = read_headers(save(slices()[3:4]))
    plane = read_plane(header)
    assert plane is not None
    np.testing.assert_allclose(plane.affine[:3, 3], (affine @ [0, 0, 3, 1])[:3], atol=1e-6)
    np.testing.assert_allclose(plane.values[..., 0], head[..., 3], atol=0.001)


def _coded(value: str) -> Dataset:
    item = Dataset()
    item.CodeValue = value
    return item


@pytest.mark.parametrize(
    ("said", "is_taken"),
    [
        ({"PatientPosition": "HFS"}, True),
        ({"PatientPosition": "FFP"}, False),
        ({"PatientGantryRelationshipCodeSequence": [_coded("F-10470")]}, True),
        ({"PatientGantryRelationshipCodeSequence": [_coded("F-10480")]}, False),
        ({"PatientOrientationCodeSequence": [_coded("102538003")]}, True),
        ({"PatientOrientationCodeSequence": [_coded("C86043")]}, False),
    ],
)
def test_read_volumes__force_assumes_nothing_that_the_header_denies(said, is_taken, nuclear, save) -> None:
    file = nuclear(DetectorInformationSequence=[], **said)
    del file.ImageOrientationPatient
    place = save([file])
    if is_taken:
        assert len(volumes(place, assume_orientation=True)) == 1
        return
    with pytest.raises(ImageError, match="lies otherwise than head first and supine"):
        volumes(place, assume_orientation=True)


def test_read_volumes__a_prone_patient_by_the_modifier(nuclear, save) -> None:
    recumbent = _coded("F-10450")
    recumbent.PatientOrientationModifierCodeSequence = [_coded("F-10310")]
    file = nuclear(DetectorInformationSequence=[], PatientOrientationCodeSequence=[recumbent])
    del file.ImageOrientationPatient
    with pytest.raises(ImageError, match="codes of orientation"):
        volumes(save([file]), assume_orientation=True)


def test_read_volumes__two_detectors_of_counted_slices_are_one_volume(nuclear, save) -> None:
    (found,) = volumes(save([nuclear(NumberOfDetectors=2)]))
    assert found.values.shape[2] == 8
