"""What a baseline is: an image that needs no network, fitted on the training participants."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeVar, cast

import numpy as np
import numpy.typing as npt

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.images.grid import Grid
from bids_spectsynth.images.reading import load_image
from bids_spectsynth.options.settings import Scaling
from bids_spectsynth.synthesis.baselines.cohort_mean import mean_grid
from bids_spectsynth.synthesis.baselines.fitted import Baselines
from bids_spectsynth.synthesis.data.harmonising import smoothed
from bids_spectsynth.synthesis.data.slices import CaseArrays

#: What a baseline may need beside the role of an image: every case's transform to one common template.
TEMPLATE = "template"

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class TrainingCohort:
    """The training cases that baselines are fitted to, before their images are read.

    Parameters
    ----------
    cases : sequence of PreparedCase
        Of one space.
    inputs : tuple of str
        Roles of the model's inputs.
    scaling : {'slice', 'volume'}
    """

    cases: Sequence[PreparedCase]
    inputs: tuple[str, ...]
    scaling: Scaling

    @cached_property
    def grid(self) -> Grid:
        """Grid of the cohort's mean images, see :func:`bids_spectsynth.synthesis.baselines.cohort_mean.mean_grid`."""
        return mean_grid(self.cases)


@dataclass(frozen=True, eq=False)
class TrainingCase:
    """One training case, with its images in memory."""

    prepared: PreparedCase
    arrays: CaseArrays

    @property
    def target(self) -> Float32:
        """The scaled SPECT, shape (I, J, K)."""
        assert self.arrays.target is not None
        return self.arrays.target

    @property
    def evaluation_mask(self) -> Mask:
        """Brain where the SPECT was measured, shape (I, J, K)."""
        assert self.arrays.evaluation_mask is not None
        return self.arrays.evaluation_mask


class Gatherer(Protocol):
    """What is gathered over the training cases, of which one at a time is in memory."""

    def __init__(self, cohort: TrainingCohort) -> None: ...

    def add(self, case: TrainingCase) -> None:
        """Take a case into account."""


G = TypeVar("G", bound=Gatherer)


class Gathered:
    """One gatherer of each kind: baselines that need the same sums share them."""

    def __init__(self, kinds: Iterable[type[Gatherer]], cohort: TrainingCohort) -> None:
        self._by_kind = {kind: kind(cohort) for kind in dict.fromkeys(kinds)}

    def add(self, case: TrainingCase) -> None:
        """Give a case to each of them."""
        for gatherer in self._by_kind.values():
            gatherer.add(case)

    def __getitem__(self, kind: type[G]) -> G:
        return cast(G, self._by_kind[kind])


@dataclass(frozen=True, eq=False)
class Stored:
    """What a fitted baseline keeps: entries of the card that JSON can hold, and arrays; names are the model's own."""

    numbers: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class CaseImages:
    """A case that baselines are predicted for.

    Parameters
    ----------
    prepared : PreparedCase
    mask : array of bool, shape (I, J, K)
        Brain mask.
    affine : array, shape (4, 4)
        Of the mask, to world RAS+ mm.
    images : mapping of str to array, shape (I, J, K), float32
        The model's inputs, and what baselines need besides, scaled to [-1, 1], by role.
    """

    prepared: PreparedCase
    mask: Mask
    affine: Float64
    images: Mapping[str, Float32] = field(default_factory=dict)
    _shared: dict[str, Float32] = field(default_factory=dict)

    def shared(self, name: str, make: Callable[[], Float32]) -> Float32:
        """An array that several baselines need of this case, made once."""
        if name not in self._shared:
            self._shared[name] = make()
        return self._shared[name]


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """One baseline; :data:`bids_spectsynth.synthesis.baselines.registry.BASELINES` has all.

    Parameters
    ----------
    name : str
        In tables and files.
    title, description : str
        For readers of the reports, and of the tables' data dictionaries.
    predict : callable
        From the fitted baselines and a case to a SPECT, shape (I, J, K), float32, in [-1, 1].
    needs : tuple of str
        Roles of the images that every case must have besides the model's inputs, and :data:`TEMPLATE`.
    gathers : tuple of Gatherer classes
        What is summed up over the training cases.
    fit : callable
        From what was gathered to what is stored.
    keeps : tuple of str
        Names of what is stored.
    leave_out : callable, optional
        From the fitted baselines and some of their cases to the same without them. A baseline that has it is
        calibrated: it gets gain and offset, by least squares with each training participant left out of its own.
    """

    name: str
    title: str
    description: str
    predict: Callable[[Baselines, CaseImages], Float32]
    needs: tuple[str, ...] = ()
    gathers: tuple[type[Gatherer], ...] = ()
    fit: Callable[[Gathered], Stored] = lambda gathered: Stored()
    keeps: tuple[str, ...] = ()
    leave_out: Callable[[Baselines, Sequence[PreparedCase]], Baselines] | None = None


def calibrated(baselines: Baselines, baseline: Baseline, case: CaseImages) -> Float32:
    """The prediction of a baseline, with its gain and offset where it has them.

    Parameters
    ----------
    baselines : Baselines
    baseline : Baseline
    case : CaseImages

    Returns
    -------
    array, shape (I, J, K), float32
        In [-1, 1]; -1 outside the brain.
    """
    image = baseline.predict(baselines, case)
    if baseline.leave_out is None:
        return image
    gain, offset = baselines.calibration[baseline.name]
    return in_brain(np.clip(gain * image[case.mask] + offset, -1, 1), case.mask)


def in_brain(values: npt.ArrayLike, mask: Mask) -> Float32:
    """A volume (I, J, K) of these values (a number, or one for each voxel of the mask); -1 elsewhere."""
    volume = np.full(mask.shape, -1, dtype=np.float32)
    volume[mask] = values
    return volume


def unscaled(case: PreparedCase, role: str) -> Float32:
    """A prepared image in its own units, shape (I, J, K), as harmonised as the networks see it."""
    return smoothed(case, role, np.asarray(load_image(case.images[role])[0].dataobj, dtype=np.float32))
