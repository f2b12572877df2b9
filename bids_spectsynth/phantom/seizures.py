"""Seizures of the study cohort: where one starts, how large and how strong it is, and when the tracer was injected.

Places are drawn so that every lobe and side occurs, superficial cortex most often; sizes and strengths are those that a
subtraction must find (2 to 30 mL, +10 to +60 %), not a sample of patients.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy import ndimage

from bids_spectsynth.phantom.anatomy import Anatomy
from bids_spectsynth.phantom.folding import CEREBELLUM
from bids_spectsynth.phantom.smooth import Array, FloatArray
from bids_spectsynth.phantom.uptake import Focus

#: ``some``: every second subject has an ictal scan; ``study``: all have one with a focus and one without a seizure;
#: ``widespread``: as in a study, and the seizure has taken a fifth of the brain.
IctalScans = Literal["some", "study", "widespread"]
Lobe = Literal["frontal", "temporal", "parietal", "occipital", "deep"]
Side = Literal["L", "R"]
#: Bounds of the volume (mL; its logarithm is uniform) and of the relative change of uptake.
VOLUME_ML = (2.0, 30.0)
STRENGTH = (0.10, 0.60)
#: Share of the brain and relative change of a widespread seizure.
WIDESPREAD = (0.20, 0.30)
DEEP_SHARE = 0.2
#: Depth below the brain's hull (mm) of foci of the lobes, and of the deep ones.
SUPERFICIAL, DEEP = (3.0, 16.0), (18.0, 45.0)
#: No focus is centred nearer than this to the midline (template mm), so that its side is beyond doubt.
MIDLINE = 8.0
#: Bounds of seconds from the seizure's start to the injection, and of the seizure's length.
LATENCY = (8.0, 60.0)
DURATION = (30.0, 120.0)


@dataclass(frozen=True)
class Seizure:
    """What one seizure is to be; known before there is an anatomy.

    Parameters
    ----------
    lobe, side : str
    strength : float
        Relative change of uptake at the centre.
    volume_ml : float
        Brain in which at least half of the change remains; what `share` says where that is given.
    latency, duration : float
        Seconds from the start to the injection, and length of the seizure.
    share : float, optional
        Share of the brain in place of a volume.
    """

    lobe: Lobe
    side: Side
    strength: float
    volume_ml: float
    latency: float
    duration: float
    share: float | None = None

    @property
    def name(self) -> str:
        """Lobe and side, such as ``frontalLeft``."""
        return self.lobe + ("Left" if self.side == "L" else "Right")


def draw_seizure(rng: np.random.Generator, *, widespread: bool) -> Seizure:
    """Draw a seizure: lobe and side even, a fifth deep, volume log-uniform, strength uniform."""
    superficial = [lobe for lobe in get_args(Lobe) if lobe != "deep"]
    deep, choice = rng.random() < DEEP_SHARE, superficial[int(rng.integers(len(superficial)))]
    lobe: Lobe = "deep" if deep else choice
    side: Side = "L" if rng.random() < 0.5 else "R"
    volume = float(np.exp(rng.uniform(*np.log(VOLUME_ML))))
    strength, latency, duration = (float(rng.uniform(*bounds)) for bounds in (STRENGTH, LATENCY, DURATION))
    if widespread:
        share, strength = WIDESPREAD
        return Seizure(lobe, side, strength, volume, latency, duration, share)
    return Seizure(lobe, side, strength, volume, latency, duration)


def place_seizure(rng: np.random.Generator, anatomy: Anatomy, seizure: Seizure) -> Focus:
    """The focus of a seizure in an anatomy: a ball around a point of grey matter, clipped by the brain's edge.

    Parameters
    ----------
    rng : Generator
    anatomy : Anatomy
    seizure : Seizure

    Returns
    -------
    Focus
        Of kind ``hyper``; its radius is such that the brain inside has the seizure's volume.

    Raises
    ------
    ValueError
        The brain has no grey matter where the seizure is to start.
    """
    chance = (anatomy.grey * seizure_region(anatomy, seizure.lobe, seizure.side)).ravel()
    candidates = np.flatnonzero(chance > 0.5)
    if not len(candidates):
        raise ValueError(f"no grey matter for a seizure: {seizure.name}")
    voxel = np.unravel_index(int(candidates[rng.integers(len(candidates))]), anatomy.grey.shape)
    centre: FloatArray = anatomy.affine[:3, :3] @ np.array(voxel, dtype=np.float64) + anatomy.affine[:3, 3]
    brain = anatomy.brain > 0.5
    volume = seizure.volume_ml if seizure.share is None else seizure.share * volume_ml(anatomy, brain)
    # The ball's radius: distance of the voxel with which the brain inside has reached the volume.
    distances = np.sort(anatomy.squared_distance(centre)[brain])
    wanted = round(volume / volume_ml(anatomy, np.ones(1, dtype=bool)))
    radius = float(np.sqrt(distances[min(max(wanted, 1), len(distances)) - 1]))
    return Focus(seizure.name, "hyper", centre, radius, {"ictal": seizure.strength})


def volume_ml(anatomy: Anatomy, mask: np.ndarray) -> float:
    """Volume of a mask on the anatomy's grid, mL."""
    return float(mask.sum() * np.prod(np.diag(anatomy.affine)[:3]) / 1000)


def edge_distance(anatomy: Anatomy, centre: FloatArray) -> float:
    """Millimetres from a point in the head frame to the brain's hull, positive inside."""
    index = np.linalg.inv(anatomy.affine) @ np.append(centre, 1.0)
    return -float(ndimage.map_coordinates(anatomy.shell, index[:3, None], order=1, mode="nearest")[0])


def seizure_region(anatomy: Anatomy, lobe: Lobe, side: Side) -> Array:
    """Where in the cerebrum a seizure of that name can start, 0 or 1 on the anatomy's grid.

    Lobes by simple planes in template millimetres; deep are the insula, mesial and subcortical grey matter.

    Parameters
    ----------
    anatomy : Anatomy
    lobe, side : str
    """
    x, y, z = anatomy.atlas_nodes
    lateral = np.abs(x)
    hindbrain = (y < CEREBELLUM[0] + 12) & (z < CEREBELLUM[1] + 8) | (lateral < 22) & (z < -22) & (y < 0)
    temporal = (z < np.minimum(0.5 * (20 - y) - 12, 12)) & (y > -58) & (y < 24) & (lateral > 18)
    occipital = ~temporal & ((y < -74) | (y < -60) & (z < 12))
    frontal = ~temporal & ~occipital & (y > 5 - 0.58 * (z - 10))
    chosen = {
        "temporal": temporal,
        "occipital": occipital,
        "frontal": frontal,
        "parietal": ~(temporal | occipital | frontal) & (z > 10),
        "deep": (z > -26) & (y > -60),
    }[lobe]
    chosen = chosen & ~hindbrain & ((x < -MIDLINE) if side == "L" else (x > MIDLINE))
    depth = -anatomy.shell
    lower, upper = DEEP if lobe == "deep" else SUPERFICIAL
    inside = anatomy.nodes.refine(chosen.astype(np.float32)) > 0.5
    region: Array = (inside & (depth > lower) & (depth < upper)).astype(np.float32)
    return region
