"""Whether calibrated standard deviations of voxels tell what a smoothed map gets wrong; printed as Markdown.

    python benchmarks/uncertainty_of_maps.py --work FOLDER [--seeds 201 202 203] [--size 20] [--others N ...]

Takes the cohorts of `uncertainty.py --work FOLDER` (or makes them). For every held-out head the difference of measured
and synthetic SPECT, smoothed by 12 mm as in a SISCOM, is held against predictions of its size: the calibrated standard
deviation of the voxels, smoothed as a variance; the standard deviation of the other heads' differences in template
space; the same drawn towards the shape of the calibrated ones, which `zcohort` divides by where there are such; both of
these with the other heads' mean taken off, as `zcohort` does; and the product of both deviations. Once at one level,
once with gain and broad differences as in a map. Rank correlations over the evaluation mask, mean over heads with its t
interval (95 %); the mean over heads of the Gaussian log likelihood of a voxel (nats) above that of one deviation for
all voxels; and the share of voxels beyond two predicted standard deviations. For the last two each prediction is scaled
to a root mean square of 1 over the cohort; the last column has that share as it is (nominal 4.6 %). `--others N ...`:
of the other heads N alone, the next ones by label. A phantom proves the machinery, not clinical value.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats
from siscom_rating import markdown
from uncertainty import held_out_cohorts, held_out_parser, spread

from bids_spectsynth.bids.output_files import find_synthetic
from bids_spectsynth.bids.prepared import PreparedCase, find_prepared
from bids_spectsynth.bids.roles import INTERICTAL
from bids_spectsynth.images.grid import Grid
from bids_spectsynth.siscom.baselines.request import Request
from bids_spectsynth.siscom.baselines.synthetic import SYNTHETIC, expected_deviation
from bids_spectsynth.siscom.comparable import Choices, residual_difference
from bids_spectsynth.siscom.significance.cohort_error import Residual, carry_error, error_grid, sum_residuals
from bids_spectsynth.siscom.subtraction.mask import siscom_mask

FWHM_MM = 12.0
CALIBRATED, COHORT = "calibrated SD of voxels", "SD of the other heads' maps"
SHAPED, BOTH = "SD of the other heads' maps, drawn to the calibrated shape", "product of both SDs"
CENTRED = "{}, their mean taken off"
#: At one level, and as a SISCOM makes its map.
WAYS = {"one level": Choices(gain=False, trend=False), "gain and broad differences taken off": Choices()}


def residual_and_deviation(out: Path, case: PreparedCase, choices: Choices) -> tuple[Residual, np.ndarray]:
    """Smoothed difference (percent of the brain mean) of a head, and its calibrated deviation, smoothed."""
    (synthetic,) = find_synthetic(out, case)
    request = Request(case=case, output_dir=out, fwhm=FWHM_MM, splits={synthetic.model: "test"})
    (baseline,) = SYNTHETIC.make(request)
    predicted = expected_deviation(request, baseline)
    assert predicted is not None
    mask = request.measured & baseline.mask
    values, _ = residual_difference(choices)(request.image(INTERICTAL), baseline, mask, request)
    inside = siscom_mask(mask, tuple(request.voxel_sizes))
    return Residual(case, values, inside, request.affine), predicted


@dataclass(frozen=True, eq=False)
class Cohort:
    """Differences and calibrated deviations of the heads of one cohort."""

    template: str
    grid: Grid
    heads: list[tuple[Residual, np.ndarray]]

    @classmethod
    def of(cls, out: Path, choices: Choices) -> "Cohort":
        cases = find_prepared(out, "T1w")
        template = next(iter(cases[0].template_xfms))
        heads = [residual_and_deviation(out, case, choices) for case in cases]
        return cls(template, error_grid(cases, template, FWHM_MM), heads)

    def pairs(self, n_others: int) -> list[dict[str, tuple[np.ndarray, np.ndarray]]]:
        """Of each head the difference and each prediction, at the voxels where all of them hold."""
        around, n = [one for one, _ in self.heads] * 2, min(n_others, len(self.heads) - 1)
        found = []
        for place, (own, calibrated) in enumerate(self.heads, 1):
            others = sum_residuals(around[place : place + n], self.template, FWHM_MM, self.grid)
            plain, shaped = (carry_error(others, own.case, own.mask, own.affine, one) for one in (None, calibrated))
            assert plain is not None
            assert shaped is not None
            known = own.mask & np.isfinite(plain.standard_deviation) & np.isfinite(plain.mean)
            x, cal, mean = own.values[known], calibrated[known], plain.mean[known]
            sd, drawn = plain.standard_deviation[known], shaped.standard_deviation[known]
            one = {"one SD for all": (x, np.ones_like(x)), CALIBRATED: (x, cal), COHORT: (x, sd), SHAPED: (x, drawn)}
            one |= {CENTRED.format(COHORT): (x - mean, sd), CENTRED.format(SHAPED): (x - mean, drawn)}
            found.append({**one, BOTH: (x, sd * cal)})
        return found


def likelihood(x: np.ndarray, sd: np.ndarray) -> float:
    """Of a Gaussian, mean over voxels, without its constant."""
    return float(np.mean(-np.log(sd) - np.square(x / sd) / 2))


def table(cohorts: list[Cohort], n_others: int) -> list[list[str]]:
    """Rows for each prediction."""
    ranks: dict[str, list[float]] = {}
    gains: dict[str, list[float]] = {}
    beyond: dict[str, list[float]] = {}
    plain: dict[str, list[float]] = {}
    for cohort in cohorts:
        heads = cohort.pairs(n_others)
        for name in heads[0]:
            scale = np.sqrt(np.mean([np.mean(np.square(x / sd)) for x, sd in (head[name] for head in heads)]))
            for x, sd in (head[name] for head in heads):
                varies = float(np.ptp(sd)) > 0
                ranks.setdefault(name, []).append(float(stats.spearmanr(sd, np.abs(x)).statistic) if varies else 0.0)
                gains.setdefault(name, []).append(likelihood(x, scale * sd))
                beyond.setdefault(name, []).append(100 * float(np.mean(np.abs(x / sd) > 2 * scale)))
                plain.setdefault(name, []).append(100 * float(np.mean(np.abs(x / sd) > 2)))
    first = np.array(next(iter(gains.values())))
    lines = []
    for name, own in ranks.items():
        as_it_is = spread(plain[name]) if COHORT in name else ""
        gain = spread(list(gains[name] - first), 3)
        lines.append([name, str(len(own)), spread(own, 2), gain, spread(beyond[name]), as_it_is])
    pair = CENTRED.format(SHAPED), CENTRED.format(COHORT)
    better = [spread(list(np.subtract(*(one[name] for name in pair))), 3) for one in (ranks, gains)]
    lines.append(["what the shape adds to `zcohort`, by head", str(len(first)), *better, "", ""])
    return lines


def main() -> None:
    """Print the tables."""
    parser = held_out_parser(__doc__)
    parser.add_argument("--others", type=int, nargs="+", default=[5, 10, 19], help="other heads behind each map")
    args = parser.parse_args()
    folders = held_out_cohorts(args)
    head = ["prediction", "heads", "rank correlation with |difference|", "log likelihood, nats", "beyond 2 SD, %"]
    for way, choices in WAYS.items():
        cohorts = [Cohort.of(folder, choices) for folder in folders]
        for n_others in args.others:
            print(f"\n{way[0].upper()}{way[1:]}, {n_others} other heads:\n")
            print(markdown([*head, "as it is"], table(cohorts, n_others)), flush=True)


if __name__ == "__main__":
    main()
