"""What a preprocessing backend does: brain extraction and registration, one protocol."""

from collections.abc import Mapping
from typing import Any, Protocol

import nibabel as nib

from bids_spectsynth.options.settings import CoregInit
from bids_spectsynth.preprocess.registration.result import Registration


class Backend(Protocol):
    """Brain extraction and registration by one family of tools.

    Resampling is not a backend's: FLIRT's own would need its matrix convention twice and has no low-pass filter for
    coarse grids, so that all of it is :func:`bids_spectsynth.images.resampling.resample_image`.

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
        """Brain mask (uint8, 0 or 1) on the voxels of ``image``; one component, without holes, of a brain's volume.

        Its volume is checked by :func:`bids_spectsynth.preprocess.registration.plausibility.checked_brain`.
        """

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
        """Align two images.

        Parameters
        ----------
        moving, fixed : Nifti1Image, shape (i, j, k)
        fixed_mask : Nifti1Image
            Brain mask of ``fixed``, on its voxels, not empty.
        dof : {6, 12}
            Rigid, or affine.
        init : {'auto', 'header', 'identity'}
            Search; only from the headers' alignment; or the headers' alignment as it is.
        role : str
            What is moving: ``pet``, ``interictal``, ``ictal``, or an MR suffix such as ``T1w``.

        Returns
        -------
        Registration
            World coordinates of ``fixed`` to those of ``moving``.
        """
