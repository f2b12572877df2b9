"""A cohort of small heads with synthetic images whose errors are known."""

from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.evaluation.uncertainty.residuals import case_residuals
from bids_spectsynth.synthesis.prediction.case_prediction import Prediction

AFFINE = np.array([[6.0, 0, 0, -78], [0, 6, 0, -100], [0, 0, 6, -60], [0, 0, 0, 1]])
SHAPE = (27, 32, 24)


def make_head(folder: Path, label: str, seed: int, *, transform: bool = True, network: bool = False) -> SimpleNamespace:
    """A prepared case, its synthetic image, and the standard deviation of the error that was put into it.

    The error is twice as large where the uptake is, and a third of it is broad.
    """
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij"))
    mask = (grid**2).sum(axis=0) < 0.8
    uptake = np.where(mask, 1 + 0.5 * np.sin(4 * grid[1]) * np.cos(3 * grid[2]), 0).astype(np.float32)
    sd = (0.1 * uptake).astype(np.float32)
    real = np.where(mask, uptake + sd * rng.standard_normal(SHAPE), 0).clip(0).astype(np.float32)
    images = {}
    for role, name, values in (
        ("T1w", f"anat/sub-{label}_space-T1w_desc-preproc_T1w", 100 * mask + 20 * grid[0] * mask),
        ("interictal", f"spect/sub-{label}_task-interictal_space-T1w_desc-preproc_spect", 70 * real),
        ("mask", f"anat/sub-{label}_space-T1w_desc-brain_mask", mask),
    ):
        images[role] = folder / f"sub-{label}" / f"{name}.nii.gz"
        images[role].parent.mkdir(parents=True, exist_ok=True)
        nib.Nifti1Image(np.asarray(values, dtype=np.float32), AFFINE).to_filename(images[role])
    brain = images.pop("mask")
    xfm = folder / f"sub-{label}" / "anat" / f"sub-{label}_from-T1w_to-MNI152NLin2009aSym_mode-image_xfm.txt"
    np.savetxt(xfm, np.eye(4))
    template = (xfm, "MNI152NLin2009aSym") if transform else (None, None)
    case = PreparedCase(label, None, "T1w", images, {"T1w": brain}, *template)
    prediction = Prediction(
        scaled=uptake - 1,
        values=50 * uptake,
        standard_deviation=None,
        predicted_scale=50 * sd if network else None,
        slope=np.full(SHAPE[2], 50.0),
        intercept=np.full(SHAPE[2], 50.0),
        mask=mask,
        affine=AFFINE,
        units="counts",
    )
    return SimpleNamespace(case=case, prediction=prediction, sd=sd, mask=mask)


@pytest.fixture(scope="session", name="make_head")
def _make_head():
    return make_head


@pytest.fixture(scope="session")
def cohort(tmp_path_factory):
    """Eight heads."""
    folder = tmp_path_factory.mktemp("cohort")
    return [make_head(folder, f"{number:02d}", number) for number in range(1, 9)]


@pytest.fixture(scope="session")
def residuals(cohort):
    """Their residuals."""
    return [case_residuals(head.prediction, head.case) for head in cohort]
