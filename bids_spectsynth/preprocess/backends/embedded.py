"""The backend of pip-installable libraries: deepbet for the T1w brain, this package's own registration."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import nibabel as nib

from bids_spectsynth import __version__
from bids_spectsynth.bids.roles import T1W
from bids_spectsynth.images.masks import histogram_mask
from bids_spectsynth.options.settings import CoregInit
from bids_spectsynth.preprocess.backends.brain_extraction import extract_t1w_brain
from bids_spectsynth.preprocess.registration.plausibility import checked_brain
from bids_spectsynth.preprocess.registration.register import register_images
from bids_spectsynth.preprocess.registration.result import Registration


class EmbeddedBackend:
    """Preprocessing without external programs (see :class:`bids_spectsynth.preprocess.backends.base.Backend`).

    Parameters
    ----------
    threads : int
        Threads of the brain extraction's network. The registration uses one thread, so that results do not depend
        on this number.
    """

    name = "embedded"
    options: Mapping[str, Any] = {}

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self.tools = {"bids_spectsynth": __version__} | {name: version(name) for name in ("deepbet", "scipy", "numpy")}

    def extract_brain(self, image: nib.Nifti1Image, role: str) -> nib.Nifti1Image:
        """Brain mask on the voxels of ``image``: deepbet for T1w, Otsu's threshold for SPECT and the rest.

        PET is masked by its T1w's mask, carried over, where there is one; Otsu is for PET without T1w. Other MR
        images have no mask of their own but the T1w's: Otsu gives the head here.

        Raises
        ------
        ImageError
            No brain was found, or one that is too small or too large.
        """
        mask = extract_t1w_brain(image, self.threads) if role == T1W else histogram_mask(image)
        return checked_brain(mask, role)

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
        """Align two images; see :func:`bids_spectsynth.preprocess.registration.register.register_images`.

        Parameters of :meth:`bids_spectsynth.preprocess.backends.base.Backend.register`.
        """
        return register_images(moving, fixed, fixed_mask, dof=dof, init=init, role=role)
