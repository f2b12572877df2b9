"""The training cohort's mean at every voxel of the brain."""

from bids_spectsynth.synthesis.baselines.base import Baseline, CaseImages, Float32, Gathered, Stored, in_brain
from bids_spectsynth.synthesis.baselines.fitted import Baselines
from bids_spectsynth.synthesis.baselines.quadratic import QuadraticSums


def _fit(gathered: Gathered) -> Stored:
    sums = gathered[QuadraticSums]
    return Stored({"Constant": float(sums.moments[0] / sums.gram[0, 0])})


def _predict(baselines: Baselines, case: CaseImages) -> Float32:
    return in_brain(float(baselines.numbers["Constant"]), case.mask)


CONSTANT = Baseline(
    name="constant",
    title="Constant in the brain",
    description="The training cohort's mean in-brain value at every brain voxel.",
    gathers=(QuadraticSums,),
    fit=_fit,
    keeps=("Constant",),
    predict=_predict,
)
