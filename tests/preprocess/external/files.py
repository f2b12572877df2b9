"""Transforms as FLIRT, ITK and FreeSurfer write them, each made without what reads them."""

from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK
from fsl.data.image import Nifti
from fsl.transform.flirt import toFlirt

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_flirt(path: Path, world: np.ndarray, moving: nib.Nifti1Image, fixed: nib.Nifti1Image) -> Path:
    """As ``flirt -in moving -ref fixed -omat`` writes it, by fslpy; ``world`` leads from ``fixed`` to ``moving``."""
    ends = (Nifti(nib.Nifti1Image(image.dataobj, image.affine).header) for image in (moving, fixed))
    np.savetxt(path, toFlirt(np.linalg.inv(world), *ends, "world", "world"), fmt="%.10f")
    return path


def itk_affine(world: np.ndarray, centre: tuple[float, float, float] = (3.0, -5.0, 7.0)) -> SimpleITK.AffineTransform:
    """The same as ITK has it: points of the fixed image to those of the moving one, LPS, about a centre."""
    lps = LPS @ world @ LPS
    transform = SimpleITK.AffineTransform(3)
    transform.SetCenter(centre)
    transform.SetMatrix(lps[:3, :3].ravel().tolist())
    transform.SetTranslation((lps[:3, 3] + lps[:3, :3] @ centre - centre).tolist())
    return transform


def write_itk(path: Path, world: np.ndarray) -> Path:
    """As SimpleITK writes it: ``.txt``, ``.mat`` or ``.h5``."""
    SimpleITK.WriteTransform(itk_affine(world), str(path))
    return path


def write_lta(
    path: Path, world: np.ndarray, moving: nib.Nifti1Image, fixed: nib.Nifti1Image, *, voxels: bool = True
) -> Path:
    """As ``mri_coreg`` or ``bbregister`` write it: source to destination, in voxels (type 0) or RAS (type 1)."""
    matrix = np.linalg.inv(world)
    if voxels:
        matrix = np.linalg.inv(fixed.affine) @ matrix @ moving.affine
    rows = [" ".join(f"{value:.15e}" for value in row) for row in matrix]
    lines = [f"type      = {0 if voxels else 1}", "nxforms   = 1", "mean      = 0.0000 0.0000 0.0000",
             "sigma     = 1.0000", "1 4 4", *rows]  # fmt: skip
    for name, image in (("src", moving), ("dst", fixed)):
        sizes = np.linalg.norm(image.affine[:3, :3], axis=0)
        axes = (image.affine[:3, :3] / sizes).T
        centre = (image.affine @ [*(np.array(image.shape) / 2), 1])[:3]
        lines += [f"{name} volume info", "valid = 1  # volume info valid", f"filename = {name}.nii.gz"]
        lines += ["volume = {} {} {}".format(*image.shape), "voxelsize = {:.15e} {:.15e} {:.15e}".format(*sizes)]
        named = {"xras": axes[0], "yras": axes[1], "zras": axes[2], "cras": centre}
        lines += [f"{key}   = " + " ".join(f"{value:.15e}" for value in values) for key, values in named.items()]
    path.write_text("\n".join(["# transform file", *lines, "subject sub-01", "fscale 0.150000", ""]))
    return path
