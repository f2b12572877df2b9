"""The embedded registration against SimpleITK's: error and CPU seconds on phantom heads of known alignment.

Both see the same images and the true brain mask of the T1w, on one thread. SimpleITK: Mattes mutual information, 32
bins, metric in the brain mask grown by 10 mm, started from the images' moments, regular step gradient descent over
three levels. SimpleITK is no dependency of the package: install it for this script.

bids_spectsynth-phantom PH -n 3 --seed 1
python benchmarks/registration_against_simpleitk.py PH
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk  # noqa: N813
from registration_accuracy import target_error, world_points
from scipy import ndimage

from bids_spectsynth.bids.writing import read_matrix
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.images.reading import load_image
from bids_spectsynth.preprocess.registration.register import register_images

Image = nib.Nifti1Image
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])  # RAS, as nibabel has it, to LPS, as ITK has it


def itk_image(image: Image) -> sitk.Image:
    """The same image for SimpleITK."""
    result = sitk.GetImageFromArray(np.asarray(image.dataobj, dtype=np.float32).T)
    affine = FLIP @ image.affine
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    result.SetSpacing(sizes.tolist())
    result.SetDirection((affine[:3, :3] / sizes).ravel().tolist())
    result.SetOrigin(affine[:3, 3].tolist())
    return result


def with_simpleitk(moving: Image, fixed: Image, mask: Image, role: str) -> np.ndarray:
    """World matrix, fixed to moving."""
    distance = ndimage.distance_transform_edt(
        np.asanyarray(mask.dataobj) == 0, sampling=np.linalg.norm(mask.affine[:3, :3], axis=0)
    )
    grown = new_image((distance <= 10).astype(np.uint8), mask.affine)
    ends = [itk_image(image) for image in (fixed, moving)]
    start = sitk.CenteredTransformInitializer(
        *ends, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.MOMENTS
    )
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricFixedMask(sitk.Cast(itk_image(grown), sitk.sitkUInt8))
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.05, 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 1e-3, 200, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([4, 2, 1])
    method.SetInitialTransform(start, inPlace=True)
    method.Execute(*ends)
    matrix = np.eye(4)
    origin = np.array(start.TransformPoint((0.0, 0.0, 0.0)))
    for axis in range(3):
        point = np.zeros(3)
        point[axis] = 1
        matrix[:3, axis] = np.array(start.TransformPoint(point.tolist())) - origin
    matrix[:3, 3] = origin
    return FLIP @ matrix @ FLIP


def embedded(moving: Image, fixed: Image, mask: Image, role: str) -> np.ndarray:
    """World matrix, fixed to moving."""
    return register_images(moving, fixed, mask, dof=6, init="auto", role=role).matrix


METHODS: dict[str, Callable[[Image, Image, Image, str], np.ndarray]] = {
    "embedded": embedded,
    "SimpleITK": with_simpleitk,
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    dataset = parser.parse_args().dataset
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    errors: dict[tuple[str, str], list[float]] = {}
    seconds: dict[tuple[str, str], list[float]] = {}
    for truth in sorted(dataset.with_name(f"{dataset.name}-truth").glob("sub-*")):
        mask = nib.load(next(truth.glob("*_desc-brain_mask.nii.gz")))
        t1w, _ = load_image(next((dataset / truth.name).glob("anat/*_T1w.nii.gz")))
        points = world_points(mask, 97)
        for path in sorted(truth.glob("*_to-T1w_mode-image_xfm.txt")):
            role = "pet" if "from-pet" in path.name else "interictal" if "task-interictal" in path.name else "ictal"
            pattern = "pet/*_pet.nii.gz" if role == "pet" else f"spect/*_task-{role}_*_spect.nii.gz"
            moving, _ = load_image(next((dataset / truth.name).glob(pattern)))
            kind = "PET" if role == "pet" else "SPECT"
            for name, method in METHODS.items():
                start = time.process_time()
                matrix = method(moving, t1w, mask, role)
                seconds.setdefault((kind, name), []).append(time.process_time() - start)
                errors.setdefault((kind, name), []).append(target_error(matrix, read_matrix(path), points))
    print("scan  method      n  median  worst error (mm)  median CPU s")
    for (kind, name), values in sorted(errors.items()):
        print(
            f"{kind:5s} {name:10s} {len(values):2d}    {np.median(values):.2f}   {max(values):.2f}"
            f"              {np.median(seconds[kind, name]):.1f}"
        )


if __name__ == "__main__":
    main()
