"""What each simulated subject is to be: protocols, storage forms, scans, and its random streams."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bids_spectsynth.phantom.anatomy import Folds, Person
from bids_spectsynth.phantom.scanner import (
    MRI_PROTOCOLS,
    PET_PROTOCOLS,
    SPECT_CAMERA,
    SPECT_PROTOCOLS,
    Camera,
    Protocol,
)
from bids_spectsynth.phantom.seizures import IctalScans, Seizure, draw_seizure
from bids_spectsynth.phantom.smooth import FloatArray

Size = Literal["small", "paper"]
#: Voxel sizes (mm) of the anatomy, T1w, PET and SPECT; ``None``: as in the protocol.
RESOLUTION: Mapping[str, tuple[float, float | None, float | None, float | None]] = {
    "small": (1.7, 1.8, 2.8, 4.0),
    "paper": (1.0, None, None, None),
}
#: The brain stays this much narrower than the MRI slab, millimetres.
SLAB_MARGIN = 10.0
#: By how much (mm, FWHM) the ictal camera of half of a study's subjects differs from the interictal one.
CAMERA_CHANGE = (1.5, 3.0)


@dataclass(frozen=True)
class SubjectPlan:
    """What subject number `index` (from 0) is to be; depends on nothing but the index and the options.

    Every second subject has an ictal SPECT, every fourth a resection cavity; protocols and storage forms take turns.
    In a study (`ictal_scans`) all have two ictal SPECTs of another random stream, and none has a cavity.
    """

    index: int
    size: Size
    seed: int
    folds: Folds = "average"
    ictal_scans: IctalScans = "some"

    @property
    def label(self) -> str:
        """Participant label without ``sub-``."""
        return f"{self.index + 1:02d}"

    @property
    def ictal(self) -> bool:
        """Whether there is an ictal SPECT of the ordinary kind."""
        return not self.study and self.index % 2 == 0

    @property
    def study(self) -> bool:
        """Whether there are ictal SPECTs with and without a seizure."""
        return self.ictal_scans != "some"

    @property
    def cavity(self) -> bool:
        """Whether tissue was resected."""
        return not self.study and self.index % 4 == 1

    @property
    def pet_frames(self) -> int:
        """Time frames of the PET."""
        return 4 if self.index % 8 == 2 else 1

    @property
    def spect_bed_shift(self) -> FloatArray:
        """Offset (mm) of the SPECT's world, as where the couch position is stored in the origin."""
        return np.array([0.0, 0.0, -180.0 if self.index % 8 == 5 else 0.0])

    def protocols(self) -> tuple[Protocol, Protocol, Protocol]:
        """Protocols of T1w, PET and SPECT at the cohort's size."""
        _, *voxel_sizes = RESOLUTION[self.size]
        chosen = (
            MRI_PROTOCOLS[self.index % len(MRI_PROTOCOLS)],
            PET_PROTOCOLS[self.index % len(PET_PROTOCOLS)],
            SPECT_PROTOCOLS[self.index % len(SPECT_PROTOCOLS)],
        )
        t1w, pet, spect = (p if v is None else p.coarser(v) for p, v in zip(chosen, voxel_sizes, strict=True))
        return t1w, pet, spect

    def generators(self) -> tuple[np.random.Generator, ...]:
        """Independent random streams: person, anatomy, signal, uptake, geometry, noise, cortical folds."""
        streams = np.random.SeedSequence([self.seed, self.index]).spawn(7)
        return tuple(np.random.default_rng(stream) for stream in streams)

    def study_generator(self, part: int) -> np.random.Generator:
        """Random stream of a study: part 0 is the seizure, 1 the camera, 2 the place, 10 + n the ictal run n.

        None of them moves those of `generators`: the other images of a subject are the same with and without a study.
        """
        stream = np.random.SeedSequence([self.seed, self.index], spawn_key=(7, part))
        return np.random.default_rng(stream)

    def seizure(self) -> Seizure | None:
        """The seizure of a study's first ictal scan."""
        if not self.study:
            return None
        return draw_seizure(self.study_generator(0), widespread=self.ictal_scans == "widespread")

    def ictal_camera(self) -> Camera:
        """Camera of a study's ictal scans: in every second subject another resolution or another postfilter."""
        if self.index % 2 == 0:
            return SPECT_CAMERA
        rng = self.study_generator(1)
        change = float(rng.uniform(*CAMERA_CHANGE) * rng.choice([-1.0, 1.0]))
        if self.index % 4 == 1:
            return SPECT_CAMERA._replace(fwhm=SPECT_CAMERA.fwhm + change)
        return SPECT_CAMERA._replace(filter_fwhm=SPECT_CAMERA.filter_fwhm + change)

    def person(self) -> Person:
        """Age, sex and the widest brain that the MRI slab holds."""
        rng = self.generators()[0]
        widest = self.protocols()[0].extent("LR") - SLAB_MARGIN
        return Person(int(rng.integers(19, 62)), str(rng.choice(["F", "M"])), widest)
