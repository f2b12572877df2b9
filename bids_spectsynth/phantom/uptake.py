"""Tracer uptake of one individual: FDG and HMPAO, with regional pattern, individual variation and foci.

Relative uptake; cortex is about 1. The two tracers share the individual field and the interictal deficit in part, as
metabolism and perfusion do between seizures; each has a component of its own. Values are chosen to look plausible,
not fitted to patients.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from scipy import ndimage

from bids_spectsynth.phantom.anatomy import Anatomy
from bids_spectsynth.phantom.smooth import Array, FloatArray, clear_border, random_field

Modality = Literal["pet", "interictal", "ictal"]
Kind = Literal["hypo", "hyper", "cavity"]


class Region(NamedTuple):
    """A region of both hemispheres whose uptake differs from the mean, the same in the whole cohort."""

    name: str
    centre: tuple[float, float, float]
    """Right side, template millimetres."""
    spread: float
    """Standard deviation of the Gaussian profile, millimetres."""
    fdg: float
    hmpao: float
    """Relative change of uptake at the centre."""


REGIONS = (
    Region("caudate", (13, 12, 10), 9, 0.18, 0.10),
    Region("putamen", (26, 4, 2), 10, 0.22, 0.22),
    Region("thalamus", (11, -18, 8), 10, 0.08, 0.14),
    Region("visual cortex", (8, -84, 4), 18, 0.12, 0.18),
    Region("posterior cingulate", (5, -50, 26), 14, 0.16, 0.07),
    Region("frontal cortex", (30, 42, 24), 26, 0.08, 0.00),
    Region("parietal cortex", (44, -48, 42), 22, 0.04, -0.05),
    Region("sensorimotor cortex", (36, -24, 56), 18, 0.02, 0.07),
    Region("medial temporal lobe", (26, -18, -20), 14, -0.20, -0.10),
    Region("temporal pole", (38, 12, -32), 16, -0.10, -0.14),
    Region("cerebellum", (26, -64, -36), 24, -0.14, 0.18),
    Region("pons", (4, -26, -36), 12, -0.15, -0.02),
)


class Site(NamedTuple):
    """A place where seizures start."""

    lobe: str
    centre: tuple[float, float, float]
    """Right side, template millimetres."""
    chance: float


FOCUS_SITES = (
    Site("temporal", (52.0, -10.0, -20.0), 0.45),
    Site("mesialTemporal", (28.0, -14.0, -20.0), 0.20),
    Site("frontal", (36.0, 36.0, 20.0), 0.20),
    Site("parietal", (46.0, -44.0, 38.0), 0.15),
)
#: Grey to white matter ratio is 1 / white; scalp and face take up a little.
WHITE = {"fdg": 0.25, "hmpao": 0.33}
EXTRACRANIAL = {"fdg": 0.12, "hmpao": 0.14}
FLUID = 0.03
#: Standard deviations of the smooth fields of one individual: what PET and SPECT share, and what each tracer has alone.
SHARED_SD = 0.06
OWN_SD = {"fdg": 0.04, "hmpao": 0.05}
#: Depth of an interictal deficit in the SPECT over that in the PET, between these.
DEFICIT_RATIOS = (0.7, 1.2)
#: Standard deviation of the smooth field by which perfusion differs between two injections, seizure or not.
SCAN_VARIATION = 0.03


@dataclass(frozen=True, eq=False)
class Focus:
    """One change of uptake with a soft edge.

    Parameters
    ----------
    name : str
        Lobe and side, such as ``temporalLeft``.
    kind : {'hypo', 'hyper', 'cavity'}
    centre : (3,) array
        Head frame, millimetres.
    radius : float
        Millimetres, where half of the change remains.
    change : dict of modality to float
        Relative change of uptake at the centre (-0.25: a quarter less); absent: none.
    """

    name: str
    kind: Kind
    centre: FloatArray
    radius: float
    change: dict[Modality, float]

    def weight(self, anatomy: Anatomy) -> Array:
        """Profile on the anatomy's grid: 1 at the centre, 0.5 at the radius, 0 far away."""
        edge = 0.7 if self.kind == "cavity" else 2.0
        distance = np.sqrt(anatomy.squared_distance(self.centre))
        profile: Array = (1 / (1 + np.exp(np.clip((distance - self.radius) / edge, -30, 30)))).astype(np.float32)
        return profile


def draw_foci(rng: np.random.Generator, anatomy: Anatomy, *, cavity: bool, ictal: bool) -> tuple[Focus, ...]:
    """Foci of one individual: an interictal deficit, in some a second weaker one, a cavity, an ictal focus.

    Parameters
    ----------
    rng : Generator
    anatomy : Anatomy
    cavity : bool
        Whether tissue was resected at the focus.
    ictal : bool
        Whether there is an ictal SPECT, with a hyperperfused focus in place of the deficit.
    """
    chances = [site.chance for site in FOCUS_SITES]
    first, second = (FOCUS_SITES[i] for i in rng.choice(len(FOCUS_SITES), 2, replace=False, p=chances))
    side = -1.0 if rng.random() < 0.5 else 1.0
    suffix = "Left" if side < 0 else "Right"
    centre, name = _place(rng, anatomy, first, side), first.lobe + suffix
    depth = rng.uniform(0.15, 0.35)
    deficit: dict[Modality, float] = {
        "pet": -depth,
        "interictal": -float(np.clip(depth * rng.uniform(*DEFICIT_RATIOS), 0.12, 0.4)),
    }
    radius = rng.uniform(10, 20)
    foci = [Focus(name, "hypo", centre, radius, deficit)]
    if ictal:
        hot = centre + rng.normal(0, 3.0, 3)
        foci.append(Focus(name, "hyper", hot, rng.uniform(10, 16), {"ictal": rng.uniform(0.4, 0.8)}))
    if cavity:
        everywhere: dict[Modality, float] = {"pet": -1.0, "interictal": -1.0, "ictal": -1.0}
        foci.append(Focus(name, "cavity", centre, min(radius, rng.uniform(10, 15)), everywhere))
    if rng.random() < 0.3:
        other = rng.uniform(0.08, 0.16)
        place = _place(rng, anatomy, second, side)
        change: dict[Modality, float] = {"pet": -other, "interictal": -other, "ictal": -other}
        foci.append(Focus(second.lobe + suffix, "hypo", place, rng.uniform(10, 14), change))
    return tuple(foci)


def _place(rng: np.random.Generator, anatomy: Anatomy, site: Site, side: float) -> FloatArray:
    """A point in the head frame (mm) near a site, on the given side (-1 left)."""
    x, y, z = site.centre
    return anatomy.head_position(np.array([side * x, y, z]) + rng.normal(0, 4.0, 3))


def resect(anatomy: Anatomy, foci: tuple[Focus, ...]) -> Anatomy:
    """The anatomy with every cavity filled by fluid."""
    for focus in foci:
        if focus.kind == "cavity":
            kept = 1 - focus.weight(anatomy)
            grey, white = anatomy.grey * kept, anatomy.white * kept
            anatomy = replace(anatomy, grey=grey, white=white, fluid=np.clip(anatomy.brain - grey - white, 0, 1))
    return anatomy


def regional_gain(anatomy: Anatomy, tracer: Literal["fdg", "hmpao"], regions: Sequence[Region] = REGIONS) -> Array:
    """Cohort's regional pattern at the anatomy's nodes, 1 on average.

    Parameters
    ----------
    anatomy : Anatomy
    tracer : {'fdg', 'hmpao'}
    regions : sequence of Region
        The phantom's, or those of another cohort.
    """
    x, y, z = anatomy.atlas_nodes
    gain = np.ones(x.shape, dtype=np.float32)
    for region in regions:
        cx, cy, cz = region.centre
        squared = (np.abs(x) - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2
        change = region.fdg if tracer == "fdg" else region.hmpao
        gain += np.float32(change) * np.exp(-0.5 * squared / region.spread**2)
    return gain


def individual_variation(rng: np.random.Generator, anatomy: Anatomy) -> dict[Modality, Array]:
    """How one individual's uptake deviates from the cohort's pattern in each scan, at the anatomy's nodes.

    PET and SPECT share a part. An ictal scan differs from the interictal one by `SCAN_VARIATION`.

    Returns
    -------
    dict of modality to array
        Natural logarithm of the factor.
    """
    shared = SHARED_SD * _field(rng, anatomy, 18.0)
    own = {tracer: deviation * _field(rng, anatomy, 16.0) for tracer, deviation in OWN_SD.items()}
    interictal = shared + own["hmpao"]
    return {"pet": shared + own["fdg"], "interictal": interictal, "ictal": interictal + scan_variation(rng, anatomy)}


def scan_variation(rng: np.random.Generator, anatomy: Anatomy, amplitude: float = SCAN_VARIATION) -> Array:
    """How perfusion differs from one injection to the next, logarithm at the anatomy's nodes.

    Parameters
    ----------
    rng : Generator
    anatomy : Anatomy
    amplitude : float
        Standard deviation.
    """
    return amplitude * _field(rng, anatomy, 16.0)


def _field(rng: np.random.Generator, anatomy: Anatomy, smoothness: float) -> Array:
    return random_field(rng, anatomy.nodes.shape, smoothness / anatomy.nodes.step)


def uptake_map(
    rng: np.random.Generator,
    anatomy: Anatomy,
    foci: tuple[Focus, ...],
    modality: Modality,
    variation: Array,
    extracranial: Array,
) -> Array:
    """Relative uptake per voxel of the anatomy's grid in one scan, before any blurring.

    Parameters
    ----------
    rng : Generator
        Level of white matter and of the tissue outside the skull in this scan.
    anatomy : Anatomy
        After `resect`.
    foci : tuple of Focus
    modality : {'pet', 'interictal', 'ictal'}
    variation : array
        Of this scan, see `individual_variation`.
    extracranial : (i, j, k) array
        See :func:`bids_spectsynth.phantom.head.extracranial_uptake`.

    Returns
    -------
    (i, j, k) array
        Cortex is about 1.
    """
    tracer: Literal["fdg", "hmpao"] = "fdg" if modality == "pet" else "hmpao"
    white = np.float32(WHITE[tracer] * np.exp(0.06 * rng.standard_normal()))
    uptake = anatomy.grey + white * anatomy.white + np.float32(FLUID) * anatomy.fluid
    uptake *= (1 + anatomy.brain) / 2  # the cord below the brain takes up less
    uptake *= anatomy.nodes.refine((regional_gain(anatomy, tracer) * np.exp(variation)).astype(np.float32))
    for focus in foci:
        if modality in focus.change and focus.kind != "cavity":
            uptake *= 1 + np.float32(focus.change[modality]) * focus.weight(anatomy)
    level = EXTRACRANIAL[tracer] * np.exp(0.2 * rng.standard_normal())
    result: Array = uptake + np.float32(level) * extracranial * (1 - anatomy.brain)
    return result


def attenuation_residual(rng: np.random.Generator, anatomy: Anatomy) -> Array:
    """What an imperfect attenuation correction leaves: a smooth cup or cap of a few percent over the head."""
    x, y, z = anatomy.atlas_nodes
    squared = (x / 75) ** 2 + ((y + 18) / 95) ** 2 + ((z - 5) / 85) ** 2
    bias = 1 + rng.uniform(-0.04, 0.04) * (np.minimum(squared, 1.5) - 0.6)
    return anatomy.nodes.refine(bias.astype(np.float32))


def blur(volume: Array, voxel_sizes: FloatArray, fwhm: float) -> Array:
    """Gaussian resolution of a scanner (full width at half maximum in mm); the box's border is air again.

    Parameters
    ----------
    volume : (i, j, k) array
    voxel_sizes : (3,) array
        Millimetres.
    fwhm : float
        Millimetres.
    """
    sigma = fwhm / 2.3548 / voxel_sizes
    smooth: Array = ndimage.gaussian_filter(volume, sigma, mode="nearest", truncate=3.0)
    clear_border(smooth)
    return smooth
