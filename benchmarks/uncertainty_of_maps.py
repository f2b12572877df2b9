"""Whether calibrated standard deviations of voxels tell what a smoothed map gets wrong; printed as Markdown.

    python benchmarks/uncertainty_of_maps.py --work FOLDER [--seeds 201 202 203] [--size 20] [--preset best]

Takes the cohorts of `uncertainty.py --work FOLDER` (or makes them). For every held-out head the difference of measured
and synthetic SPECT, smoothed by 12 mm as in a SISCOM, is held against four predictions of its size: the calibrated
standard deviation of the voxels, smoothed as a variance; the standard deviation of the other heads' differences in
template space, which `zcohort` divides by; the same with their mean taken off, as `zcohort` does; and the product of
both deviations. Rank correlations over the evaluation mask, mean over heads with its t interval (95 %); and the share
of voxels beyond two predicted standard deviations, each prediction scaled to a root mean square of 1 over the cohort.
A phantom proves the machinery, not clinical value.
"""

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import stats
from siscom_rating import markdown
from uncertainty import spread, trained

from bids_spectsynth.bids.output_files import find_synthetic, standard_deviation_path
from bids_spectsynth.bids.prepared import find_prepared
from bids_spectsynth.bids.roles import INTERICTAL
from bids_spectsynth.images.level import mode_of_ratio
from bids_spectsynth.images.smoothing import MaskedSmoother
from bids_spectsynth.siscom.significance.cohort_error import Residual, carry_error, error_grid, sum_residuals
from bids_spectsynth.siscom.subtraction.mask import siscom_mask
from bids_spectsynth.synthesis.data.slices import brain_and_evaluation_mask

FWHM_MM = 12.0
CALIBRATED, COHORT = "calibrated SD of voxels", "SD of the other heads' maps (`zcohort`)"
CENTRED, BOTH = "the same, their mean taken off", "product of both SDs"


def residual_and_deviation(out: Path, case: object) -> tuple[Residual, np.ndarray]:
    """Smoothed difference (percent of the brain mean) of a head, and its calibrated deviation, smoothed."""
    (synthetic,) = find_synthetic(out, case)
    image = nib.load(synthetic.path)
    _, mask, _ = brain_and_evaluation_mask(case)
    sizes = np.linalg.norm(image.affine[:3, :3], axis=0)
    smoother = MaskedSmoother(mask, sizes, FWHM_MM)
    real = smoother(np.asarray(nib.load(case.images[INTERICTAL]).dataobj, dtype=np.float32))
    made = smoother(np.asarray(image.dataobj, dtype=np.float32))
    deviation = np.asarray(nib.load(standard_deviation_path(out, case, synthetic.model)).dataobj, dtype=np.float32)
    inside = siscom_mask(mask, tuple(sizes))
    level = mode_of_ratio(real[inside].astype(np.float64), made[inside].astype(np.float64))
    mean = float(made[inside].mean())
    values = np.where(inside, 100 * (real / level - made) / mean, 0).astype(np.float32)
    predicted = 100 * np.sqrt(np.maximum(smoother(np.square(deviation)), 0)) / mean
    return Residual(case, values, inside, image.affine), predicted


def of_cohort(out: Path) -> list[dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Of each head the difference and each prediction, at the voxels where all of them hold."""
    cases = find_prepared(out, "T1w")
    template = next(iter(cases[0].template_xfms))
    every = [residual_and_deviation(out, case) for case in cases]
    sums = sum_residuals([one for one, _ in every], template, FWHM_MM, error_grid(cases, template, FWHM_MM))
    found = []
    for own, calibrated in every:
        error = carry_error(sums.without(own), own.case, own.mask, own.affine)
        assert error is not None
        known = own.mask & np.isfinite(error.standard_deviation) & np.isfinite(error.mean)
        x, sd, cal = own.values[known], error.standard_deviation[known], calibrated[known]
        pairs = {CALIBRATED: (x, cal), COHORT: (x, sd), CENTRED: (x - error.mean[known], sd), BOTH: (x, sd * cal)}
        found.append(pairs)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[201, 202, 203])
    parser.add_argument("--size", type=int, default=20, help="heads of a cohort")
    parser.add_argument("--preset", default="best")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--nprocs", type=int, default=2)
    args = parser.parse_args()
    args.sizes = [args.size]
    ranks: dict[str, list[float]] = {}
    beyond: dict[str, list[float]] = {}
    for seed in args.seeds:
        heads = of_cohort(trained(args.work, seed, args.size, args))
        for name in heads[0]:
            scale = np.sqrt(np.mean([np.mean(np.square(x / sd)) for x, sd in (head[name] for head in heads)]))
            for x, sd in (head[name] for head in heads):
                ranks.setdefault(name, []).append(float(stats.spearmanr(sd, np.abs(x)).statistic))
                beyond.setdefault(name, []).append(100 * float(np.mean(np.abs(x / sd) > 2 * scale)))
    print(f"Seeds {', '.join(map(str, args.seeds))}, preset {args.preset}, {args.size} heads each\n")
    lines = [[name, str(len(ranks[name])), spread(ranks[name], 2), spread(beyond[name])] for name in ranks]
    print(markdown(["prediction", "heads", "rank correlation with |difference|", "beyond 2 SD, %"], lines))


if __name__ == "__main__":
    main()
