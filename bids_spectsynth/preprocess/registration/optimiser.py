"""Finding the rigid or affine matrix at which an intensity model explains most of a moving image."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.spatial.transform import Rotation

from bids_spectsynth.images.grid import FloatArray, apply_affine
from bids_spectsynth.preprocess.registration.cost import ModelSamples, Samples
from bids_spectsynth.preprocess.registration.sampler import Float32Array, Sampler

# One Gauss-Newton step turns by at most this (rad) and shifts by at most this (mm).
_MAX_TURN = np.deg2rad(8.0)
_MAX_SHIFT_MM = 8.0
# The search ends when a step moves the brain's surface by less than this (mm).
_TOLERANCE_MM = 0.005
_RADIUS_MM = 70.0
# Starts closer than this (mm, mean over the brain's surface) lead to the same place.
_DISTINCT_MM = 35.0


@dataclass(frozen=True, eq=False)
class OptimisationResult:
    """A matrix (4, 4), world of the fixed image to that of the moving one, and the R squared there."""

    matrix: FloatArray
    score: float


def r_squared(sampler: Sampler, matrix: FloatArray, samples: Samples) -> float:
    """Part of the moving image's variance that the model explains (R squared), 0 to 1.

    Parameters
    ----------
    sampler : Sampler
        The moving image.
    matrix : array, shape (4, 4)
        World coordinates of the fixed image to those of the moving image.
    samples : Samples
        The model of the fixed image.
    """
    return _r_squared(sampler.read(matrix, samples.points), samples.basis)


def _r_squared(values: Float32Array, basis: Float32Array) -> float:
    # A plain sum over float32 may differ between machines' SIMD widths; float64 keeps that below any decision.
    centred = values - np.float32(values.mean(dtype=np.float64))
    total = float(np.sum(np.square(centred), dtype=np.float64))
    fitted = float(np.sum(np.square(basis.T @ centred), dtype=np.float64))
    return fitted / total if total > 0 else 0.0


def refine(
    sampler: Sampler, matrix: FloatArray, samples: Samples, centre: FloatArray, dof: int = 6, iterations: int = 30
) -> OptimisationResult:
    """Climb to the nearest matrix at which the model explains most (Gauss-Newton with Levenberg's damping).

    The residual is what no sum of the model's maps can explain (variable projection, Golub and Pereyra 1973).

    Parameters
    ----------
    sampler : Sampler
        The moving image.
    matrix : array, shape (4, 4)
        Start: world coordinates of the fixed image to those of the moving image.
    samples : Samples
        The model of the fixed image.
    centre : array, shape (3,)
        World point of the fixed image about which rotations turn.
    dof : {6, 12}
        Rigid or affine.
    iterations : int
        At most so many steps.

    Returns
    -------
    OptimisationResult
    """
    best, damping = r_squared(sampler, matrix, samples), 1e-3
    for _ in range(iterations):
        hessian, slope = _normal_equations(sampler, matrix, samples, centre, dof)
        step = None
        for _ in range(6):
            trial = np.asarray(
                np.linalg.solve(hessian + damping * np.diag(np.diag(hessian) + 1e-12), slope), dtype=np.float64
            )
            trial *= min(1.0, _MAX_TURN / (_turn(trial) + 1e-12), _MAX_SHIFT_MM / (_shift(trial) + 1e-12))
            moved = matrix @ _step_matrix(trial, centre)
            value = r_squared(sampler, moved, samples)
            if value > best:
                step, damping = trial, max(damping / 5, 1e-6)
                break
            damping = max(damping * 10, 1e-4)
        if step is None:
            break
        matrix, best = moved, value
        if _turn(step) * _RADIUS_MM + _shift(step) < _TOLERANCE_MM:
            break
    return OptimisationResult(matrix, best)


def _normal_equations(
    sampler: Sampler, matrix: FloatArray, samples: Samples, centre: FloatArray, dof: int
) -> tuple[FloatArray, FloatArray]:
    values = sampler.read(matrix, samples.points)
    gradient = sampler.read_gradient(matrix, samples.points)
    arm = (samples.points - centre).astype(np.float32)
    linear = np.cross(arm, gradient) if dof == 6 else (gradient[:, :, None] * arm[:, None, :]).reshape(-1, 9)
    jacobian = np.concatenate([linear, gradient], axis=1)
    q = samples.basis
    residual = values - q @ (q.T @ values)
    jacobian = jacobian - q @ (q.T @ jacobian)
    hessian = (jacobian.T @ jacobian).astype(np.float64)
    return hessian, -(jacobian.T @ residual).astype(np.float64)


def _turn(step: FloatArray) -> float:
    return float(np.linalg.norm(step[:-3]))


def _shift(step: FloatArray) -> float:
    return float(np.linalg.norm(step[-3:]))


def _step_matrix(step: FloatArray, centre: FloatArray) -> FloatArray:
    """4x4 matrix of a rotation vector (3) or linear part (9) about ``centre``, and a shift (3)."""
    linear = Rotation.from_rotvec(step[:3]).as_matrix() if len(step) == 6 else np.eye(3) + step[:9].reshape(3, 3)
    return rotation_about(linear, centre, centre + step[-3:])


def rotation_about(linear: FloatArray, centre: FloatArray, target: FloatArray) -> FloatArray:
    """4x4 matrix with a given linear part that maps ``centre`` to ``target``.

    Parameters
    ----------
    linear : array, shape (3, 3)
        A rotation, or the linear part of any affine.
    centre, target : array, shape (3,)
    """
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = target - linear @ centre
    return matrix


def initial_transforms(centre: FloatArray, targets: list[FloatArray]) -> list[FloatArray]:
    """Identity (the header), and rotations all around with ``centre`` mapped to each target.

    Small rotations in steps of 25 degrees to 50, and the 24 turns by whole axes, each with rotations of 25 degrees.
    """
    fine = [Rotation.from_euler("xyz", a, degrees=True) for a in product((-50, -25, 0, 25, 50), repeat=3)]
    near = [Rotation.from_euler("xyz", a, degrees=True) for a in product((-25, 0, 25), repeat=3)]
    turns = Rotation.create_group("O")
    # The turn by nothing would repeat the small rotations.
    rotations = [r.as_matrix() for r in fine] + [(t * r).as_matrix() for t in turns if t.magnitude() > 0 for r in near]
    return [np.eye(4)] + [rotation_about(r, centre, target) for target in targets for r in rotations]


def mean_distance(first: FloatArray, second: FloatArray, points: FloatArray) -> float:
    """Mean distance in mm between the images of ``points`` under two matrices.

    Parameters
    ----------
    first, second : array, shape (4, 4)
    points : array, shape (n, 3)
        mm.
    """
    return float(np.linalg.norm(apply_affine(first - second, points), axis=1).mean())


def visible_samples(sampler: Sampler, model: ModelSamples, matrix: FloatArray) -> Samples:
    """Samples that the moving image shows through ``matrix``: those outside a field of view that cuts tell nothing.

    Parameters
    ----------
    sampler : Sampler
        The moving image.
    model : ModelSamples
        The model of the fixed image.
    matrix : array, shape (4, 4)
        World coordinates of the fixed image to those of the moving image.

    Returns
    -------
    Samples
        All of the model's where hardly any is in view.
    """
    visible = sampler.contains(matrix, model.points)
    # With hardly anything in view there is nothing to fit, and the overlap of the masks tells what is wrong.
    enough = 2 * model.columns.shape[1] < np.count_nonzero(visible) < len(visible)
    return model.orthonormal(visible if enough else None)


def search(
    sampler: Sampler, model: ModelSamples, starts: list[FloatArray], centre: FloatArray, keep: int = 8
) -> list[OptimisationResult]:
    """Refine the ``keep`` best distinct ones of many starts, and always the first.

    Parameters
    ----------
    sampler : Sampler
        The moving image.
    model : ModelSamples
        The model of the fixed image.
    starts : list of array, shape (4, 4)
        World coordinates of the fixed image to those of the moving image.
    centre : array, shape (3,)
        World point of the fixed image about which rotations turn.
    keep : int

    Returns
    -------
    list of OptimisationResult
        From best to worst. Where the field of view cuts the samples, the score is that of the visible ones times
        their part of all, so that looking past the image never pays.
    """
    samples = model.orthonormal()
    values = [r_squared(sampler, start, samples) for start in starts]
    chosen = _distinct(starts, np.argsort(-np.array(values), kind="stable").tolist(), centre, keep)
    if 0 not in chosen:
        chosen.append(0)
    results = []
    for n in chosen:
        found = refine(sampler, starts[n], samples, centre)
        visible = float(sampler.contains(found.matrix, model.points).mean())
        if visible < 1:
            found = refine(sampler, found.matrix, visible_samples(sampler, model, found.matrix), centre)
        results.append(OptimisationResult(found.matrix, found.score * visible))
    return sorted(results, key=lambda result: -result.score)


def _distinct(starts: list[FloatArray], order: list[int], centre: FloatArray, keep: int) -> list[int]:
    """First ``keep`` of the ordered starts that differ, so that one broad wrong valley cannot take all the places."""
    corners = centre + _RADIUS_MM / np.sqrt(3) * np.array(list(product((-1, 1), repeat=3)))
    chosen: list[int] = []
    for n in order:
        if all(mean_distance(starts[n], starts[other], corners) > _DISTINCT_MM for other in chosen):
            chosen.append(n)
        if len(chosen) == keep:
            break
    return chosen
