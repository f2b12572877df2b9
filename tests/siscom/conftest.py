"""A brain that is known at every point of the world, so that scans of it can be moved without interpolation."""

import functools

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from bids_spectsynth.siscom.significance import patient_null
from bids_spectsynth.siscom.significance.null import simulate_null

SHAPE = (36, 44, 32)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
AFFINE[:3, 3] = (-70, -100, -50)
CENTRE = np.array([0.0, -14.0, 12.0])
RADII = np.array([58.0, 72.0, 52.0])
SIZES = (4.0, 4.0, 4.0)


def world(affine: np.ndarray = AFFINE, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """World coordinates, shape (n, 3)."""
    return np.asarray(np.indices(shape).reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3])


def depth(points: np.ndarray) -> np.ndarray:
    """About 0 at the brain's middle, 1 at its edge."""
    return np.asarray(np.linalg.norm((points - CENTRE) / RADII, axis=-1))


@functools.cache
def brain() -> np.ndarray:
    """Brain mask on the grid of :data:`SHAPE`."""
    return np.asarray(depth(world()).reshape(SHAPE) < 1)


def uptake(points: np.ndarray) -> np.ndarray:
    """Smooth, as SPECT shows it: a bright rim, a dim middle, gyri that differ; about 0 outside the brain."""
    rng = np.random.default_rng(7)
    radius = depth(points)
    values = 50 + 50 / (1 + np.exp((0.72 - radius) / 0.06))
    for wave, phase in zip(rng.normal(0, 2 * np.pi / 45, (12, 3)), rng.uniform(0, 2 * np.pi, 12), strict=True):
        values += 7 * np.cos(points @ wave + phase)
    return np.asarray(np.maximum(values, 5) / (1 + np.exp((radius - 1.02) / 0.05)))


@functools.cache
def scan() -> np.ndarray:
    """The uptake on the grid of :data:`SHAPE`, float32; not to be changed."""
    return uptake(world()).reshape(SHAPE).astype(np.float32)


def moved_scan(matrix: np.ndarray) -> np.ndarray:
    """The same brain after a motion (world of the brain to that of the scan), on the grid of :data:`SHAPE`."""
    back = np.linalg.inv(matrix)
    return uptake(world() @ back[:3, :3].T + back[:3, 3]).reshape(SHAPE).astype(np.float32)


def noise(seed: int, percent: float, fwhm: float = 6.0) -> np.ndarray:
    """Camera noise of some percent of the brain's mean, after its own smoothing (FWHM, mm)."""
    white = np.random.default_rng(seed).standard_normal(SHAPE)
    smooth = ndimage.gaussian_filter(white, fwhm / 2.3548 / 4, mode="wrap")
    return np.asarray(percent / 100 * scan()[brain()].mean() * smooth / smooth.std()).astype(np.float32)


def ball(centre: tuple[float, float, float], ml: float) -> np.ndarray:
    """The brain's voxels nearest to a point (world), of a volume together, on the grid of :data:`SHAPE`."""
    distance = np.where(brain().ravel(), np.linalg.norm(world() - centre, axis=-1), np.inf)
    out = np.zeros(distance.shape, dtype=bool)
    out[np.argsort(distance)[: round(1000 * ml / np.prod(SIZES))]] = True
    return out.reshape(SHAPE)


def image(values: np.ndarray, affine: np.ndarray = AFFINE) -> nib.Nifti1Image:
    return nib.Nifti1Image(np.asarray(values, dtype=np.float32), affine)


def rigid(shift: tuple[float, ...], degrees: tuple[float, ...]) -> np.ndarray:
    """A motion about the brain's middle: mm, and degrees about x, y, z one after the other."""
    turn = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(degrees)):
        one = np.eye(3)
        a, b = [other for other in range(3) if other != axis]
        one[a, a] = one[b, b] = np.cos(angle)
        one[a, b], one[b, a] = -np.sin(angle), np.sin(angle)
        turn = one @ turn
    out = np.eye(4)
    out[:3, :3] = turn
    out[:3, 3] = CENTRE - turn @ CENTRE + shift
    return out


@pytest.fixture
def few_simulations(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Monte Carlo takes most of the time of a SISCOM."""
    monkeypatch.setattr(patient_null, "simulate_null", functools.partial(simulate_null, simulations=9))
