"""One individual's anatomy: the template's tissue maps through an individual deformation, in the head frame.

The head frame is a world of its own (RAS+ millimetres, origin near the anterior commissure, no rotation);
scanners see it through a rigid transform each.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy import ndimage

from bids_spectsynth.phantom.atlas import CORD_Z, Atlas, Bytes
from bids_spectsynth.phantom.folding import fold_cortex
from bids_spectsynth.phantom.smooth import (
    Array,
    FloatArray,
    NodeLattice,
    integrate_velocity,
    jacobian_determinant,
    node_lattice,
    random_field,
)

#: Box of the head before individual scaling, template millimetres: lower and upper corner (right, anterior, superior).
BOX_LOWER = np.array([-98.0, -130.0, -120.0])
BOX_UPPER = np.array([98.0, 112.0, 108.0])
NODE_STEP = 5.0
#: Standard deviation of the displacement and smoothness of the velocity's three parts, millimetres.
VELOCITY_PARTS = ((2.8, 25.0), (1.3, 14.0), (0.7, 9.0))
#: Centre (right side) and extent of the parts of the lateral ventricles that grow or shrink, template millimetres.
VENTRICLE_PARTS = (((11.0, 10.0, 14.0), (9.0, 14.0, 10.0)), ((20.0, -34.0, 12.0), (10.0, 14.0, 10.0)))
#: Mean and standard deviation of the brain's width, length and height, millimetres (brain mask's bounding box).
BRAIN_SIZE = ((142.0, 4.0), (176.0, 4.5), (151.0, 4.0))


@dataclass(frozen=True, eq=False)
class Person:
    """What is drawn for one individual before the anatomy is built.

    Parameters
    ----------
    age : int
        Years; widens ventricles and sulci.
    sex : str
        ``F`` or ``M``; a male brain is larger by 4 % per axis on average.
    widest : float
        The brain must be narrower than this (mm), so that the narrowest MRI slab holds it.
    """

    age: int
    sex: str
    widest: float = 150.0


#: ``average``: the template's own folds, deformed; ``individual``: an individual's folds in place of them.
Folds = Literal["average", "individual"]


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Tissue fractions and head geometry of one individual on a regular grid in the head frame.

    Parameters
    ----------
    affine : (4, 4) array
        Voxel indices to head frame millimetres; diagonal.
    grey, white, fluid, brain : (i, j, k) arrays
        Fractions in [0, 1]; ``brain`` is their sum, the template's brain mask carried over.
    shell : (i, j, k) array
        Millimetres outside the brain's hull (negative inside).
    nodes : NodeLattice
        Lattice for smooth fields over the same box.
    atlas_nodes : (3, i, j, k) array
        Template coordinates of the nodes.
    jacobian_range : tuple of float
        Smallest and largest Jacobian determinant of the nonlinear deformation over the nodes.
    """

    affine: FloatArray
    grey: Array
    white: Array
    fluid: Array
    brain: Array
    shell: Array
    nodes: NodeLattice = field(repr=False)
    atlas_nodes: Array = field(repr=False)
    jacobian_range: tuple[float, float]

    def head_position(self, atlas_position: FloatArray) -> FloatArray:
        """Where in the head frame (mm) the template position lies, to the nearest node."""
        distance = np.sum((self.atlas_nodes - atlas_position.reshape(3, 1, 1, 1)) ** 2, axis=0)
        index = np.array(np.unravel_index(int(np.argmin(distance)), distance.shape), dtype=np.float64)
        box = (self.nodes.origin + self.nodes.step * index - BOX_LOWER) / self.fine_step
        position: FloatArray = self.affine[:3, :3] @ box + self.affine[:3, 3]
        return position

    @property
    def fine_step(self) -> float:
        """Voxel size before individual scaling, millimetres."""
        return float((BOX_UPPER[0] - BOX_LOWER[0]) / (self.grey.shape[0] - 1))

    def squared_distance(self, centre: FloatArray) -> Array:
        """Squared distance (mm^2) of every voxel from a point in the head frame, shape (i, j, k)."""
        parts = [
            (self.affine[a, a] * np.arange(n, dtype=np.float32) + self.affine[a, 3] - centre[a]) ** 2
            for a, n in enumerate(self.grey.shape)
        ]
        total: Array = (parts[0][:, None, None] + parts[1][None, :, None] + parts[2][None, None, :]).astype(np.float32)
        return total


def make_anatomy(
    rng: np.random.Generator,
    atlas: Atlas,
    person: Person,
    resolution: float,
    folding: np.random.Generator | None = None,
) -> Anatomy:
    """Build one individual.

    Parameters
    ----------
    rng : Generator
    atlas : Atlas
    person : Person
    resolution : float
        Voxel size in millimetres before individual scaling (which is within about 15 %).
    folding : Generator, optional
        Random stream of an individual's cortical folds (:func:`bids_spectsynth.phantom.folding.fold_cortex`);
        None for the template's folds, deformed.

    Returns
    -------
    Anatomy
    """
    extent = (BOX_UPPER - BOX_LOWER) / resolution
    shape = (int(extent[0]) + 1, int(extent[1]) + 1, int(extent[2]) + 1)
    step = float((BOX_UPPER[0] - BOX_LOWER[0]) / (shape[0] - 1))
    nodes = node_lattice(BOX_LOWER, step, shape, NODE_STEP)
    displacement, shear = _deformation(rng, nodes, person)
    determinant = jacobian_determinant(displacement, NODE_STEP)
    positions = nodes.positions()
    atlas_nodes = np.einsum("ab,bijk->aijk", shear, positions + displacement).astype(np.float32)
    coordinates = np.stack([nodes.refine(part) for part in atlas_nodes])
    shell = _sample(atlas.distance, coordinates, atlas.distance_origin, 2.0)
    grey, white, brain = _tissues(rng, atlas, coordinates, shell, nodes, person)
    if folding is not None:
        grey, white = fold_cortex(folding, grey, white, shell, coordinates, step, person.age)
    affine = _head_affine(rng, brain, step, person)
    fluid = np.clip(brain - grey - white, 0, 1)
    limits = (float(determinant.min()), float(determinant.max()))
    return Anatomy(affine, grey, white, fluid, brain, shell, nodes, atlas_nodes, limits)


def _deformation(rng: np.random.Generator, nodes: NodeLattice, person: Person) -> tuple[Array, Array]:
    """Nonlinear displacement (3, i, j, k) in mm from the individual towards the template, and a shear (3, 3)."""
    velocity = np.zeros((3, *nodes.shape), dtype=np.float32)
    for amplitude, smoothness in VELOCITY_PARTS:
        for axis in range(3):
            velocity[axis] += amplitude * random_field(rng, nodes.shape, smoothness / nodes.step)
    growth = np.clip(0.10 + 0.006 * (person.age - 40) + 0.10 * rng.standard_normal(), -0.15, 0.40)
    velocity += _ventricle_velocity(nodes, float(growth))
    shear = np.eye(3) + np.triu(rng.uniform(-0.04, 0.04, (3, 3)), 1)
    return integrate_velocity(velocity, nodes.step), shear.astype(np.float32)


def _ventricle_velocity(nodes: NodeLattice, growth: float) -> Array:
    """Velocity that draws the surroundings of the lateral ventricles towards them in the pull-back map."""
    positions = nodes.positions()
    velocity = np.zeros_like(positions)
    for centre, extent in VENTRICLE_PARTS:
        for side in (-1.0, 1.0):
            offset = positions - np.array([side * centre[0], *centre[1:]], np.float32).reshape(3, 1, 1, 1)
            scaled = offset / np.array(extent, np.float32).reshape(3, 1, 1, 1)
            velocity -= growth * offset * np.exp(-0.5 * np.sum(scaled**2, axis=0))
    return velocity


def _sample(
    volume: Array | Bytes,
    coordinates: Array,
    origin: Array,
    step: float,
    mode: Literal["nearest", "constant"] = "nearest",
) -> Array:
    """Linear interpolation of a template map at template coordinates (3, ...)."""
    index = (coordinates - origin.reshape((3,) + (1,) * (coordinates.ndim - 1))) / np.float32(step)
    sampled: Array = ndimage.map_coordinates(volume, index, order=1, mode=mode, output=np.float32)
    return sampled


def _tissues(
    rng: np.random.Generator, atlas: Atlas, coordinates: Array, shell: Array, nodes: NodeLattice, person: Person
) -> tuple[Array, Array, Array]:
    """Grey and white matter fractions and the brain fraction, with individual cortex and sulci."""
    near = shell < 4.0
    inside = coordinates[:, near]
    brain_values = _sample(atlas.brain, inside, atlas.origin, 1.0, "constant") / 255
    inside[2] = np.maximum(inside[2], CORD_Z)
    grey_values = _sample(atlas.grey, inside, atlas.origin, 1.0) / 255
    white_values = _sample(atlas.white, inside, atlas.origin, 1.0) / 255
    tissue = np.clip(grey_values + white_values, 1e-4, 1.0)
    sulci = np.clip(1.0 - 0.008 * (person.age - 40) + 0.1 * rng.standard_normal(), 0.7, 1.3)
    remaining = (1 - (1 - tissue) ** sulci) / tissue
    thickness = nodes.refine(0.4 * random_field(rng, nodes.shape, 18.0 / nodes.step))[near]
    odds = np.exp(thickness) * white_values
    white_part = odds / (odds + grey_values + 1e-6)
    white_values = white_part * tissue * remaining
    grey_values = (1 - white_part) * tissue * remaining
    maps = []
    for values in (grey_values, white_values, brain_values):
        volume = np.zeros(shell.shape, dtype=np.float32)
        volume[near] = values
        maps.append(volume)
    return maps[0], maps[1], maps[2]


def _head_affine(rng: np.random.Generator, brain: Array, step: float, person: Person) -> FloatArray:
    """Affine of the head grid: individual scaling along each axis so that the brain has the drawn size."""
    mask = brain > 0.5
    affine = np.eye(4)
    for axis, (mean, deviation) in enumerate(BRAIN_SIZE):
        target = mean * (1.02 if person.sex == "M" else 0.98) + deviation * rng.standard_normal()
        occupied = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        extent = step * float(occupied[-1] - occupied[0] + 1)
        if axis == 0:
            target = min(target, person.widest)
        affine[axis, axis] = step * np.clip(target / extent, 0.8, 1.1)
        affine[axis, 3] = BOX_LOWER[axis] * affine[axis, axis] / step
    return affine
