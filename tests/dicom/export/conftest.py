"""A small output folder: one participant with a synthetic image and two SISCOMs, and the T1w that it was made from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from bids_spectsynth.bids.prepared import PreparedCase, find_prepared
from bids_spectsynth.bids.writing import write_image, write_json, write_matrix, write_table
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.siscom.outputs.columns import CLUSTERS_DICTIONARY

SHAPE, AFFINE = (32, 32, 24), np.array([[8.0, 0, 0, -120], [0, 8, 0, -130], [0, 0, 8, -90], [0, 0, 0, 1]])
#: The voxels of the T1w itself, oblique and of another size.
T1W_SHAPE, T1W_AFFINE = (26, 30, 22), np.eye(4)
T1W_AFFINE[:3, :3] = Rotation.from_euler("xyz", (8, -6, 5), degrees=True).as_matrix() @ np.diag([8.4, 8.2, 8.6])
T1W_AFFINE[:3, 3] = -108, -122, -92


def structure(affine: np.ndarray, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """A brain with smooth structure, a function of the place; another seed is another person."""
    points = np.argwhere(np.ones(shape, bool)) @ affine[:3, :3].T + affine[:3, 3]
    waves = np.random.default_rng(seed).uniform(-0.07, 0.07, (12, 3))
    values = 6 + np.sin(points @ waves.T + seed).sum(axis=1)
    inside = ((points / (70.0, 85.0, 60.0)) ** 2).sum(axis=1) < 1
    return np.clip(values * inside, 0, None).reshape(shape).astype(np.float32)


def _write(path: Path, values: np.ndarray, **facts: Any) -> Path:
    write_image(path, new_image(values.astype(np.float32), AFFINE), {"Units": "counts", **facts})
    return path


@pytest.fixture
def t1w() -> np.ndarray:
    """On its own voxels, with what lies about the brain."""
    return structure(T1W_AFFINE, T1W_SHAPE, 0) + 0.5


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    anat, spect = folder / "sub-01" / "anat", folder / "sub-01" / "spect"
    write_json(folder / "dataset_description.json", {"Name": "x", "GeneratedBy": []})
    brain = structure(AFFINE, SHAPE)
    original = {"OriginalShape": T1W_SHAPE, "OriginalAffine": T1W_AFFINE.tolist()}
    _write(anat / "sub-01_space-T1w_desc-preproc_T1w.nii.gz", brain, **original)
    _write(anat / "sub-01_space-T1w_desc-brain_mask.nii.gz", brain > 0)
    stem = "sub-01_task-{}_trc-HMPAO_space-T1w_desc-preproc_spect.nii.gz"
    for seed, state in enumerate(("interictal", "ictal"), start=1):
        _write(spect / stem.format(state), structure(AFFINE, SHAPE, seed))
        write_matrix(spect / f"sub-01_task-{state}_trc-HMPAO_from-spect_to-T1w_mode-image_xfm.txt", np.eye(4), {})
    synthetic = "sub-01_task-interictal_space-T1w_desc-pix2pixPet_spect.nii.gz"
    _write(spect / synthetic, structure(AFFINE, SHAPE, 1), Synthetic=True)
    for label, kind in (("Real", "real"), ("Pix2pixPet", "synthetic")):
        _write_siscom(spect, label, kind)
    return folder


def _write_siscom(folder: Path, label: str, kind: str) -> None:
    z = np.zeros(SHAPE, np.float32)
    z[19:22, 17:20, 12:14], z[8:11, 15:17, 11:13] = 3.0, -2.5
    z[20, 18, 12], z[9, 16, 12] = 5.0, -3.5
    stem = f"sub-01_task-ictal_trc-HMPAO_space-T1w_desc-siscom{label}"
    facts = {"Threshold": 2.0, "Baseline": {"Kind": kind}, **({"Synthetic": True} if kind == "synthetic" else {})}
    for statistic in ("difference", "z"):
        _write(folder / f"{stem}_stat-{statistic}_statmap.nii.gz", z, **facts, Units="1")
    rows = []
    for rank, (sign, voxel, side) in enumerate((("hyper", (20, 18, 12), "R"), ("hypo", (9, 16, 12), "L")), start=1):
        x, y, height = (AFFINE @ [*voxel, 1])[:3]
        own = {"rank": rank, "sign": sign, "x_mm": x, "y_mm": y, "z_mm": height, "z_max": z[voxel], "side": side}
        rows.append({**dict.fromkeys(CLUSTERS_DICTIONARY, "n/a"), **own, "lobe": "temporal"})
    write_table(
        folder / f"{stem}_clusters.tsv", pd.DataFrame(rows, columns=list(CLUSTERS_DICTIONARY)), CLUSTERS_DICTIONARY
    )


@pytest.fixture
def case(out: Path) -> PreparedCase:
    (found,) = find_prepared(out, "T1w")
    return found


@pytest.fixture
def t1w_files(slices: Callable, t1w: np.ndarray) -> Callable:
    """Its DICOM files, of whomever they are said to be."""

    def make(values: np.ndarray = t1w, **patient: str) -> list:
        files = slices(values, T1W_AFFINE)
        for file in files:
            for keyword, value in {"PatientID": "H77", "PatientName": "Doe^Jane", **patient}.items():
                setattr(file, keyword, value)
        return files

    return make
