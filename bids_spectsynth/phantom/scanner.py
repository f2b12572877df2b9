"""Scanners: where their voxels lie, what they record, and the protocols of the article's Table 1."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel.orientations import axcodes2ornt
from scipy import ndimage

from bids_spectsynth.phantom.smooth import Array, FloatArray


@dataclass(frozen=True)
class Protocol:
    """Matrix, voxel size and orientation of one scan.

    Parameters
    ----------
    shape : tuple of int
        Voxels along the stored axes.
    voxel_sizes : tuple of float
        Millimetres along the stored axes.
    axes : str
        Direction in which each stored axis runs, such as ``LPS`` or ``PIR``.
    """

    shape: tuple[int, int, int]
    voxel_sizes: tuple[float, float, float]
    axes: str

    def coarser(self, voxel_size: float) -> "Protocol":
        """The same field of view with voxels of about `voxel_size` mm; no axis is refined."""
        counts = [min(n, round(n * v / max(v, voxel_size))) for n, v in zip(self.shape, self.voxel_sizes, strict=True)]
        sizes = [n * v / m for n, v, m in zip(self.shape, self.voxel_sizes, counts, strict=True)]
        return Protocol((counts[0], counts[1], counts[2]), (sizes[0], sizes[1], sizes[2]), self.axes)

    def extent(self, axis_pair: str) -> float:
        """Field of view in millimetres along an anatomical axis, given as ``LR``, ``PA`` or ``IS``."""
        position = next(i for i, code in enumerate(self.axes) if code in axis_pair)
        return self.shape[position] * self.voxel_sizes[position]


#: T1w, acquired sagittally: the first two axes lie in the sagittal plane.
MRI_PROTOCOLS = (
    Protocol((256, 256, 192), (0.93, 0.93, 0.9), "PIR"),
    Protocol((512, 512, 192), (0.44, 0.44, 0.89), "PIL"),
    Protocol((256, 256, 144), (0.89, 0.89, 0.99), "ASR"),
    Protocol((512, 512, 155), (0.44, 0.44, 1.0), "PSR"),
)
PET_PROTOCOLS = (
    Protocol((440, 440, 132), (0.82, 0.82, 2.0), "LAS"),
    Protocol((512, 512, 111), (0.79, 0.79, 2.0), "LPS"),
    Protocol((440, 440, 132), (0.82, 0.82, 2.0), "RAS"),
)
SPECT_PROTOCOLS = (
    Protocol((128, 128, 83), (2.34, 2.34, 2.34), "LAS"),
    Protocol((128, 128, 47), (3.89, 3.89, 3.89), "RAS"),
    Protocol((128, 128, 44), (4.79, 4.79, 4.79), "LPI"),
)


class Camera(NamedTuple):
    """What blurs an emission scan, and how many counts it has."""

    fwhm: float
    """Resolution before the postfilter, millimetres."""
    filter_fwhm: float
    """Gaussian postfilter, millimetres."""
    counts: float
    """Counts per mm^3 in cortex."""

    @property
    def total_fwhm(self) -> float:
        """Resolution of the image, millimetres."""
        return float(np.hypot(self.fwhm, self.filter_fwhm))


PET_CAMERA = Camera(4.5, 3.5, 4.0)
SPECT_CAMERA = Camera(7.5, 5.0, 0.7)


@dataclass(frozen=True, eq=False)
class Scan:
    """Geometry of one scan.

    Parameters
    ----------
    protocol : Protocol
    affine : (4, 4) array
        Voxel indices to the scan's world (RAS+ millimetres).
    head_to_world : (4, 4) array
        Rigid: head frame to the scan's world.
    """

    protocol: Protocol
    affine: FloatArray
    head_to_world: FloatArray


def rigid(rng: np.random.Generator, degrees: float, millimetres: float, centre: FloatArray) -> FloatArray:
    """Random rigid 4x4: a rotation of at most `degrees` about `centre` and a shift of at most `millimetres`.

    Parameters
    ----------
    rng : Generator
    degrees, millimetres : float
        Bounds, at least 0.
    centre : (3,) array
        Millimetres.
    """
    axis = rng.standard_normal(3)
    rotation = _rotation(axis / np.linalg.norm(axis), float(np.deg2rad(degrees * np.sqrt(rng.random()))))
    shift = rng.standard_normal(3)
    shift *= millimetres * np.sqrt(rng.random()) / np.linalg.norm(shift)
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = centre + shift - rotation @ centre
    return matrix


def _rotation(axis: FloatArray, angle: float) -> FloatArray:
    """Rotation matrix about a unit axis by an angle in radians (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation: FloatArray = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
    return rotation


def place_scan(
    rng: np.random.Generator,
    protocol: Protocol,
    head_to_world: FloatArray,
    brain_points: FloatArray,
    *,
    tilt: float,
    top_margin: float,
) -> Scan:
    """Put a field of view around the brain, a little oblique, as a technologist would.

    Parameters
    ----------
    rng : Generator
    protocol : Protocol
    head_to_world : (4, 4) array
    brain_points : (n, 3) array
        Points of the brain's surface in the head frame, millimetres.
    tilt : float
        Largest obliqueness of the voxel axes against the world, degrees.
    top_margin : float
        Wanted distance from the brain's top to the upper end of the field of view, millimetres.

    Returns
    -------
    Scan

    Raises
    ------
    ValueError
        The field of view is smaller than the brain.
    """
    oblique = rigid(rng, tilt, 0.0, np.zeros(3))[:3, :3]
    points = (brain_points @ head_to_world[:3, :3].T + head_to_world[:3, 3]) @ oblique
    lower, upper = points.min(axis=0), points.max(axis=0)
    extent = np.array([protocol.extent(pair) for pair in ("LR", "PA", "IS")])
    room = (extent - (upper - lower)) / 2
    if np.any(room < 0):
        raise ValueError(f"the brain ({_mm(upper - lower)} mm) does not fit the field of view ({_mm(extent)} mm)")
    # A large brain that leaves less room than a technician wants lies in the middle.
    slack = np.maximum(room - 1.5 * max(protocol.voxel_sizes), 0)
    middle = (lower + upper) / 2
    middle[:2] += rng.uniform(-1, 1, 2) * np.minimum(slack[:2], 8.0)
    middle[2] -= max(slack[2] + 1.5 * max(protocol.voxel_sizes) - top_margin, 0.0)
    orientation = axcodes2ornt(tuple(protocol.axes)).astype(int)  # type: ignore[no-untyped-call]
    affine = np.eye(4)
    for column, ((axis, direction), size) in enumerate(zip(orientation, protocol.voxel_sizes, strict=True)):
        affine[:3, column] = oblique[:, axis] * direction * size
    affine[:3, 3] = oblique @ middle - affine[:3, :3] @ ((np.array(protocol.shape) - 1) / 2)
    return Scan(protocol, _storable(affine), head_to_world)


def _storable(affine: FloatArray) -> FloatArray:
    """The nearest affine that a NIfTI quaternion holds.

    Its three float32 numbers are coarse near half turns (LPS, LAS): up to 0.7 mm at the far end of a PET. With the
    affine rounded first, sform and qform agree and the images are sampled where both say.
    """
    header = nib.nifti1.Nifti1Header()  # type: ignore[no-untyped-call]
    header.set_qform(affine, code="scanner")  # type: ignore[no-untyped-call]
    rounded: FloatArray = header.get_qform()  # type: ignore[no-untyped-call]
    return rounded


def sample(volume: Array, volume_affine: FloatArray, scan: Scan) -> Array:
    """Linear interpolation of a volume in the head frame at the scan's voxels.

    Outside the volume's box the nearest voxel goes on: below, the neck of the lowest slice; elsewhere the box's empty
    border.

    Parameters
    ----------
    volume : (i, j, k) array
    volume_affine : (4, 4) array
        Voxel indices of the volume to the head frame, millimetres.
    scan : Scan

    Returns
    -------
    array, shape of the scan's protocol, float32
    """
    matrix = np.linalg.inv(volume_affine) @ np.linalg.inv(scan.head_to_world) @ scan.affine
    last = np.array(volume.shape)[:, None, None] - 1
    j, k = np.ogrid[: scan.protocol.shape[1], : scan.protocol.shape[2]]
    sampled = np.empty(scan.protocol.shape, dtype=np.float32)
    # Plane by plane, so that the coordinates of a PET of 25 million voxels never lie in memory together.
    for i, plane in enumerate(sampled):
        index = np.stack([shift + a * i + b * j + c * k for a, b, c, shift in matrix[:3]])
        nearest = np.floor(index + 0.5)
        inside = np.flatnonzero(np.all((nearest >= 0) & (nearest <= last), axis=0))
        plane[:] = volume[tuple(np.clip(nearest, 0, last, out=nearest).astype(np.intp))]
        coordinates = index.reshape(3, -1).take(inside, axis=1)
        plane.flat[inside] = ndimage.map_coordinates(volume, coordinates, output=np.float32, order=1, mode="nearest")
    return sampled


def acquire_mri(rng: np.random.Generator, signal: Array, volume_affine: FloatArray, scan: Scan, noise: float) -> Array:
    """Magnitude image with Rician noise; white matter is about 400.

    Parameters
    ----------
    rng : Generator
    signal : (i, j, k) array
        White matter is about 1.
    volume_affine : (4, 4) array
    scan : Scan
    noise : float
        Standard deviation of the noise in each channel, relative to white matter.
    """
    image = sample(signal, volume_affine, scan)
    image += np.float32(noise) * rng.standard_normal(image.shape, dtype=np.float32)
    image *= image
    image += (np.float32(noise) * rng.standard_normal(image.shape, dtype=np.float32)) ** 2
    np.sqrt(image, out=image)
    image *= 400
    return image


def acquire_emission(
    rng: np.random.Generator,
    blurred: Array,
    volume_affine: FloatArray,
    scan: Scan,
    *,
    counts: float,
    filter_fwhm: float,
    frames: int = 1,
) -> Array:
    """Reconstructed activity with Poisson noise and a mild postfilter.

    Parameters
    ----------
    rng : Generator
    blurred : (i, j, k) array
        Relative uptake after the camera's resolution.
    volume_affine : (4, 4) array
    scan : Scan
    counts : float
        Counts per cubic millimetre where the uptake is 1, over the whole scan.
    filter_fwhm : float
        Gaussian postfilter, millimetres.
    frames : int
        Time frames that share the counts.

    Returns
    -------
    (i, j, k) or (i, j, k, frames) array
        Relative activity; the expected value of each frame is `blurred`.
    """
    expected = sample(blurred, volume_affine, scan)
    sizes = np.array(scan.protocol.voxel_sizes)
    scale = counts * float(np.prod(sizes)) / frames
    scattered = 0.002
    recorded = []
    for _ in range(frames):
        frame = rng.poisson((expected + scattered) * scale).astype(np.float32) / np.float32(scale)
        recorded.append(ndimage.gaussian_filter(frame, filter_fwhm / 2.3548 / sizes, mode="nearest", truncate=2.5))
    activity: Array = recorded[0] if frames == 1 else np.stack(recorded, axis=-1)
    return activity


def _mm(sizes: Iterable[float]) -> str:
    return " x ".join(f"{size:.0f}" for size in sizes)
