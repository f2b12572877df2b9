"""Metric tables and images of made-up studies: every combination of inputs, spaces and losses."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.bids.names import output_path
from bids_spectsynth.bids.writing import write_image
from bids_spectsynth.evaluation.case.metrics import METRICS

TEMPLATE = "MNI152NLin2009aSym"
ALL_INPUTS = ("T1w", "pet", "T1w+pet")
ALL_SPACES = ("T1w", TEMPLATE)
ALL_LOSSES = ("L1+BCE", "L1+BCE+SSIM")


def model_rows(
    configuration: str,
    inputs: str,
    space: str,
    losses: str,
    *,
    seed: int = 1,
    participants: Sequence[str] = ("01", "02", "03"),
    split: str = "test",
    recipe: str = "fard2024",
    scaling: str = "slice",
    training: str = "0a1b2c3d",
) -> pd.DataFrame:
    """Rows of one model: slices 10 to 14 in the block and 15 beyond it, on both scales, and a baseline."""
    rng = np.random.default_rng([seed, *configuration.encode()])
    rows = []
    for (number, label), k in itertools.product(enumerate(participants), range(10, 16)):
        error = 0.1 + 0.01 * number + 0.02 * rng.random()
        names = ("rmse", "ssim", "psnr", "mask_rmse", "mask_ssim", "mask_psnr")
        known = (error, 1 - error, 20 - 20 * error, 2 * error, 1 - 2 * error, 20 - 40 * error)
        values = dict.fromkeys(METRICS, error) | dict(zip(names, known, strict=True))
        place = {"participant_id": f"sub-{label}", "session_id": "n/a", "slice": k, "z_mm": 2.0 * k - 30}
        own = {**place, "in_block": "true" if k < 15 else "false", **values}
        own["block_position"] = k - 10 if k < 15 else np.nan
        rows.append({**own, "method": "pix2pix", "scale": "slice"})
        # What no table of the article may count.
        wrong = dict.fromkeys(METRICS, 7.0)
        rows.append({**own, **wrong, "method": "pix2pix", "scale": "volume"})
        rows.append({**own, **wrong, "method": "constant", "scale": scaling})
    label = configuration + (f"Seed{seed}" if seed != 1 else "")
    return pd.DataFrame(rows).assign(
        model=label, configuration=configuration, seed=str(seed), inputs=inputs, space=space, losses=losses,
        recipe=recipe, training=training, scaling=scaling, split=split, data_range=2.0, mask_voxels=100,
    )  # fmt: skip


def study_rows(
    inputs: Sequence[str] = ALL_INPUTS, spaces: Sequence[str] = ALL_SPACES, losses: Sequence[str] = ALL_LOSSES
) -> pd.DataFrame:
    """Rows of all combinations; the article's twelve models by default."""
    models = itertools.product(inputs, spaces, losses)
    # Labels of models hold letters and digits only.
    rows = [model_rows("".join(filter(str.isalnum, f"m{i}{s}{x}")), i, s, x) for i, s, x in models]
    return pd.concat(rows, ignore_index=True)


@pytest.fixture
def model() -> Callable[..., pd.DataFrame]:
    """The function :func:`model_rows`."""
    return model_rows


@pytest.fixture
def study() -> Callable[..., pd.DataFrame]:
    """The function :func:`study_rows`."""
    return study_rows


@pytest.fixture
def template() -> str:
    """Name of the template of the made-up studies."""
    return TEMPLATE


SHAPE = (24, 28, 20)


def write_images(out: Path, rows: pd.DataFrame) -> None:
    """Prepared and synthetic images of every participant and model in the rows, on a grid of 2 mm."""
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = (-24, -28, -30)
    i, j, k = np.indices(SHAPE)
    inside = ((i - 12) / 9) ** 2 + ((j - 14) / 11) ** 2 + ((k - 12) / 7) ** 2 < 1
    for seed, (participant, space) in enumerate(rows.groupby(["participant_id", "space"]).groups):
        label = str(participant).removeprefix("sub-")
        # Bright on the patient's left, so that a mirrored image is noticed.
        uptake = np.where(inside, 2 + np.cos(i / 8) + 0.1 * np.random.default_rng(seed).random(SHAPE), 0)
        images = (
            ("anat", {"desc": "preproc"}, "T1w", uptake),
            ("anat", {"desc": "brain"}, "mask", inside),
            ("pet", {"desc": "preproc", "trc": "FDG"}, "pet", uptake),
            ("spect", {"desc": "preproc", "task": "interictal"}, "spect", uptake),
        )
        for datatype, entities, suffix, data in images:
            path = output_path(out, label, None, datatype, {**entities, "space": str(space)}, suffix, ".nii.gz")
            write_image(path, nib.Nifti1Image(data.astype(np.float32), affine), {})
        own = rows[(rows["participant_id"] == participant) & (rows["space"] == space)]
        for model in sorted(set(own["model"])):
            slope = np.where(inside.any(axis=(0, 1)), 1.0 + np.arange(SHAPE[2]) / 10, 0.0)
            entities = {"task": "interictal", "space": str(space), "desc": str(model)}
            path = output_path(out, label, None, "spect", entities, "spect", ".nii.gz")
            values = (0.9 * uptake * slope / uptake.max()).astype(np.float32)
            sidecar = {"Synthetic": True, "ScaleSlope": slope.tolist(), "ScaleIntercept": slope.tolist()}
            write_image(path, nib.Nifti1Image(values, affine), sidecar)


@pytest.fixture
def images() -> Callable[[Path, pd.DataFrame], None]:
    """The function :func:`write_images`."""
    return write_images


@pytest.fixture
def truth() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Real and synthetic volume, the standard deviation that their difference was drawn with, and a mask of all."""
    shape = (20, 20, 20)
    rng = np.random.default_rng(3)
    real = rng.uniform(8, 12, shape)
    spread = rng.uniform(0.2, 1.5, shape)
    return real, real + spread * rng.normal(size=shape), spread, np.ones(shape, bool)
