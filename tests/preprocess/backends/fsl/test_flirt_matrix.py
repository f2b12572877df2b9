"""FLIRT's matrices mean what FSL means by them, for images stored in any way."""

from typing import Any

import nibabel as nib
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from bids_spectsynth.preprocess.backends.fsl.flirt_matrix import (
    as_stored,
    fsl_ready,
    upright,
    world_from_flirt,
)

Matrix = np.ndarray[Any, np.dtype[np.float64]]


def rigid(angles: tuple[float, float, float], shift: tuple[float, float, float]) -> Matrix:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


angle = st.floats(-170, 170)
millimetres = st.floats(-150, 150)
size = st.floats(0.4, 6)
shear = st.floats(-0.2, 0.2)


@st.composite
def rigids(draw: st.DrawFn) -> Matrix:
    return rigid(draw(st.tuples(angle, angle, angle)), draw(st.tuples(millimetres, millimetres, millimetres)))


@st.composite
def affines(draw: st.DrawFn) -> Matrix:
    """Of FLIRT with 12 degrees of freedom: turn, shift, scale, shear."""
    matrix = draw(rigids())
    scale = np.diag(draw(st.tuples(*[st.floats(0.7, 1.4)] * 3)))
    scale[0, 1], scale[0, 2], scale[1, 2] = draw(st.tuples(shear, shear, shear))
    matrix[:3, :3] = matrix[:3, :3] @ scale
    return matrix


@st.composite
def images(draw: st.DrawFn, *, sheared: bool = False) -> nib.Nifti1Image:
    """Any axis order, handedness, obliquity, voxel size and, if asked for, shear."""
    permutation = np.eye(3)[:, draw(st.permutations([0, 1, 2]))]
    signs = np.diag(draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3)))
    affine = draw(rigids())
    skew = np.eye(3)
    if sheared:
        skew[0, 1], skew[0, 2], skew[1, 2] = draw(st.tuples(shear, shear, shear))
    affine[:3, :3] = affine[:3, :3] @ skew @ permutation @ signs @ np.diag(draw(st.tuples(size, size, size)))
    shape = draw(st.tuples(*[st.integers(2, 40)] * 3))
    return nib.Nifti1Image(np.broadcast_to(np.float32(0), shape), affine)


def flirt_coordinates(image: nib.Nifti1Image, voxel: Matrix) -> Matrix:
    """FSL's scaled voxels, written down directly: millimetres along each axis, x from the far end if det > 0."""
    sizes = np.linalg.norm(image.affine[:3, :3], axis=0)
    i, j, k = voxel
    if np.linalg.det(image.affine[:3, :3]) > 0:
        i = image.shape[0] - 1 - i
    return np.array([i, j, k]) * sizes


def to_flirt(shape: tuple[int, ...], affine: Matrix, sizes: Matrix) -> Matrix:
    """The same as a matrix: world to scaled voxels."""
    scaled = np.diag([*sizes, 1.0])
    if np.linalg.det(affine[:3, :3]) > 0:
        flip = np.eye(4)
        flip[0, 0], flip[0, 3] = -1, (shape[0] - 1) * sizes[0]
        scaled = flip @ scaled
    return scaled @ np.linalg.inv(affine)


@settings(max_examples=60, deadline=None)
@given(images(sheared=True), images(sheared=True), rigids())
def test_a_flirt_matrix_means_scaled_voxels(moving: nib.Nifti1Image, fixed: nib.Nifti1Image, inverse: Matrix) -> None:
    world = world_from_flirt(inverse, moving, fixed)  # inverse: fixed to moving, in FLIRT's coordinates
    for voxel in (np.zeros(3), np.array(fixed.shape) - 1.0, np.array([1.0, 0.5, 1.5])):
        fixed_mm = fixed.affine[:3, :3] @ voxel + fixed.affine[:3, 3]
        moving_mm = world[:3, :3] @ fixed_mm + world[:3, 3]
        moving_voxel = np.linalg.solve(moving.affine[:3, :3], moving_mm - moving.affine[:3, 3])
        expected = inverse[:3, :3] @ flirt_coordinates(fixed, voxel) + inverse[:3, 3]
        np.testing.assert_allclose(flirt_coordinates(moving, moving_voxel), expected, atol=5e-3)


@settings(max_examples=60, deadline=None)
@given(images(), images(), affines())
def test_world_from_flirt__undoes_what_a_world_matrix_is_for_flirt(
    moving: nib.Nifti1Image, fixed: nib.Nifti1Image, world: Matrix
) -> None:
    ends = [to_flirt(one.shape, one.affine, np.linalg.norm(one.affine[:3, :3], axis=0)) for one in (moving, fixed)]
    inverse = ends[0] @ world @ np.linalg.inv(ends[1])  # fixed to moving, in FLIRT's coordinates
    np.testing.assert_allclose(world_from_flirt(inverse, moving, fixed), world, atol=5e-3)


@settings(max_examples=40, deadline=None)
@given(images(sheared=True), images(), rigids())
def test_the_file_that_flirt_reads_is_the_one_that_was_converted(
    moving: nib.Nifti1Image, fixed: nib.Nifti1Image, inverse: Matrix
) -> None:
    """FLIRT takes voxel sizes from ``pixdim`` and handedness from the sform of the files, which are read back here."""
    frames = []
    for image in (fixed, moving):
        header = nib.Nifti1Image.from_bytes(fsl_ready(image).to_bytes()).header
        pixdim = np.array(header["pixdim"][1:4], dtype=np.float64)
        np.testing.assert_allclose(pixdim, np.linalg.norm(image.affine[:3, :3], axis=0), rtol=1e-5)
        frames.append(to_flirt(image.shape, header.get_sform(), pixdim))
    expected = np.linalg.inv(frames[1]) @ inverse @ frames[0]
    np.testing.assert_allclose(world_from_flirt(inverse, moving, fixed), expected, atol=2e-2)


@settings(max_examples=40, deadline=None)
@given(images(sheared=True), images())
def test_a_header_that_contradicts_itself_does_not_reach_fsl(image: nib.Nifti1Image, other: nib.Nifti1Image) -> None:
    """A qform of other voxel sizes and handedness than the sform; codes of 0 to 4."""
    twisted = nib.Nifti1Image(np.zeros(image.shape, dtype=np.float32), image.affine)
    twisted.set_sform(image.affine, code=4)
    twisted.set_qform(other.affine, code=2)
    ready = fsl_ready(upright(twisted))
    assert (int(ready.header["sform_code"]), int(ready.header["qform_code"])) == (1, 1)
    np.testing.assert_allclose(ready.get_sform(), upright(image).affine, atol=1e-3)
    sizes = np.linalg.norm(upright(image).affine[:3, :3], axis=0)
    np.testing.assert_allclose(ready.header.get_zooms(), sizes, rtol=1e-5)
    assert np.sign(np.linalg.det(ready.get_qform()[:3, :3])) == np.sign(np.linalg.det(ready.get_sform()[:3, :3]))


def test_images_for_fsl_have_both_forms_equal() -> None:
    affine = rigid((10, 20, 30), (5, 6, 7)) @ np.diag([-1.0, 2.0, 3.0, 1.0])
    ready = fsl_ready(nib.Nifti1Image(np.ones((4, 4, 4), dtype=np.int16), affine))
    assert ready.get_data_dtype() == np.float32
    assert ready.header.get_xyzt_units() == ("mm", "sec")
    np.testing.assert_allclose(ready.get_sform(), affine, atol=1e-5)
    np.testing.assert_allclose(ready.get_qform(), affine, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(images())
def test_turning_voxels_upright_and_back_changes_nothing(image: nib.Nifti1Image) -> None:
    data = np.arange(np.prod(image.shape), dtype=np.float32).reshape(image.shape)
    full = nib.Nifti1Image(data, image.affine)
    turned = upright(full)
    assert nib.aff2axcodes(turned.affine) == ("R", "A", "S")
    np.testing.assert_array_equal(as_stored(np.asanyarray(turned.dataobj), full), data)
    index = np.array(image.shape) // 2
    value = data[tuple(index)]
    (there,) = np.argwhere(np.asanyarray(turned.dataobj) == value)
    np.testing.assert_allclose(nib.affines.apply_affine(turned.affine, there),
                               nib.affines.apply_affine(image.affine, index), atol=1e-6)  # fmt: skip
