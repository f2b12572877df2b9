"""What the simulated heads of one cohort have in common: tracers' patterns, contrasts, cameras; drawn ever anew.

Wider than the phantom's one cohort (:mod:`bids_spectsynth.phantom`), so that a network learns how uptake follows
anatomy and not what one simulation looks like. Ranges are chosen to hold what hospitals have, not fitted to patients.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bids_spectsynth.phantom.head import SIGNAL
from bids_spectsynth.phantom.uptake import FLUID, REGIONS, WHITE, Region

#: Relative signal of white matter, grey matter and fluid by the role of an MR image.
CONTRASTS: Mapping[str, tuple[float, float, float]] = {
    "T1w": (SIGNAL["white"], SIGNAL["grey"], SIGNAL["fluid"]),
    "T2w": (0.45, 0.65, 1.0),
    "FLAIR": (0.6, 0.8, 0.15),
}
#: Resolution (FWHM, mm) of the images, from and to.
PET_FWHM = (4.0, 8.0)
SPECT_FWHM = (6.5, 13.0)
#: Noise of an image against its local level, from and to, after the camera's filter.
NOISE = (0.01, 0.06)
#: By how much (mm, degrees) PET and SPECT are misregistered at most.
MISREGISTRATION = (2.0, 2.0)
#: Standard deviation by which the patterns' regional changes differ from cohort to cohort.
PATTERN_SPREAD = 0.08


@dataclass(frozen=True)
class Making:
    """What is drawn for one cohort.

    Parameters
    ----------
    regions : sequence of Region
        Regional pattern of both tracers.
    white, fluid : mapping of str to float
        Uptake of white matter and of fluid against grey matter, by tracer.
    contrasts : mapping of str to tuple of float
        See :data:`CONTRASTS`.
    fwhm : mapping of str to float
        Resolution of PET and SPECT, mm.
    noise : mapping of str to float
        See :data:`NOISE`.
    variation : float
        By how much individuals differ, against the phantom's.
    folded : bool
        Whether each head has folds of its own.
    """

    regions: Sequence[Region]
    white: Mapping[str, float]
    fluid: Mapping[str, float]
    contrasts: Mapping[str, tuple[float, float, float]]
    fwhm: Mapping[str, float]
    noise: Mapping[str, float]
    variation: float
    folded: bool


def draw_making(rng: np.random.Generator) -> Making:
    """Draw what the heads of one cohort have in common."""
    regions = []
    for region in REGIONS:
        shared = 0.6 * PATTERN_SPREAD * rng.standard_normal()
        fdg, hmpao = (0.8 * PATTERN_SPREAD * rng.standard_normal() for _ in range(2))
        centre = np.array(region.centre) + rng.normal(0, 4, 3)
        regions.append(
            region._replace(
                centre=(float(abs(centre[0])), float(centre[1]), float(centre[2])),
                spread=float(region.spread * rng.uniform(0.7, 1.4)),
                fdg=region.fdg + shared + fdg,
                hmpao=region.hmpao + shared + hmpao,
            )
        )
    return Making(
        regions=regions,
        white={tracer: float(value * rng.uniform(0.7, 1.6)) for tracer, value in WHITE.items()},
        fluid={tracer: float(FLUID * rng.uniform(0.5, 4)) for tracer in WHITE},
        contrasts={role: _contrast(rng, values) for role, values in CONTRASTS.items()},
        fwhm={"fdg": float(rng.uniform(*PET_FWHM)), "hmpao": float(rng.uniform(*SPECT_FWHM))},
        noise={tracer: float(np.exp(rng.uniform(*np.log(NOISE)))) for tracer in WHITE},
        variation=float(rng.uniform(0.6, 1.8)),
        folded=bool(rng.random() < 0.5),
    )


def _contrast(rng: np.random.Generator, values: tuple[float, float, float]) -> tuple[float, float, float]:
    white, grey, fluid = (float(value * np.exp(0.12 * rng.standard_normal())) for value in values)
    return white, grey, fluid
