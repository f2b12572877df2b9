"""A small head with a segmentation of 12 regions on each side, in every layout."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.writing import write_matrix
from bids_spectsynth.siscom.foci import atlas

SHAPE = (40, 48, 38)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
AFFINE[:3, 3] = (-78, -112, -72)
#: Points of this head and what is there: hemisphere-free x, y, z and lobe.
PLACES = {
    "superior frontal": ((30, 40, 20), "frontal"),
    "precentral": ((30, 10, 40), "frontal"),
    "superior parietal": ((30, -40, 40), "parietal"),
    "lateral occipital": ((30, -88, 0), "occipital"),
    "middle temporal": ((50, -10, -20), "temporal"),
    "cerebellum cortex": ((30, -60, -40), "cerebellum"),
    "thalamus": ((12, -20, 6), "deep"),
    "hippocampus": ((26, -20, -16), "temporal"),
}
NUMBERS = {
    "superior frontal": (1028, 2028), "precentral": (1024, 2024), "superior parietal": (1029, 2029),
    "lateral occipital": (1011, 2011), "middle temporal": (1015, 2015), "cerebellum cortex": (8, 47),
    "thalamus": (10, 49), "hippocampus": (17, 53),
}  # fmt: skip
#: The same without parts of the cortex.
COARSE = dict.fromkeys(NUMBERS, (3, 42)) | {
    name: NUMBERS[name] for name in ("cerebellum cortex", "thalamus", "hippocampus")
}


def world(shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """World coordinates (3, I, J, K)."""
    return np.einsum("ab,bijk->aijk", affine[:3, :3], np.indices(shape)) + affine[:3, 3, None, None, None]


def brain(shape: tuple[int, ...] = SHAPE, affine: np.ndarray = AFFINE) -> np.ndarray:
    x, y, z = world(shape, affine)
    return (x / 66) ** 2 + ((y + 18) / 84) ** 2 + ((z + 2) / 62) ** 2 < 1


def segmentation(
    numbers: dict[str, tuple[int, int]] = NUMBERS, shape: tuple[int, ...] = SHAPE, affine: np.ndarray = AFFINE
) -> np.ndarray:
    """Each voxel of the brain has the region whose place is nearest; small blocks of further labels lie near x = 9."""
    return _segmentation(numbers is COARSE, shape, tuple(affine.ravel().tolist())).copy()


@functools.cache
def _segmentation(coarse: bool, shape: tuple[int, ...], flat: tuple[float, ...]) -> np.ndarray:
    numbers, affine = COARSE if coarse else NUMBERS, np.reshape(flat, (4, 4))
    at = world(shape, affine)
    names = list(PLACES)
    places = np.array([PLACES[name][0] for name in names], dtype=float)
    mirrored = np.stack([np.abs(at[0]), at[1], at[2]], axis=-1)
    nearest = np.argmin(np.linalg.norm(mirrored[..., None, :] - places, axis=-1), axis=-1)
    table = np.array([numbers[name] for name in names])
    labels = table[nearest, (at[0] > 0).astype(int)]
    # White matter, ventricles, pallidum, caudate, putamen, amygdala: enough labels for a brain.
    for index, pair in enumerate(((2, 41), (4, 43), (13, 52), (11, 50), (12, 51), (18, 54), (28, 60))):
        block = (np.abs(mirrored - (9.0, 10.0 + 5 * index, 0.0)) < 3).all(axis=-1)
        labels = np.where(block, np.array(pair)[(at[0] > 0).astype(int)], labels)
    return np.where(brain(shape, affine), labels, 0).astype(np.int32)


def save(path: Path, data: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind: Any = nib.MGHImage if path.suffix == ".mgz" else nib.Nifti1Image
    nib.save(kind(data.astype(np.int32), affine), path)
    return path


@pytest.fixture
def case(tmp_path: Path) -> Callable[..., PreparedCase]:
    """Makes a prepared case; with the names of templates, with transforms to them that shift by 3 mm to the right."""

    def make(*templates: str, session: str | None = None, sources: tuple[str, ...] = ()) -> PreparedCase:
        xfms = {}
        for template in templates:
            xfms[template] = tmp_path / "out" / f"sub-01_from-T1w_to-{template}_mode-image_xfm.txt"
            matrix = np.eye(4)
            matrix[0, 3] = 3.0
            write_matrix(xfms[template], matrix, {"Type": "affine"})
        image = tmp_path / "out" / "sub-01_space-T1w_desc-preproc_T1w.nii.gz"
        if sources:
            image.parent.mkdir(exist_ok=True)
            text = ", ".join(f'"{source}"' for source in sources)
            image.with_name("sub-01_space-T1w_desc-preproc_T1w.json").write_text(f'{{"Sources": [{text}]}}')
        first = templates[0] if templates else None
        return PreparedCase("01", session, "T1w", {"T1w": image}, {}, xfms.get(first or ""), first, xfms)

    return make


@pytest.fixture(autouse=True)
def _no_remembered_atlas() -> None:
    atlas._cerebra.cache_clear()
