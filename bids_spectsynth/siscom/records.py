"""What the steps of a SISCOM hand to each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: Kinds of baselines, in the order in which readers see them.
BaselineKind = Literal["real", "synthetic", "pet", "cohort", "normals"]
Sign = Literal["hyper", "hypo"]


@dataclass(frozen=True, kw_only=True, eq=False)
class CohortError:
    """What is left of scans without a seizure after this baseline is subtracted, over participants of a cohort.

    Parameters
    ----------
    mean, standard_deviation : array, shape (I, J, K), float32
        On the case's grid, percent of the brain mean, smoothed like the map; NaN where too few participants count.
    n_participants : int
        How many went in; the participant itself never does.
    peaks : tuple of float
        Of each of them, the largest value of either sign that its map has against its own null.
    calibrated : bool
        Whether the shape of the standard deviation follows the calibrated one of the synthetic image.
    """

    mean: Float32
    standard_deviation: Float32
    n_participants: int
    peaks: tuple[float, ...] = ()
    calibrated: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class BaselineImage:
    """An image that stands for the brain without a seizure, on the grid of the case in T1w space.

    Parameters
    ----------
    kind : str
    label : str
        As ``desc-siscom<label>`` has it: ``Real``, ``Pet``, ``Cohort``, ``Normals``, or the model's label with a
        capital.
    values : array, shape (I, J, K), float32
        In units of its own, not negative, 0 outside ``mask``.
    mask : array of bool, shape (I, J, K)
        Brain where it was measured or synthesised.
    synthetic : bool
        Whether a network made it, or something that a network made went in.
    seen : bool
        Whether the model behind it has learned from this participant.
    model : str
        Label of the model behind it; empty for none.
    sources : tuple of Path
        Files that it was made of.
    notes : tuple of str
        What readers must know of it, one sentence each.
    """

    kind: BaselineKind
    label: str
    values: Float32
    mask: Mask
    synthetic: bool = False
    seen: bool = False
    model: str = ""
    sources: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Maps:
    """The maps of one ictal scan and one baseline, all of shape (I, J, K), float32, 0 outside ``mask``.

    Parameters
    ----------
    mask : array of bool
        Evaluation mask of the SISCOM: brain of the T1w, measured in both scans, edge eroded.
    difference : array
        Ictal minus baseline, percent of the brain mean, less ``trend``.
    trend : array or None
        What differs slowly over the brain, foretold at each place from its surroundings; None where nothing was taken
        off.
    z : array
        ``difference`` over its own standard deviation in the mask.
    znull : array
        ``difference`` over the standard deviation that these scans produce without a seizure.
    zcohort : array or None
        ``difference`` less the cohort's mean error, over the cohort's standard deviation.
    sd_percent : float
        The standard deviation behind ``z``.
    lesion : array of bool or None
        Lesion mask, whose voxels count neither for level, standard deviation nor null; None without one.
    """

    mask: Mask
    difference: Float32
    trend: Float32 | None = None
    z: Float32
    znull: Float32
    zcohort: Float32 | None
    sd_percent: float
    lesion: Mask | None = None

    @property
    def reference(self) -> Mask:
        """The mask without the lesion: where statistics are taken."""
        return self.mask if self.lesion is None else self.mask & ~self.lesion


@dataclass(frozen=True, kw_only=True)
class Names:
    """Where a point of the brain lies, in words; ``n/a`` where nothing can tell.

    Parameters
    ----------
    side : str
        ``L``, ``R`` or ``M`` (within 2 mm of the middle).
    lobe : str
        ``frontal``, ``temporal``, ``parietal``, ``occipital``, ``insula``, ``cingulate``, ``deep``, ``cerebellum``,
        ``brainstem``, or ``n/a``.
    region : str
        The label's name.
    distance_mm : float
        From the point to the nearest voxel of that label; 0 inside, NaN without labels.
    template_mm : tuple of float or None
        The point in template coordinates, RAS+ mm.
    """

    side: str = "n/a"
    lobe: str = "n/a"
    region: str = "n/a"
    distance_mm: float = float("nan")
    template_mm: tuple[float, float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Focus:
    """A cluster of a map above the threshold; world is that of the T1w, RAS+ mm.

    Parameters
    ----------
    rank : int
        From 1, by peak, among those of both signs.
    sign : {'hyper', 'hypo'}
    peak_mm, centroid_mm : tuple of float
    volume_ml : float
    z_max, znull_max, zcohort_max : float
        Values of largest absolute value of each map in the cluster, with their sign; NaN where there is no such map.
    percent_max, percent_mean : float
        Change at the peak, and the cluster's mean, percent of the brain mean.
    p_corrected : float
        Chance that these scans without a seizure have as much anywhere in the brain: a cluster of this mass (volume
        times z beyond the threshold) or, where a trend was taken off, a value of this height.
    edge_mm : float
        From the peak to the edge of the brain mask.
    names : Names
        Of the peak.
    budget : mapping of str to float
        Percent (one standard deviation) that each source of error can produce at the peak: ``registration``, ``noise``,
        ``resolution``, ``synthesis``.
    flags : tuple of str
        Words for readers, such as ``edge``, ``within-null``, ``seen``.
    lesion_percent, lesion_mm : float
        Part of the cluster in the lesion mask, percent, and distance of the peak to it, 0 inside; NaN without one.
    """

    rank: int
    sign: Sign
    peak_mm: tuple[float, float, float]
    centroid_mm: tuple[float, float, float]
    volume_ml: float
    z_max: float
    znull_max: float
    zcohort_max: float
    percent_max: float
    percent_mean: float
    p_corrected: float
    edge_mm: float
    names: Names = Names()
    budget: Mapping[str, float] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    lesion_percent: float = float("nan")
    lesion_mm: float = float("nan")
