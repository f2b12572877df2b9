from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.writing import write_matrix
from bids_spectsynth.synthesis.baselines.fitted import Baselines
from bids_spectsynth.synthesis.baselines.fitting import fit_baselines

SHAPE = (20, 22, 14)
AFFINE = np.array([[4.0, 0, 0, -40], [0, 4, 0, -60], [0, 0, 4, -20], [0, 0, 0, 1]])
TEMPLATE = "MNI152NLin2009aSym"


def world() -> np.ndarray:
    index = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1)
    return index @ AFFINE[:3, :3].T + AFFINE[:3, 3]


def pattern(points: np.ndarray) -> np.ndarray:
    """A smooth uptake that is defined in the template's world, positive inside its brain."""
    x, y, z = np.moveaxis(points, -1, 0)
    return 50 + 15 * np.sin(x / 12) + 10 * np.cos(y / 15) + 8 * np.sin(z / 9)


def brain(points: np.ndarray) -> np.ndarray:
    x, y, z = np.moveaxis(points, -1, 0)
    return (x / 30) ** 2 + ((y + 17) / 34) ** 2 + ((z - 6) / 20) ** 2 < 1


def make_case(
    folder: Path, name: str, *, seed: int = 0, matrix: np.ndarray | None = None, pet: bool = True, space: str = "T1w"
) -> PreparedCase:
    """A head whose anatomy is the template's, moved by ``matrix`` (template to T1w world), with its own uptake gain."""
    rng = np.random.default_rng(seed)
    matrix = np.eye(4) if matrix is None else matrix
    points = (world() - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T
    mask = brain(points)
    t1w = np.where(mask, 100 + 20 * rng.normal(size=SHAPE), 0)
    metabolism = np.where(mask, (30 + 5 * rng.normal(size=SHAPE)) * pattern(points) / 50, 0)
    spect = np.where(mask, pattern(points), 0) * rng.uniform(0.5, 2)
    images = {"T1w": t1w, "interictal": spect} | ({"pet": metabolism} if pet else {})
    paths = {role: save(folder / f"{name}_{role}.nii.gz", data) for role, data in images.items()}
    xfm = folder / f"{name}_from-T1w_to-{TEMPLATE}_mode-image_xfm.txt"
    write_matrix(xfm, matrix, {})
    masks = {"T1w": save(folder / f"{name}_mask.nii.gz", mask.astype(np.uint8))}
    return PreparedCase(name, None, space, paths, masks, xfm, TEMPLATE if space == "T1w" else space)


def save(path: Path, data: np.ndarray) -> Path:
    dtype = np.uint8 if data.dtype == np.uint8 else np.float32
    nib.save(nib.Nifti1Image(data.astype(dtype), AFFINE), path)
    return path


def shifted(x: float = 0, y: float = 0, z: float = 0, stretch: float = 1) -> np.ndarray:
    matrix = np.diag([stretch, stretch, stretch, 1.0])
    matrix[:3, 3] = x, y, z
    return matrix


@pytest.fixture(scope="module", name="cohort")
def _cohort(tmp_path_factory: pytest.TempPathFactory) -> list[PreparedCase]:
    folder = tmp_path_factory.mktemp("cohort")
    moves = (shifted(), shifted(5, -3, 2), shifted(-4, 6, 0, 0.95), shifted(2, 2, -4, 1.05))
    return [make_case(folder, f"{n:02d}", seed=n, matrix=m) for n, m in enumerate(moves)]


@pytest.fixture(scope="module", name="fitted")
def _fitted(cohort: list[PreparedCase]) -> Baselines:
    return fit_baselines(cohort[:3], ("T1w", "pet"), "slice")


def brain_mask(case: PreparedCase) -> np.ndarray:
    return np.asarray(nib.load(case.masks["T1w"]).dataobj) > 0


def spect_mask(case: PreparedCase, data: np.ndarray, path: Path) -> PreparedCase:
    return replace(case, masks={**case.masks, "interictal": save(path, data.astype(np.uint8))})
