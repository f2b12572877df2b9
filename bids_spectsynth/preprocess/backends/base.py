"""What a preprocessing backend does: three operations, one protocol."""

from collections.abc import Mapping
from typing import Any, Protocol

import nibabel as nib
import numpy as np
import numpy.typing as npt

from bids_spectsynth.images.grid import Grid
from bids_spectsynth.options.settings import CoregInit
from bids_spectsynth.preprocess.registration.result import Registration


class Backend(Protocol):
    """Brain extraction, registration and resampling by one family of tools.

    Images are in-memory ``nibabel.Nifti1Image`` of three dimensions, finite, with a valid affine
    (see :func:`bids_spectsynth.images.reading.sanitise`).
    """

    @property
    def name(self) -> str:
        """``fsl`` or ``embedded``."""

    @property
    def tools(self) -> Mapping[str, str]:
        """Tool name to version, written to the sidecars."""

    @property
    def options(self) -> Mapping[str, Any]:
        """What users may choose of the tools, by the names that the sidecars give; empty where there is nothing."""

    def extract_brain(self, image: nib.Nifti1Image, role: str) -> nib.Nifti1Image:
        """Brain mask (uint8, 0 or 1) on the voxels of ``image``; one component, without holes."""

    def register(
        self,
        moving: nib.Nifti1Image,
        fixed: nib.Nifti1Image,
        fixed_mask: nib.Nifti1Image,
        *,
        dof: int,
        init: CoregInit,
        role: str,
    ) -> Registration:
        """Rigid (``dof`` 6) or affine (12) registration; ``role`` is what is moving (``pet``, ``interictal``, ...)."""

    def resample(
        self, image: nib.Nifti1Image, grid: Grid, matrix: npt.NDArray[np.float64], order: int
    ) -> nib.Nifti1Image:
        """``image`` at the voxels of ``grid``; ``matrix`` maps world coordinates of the grid to those of the image.

        ``order`` 0 is nearest neighbour, 1 linear, 3 cubic B-spline. Outside the image is 0. float32. Of a
        :class:`~bids_spectsynth.images.grid.MaskedGrid` the voxels that are not wanted may hold anything.
        """
