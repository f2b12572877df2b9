"""Which form of a header is used, and in which unit."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.forms import NO_ORIENTATION, matrix_problem
from bids_spectsynth.images.reading import load_image

AFFINE = nib.affines.from_matvec(np.diag([-2.0, 2.0, 3.0]), [30, -40, -50])
SHAPE = (20, 24, 22)

Change = Callable[[Any], object]


def _stored(folder: Path, change: Change, kind: type[nib.Nifti1Image] = nib.Nifti1Image) -> Path:
    """A file of which the header is changed behind nibabel's back, which would repair it."""
    data = np.random.default_rng(0).random(SHAPE, dtype=np.float32)
    image = kind(data, AFFINE)
    image.set_qform(AFFINE, 1)
    image.set_sform(AFFINE, 1)
    image.header.set_xyzt_units("mm")
    content = bytearray(image.to_bytes())
    header = np.frombuffer(content[: kind.header_class.sizeof_hdr], dtype=image.header.template_dtype).copy()
    change(header)
    content[: len(header.tobytes())] = header.tobytes()
    path = folder / "image.nii.gz"
    path.write_bytes(gzip.compress(bytes(content)))
    return path


def _rows(matrix: np.ndarray) -> Change:
    def change(header: Any) -> None:
        for name, row in zip(("srow_x", "srow_y", "srow_z"), matrix, strict=False):
            header[name] = row

    return change


def _quaternion(b: float, c: float, d: float) -> Change:
    def change(header: Any) -> None:
        header["quatern_b"], header["quatern_c"], header["quatern_d"] = b, c, d

    return change


def _all(*changes: Change) -> Change:
    def change(header: Any) -> None:
        for one in changes:
            one(header)

    return change


def _set(**values: float) -> Change:
    def change(header: Any) -> None:
        for name, value in values.items():
            header[name] = value

    return change


def _sizes(*sizes: float) -> Change:
    def change(header: Any) -> None:
        header["pixdim"][..., 1:4] = sizes

    return change


def _unit(code: int, factor: float) -> Change:
    def change(header: Any) -> None:
        header["xyzt_units"] = code
        header["pixdim"][..., 1:4] *= factor
        for name in ("srow_x", "srow_y", "srow_z", "qoffset_x", "qoffset_y", "qoffset_z"):
            header[name] = header[name] * factor

    return change


HALVED = np.diag([0.5, 0.5, 0.5, 1]) @ AFFINE
NAN = AFFINE * np.where(np.eye(4) > 0, np.nan, 1)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize(
    ("change", "note"),
    [
        (_rows(np.zeros((3, 4))), "the sform cannot be inverted; the qform is used"),
        (_rows(NAN), "the sform has no finite numbers; the qform is used"),
        (_rows(HALVED), "the qform is used: the sform's voxel sizes (1 x 1 x 1.5) are not those of pixdim (2 x 2 x 3)"),
        (_quaternion(np.nan, 0, 0), "the qform has no finite numbers; the sform is used"),
        (_quaternion(1.5, 0, 0), "the qform is no rotation; the sform is used"),
        (_quaternion(*np.array([0.6, 0.64, 0.48]) * (1 + 2e-7)), "the sform is used"),
        (_sizes(0, 0, 0), None),
        (_all(_sizes(np.nan, 2, 3), _set(xyzt_units=0)), None),
        (_set(sform_code=0), None),
        (_all(_set(sform_code=0), _quaternion(0, 1 + 2e-7, 0)), None),
        (_all(_set(qform_code=0), _quaternion(2, 0, 0)), None),
        (_unit(1, 1e-3), "in metres and were converted"),
        (_unit(3, 1e3), "in microns and were converted"),
        (_set(xyzt_units=1), "unit of length is metre, but voxels of 2 x 2 x 3 can only be in millimetres"),
        (_set(xyzt_units=0), None),
    ],
)
def test_load_image__the_usable_form_is_taken(
    tmp_path: Path, change: Change, note: str | None, kind: type[nib.Nifti1Image]
) -> None:
    image, notes = load_image(_stored(tmp_path, change, kind))
    np.testing.assert_allclose(image.affine, AFFINE, atol=1e-4)
    assert (note is None and notes == ()) or (len(notes) == 1 and str(note) in notes[0]), notes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_all(_rows(np.zeros((3, 4))), _set(qform_code=0)), "cannot be inverted"),
        (_all(_rows(NAN), _quaternion(np.nan, 0, 0)), "no finite numbers"),
        (_all(_set(sform_code=0), _quaternion(1.5, 0, 0)), "is no rotation"),
        (_all(_set(sform_code=0, qform_code=0), _sizes(0, 0, 0)), "no finite numbers"),
        (_unit(2, 1e-3), "unit of length in the header: millimetre"),
        (_unit(0, 1e3), "unit of length in the header: none"),
    ],
)
def test_load_image__no_usable_position_is_one_line(tmp_path: Path, change: Change, words: str) -> None:
    path = _stored(tmp_path, change)
    with pytest.raises(ImageError, match=words) as caught:
        load_image(path)
    assert str(path) in str(caught.value)
    assert "damaged" not in str(caught.value)


def test_load_image__a_form_without_code_is_not_set(tmp_path: Path) -> None:
    image, notes = load_image(_stored(tmp_path, _set(sform_code=0, qform_code=0)))
    assert notes == (NO_ORIENTATION,)
    np.testing.assert_allclose(np.diag(image.affine), [-2, 2, 3, 1])


def test_load_image__an_sform_alone_with_other_voxel_sizes_is_kept_with_a_note(tmp_path: Path) -> None:
    image, notes = load_image(_stored(tmp_path, _all(_set(qform_code=0), _rows(HALVED))))
    np.testing.assert_allclose(image.affine, HALVED)
    assert "not those of pixdim (2 x 2 x 3); the sform is used" in notes[0]


def test_matrix_problem() -> None:
    assert matrix_problem(AFFINE) is None
    assert matrix_problem(np.full((4, 4), np.inf)) == "has no finite numbers"
    assert matrix_problem(np.diag([1.0, 1.0, 0.0, 1.0])) == "cannot be inverted"
