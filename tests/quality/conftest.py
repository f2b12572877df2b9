"""A head of grey and white matter on 4 mm voxels, with PET and SPECT; nobody's anatomy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from bids_spectsynth.quality.measures import image_measures, pair_measures
from bids_spectsynth.quality.mirror import mirror_of
from bids_spectsynth.quality.volumes import Volumes, make_volumes

SHAPE, VOXEL = (46, 54, 44), 4.0
PET_MM, SPECT_MM = 6.0, 10.0
Array = np.ndarray[Any, np.dtype[np.float64]]


def blur(volume: Array, fwhm: float) -> Array:
    return np.asarray(ndimage.gaussian_filter(volume, fwhm / 2.3548 / VOXEL))


@dataclass
class Head:
    t1w: Array
    brain: np.ndarray[Any, np.dtype[np.bool_]]
    tissue: Array
    pet: Array
    spect: Array

    def volumes(self, **images: Array) -> Volumes:
        chosen = {"pet": self.pet, "interictal": self.spect} | images
        shown = {role: np.where(self.brain, image, 0) for role, image in chosen.items()}
        return make_volumes(self.t1w, self.brain, shown, {}, VOXEL)

    def measures(self, **images: Array) -> Mapping[str, float]:
        volumes = self.volumes(**images)
        mirror = mirror_of(volumes)
        own = {role: image_measures(volumes, role, mirror) for role in ("pet", "interictal")}
        found = {f"{role}.{name}": value for role, named in own.items() for name, value in named.items()}
        if all("fwhm" in named for named in own.values()):
            widths = own["pet"]["fwhm"], own["interictal"]["fwhm"]
            pair = pair_measures(volumes, "pet", "interictal", widths, mirror)
            found |= {f"pair.{name}": value for name, value in pair.items()}
        return found


def make_head(seed: int) -> Head:
    """Folds are those of the seed; tracers follow them, with variation that both share."""
    rng = np.random.default_rng(seed)
    x, y, z = np.indices(SHAPE) - (np.array(SHAPE)[:, None, None, None] - 1) / 2
    radius = np.sqrt((x / 17.5) ** 2 + (y / 22) ** 2 + (z / 17) ** 2)
    brain = radius < 1
    folds = blur(rng.normal(size=SHAPE), 14)
    white = brain & (folds / folds.std() > 0.2) & (radius < 0.9)
    fluid = brain & (folds / folds.std() < -1.6)
    grey = brain & ~white & ~fluid
    t1w = np.where(white, 100.0, np.where(grey, 65.0, np.where(fluid, 20.0, 0.0))) + rng.normal(0, 1.5, SHAPE) * brain
    shared, own = (blur(rng.normal(size=SHAPE), 40) for _ in range(2))
    tissue = 1.0 * grey + 0.35 * white + 0.05 * fluid
    field = 1 + 0.05 * shared / shared.std()
    pet = blur(tissue * field, PET_MM) + rng.normal(0, 0.01, SHAPE)
    low = np.where((z < -5) & (y < -4), 1.15, 1.0)
    spect = blur(tissue * low * field * (1 + 0.03 * own / own.std()), SPECT_MM) + rng.normal(0, 0.01, SHAPE)
    return Head(t1w, brain, tissue, 2000 * pet.clip(0), 80 * spect.clip(0))


@pytest.fixture(scope="session")
def heads() -> list[Head]:
    return [make_head(seed) for seed in range(7)]


@pytest.fixture(scope="session")
def good(heads: list[Head]) -> dict[str, Mapping[str, float]]:
    return {f"sub-{n}": head.measures() for n, head in enumerate(heads)}


@pytest.fixture
def cohort(heads: list[Head], good: dict[str, Mapping[str, float]]) -> Callable[..., dict[str, Mapping[str, float]]]:
    """Measures of seven heads, the first of them with other images."""
    return lambda **images: good | ({"sub-0": heads[0].measures(**images)} if images else {})
