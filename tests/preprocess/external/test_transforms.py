"""Transforms of other programs against the matrix that they were written of."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from scipy.spatial.transform import Rotation

from bids_spectsynth.errors import ImageError
from bids_spectsynth.preprocess.external.transforms import AFFINE_PART, read_transform
from tests.preprocess.external.files import itk_affine, write_flirt, write_itk, write_lta


def rigid(shift: tuple[float, float, float] = (12.3, -7.1, 4.4)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", (11, -6, 4), degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def image(shape: tuple[int, int, int], sizes: tuple[float, float, float]) -> nib.Nifti1Image:
    affine = np.diag([*sizes, 1.0])
    affine[:3, :3] = Rotation.from_euler("z", 9, degrees=True).as_matrix() @ affine[:3, :3]
    affine[:3, 3] = (70, -90, -50)
    return nib.Nifti1Image(np.zeros(shape, np.float32), affine)


@pytest.fixture
def moving() -> nib.Nifti1Image:
    # Voxels counted from the patient's right, as scanners do, of which FLIRT makes a difference.
    return image((40, 50, 30), (-4.0, 3.5, 5.0))


@pytest.fixture
def fixed() -> nib.Nifti1Image:
    return image((64, 60, 50), (2.0, 2.5, 3.0))


WRITERS: dict[str, Callable[..., Path]] = {
    "flirt.mat": write_flirt,
    "itk.txt": lambda path, world, *_: write_itk(path, world),
    "itk.tfm": lambda path, world, *_: write_itk(path, world),
    "itk.mat": lambda path, world, *_: write_itk(path, world),
    "itk.h5": lambda path, world, *_: write_itk(path, world),
    "voxels.lta": write_lta,
    "ras.lta": lambda *args: write_lta(*args, voxels=False),
    "own.txt": lambda path, world, *_: (np.savetxt(path, world, fmt="%.10g"), path)[1],
}


@pytest.mark.parametrize("name", WRITERS)
def test_read_transform__every_format_gives_the_matrix(name: str, moving: Any, fixed: Any, tmp_path: Path) -> None:
    path = WRITERS[name](tmp_path / name, rigid(), moving, fixed)
    found, notes = read_transform(path, moving, fixed, rigid=True)
    # ITK's and FreeSurfer's are read in single precision.
    np.testing.assert_allclose(found, rigid(), atol=2e-5)
    assert notes == ()


def composite(path: Path, *, deforms: bool) -> Path:
    second = np.diag([1.1, 0.9, 1.05, 1.0])
    second[:3, 3] = (1, 2, 3)
    parts: list[Any] = [itk_affine(rigid()), itk_affine(second)]
    if deforms:
        parts.append(SimpleITK.DisplacementFieldTransform(SimpleITK.Image([4, 4, 4], SimpleITK.sitkVectorFloat64)))
    SimpleITK.WriteTransform(SimpleITK.CompositeTransform(parts), str(path))
    return path


@pytest.mark.parametrize("deforms", [False, True])
def test_read_transform__composite_of_itk_is_one_matrix(deforms: bool, moving: Any, fixed: Any, tmp_path: Path) -> None:
    path = composite(tmp_path / "to_template.h5", deforms=deforms)
    found, notes = read_transform(path, moving, fixed, rigid=False)
    whole = SimpleITK.ReadTransform(str(path))
    for point in np.eye(3) * 40:
        lps = whole.TransformPoint((point * (-1, -1, 1)).tolist())
        np.testing.assert_allclose(found[:3, :3] @ point + found[:3, 3], np.array(lps) * (-1, -1, 1), atol=1e-4)
    assert notes == ((AFFINE_PART,) if deforms else ())


def written(path: Path, matrix: Any) -> Path:
    np.savetxt(path, matrix)
    return path


def euler(path: Path) -> Path:
    transform = SimpleITK.Euler3DTransform()
    transform.SetRotation(0.1, 0.2, 0.3)
    SimpleITK.WriteTransform(transform, str(path))
    return path


def several(path: Path) -> Path:
    text = write_itk(path, rigid()).read_text()
    return written_text(path, text + text.partition("\n")[2].replace("#Transform 0", "#Transform 1"))


def written_text(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def lta(path: Path, old: str, new: str) -> Path:
    head = image((10, 10, 10), (2, 2, 2))
    return written_text(path, write_lta(path, rigid(), head, head).read_text().replace(old, new))


FOUR = "1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n"


def without_parameters(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["nothing"] = 1
    return path


@pytest.mark.parametrize(
    ("name", "write", "why"),
    [
        ("a.txt", lambda path: written(path, np.diag([-1.0, 1, 1, 1])), "mirrored"),
        ("a.txt", lambda path: written(path, np.diag([1.1, 1, 1, 1])), "not rigid"),
        ("a.txt", lambda path: written(path, np.zeros((4, 4))), "last row"),
        ("a.txt", lambda path: written(path, np.eye(3)), "4x4"),
        ("a.txt", lambda path: path.write_text("hello\n"), "cannot be read"),
        ("a.mat", lambda path: path.write_text("1 2 3\n"), "cannot be read"),
        ("a.mat", lambda path: path.write_bytes(b"\x00\xff" * 30), "cannot be read"),
        ("a.lta", lambda path: path.write_text("type = 1\n"), "cannot be read"),
        ("a.h5", lambda path: path.write_bytes(b"no hdf"), "cannot be read"),
        ("a.h5", without_parameters, "cannot be read"),
        ("a.h5", lambda path: composite(path, deforms=True), "nonlinear"),
        ("a.txt", euler, "Euler3DTransform of ITK"),
        ("a.mat", euler, "Euler3DTransform of ITK"),
        ("a.h5", euler, "Euler3DTransform of ITK"),
        ("a.txt", lambda path: None, "no such file"),
        ("a.txt", several, "holds 2 transforms that nothing composes"),
        ("a.mat", lambda path: written_text(path, FOUR + "0 0 0 1\n"), "not four lines of four numbers"),
        ("a.mat", lambda path: written_text(path, FOUR.replace("\n", " ") + "\n"), "not four lines of four numbers"),
        ("a.lta", lambda path: lta(path, "valid = 1", "valid = 0"), "does not say of which volumes"),
        ("a.lta", lambda path: lta(path, "type      = 0", "type      = 14"), "an LTA of type 14"),
        ("a.txt", lambda path: written_text(path, FOUR + " " * 70_000), "longer than 65536 bytes"),
    ],
)
def test_read_transform__what_cannot_be_used_is_one_line(
    name: str, write: Any, why: str, moving: Any, fixed: Any, tmp_path: Path
) -> None:
    path = tmp_path / name
    write(path)
    with pytest.raises(ImageError, match=why) as caught:
        read_transform(path, moving, fixed, rigid=True)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_read_transform__template_may_differ_in_size(moving: Any, fixed: Any, tmp_path: Path) -> None:
    matrix = np.diag([1.2, 0.9, 1.1, 1.0])
    found, _ = read_transform(written(tmp_path / "a.txt", matrix), moving, fixed, rigid=False)
    np.testing.assert_allclose(found, matrix)
    with pytest.raises(ImageError, match="determinant"):
        read_transform(written(tmp_path / "b.txt", np.diag([2.0, 2, 2, 1])), moving, fixed, rigid=False)
