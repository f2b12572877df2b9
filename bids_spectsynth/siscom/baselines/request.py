"""What a baseline is made from, and what it is to the registry."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import ICTAL, T1W
from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.reading import load_image
from bids_spectsynth.siscom.records import BaselineImage, BaselineKind, Float32, Float64, Mask
from bids_spectsynth.synthesis.baselines.template import template_matrix
from bids_spectsynth.synthesis.data.slices import brain_and_evaluation_mask
from bids_spectsynth.synthesis.models.ensemble import Member

#: From ictal scan, PET, brain mask (all of one shape) and affine to the Gaussian that the PET lacks (FWHM, mm).
KernelEstimate = Callable[[Float32, Float32, Mask, Float64], float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """One ictal scan that baselines are wanted for.

    Parameters
    ----------
    case : PreparedCase
        In T1w space.
    output_dir : Path
    fwhm : float
        Gaussian of the SISCOM, mm.
    ictal : str
        Role of the ictal scan among the images of the case.
    kernel : callable, optional
        How much sharper a PET is than the ictal scan; by default the T1w tells.
    splits : mapping of str to str
        By label of each model that made the participant's image, on which side of its split the participant lies:
        ``train``, ``validation``, ``test``, ``external``, ``excluded``. The image of another is no baseline.
    models : sequence of Path
        Folders of the models whose training cohorts may serve.
    members : mapping of Path to sequence of Member
        Networks of these models whose cards are read already, by folder.
    normals : Path, optional
        ``--normals``.
    """

    case: PreparedCase
    output_dir: Path
    fwhm: float
    ictal: str = ICTAL
    kernel: KernelEstimate | None = None
    splits: Mapping[str, str] = field(default_factory=dict)
    models: Sequence[Path] = ()
    members: Mapping[Path, Sequence[Member]] = field(default_factory=dict)
    normals: Path | None = None

    @cached_property
    def _masks(self) -> tuple[Mask, Mask, Float64]:
        return brain_and_evaluation_mask(self.case)

    @property
    def brain(self) -> Mask:
        """Brain mask of the T1w, shape (I, J, K)."""
        return self._masks[0]

    @property
    def measured(self) -> Mask:
        """Brain where the interictal SPECT was measured; the whole brain where there is none."""
        return self._masks[1]

    @cached_property
    def lesion(self) -> Mask | None:
        """Lesion mask, shape (I, J, K), which levels and fits keep out; None without one.

        Raises
        ------
        ImageError
            It cannot be read, or lies on another grid than the brain mask.
        """
        return None if self.case.lesion is None else self.read(self.case.lesion) > 0

    def healthy(self, mask: Mask) -> Mask:
        """A mask without the lesion."""
        return mask if self.lesion is None else np.asarray(mask & ~self.lesion)

    @property
    def affine(self) -> Float64:
        """Of the prepared images, voxels to world of the T1w, RAS+ mm; shape (4, 4)."""
        return self._masks[2]

    @property
    def voxel_sizes(self) -> Float64:
        """Along i, j, k, mm; shape (3,)."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))

    @cached_property
    def to_template(self) -> Float64 | None:
        """World of the T1w to that of the case's template, shape (4, 4); None for a case without a way there.

        Raises
        ------
        ImageError
            The transform cannot be read.
        """
        if self.case.template_xfm is None:
            return None
        return np.asarray(np.linalg.inv(template_matrix(self.case)))

    def image(self, role: str) -> Float32:
        """A prepared image of the case.

        Raises
        ------
        ImageError
            It cannot be read, or lies on another grid than the brain mask.
        """
        return self.read(self.case.images[role])

    def read(self, path: Path) -> Float32:
        """An image on the grid of the case, shape (I, J, K); negative values become 0.

        Raises
        ------
        ImageError
            It cannot be read, or lies on another grid than the brain mask.
        """
        image = load_image(path)[0]
        if image.shape != self.brain.shape or not np.allclose(image.affine, self.affine, atol=1e-3):
            raise ImageError(f"{path}: on another grid than {self.case.masks[T1W].name}; make it again")
        return np.maximum(np.asarray(image.dataobj, dtype=np.float32), 0)


@dataclass(frozen=True, kw_only=True)
class BaselineSource:
    """One kind of baseline; :data:`bids_spectsynth.siscom.baselines.registry.SOURCES` has all.

    Parameters
    ----------
    name : str
        As ``--siscom-baselines`` has it.
    title, description : str
        For readers of reports and sidecars.
    available : callable
        From a request to the reason why there is no such baseline, in one line; None where there is one.
    make : callable
        From a request to the baselines: one, or one for each model.
    """

    name: BaselineKind
    title: str
    description: str
    available: Callable[[Request], str | None]
    make: Callable[[Request], list[BaselineImage]]
