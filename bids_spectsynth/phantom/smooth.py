"""Smooth random fields, diffeomorphic deformations from them, and their refinement to a finer grid.

Everything smooth in the phantom (deformation, thickness, regional uptake, coil sensitivity) lives on a coarse
lattice of nodes and is carried to the fine grid by cubic B-splines, one axis after the other.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse

Array = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NodeLattice:
    """Coarse nodes that cover a box, and the weights that carry node values to a fine grid in the same box.

    Parameters
    ----------
    origin : (3,) array
        Position of node (0, 0, 0) in millimetres.
    step : float
        Distance between nodes in millimetres.
    shape : tuple of int
        Number of nodes along each axis.
    weights : tuple of three (n_fine, n_nodes) sparse arrays
        Cubic B-spline weights along each axis.
    """

    origin: FloatArray
    step: float
    shape: tuple[int, int, int]
    weights: tuple[sparse.csr_array, sparse.csr_array, sparse.csr_array]

    def positions(self) -> Array:
        """Node positions in millimetres, shape (3, i, j, k)."""
        axes = [
            start + self.step * np.arange(n, dtype=np.float32) for start, n in zip(self.origin, self.shape, strict=True)
        ]
        return np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)

    def refine(self, values: Array) -> Array:
        """Carry node values (i, j, k) to the fine grid; a constant stays that constant."""
        fine = values.astype(np.float32)
        for weight in self.weights:
            # Sparse, not BLAS: the result may not depend on the number of threads. Three turns restore the order.
            rows = weight @ fine.reshape(fine.shape[0], -1)
            fine = np.moveaxis(rows.reshape(-1, *fine.shape[1:]), 0, -1)
        return np.ascontiguousarray(fine)


def node_lattice(lower: FloatArray, fine_step: float, fine_shape: tuple[int, int, int], step: float) -> NodeLattice:
    """Nodes around a fine grid that starts at `lower` and has voxels of `fine_step` millimetres.

    A margin of two nodes on every side keeps the spline's support inside the lattice.

    Parameters
    ----------
    lower : (3,) array
        Position of the fine grid's first voxel, millimetres.
    fine_step, step : float
        Distance of the fine grid's voxels and of the nodes, millimetres.
    fine_shape : tuple of int
        Voxels of the fine grid.
    """
    origin = lower - 2 * step
    shape = [int(np.ceil((n - 1) * fine_step / step)) + 5 for n in fine_shape]
    weights = [
        sparse.csr_array(bspline_weights(2 + np.arange(n, dtype=np.float64) * (fine_step / step), m))
        for n, m in zip(fine_shape, shape, strict=True)
    ]
    return NodeLattice(origin, step, (shape[0], shape[1], shape[2]), (weights[0], weights[1], weights[2]))


def bspline_weights(positions: FloatArray, n_nodes: int) -> Array:
    """Cubic B-spline weights, shape (len(positions), n_nodes); positions are in units of the node distance."""
    distance = np.abs(positions[:, None] - np.arange(n_nodes)[None, :])
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = np.clip(2 - distance, 0, None) ** 3 / 6
    weights: Array = np.where(distance < 1, inner, outer).astype(np.float32)
    return weights


def random_field(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Array:
    """Stationary Gaussian random field with mean 0 and standard deviation 1.

    Parameters
    ----------
    rng : Generator
    shape : tuple of int
        Three axes.
    sigma : float
        Smoothness: standard deviation of the Gaussian kernel, in nodes.
    """
    noise = rng.standard_normal(shape, dtype=np.float32)
    smooth: Array = ndimage.gaussian_filter(noise, sigma, mode="wrap", truncate=3.0)
    energy = 1.0
    for n in shape:
        impulse = np.zeros(n)
        impulse[0] = 1.0
        kernel = ndimage.gaussian_filter1d(impulse, sigma, mode="wrap", truncate=3.0)
        energy *= float(np.sum(kernel**2))
    return smooth / np.float32(np.sqrt(energy))


def integrate_velocity(velocity: Array, step: float, squarings: int = 5) -> Array:
    """Displacement of the flow of a stationary velocity field after unit time (scaling and squaring).

    Parameters
    ----------
    velocity : (3, i, j, k) array
        Millimetres per unit time.
    step : float
        Node distance in millimetres.
    squarings : int
        The first step is 1 / 2**squarings of the velocity.

    Returns
    -------
    (3, i, j, k) array
        Displacement u in millimetres; x -> x + u(x) is a diffeomorphism if the velocity is smooth enough,
        which `jacobian_determinant` verifies.
    """
    nodes = np.stack(np.meshgrid(*[np.arange(n, dtype=np.float32) for n in velocity.shape[1:]], indexing="ij"))
    displacement: Array = (velocity / (step * 2**squarings)).astype(np.float32)
    for _ in range(squarings):
        target = nodes + displacement
        moved = [ndimage.map_coordinates(part, target, order=1, mode="nearest") for part in displacement]
        displacement = displacement + np.stack(moved)
    return displacement * np.float32(step)


def jacobian_determinant(displacement: Array, step: float) -> Array:
    """Determinant of the Jacobian of x -> x + u(x), shape (i, j, k), by central differences."""
    gradient = np.stack([np.stack(np.gradient(part, step)) for part in displacement])
    jacobian = np.moveaxis(gradient, (0, 1), (-2, -1)) + np.eye(3, dtype=np.float32)
    determinant: Array = np.linalg.det(jacobian).astype(np.float32)
    return determinant


def clear_border(volume: Array) -> None:
    """Empty the box's faces except the lowest one, where the neck goes on, so that sampling outside finds air."""
    for face in (volume[0], volume[-1], volume[:, 0], volume[:, -1], volume[:, :, -1]):
        face[...] = 0
