"""The subject's PET as it is."""

import numpy as np

from bids_spectsynth.bids.roles import PET
from bids_spectsynth.synthesis.baselines.base import Baseline, CaseImages, Float32
from bids_spectsynth.synthesis.baselines.fitted import Baselines


def _predict(baselines: Baselines, case: CaseImages) -> Float32:
    return np.where(case.mask, case.images[PET], np.float32(-1))


COPY_PET = Baseline(
    name="petCopy",
    title="Copy of the PET",
    description="The subject's PET, scaled as a SPECT is.",
    needs=(PET,),
    predict=_predict,
)
