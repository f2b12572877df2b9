"""What is said of masks, of brain that an image lacks, and of turned headers."""

from typing import Any

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.preprocess.registration.plausibility import (
    brain_notes,
    checked_brain,
    mask_volume,
    turned_reference,
    upright_note,
    volume_note,
    with_brain_notes,
    with_named_header,
    with_turn_against_template,
    without_header_flags,
)
from bids_spectsynth.preprocess.registration.quality import MIRRORED, TURNED
from bids_spectsynth.preprocess.registration.result import Registration

AFFINE = nib.affines.from_matvec(5 * np.eye(3), [-100, -100, -100])
_POSITION = np.indices((40, 40, 40)) * 5.0 - 100
BRAIN = sum((axis / size) ** 2 for axis, size in zip(_POSITION, (65, 82, 60), strict=True)) < 1
HEAD = np.where(BRAIN, 100.0, 5.0).astype(np.float32)
MASK = new_image(BRAIN.astype(np.uint8), AFFINE)


def _image(data: np.ndarray) -> nib.Nifti1Image:
    return new_image(data.astype(np.float32), AFFINE)


def _found(degrees: float = 0, axis: str = "x", *notes: str, poor: bool = False) -> Registration:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
    return Registration(matrix, 0.9, "R", 0.9, poor, notes)


def _without_vertex(mm: float, data: np.ndarray = HEAD) -> np.ndarray:
    return np.where(_POSITION[2] > 60 - mm, 0, data)


def test_brain_notes__nothing_to_say_of_a_whole_or_an_extracted_head() -> None:
    assert brain_notes(_image(HEAD), MASK) == ()
    assert brain_notes(_image(np.where(BRAIN, HEAD, 0)), MASK) == ()


def test_brain_notes__a_vertex_that_is_cut_or_padded() -> None:
    inside = (BRAIN & (_POSITION[2] <= 40)).astype(np.uint8)
    (padded,) = brain_notes(_image(_without_vertex(20)), new_image(inside, AFFINE))
    last = int(np.flatnonzero(inside.any(axis=(0, 1)))[-1]) + 1
    (cut,) = brain_notes(_image(HEAD[:, :, :last]), new_image(inside[:, :, :last], AFFINE))
    assert padded == cut
    assert "a part of the brain is cut off" in cut


def test_brain_notes__values_below_zero_with_their_share() -> None:
    data = HEAD.copy()
    data[20, 20, 18:22] = -1
    (note,) = brain_notes(_image(data), MASK)
    assert note == f"4 voxels of the brain ({4 / BRAIN.sum():.2%}) are below 0 and become 0"


@pytest.mark.parametrize(("mm", "poor"), [(25, False), (50, True)])
def test_with_brain_notes__padding_in_place_of_brain(mm: float, poor: bool) -> None:
    found, notes = with_brain_notes(_found(), _image(_without_vertex(mm)), MASK)
    assert notes == ()
    assert found.poor is poor
    assert "of the brain lies in a part of the moving image that is empty" in found.notes[0]
    share = (BRAIN & (_POSITION[2] > 60 - mm)).sum() / BRAIN.sum()
    assert found.notes[0].startswith(f"{share:.0%} ")


def test_with_brain_notes__an_extracted_image_is_not_padded() -> None:
    extracted = np.where(np.roll(BRAIN, 1, axis=2), HEAD, 0)
    found, notes = with_brain_notes(_found(), _image(extracted), MASK)
    assert (found.poor, found.notes, notes) == (False, (), ())
    assert with_brain_notes(_found(), _image(HEAD - 6), MASK)[1] == ()
    assert "below 0" in with_brain_notes(_found(), _image(np.where(BRAIN, -1, 5)), MASK)[1][0]


def test_turn_against_template() -> None:
    assert with_turn_against_template(_found(20)).notes == ()
    turned = with_turn_against_template(_found(178))
    assert turned.poor
    assert "178 degrees against the template: the orientation in the T1w's header is wrong" in turned.notes[0]


def test_turned_reference__only_where_all_are_turned_alike() -> None:
    note = f"turned by 175 {TURNED}"
    pet, spect = _found(175, "x", note, poor=True), _found(178, "x", note, MIRRORED, poor=True)
    assert turned_reference({"pet": pet, "ictal": spect}) == pytest.approx(178)
    assert turned_reference({"pet": pet}) is None
    assert turned_reference({"pet": pet, "ictal": _found(1)}) is None
    assert turned_reference({"pet": pet, "ictal": _found(175, "z", note, poor=True)}) is None
    mirrored = _found(2, "x", MIRRORED, poor=True)
    assert turned_reference({"pet": mirrored, "ictal": mirrored}) == 0


@pytest.mark.parametrize(
    ("others", "poor"),
    [
        ((), False),
        (("3% of the brain lies outside the moving image",), False),
        (("12% of the brain lies outside the moving image",), True),
        (("start: search",), False),
        (("the brain masks overlap by only 0.50 (Dice)",), True),
    ],
)
def test_without_header_flags__poor_for_other_reasons_only(others: tuple[str, ...], poor: bool) -> None:
    found = without_header_flags(_found(175, "x", f"turned by 175 {TURNED}", MIRRORED, *others, poor=True))
    assert (found.notes, found.poor) == (others, poor)


def test_with_named_header__notes_on_the_header_alone() -> None:
    others = ("12% of the brain lies outside the moving image", "start: headers' positions")
    found = with_named_header(_found(175, "x", f"turned by 175 {TURNED}", MIRRORED, *others, poor=True), "a.nii")
    assert found.poor
    assert found.notes == (
        "turned by 175 degrees against the header: the orientation in the header of a.nii may be wrong",
        "a mirrored head fits better: the header of a.nii may swap left and right (or be upside down)",
        *others,
    )


def test_upright_note__a_brain_is_longest_from_front_to_back() -> None:
    assert upright_note(MASK) is None
    note = upright_note(new_image(BRAIN.swapaxes(1, 2).astype(np.uint8), AFFINE))
    assert note is not None
    assert "voxels' order" in note


def cube(edge: int) -> Any:
    return new_image(np.ones((edge // 10,) * 3, np.uint8), 10 * np.eye(4))


@pytest.mark.parametrize(("mm", "words"), [(80, "brain mask of 0.51 l"), (120, None), (140, "brain mask of 2.74 l")])
def test_volume_note__of_an_unusual_brain(mm: int, words: str | None) -> None:
    note = volume_note(cube(mm))
    assert note is None if words is None else str(note).startswith(words)
    assert mask_volume(cube(mm)) == pytest.approx((mm / 100) ** 3)


@pytest.mark.parametrize(
    ("mm", "size"), [(20, "only 0.01 l"), (50, "only 0.1[23] l"), (60, None), (150, None), (160, "4.1 l")]
)
@pytest.mark.parametrize(("role", "called"), [("T1w", "T1w"), ("pet", "PET"), ("ictal", "ictal SPECT")])
def test_checked_brain__of_no_brain(mm: int, size: str | None, role: str, called: str) -> None:
    if size is None:
        mask = cube(mm)
        assert checked_brain(mask, role) is mask
    else:
        with pytest.raises(ImageError, match=f"^the brain mask of the {called} holds {size}, which is no brain"):
            checked_brain(cube(mm), role)
