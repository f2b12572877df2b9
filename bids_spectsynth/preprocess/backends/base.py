"""What a preprocessing backend does: three operations, one protocol."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import nibabel as nib
import numpy as np
import numpy.typing as npt

from bids_spectsynth.images.grid import Grid
from bids_spectsynth.options.settings import CoregInit


@dataclass(frozen=True, eq=False)
class Registration:
    """Result of a registration.

    Parameters
    ----------
    matrix : array, shape (4, 4), float64
        World (RAS+ mm) coordinates of the fixed image to those of the moving image, as ITK does:
        ``x_moving = matrix @ x_fixed``. For BIDS names it is ``from-<moving>_to-<fixed>``.
    score : float
        Final value of the metric at that matrix; higher is better.
    metric : str
        What the score is, e.g. ``Mattes mutual information, 32 bins``.
    overlap : float
        Dice coefficient of the fixed image's brain and the moving image's own (histogram) brain mask, 0 to 1.
    poor : bool
        The result should not be trusted without looking.
    notes : tuple of str
        One line each: why it is poor, which start won.
    """

    matrix: npt.NDArray[np.float64]
    score: float
    metric: str
    overlap: float
    poor: bool
    notes: tuple[str, ...] = field(default=())


class Backend(Protocol):
    """Brain extraction, registration and resampling by one family of tools.

    Images are in-memory ``nibabel.Nifti1Image`` of three dimensions, finite, with a valid affine
    (see :func:`bids_spectsynth.images.intensity.sanitise`).
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
