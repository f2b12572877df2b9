"""What surrounds the brain, and the T1-weighted signal of the whole head."""

import numpy as np

from bids_spectsynth.phantom.anatomy import Anatomy
from bids_spectsynth.phantom.smooth import Array, clear_border, random_field

#: Mean, standard deviation over the head, and lower bound of the layers' thickness in millimetres.
FLUID_LAYER = (1.8, 0.4, 1.0)
SKULL_LAYER = (6.5, 1.2, 3.5)
SCALP_LAYER = (5.5, 1.2, 3.0)
#: Face and neck as ellipsoid and elliptical cylinder: centre and semi-axes, template millimetres.
FACE = ((0.0, 32.0, -72.0), (62.0, 66.0, 74.0))
NECK = ((0.0, -22.0), (58.0, 66.0))
#: Air: nasal cavity with its sinuses, frontal sinus, mouth and throat, mastoid cells (right side; mirrored).
AIR_SPACES = (
    ((7.0, 52.0, -52.0), (11.0, 24.0, 20.0)),
    ((10.0, 72.0, -14.0), (13.0, 6.0, 8.0)),
    ((0.0, 20.0, -84.0), (9.0, 9.0, 26.0)),
    ((30.0, 50.0, -64.0), (13.0, 15.0, 14.0)),
    ((58.0, -28.0, -44.0), (8.0, 9.0, 12.0)),
)
EYE = ((33.0, 64.0, -36.0), 12.5)
#: Relative T1w signal (white matter 1).
SIGNAL = {"white": 1.0, "grey": 0.70, "fluid": 0.25, "bone": 0.06, "marrow": 0.45, "fat": 1.15, "muscle": 0.48}


def t1w_signal(rng: np.random.Generator, anatomy: Anatomy) -> Array:
    """Noise-free T1w signal of head and brain with the receive coil's bias field.

    Parameters
    ----------
    rng : Generator
    anatomy : Anatomy

    Returns
    -------
    (i, j, k) array
        White matter is about 1, air 0.
    """
    contrast = {name: value * (1 + 0.04 * rng.standard_normal()) for name, value in SIGNAL.items()}
    brain = contrast["grey"] * anatomy.grey + contrast["white"] * anatomy.white + contrast["fluid"] * anatomy.fluid
    # Outside the mask the cord goes on, and the hull's narrow gaps hold fluid.
    tissue = np.clip(anatomy.grey + anatomy.white + anatomy.fluid, 0, 1)
    signal = brain + (1 - tissue) * surroundings(rng, anatomy, contrast)
    bias = anatomy.nodes.refine(random_field(rng, anatomy.nodes.shape, 60.0 / anatomy.nodes.step))
    signal *= np.exp(rng.uniform(0.04, 0.10) * (bias - bias.mean()))
    clear_border(signal)
    result: Array = signal
    return result


def surroundings(rng: np.random.Generator, anatomy: Anatomy, contrast: dict[str, float]) -> Array:
    """T1w signal of everything that is not brain: fluid layer, skull, muscle, fat, eyes; 0 in air.

    Parameters
    ----------
    rng : Generator
    anatomy : Anatomy
    contrast : dict
        Signal of each tissue by name; white matter is about 1.

    Returns
    -------
    (i, j, k) array, float32
        On the anatomy's fine grid.
    """
    shell, nodes = anatomy.shell, anatomy.nodes
    inner = _layer(rng, anatomy, FLUID_LAYER)
    outer = inner + _layer(rng, anatomy, SKULL_LAYER)
    scalp = outer + _layer(rng, anatomy, SCALP_LAYER)
    outside = head_surface(anatomy, shell - scalp)
    texture = nodes.refine(random_field(rng, nodes.shape, 6.0 / nodes.step))
    muscle = contrast["muscle"] + np.float32(0.06) * texture
    soft = _blend(muscle, contrast["fat"] * (1 + 0.05 * texture), 0.7 * _step(texture, 1.4, 1.2))
    soft = _blend(soft, np.float32(contrast["fat"]), _step(outside, -4.5, 1.5))
    depth = (shell - inner) / (outer - inner)
    diploe = np.exp(-0.5 * ((depth - 0.5) / 0.16) ** 2)
    bone = contrast["bone"] + (contrast["marrow"] - contrast["bone"]) * diploe * np.clip(0.7 + 0.4 * texture, 0.1, 1)
    air, eyes, orbit = _cavities(anatomy)
    soft = _blend(soft, np.float32(contrast["fat"]), orbit)
    soft = _blend(soft, np.float32(contrast["fluid"]), eyes)
    soft = _blend(soft, np.float32(0.02), air)
    signal = _blend(np.float32(contrast["fluid"]), bone, _step(shell, inner, 1.0))
    signal = _blend(signal, soft, _step(shell, outer, 1.0))
    result: Array = np.clip(signal, 0, None) * (1 - _step(outside, 0.0, 1.0))
    return result.astype(np.float32)


def head_surface(anatomy: Anatomy, from_scalp: Array) -> Array:
    """Approximate millimetres outside the head (skull cap with scalp, face, neck); negative inside."""
    x, y, z = anatomy.atlas_nodes
    face_radius = np.sqrt(sum(((c - o) / s) ** 2 for c, o, s in zip((x, y, z), *FACE, strict=True)))
    neck_radius = np.sqrt(sum(((c - o) / s) ** 2 for c, o, s in zip((x, y), *NECK, strict=True)))
    face = (face_radius - 1) * 66.0
    # The neck ends in the skull, so it may not bulge out of the occiput.
    neck = np.maximum((neck_radius - 1) * 60.0, z + 40.0)
    return np.minimum(from_scalp, anatomy.nodes.refine(np.minimum(face, neck).astype(np.float32)))


def extracranial_uptake(anatomy: Anatomy) -> Array:
    """Fraction of soft tissue outside the skull per voxel, as the tracers see it (blurred later), in [0, 1]."""
    mean_scalp = FLUID_LAYER[0] + SKULL_LAYER[0]
    outside = head_surface(anatomy, anatomy.shell - np.float32(mean_scalp + SCALP_LAYER[0]))
    air, _, _ = _cavities(anatomy)
    soft: Array = _step(anatomy.shell, mean_scalp, 2.0) * (1 - _step(outside, 0.0, 2.0)) * (1 - air)
    clear_border(soft)
    return soft


def _layer(rng: np.random.Generator, anatomy: Anatomy, thickness: tuple[float, float, float]) -> Array:
    """Thickness of one layer over the head, millimetres."""
    mean, deviation, lowest = thickness
    individual = mean + 0.6 * deviation * rng.standard_normal()
    nodes = individual + deviation * random_field(rng, anatomy.nodes.shape, 22.0 / anatomy.nodes.step)
    return anatomy.nodes.refine(np.clip(nodes, lowest, None).astype(np.float32))


def _cavities(anatomy: Anatomy) -> tuple[Array, Array, Array]:
    """Weights in [0, 1] of air spaces, eyeballs and orbital fat."""
    x, y, z = anatomy.atlas_nodes
    air = np.full(x.shape, 10.0, dtype=np.float32)
    for centre, axes in AIR_SPACES:
        radius = np.sqrt(
            sum(((c - o) / s) ** 2 for c, o, s in zip((np.abs(x), y, z), centre, axes, strict=True)),
        )
        air = np.minimum(air, (radius - 1) * min(axes))
    centre, size = EYE
    eye = np.sqrt(sum((c - o) ** 2 for c, o in zip((np.abs(x), y, z), centre, strict=True)))
    eye_distance = anatomy.nodes.refine((eye - size).astype(np.float32))
    air_distance = anatomy.nodes.refine(air)
    return 1 - _step(air_distance, 0.0, 1.5), 1 - _step(eye_distance, 0.0, 1.0), 1 - _step(eye_distance, 7.0, 2.0)


def _step(values: Array, edge: Array | float, width: float) -> Array:
    """Linear ramp from 0 to 1 across `edge`, `width` wide."""
    ramp: Array = np.clip((values - edge) / np.float32(width) + np.float32(0.5), 0, 1)
    return ramp


def _blend(first: Array | np.float32, second: Array | np.float32, weight: Array) -> Array:
    """`first` where the weight is 0, `second` where it is 1."""
    blended: Array = (first + (second - first) * weight).astype(np.float32)
    return blended
