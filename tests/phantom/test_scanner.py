from itertools import product

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_spectsynth.phantom.plan import SubjectPlan
from bids_spectsynth.phantom.scanner import (
    MRI_PROTOCOLS,
    PET_PROTOCOLS,
    SPECT_PROTOCOLS,
    Protocol,
    Scan,
    acquire_emission,
    acquire_mri,
    place_scan,
    rigid,
    sample,
)

#: An ellipsoid of a brain's size, millimetres.
_DIRECTIONS = np.random.default_rng(0).standard_normal((2000, 3))
BRAIN = np.array([66.0, 88.0, 75.0]) * _DIRECTIONS / np.linalg.norm(_DIRECTIONS, axis=1, keepdims=True)


@given(st.integers(0, 10**6), st.floats(0, 15), st.floats(0, 20))
@settings(max_examples=40, deadline=None)
def test_rigid_is_a_rotation_within_its_bounds(seed, degrees, millimetres):
    centre = np.array([10.0, -20.0, 30.0])
    matrix = rigid(np.random.default_rng(seed), degrees, millimetres, centre)
    rotation = matrix[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-10)
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    assert np.rad2deg(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))) <= degrees + 1e-4
    assert np.linalg.norm(rotation @ centre + matrix[:3, 3] - centre) <= millimetres + 1e-9


@given(st.integers(0, 10**6), st.sampled_from([*MRI_PROTOCOLS, *PET_PROTOCOLS, *SPECT_PROTOCOLS]))
@settings(max_examples=40, deadline=None)
def test_field_of_view_holds_the_brain_in_the_named_orientation(seed, protocol):
    rng = np.random.default_rng(seed)
    head_to_world = rigid(rng, 8.0, 20.0, np.zeros(3))
    points = BRAIN
    scan = place_scan(rng, protocol, head_to_world, points, tilt=4.0, top_margin=20.0)
    assert "".join(nib.aff2axcodes(scan.affine)) == protocol.axes
    np.testing.assert_allclose(nib.affines.voxel_sizes(scan.affine), protocol.voxel_sizes, rtol=1e-6)
    world = points @ head_to_world[:3, :3].T + head_to_world[:3, 3]
    index = (world - scan.affine[:3, 3]) @ np.linalg.inv(scan.affine[:3, :3]).T
    assert np.all(index > 0)
    assert np.all(index < np.array(protocol.shape) - 1)


def test_place_scan__a_brain_that_barely_fits_lies_in_the_middle():
    protocol = MRI_PROTOCOLS[2]
    width = protocol.extent("LR")
    half = np.array([width / 2 - 0.5 * max(protocol.voxel_sizes), 80.0, 70.0])
    corners = np.array(np.meshgrid(*([-1, 1],) * 3)).reshape(3, -1).T * half
    scan = place_scan(np.random.default_rng(0), protocol, np.eye(4), corners, tilt=0.0, top_margin=20.0)
    voxels = nib.affines.apply_affine(np.linalg.inv(scan.affine), corners)
    assert (voxels > -0.5).all()
    assert (voxels < np.array(protocol.shape) - 0.5).all()


def test_brain_larger_than_the_field_of_view_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        place_scan(np.random.default_rng(0), MRI_PROTOCOLS[2], np.eye(4), BRAIN * 1.3, tilt=0.0, top_margin=20.0)


def test_coarser_keeps_the_field_of_view_and_never_refines():
    for protocol in (*MRI_PROTOCOLS, *PET_PROTOCOLS, *SPECT_PROTOCOLS):
        coarse = protocol.coarser(4.0)
        for pair in ("LR", "PA", "IS"):
            assert coarse.extent(pair) == pytest.approx(protocol.extent(pair))
        assert all(new >= old - 1e-9 for new, old in zip(coarse.voxel_sizes, protocol.voxel_sizes, strict=True))
    assert SPECT_PROTOCOLS[2].coarser(4.0) == SPECT_PROTOCOLS[2]


def test_paper_size_takes_every_protocol_in_turn():
    plans = [SubjectPlan(index, "paper", 0) for index in range(8)]
    seen = [{plan.protocols()[kind] for plan in plans} for kind in range(3)]
    assert seen == [set(MRI_PROTOCOLS), set(PET_PROTOCOLS), set(SPECT_PROTOCOLS)]
    matrices = {(p.shape, p.voxel_sizes) for p in SPECT_PROTOCOLS}
    assert ((128, 128, 47), (3.89, 3.89, 3.89)) in matrices


@given(st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_sample_finds_what_lies_at_the_world_position(seed):
    rng = np.random.default_rng(seed)
    affine = np.diag([2.0, 3.0, 2.5, 1.0])
    affine[:3, 3] = [-20, -30, -25]
    i, j, k = np.meshgrid(*[np.arange(21.0)] * 3, indexing="ij")
    # A volume that is linear in head coordinates is reproduced exactly by linear interpolation.
    weights = rng.standard_normal(3)
    volume = sum(w * (affine[a, a] * g + affine[a, 3]) for a, (w, g) in enumerate(zip(weights, (i, j, k), strict=True)))
    head_to_world = rigid(rng, 15, 20, np.zeros(3))
    inner = Protocol((4, 5, 3), (1.7, 1.3, 2.1), "PIR")
    scan = place_scan(rng, inner, head_to_world, np.zeros((1, 3)), tilt=5.0, top_margin=30.0)
    sampled = sample(volume.astype(np.float32), affine, scan)
    index = np.array([3, 1, 2])
    world = scan.affine[:3, :3] @ index + scan.affine[:3, 3]
    head = np.linalg.inv(head_to_world) @ [*world, 1.0]
    if np.all(np.abs(head[:3]) < 19):
        assert sampled[tuple(index)] == pytest.approx(float(weights @ head[:3]), abs=1e-3)


def _by_hand(volume: np.ndarray, point: np.ndarray) -> float:
    """Linear between the eight voxels around a point; the nearest voxel where the point lies outside every voxel."""
    last = np.array(volume.shape) - 1
    if np.any((point < -0.5) | (point >= last + 0.5)):
        return float(volume[tuple(np.clip(np.floor(point + 0.5), 0, last).astype(int))])
    point = np.clip(point, 0, last)
    base = np.minimum(np.floor(point).astype(int), last - 1)
    value = 0.0
    for corner in product((0, 1), repeat=3):
        weight = np.prod(np.where(corner, point - base, 1 - (point - base)))
        value += weight * float(volume[tuple(base + corner)])
    return value


@given(st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_sample__is_linear_inside_and_the_nearest_voxel_outside(seed):
    rng = np.random.default_rng(seed)
    volume = rng.random((5, 4, 6), dtype=np.float32)
    affine = np.diag([2.0, 3.0, 2.5, 1.0])
    scan_affine = rigid(rng, 40, 8, np.zeros(3)) @ np.diag([1.9, 2.3, 2.9, 1.0])
    scan = Scan(Protocol((6, 7, 5), (1.9, 2.3, 2.9), "RAS"), scan_affine, rigid(rng, 15, 20, np.zeros(3)))
    sampled = sample(volume, affine, scan)
    assert sampled.dtype == np.float32
    to_index = np.linalg.inv(affine) @ np.linalg.inv(scan.head_to_world) @ scan_affine
    for index in np.ndindex(*sampled.shape):
        expected = _by_hand(volume, (to_index @ [*index, 1.0])[:3])
        assert sampled[index] == pytest.approx(expected, abs=1e-6)


def test_noise_is_unbiased_for_counts_and_rician_for_magnitude():
    scan = Scan(Protocol((24, 24, 24), (3.0, 3.0, 3.0), "RAS"), np.diag([3.0, 3.0, 3.0, 1.0]), np.eye(4))
    flat = np.ones((30, 30, 30), np.float32)
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    frames = acquire_emission(np.random.default_rng(0), flat, affine, scan, counts=0.7, filter_fwhm=5.0, frames=3)
    assert frames.shape == (24, 24, 24, 3)
    assert frames.mean() == pytest.approx(1.0, abs=0.01)
    assert frames.mean(axis=-1).std() < frames[..., 0].std()
    air = acquire_mri(np.random.default_rng(0), 0 * flat, affine, scan, 0.03) / 400
    assert air.mean() == pytest.approx(0.03 * np.sqrt(np.pi / 2), rel=0.03)
