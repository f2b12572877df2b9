"""One simulated head as the network sees it: drawn straight onto the grid of prepared images, never a file."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bids_spectsynth.bids.roles import INTERICTAL, PET
from bids_spectsynth.images.resampling import FWHM_PER_SIGMA, resample_linear
from bids_spectsynth.options.settings import FIELD_OF_VIEW_MM
from bids_spectsynth.phantom.anatomy import Anatomy, Person, make_anatomy
from bids_spectsynth.phantom.atlas import load_atlas
from bids_spectsynth.phantom.scanner import rigid
from bids_spectsynth.phantom.smooth import random_field
from bids_spectsynth.phantom.uptake import (
    Focus,
    attenuation_residual,
    draw_foci,
    individual_variation,
    regional_gain,
    resect,
)
from bids_spectsynth.pretraining.making import MISREGISTRATION, Making

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: Voxels of the anatomy against those of the images, so that folds are not drawn coarser than they are shown.
_FINER = 0.8
#: How often tissue was resected, and how often the lowest slices of the SPECT lie outside its field of view.
_CAVITY, _CUT = 0.15, 0.2
#: How many millimetres of the brain such a field cuts off at most.
_CUT_MM = 45.0
#: Where the brain's mask lies between air and brain, from and to: masks of patients are never quite right.
_MASK_EDGE = (0.35, 0.65)


@dataclass(frozen=True, eq=False)
class SimulatedHead:
    """The images of one head on the grid of prepared images, unscaled, 0 outside the brain.

    Parameters
    ----------
    images : dict of str to array, shape (I, J, K), float32
        By role: those of the inputs, PET and interictal SPECT.
    mask, measured : array of bool, shape (I, J, K)
        Brain, and the part of it where the SPECT was measured.
    affine : array, shape (4, 4)
        Voxels to world, RAS+ mm.
    from_template : array, shape (4, 4)
        World coordinates of the template to those of the images: the affine nearest to the head's deformation.
    """

    images: dict[str, Float32]
    mask: Mask
    measured: Mask
    affine: Float64
    from_template: Float64


def draw_head(rng: np.random.Generator, making: Making, inputs: Sequence[str], voxel_size: float) -> SimulatedHead:
    """Simulate one head.

    Parameters
    ----------
    rng : Generator
    making : Making
        What it shares with the others of its cohort.
    inputs : sequence of str
        Roles of the images that are wanted besides PET and SPECT.
    voxel_size : float
        mm.

    Returns
    -------
    SimulatedHead
    """
    # Atrophy widens ventricles and sulci: it goes with age here.
    person = Person(int(rng.integers(8, 90)), str(rng.choice(["F", "M"])), 160.0)
    folding = np.random.default_rng(int(rng.integers(2**32))) if making.folded else None
    anatomy = make_anatomy(rng, load_atlas(), person, _FINER * voxel_size, folding)
    foci = draw_foci(rng, anatomy, cavity=bool(rng.random() < _CAVITY), ictal=False)
    # A head in four has no lesion at all.
    foci = () if rng.random() < 0.25 else foci
    anatomy = resect(anatomy, foci)
    shape = tuple(round(length / voxel_size) for length in FIELD_OF_VIEW_MM)
    i, j, k = shape
    lying = rigid(rng, 10.0, 6.0, np.zeros(3))
    affine = _centred(anatomy, lying, (i, j, k), voxel_size)
    brain = resample_linear(anatomy.brain, lying @ anatomy.affine, (i, j, k), affine)
    mask: Mask = brain > rng.uniform(*_MASK_EDGE)
    images = {
        role: _mr_image(rng, anatomy, making, role, lying @ anatomy.affine, affine, mask)
        for role in inputs
        if role != PET
    }
    variation = individual_variation(rng, anatomy)
    deviations = {"fdg": variation["pet"], "hmpao": variation["interictal"]}
    for role, tracer in ((PET, "fdg"), (INTERICTAL, "hmpao")):
        uptake = _uptake(rng, anatomy, making, tracer, foci, making.variation * deviations[tracer])
        moved = rigid(rng, MISREGISTRATION[1], MISREGISTRATION[0], np.zeros(3)) @ lying @ anatomy.affine
        images[role] = _recorded(rng, uptake, anatomy, making, tracer, moved, affine, mask)
    measured = mask & _field_of_view(rng, mask, voxel_size)
    images[INTERICTAL] *= measured
    return SimulatedHead(images, mask, measured, affine, lying @ _from_template(anatomy))


def _centred(anatomy: Anatomy, lying: Float64, shape: tuple[int, int, int], voxel_size: float) -> Float64:
    """Affine of the grid of prepared images: upright, with the brain in its middle."""
    points = np.argwhere(anatomy.brain > 0.5) @ anatomy.affine[:3, :3] + anatomy.affine[:3, 3]
    points = points @ lying[:3, :3].T + lying[:3, 3]
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    affine = np.diag([voxel_size, voxel_size, voxel_size, 1.0])
    affine[:3, 3] = middle - voxel_size * (np.array(shape) - 1) / 2
    return affine


def _from_template(anatomy: Anatomy) -> Float64:
    """The affine from the template to the head frame that is nearest to the head's deformation in the brain."""
    nodes = anatomy.nodes
    # Nodes lie in the box before individual scaling, which the anatomy's affine has.
    scale = np.diag(anatomy.affine)[:3] / anatomy.fine_step
    head = nodes.positions().reshape(3, -1).T * scale
    template = anatomy.atlas_nodes.reshape(3, -1).T
    x, y, z = template.T
    inside = (np.abs(x) < 65) & (y > -95) & (y < 65) & (z > -40) & (z < 75)
    known = np.column_stack([template[inside], np.ones(int(inside.sum()))])
    matrix = np.eye(4)
    matrix[:3] = np.linalg.lstsq(known, head[inside], rcond=None)[0].T
    return matrix


def _mr_image(
    rng: np.random.Generator,
    anatomy: Anatomy,
    making: Making,
    role: str,
    placed: Float64,
    affine: Float64,
    mask: Mask,
) -> Float32:
    white, grey, fluid = making.contrasts[role]
    signal = grey * anatomy.grey + white * anatomy.white + fluid * anatomy.fluid
    bias = random_field(rng, anatomy.nodes.shape, 60.0 / anatomy.nodes.step)
    signal = signal * np.exp(rng.uniform(0.0, 0.12) * anatomy.nodes.refine(bias - bias.mean()))
    i, j, k = mask.shape
    image = resample_linear(signal.astype(np.float32), placed, (i, j, k), affine)
    image = image + np.float32(rng.uniform(0.01, 0.05)) * rng.standard_normal(mask.shape, dtype=np.float32)
    brain: Float32 = np.abs(image) * mask
    return brain


def _uptake(
    rng: np.random.Generator, anatomy: Anatomy, making: Making, tracer: str, foci: Sequence[Focus], deviation: Float32
) -> Float32:
    white = np.float32(making.white[tracer] * np.exp(0.06 * rng.standard_normal()))
    uptake = anatomy.grey + white * anatomy.white + np.float32(making.fluid[tracer]) * anatomy.fluid
    gain = regional_gain(anatomy, "fdg" if tracer == "fdg" else "hmpao", making.regions)
    uptake = uptake * anatomy.nodes.refine((gain * np.exp(deviation)).astype(np.float32))
    for focus in foci:
        change = focus.change.get("pet" if tracer == "fdg" else "interictal")
        if change is not None and focus.kind != "cavity":
            uptake *= 1 + np.float32(change) * focus.weight(anatomy)
    recorded: Float32 = (uptake * attenuation_residual(rng, anatomy)).astype(np.float32)
    return recorded


def _recorded(
    rng: np.random.Generator,
    uptake: Float32,
    anatomy: Anatomy,
    making: Making,
    tracer: str,
    placed: Float64,
    affine: Float64,
    mask: Mask,
) -> Float32:
    """What a camera of the cohort's resolution and noise gives of an uptake, on the prepared grid."""
    i, j, k = mask.shape
    sigma = making.fwhm[tracer] / FWHM_PER_SIGMA
    blurred = ndimage.gaussian_filter(uptake, sigma / np.diag(anatomy.affine)[:3], mode="constant", truncate=3.0)
    image = resample_linear(blurred, placed, (i, j, k), affine)
    # Counts scatter as the square root of their number, and the filter correlates them over half the resolution.
    noise = random_field(rng, mask.shape, 0.5 * sigma / affine[0, 0])
    image = image + np.float32(making.noise[tracer]) * noise * np.sqrt(np.clip(image, 0, None))
    return np.clip(image, 0, None).astype(np.float32) * mask


def _field_of_view(rng: np.random.Generator, mask: Mask, voxel_size: float) -> Mask:
    """Slices that the SPECT's field of view holds: all, or all but the lowest, where the cerebellum is."""
    seen = np.ones(mask.shape, dtype=bool)
    if rng.random() < _CUT:
        lowest = int(np.flatnonzero(mask.any(axis=(0, 1)))[0])
        seen[:, :, : lowest + round(rng.uniform(0, _CUT_MM) / voxel_size)] = False
    return seen
