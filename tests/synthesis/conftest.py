"""A small cohort: ellipsoid brains whose SPECT follows from the inputs."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from scipy import ndimage

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.synthesis.data.scaling import apply_scaling, scaling_coefficients
from bids_spectsynth.synthesis.data.slices import CaseArrays

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
AFFINE[:3, 3] = (-31.0, -31.0, -20.0)


def smooth(rng, shape, sigma):
    field = ndimage.gaussian_filter(rng.normal(size=shape), sigma)
    return field / field.std()


def make_volumes(seed, shape=(32, 32, 16), within=None):
    """Raw T1w, PET and SPECT (non-negative, 0 outside the brain) and the mask.

    ``within`` is the shape of a larger grid in whose middle they lie.
    """
    rng = np.random.default_rng(seed)
    axes = [np.linspace(-1, 1, n) for n in shape]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    radius = np.sqrt((x / rng.uniform(0.7, 0.8)) ** 2 + (y / 0.8) ** 2 + (z / 0.85) ** 2)
    mask = radius < 1
    t1w = np.where(mask, 100 * (1.5 - radius + 0.1 * smooth(rng, shape, 2)), 0).clip(0)
    pet = np.where(mask, 5 * (1 + 0.5 * radius + 0.1 * smooth(rng, shape, 2)), 0).clip(0)
    spect = np.where(mask, 40 * pet / 5 * (1 + 0.1 * z) + 0.1 * t1w, 0)
    margins = [((n - m) // 2, n - m - (n - m) // 2) for n, m in zip(within or shape, shape, strict=True)]
    t1w, pet, spect, mask = (np.pad(volume, margins) for volume in (t1w, pet, spect, mask))
    return {name: v.astype(np.float32) for name, v in (("T1w", t1w), ("pet", pet), ("interictal", spect))}, mask


def make_case(label, seed, scaling="slice", shape=(32, 32, 16), within=None):
    volumes, mask = make_volumes(seed, shape, within)
    scaled = {}
    for role, volume in volumes.items():
        slope, intercept = scaling_coefficients(volume, mask, scaling)
        scaled[role] = apply_scaling(volume, slope, intercept)
    return CaseArrays(
        participant=label,
        session=None,
        inputs=np.stack([scaled["T1w"], scaled["pet"]]),
        target=scaled["interictal"],
        mask=mask,
        affine=AFFINE,
        target_slope=slope,
        target_mean=float(volumes["interictal"][mask].mean()),
        target_units="counts",
    )


def write_prepared(output_dir: Path, label, seed, shape=(32, 32, 16), within=None):
    """Write the prepared images of a participant as preprocessing does."""
    volumes, mask = make_volumes(seed, shape, within)
    folders = {"T1w": "anat", "pet": "pet", "interictal": "spect"}
    stems = {
        "T1w": f"sub-{label}_space-T1w_desc-preproc_T1w",
        "pet": f"sub-{label}_trc-FDG_space-T1w_desc-preproc_pet",
        "interictal": f"sub-{label}_task-interictal_space-T1w_desc-preproc_spect",
    }
    images = {}
    for role, volume in volumes.items():
        path = output_dir / f"sub-{label}" / folders[role] / f"{stems[role]}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.Nifti1Image(volume, AFFINE).to_filename(path)
        images[role] = path
    original = {"OriginalShape": [20, 30, 28], "OriginalAffine": [[0, 0, 2.5, -35], [-2, 0, 0, 20], [0, 1.5, 0, -22],
                                                                  [0, 0, 0, 1]]}  # fmt: skip
    images["T1w"].with_name(f"{stems['T1w']}.json").write_text(json.dumps(original))
    images["interictal"].with_name(f"{stems['interictal']}.json").write_text('{"Units": "counts"}')
    mask_path = images["T1w"].with_name(f"sub-{label}_space-T1w_desc-brain_mask.nii.gz")
    nib.Nifti1Image(mask.astype(np.uint8), AFFINE).to_filename(mask_path)
    return PreparedCase(label, None, "T1w", images, {"T1w": mask_path}, None, None)


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", name="make_volumes")
def _make_volumes():
    return make_volumes


@pytest.fixture(scope="session", name="make_case")
def _make_case():
    return make_case


@pytest.fixture(scope="session", name="write_prepared")
def _write_prepared():
    return write_prepared
