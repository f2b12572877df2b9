"""Registration and brain masks of a prepared phantom cohort against its truth.

bids_spectsynth-phantom PH -n 10 --size paper
bids_spectsynth PH OUT participant --mode preprocess
python benchmarks/registration_accuracy.py PH-truth OUT
"""

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_spectsynth.bids.writing import read_matrix


def world_points(mask: nib.Nifti1Image, step: int) -> np.ndarray:
    """World coordinates (n, 3) in mm of every ``step``-th voxel of a mask."""
    voxels = np.argwhere(np.asanyarray(mask.dataobj) > 0)[::step]
    return voxels @ mask.affine[:3, :3].T + mask.affine[:3, 3]


def target_error(estimate: np.ndarray, truth: np.ndarray, points: np.ndarray) -> float:
    """Mean distance in mm between the two images of the points."""
    difference = estimate - truth
    return float(np.linalg.norm(points @ difference[:3, :3].T + difference[:3, 3], axis=1).mean())


def mask_dice(estimate: nib.Nifti1Image, truth: nib.Nifti1Image) -> float:
    """Dice of two masks on different grids, with the truth looked up at the estimate's voxels."""
    made = np.asanyarray(estimate.dataobj) > 0
    matrix = np.linalg.inv(truth.affine) @ estimate.affine
    indices = np.indices(made.shape).reshape(3, -1)
    found = np.rint(matrix[:3, :3] @ indices + matrix[:3, 3:]).astype(int)
    inside = np.all((found >= 0) & (found < np.array(truth.shape)[:, None]), axis=0)
    true = np.zeros(made.size, bool)
    true[inside] = np.asanyarray(truth.dataobj)[tuple(found[:, inside])] > 0
    return float(2 * (made.ravel() & true).sum() / (made.sum() + true.sum()))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth", type=Path)
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    errors: dict[str, list[float]] = {}
    dices = []
    for folder in sorted(args.truth.glob("sub-*")):
        mask = nib.load(next(folder.glob("*_desc-brain_mask.nii.gz")))
        own = next((args.output / folder.name).glob("anat/*_space-T1w_desc-brain_mask.nii.gz"))
        dices.append(mask_dice(nib.load(own), mask))
        points = world_points(mask, 97)
        for path in sorted(folder.glob("*_to-T1w_mode-image_xfm.txt")):
            kind = "pet" if "from-pet" in path.name else "interictal" if "task-interictal" in path.name else "ictal"
            pattern = "pet/*_from-pet_to-T1w*.txt" if kind == "pet" else f"spect/*_task-{kind}_*from-spect_to-T1w*.txt"
            found = next((args.output / folder.name).glob(pattern))
            errors.setdefault(kind, []).append(target_error(read_matrix(found), read_matrix(path), points))
    print("image       n   median  worst  (mean target error over brain voxels, mm)")
    for kind, values in errors.items():
        print(f"{kind:10s} {len(values):2d}   {np.median(values):.2f}    {max(values):.2f}")
    print(f"brain mask {len(dices):2d}   Dice: median {np.median(dices):.3f}, worst {min(dices):.3f}")


if __name__ == "__main__":
    main()
