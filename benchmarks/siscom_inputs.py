"""What inputs that a slice lacks could tell of the error of a synthetic baseline; printed as Markdown.

    python benchmarks/siscom_inputs.py --work FOLDER [--seeds 201 202 203] [--size 20] [--preset best]

Takes the cohorts of `uncertainty.py --work FOLDER` (or makes them): held-out synthetic SPECTs of three networks for
each seed. The difference of measured and synthetic SPECT at 12 mm, whose standard deviation is `baseline_sd_percent`,
is brought to a grid of 6 mm in template space and foretold by simple regressions, for each head from the heads of the
other cohorts, whose networks know nothing of it (those of its own cohort's other folds have learned from its measured
SPECT). From what a network that looks at a slice and its neighbours is not given:

- the place in template space: the mean difference of the others;
- the whole volumes at once (PET, T1w, synthetic SPECT, each over its mean in the brain and less the others' mean):
  kernel ridge regression, linear, its penalty by leaving out one after the other of the others;
- the principal components of the others' measured SPECTs (second order of a cohort prior), their scores by ridge
  regression from those of the same volumes; as much of what they have beyond the synthetic SPECT as serves others best;

and from what it is given, which tells what its training has not learned:

- what PET and synthetic SPECT are above the others' means at the place, times one factor each: least squares;
- the volumes at 12 mm at the voxel itself, and on the other side, and with their deviations from the mean and the
  place: gradient boosting over voxels.

What such regressions find with a few dozen heads is the least that an input holds; `siscom_floor.py` has the most.
Means over heads with t intervals (95 %), and the ratio to the difference as it is. A phantom proves the machinery, not
clinical value.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import spatial
from siscom_rating import markdown
from sklearn.ensemble import HistGradientBoostingRegressor
from uncertainty import held_out_cohorts, held_out_parser, spread

from bids_spectsynth.bids.output_files import find_synthetic
from bids_spectsynth.bids.prepared import PreparedCase, find_prepared
from bids_spectsynth.bids.roles import INTERICTAL, PET, T1W
from bids_spectsynth.images.grid import Grid
from bids_spectsynth.images.level import mode_of_ratio
from bids_spectsynth.images.resampling import resample_linear
from bids_spectsynth.images.smoothing import MaskedSmoother
from bids_spectsynth.siscom.subtraction.mask import siscom_mask
from bids_spectsynth.synthesis.baselines.cohort_mean import mean_grid
from bids_spectsynth.synthesis.baselines.template import template_matrix
from bids_spectsynth.synthesis.data.slices import brain_and_evaluation_mask

FWHM_MM, SPACING_MM = 12.0, 6.0
#: Penalties, as a share of the mean of the kernel's diagonal.
PENALTIES = 10.0 ** np.arange(-2, 3.5, 0.5)
N_COMPONENTS = 10
DIFFERENCE, SYNTHETIC = "difference", "synthetic"
VOLUMES = (PET, T1W, SYNTHETIC)


@dataclass(frozen=True, eq=False)
class Heads:
    """Volumes of all heads in the voxels of template space that all brains share, shape (heads, voxels)."""

    values: dict[str, np.ndarray]
    grid: Grid
    inside: np.ndarray
    #: Number of the cohort of each head.
    cohort: np.ndarray

    @property
    def n(self) -> int:
        return len(self.values[DIFFERENCE])

    def strangers(self, own: int, among: np.ndarray | None = None) -> np.ndarray:
        """Heads (of some) of other cohorts than a head's."""
        among = np.arange(self.n) if among is None else among
        return np.asarray(among[self.cohort[among] != self.cohort[own]])


def volumes_of(out: Path, case: PreparedCase) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Smoothed volumes of a head on its own grid, percent of the brain mean; mask; affine."""
    (synthetic,) = find_synthetic(out, case)
    image = nib.load(synthetic.path)
    _, mask, _ = brain_and_evaluation_mask(case)
    sizes = np.linalg.norm(image.affine[:3, :3], axis=0)
    smoother, inside = MaskedSmoother(mask, sizes, FWHM_MM), siscom_mask(mask, tuple(sizes))
    paths = {
        INTERICTAL: case.images[INTERICTAL],
        PET: case.images[PET],
        T1W: case.images[T1W],
        SYNTHETIC: synthetic.path,
    }
    found = {}
    for name, path in paths.items():
        values = smoother(np.asarray(nib.load(path).dataobj, dtype=np.float32))
        found[name] = 100 * values / float(values[inside].mean())
    level = mode_of_ratio(found[INTERICTAL][inside].astype(np.float64), found[SYNTHETIC][inside].astype(np.float64))
    found[DIFFERENCE] = found[INTERICTAL] / level - found[SYNTHETIC]
    return found, inside, image.affine


def gather(folders: list[Path]) -> Heads:
    """All heads of some cohorts in template space."""
    cases = [(number, out, case) for number, out in enumerate(folders) for case in find_prepared(out, "T1w")]
    fine = mean_grid([case for _, _, case in cases])
    step = SPACING_MM / fine.voxel_sizes
    i, j, k = (int(n) for n in np.ceil(np.array(fine.shape) / step) + 1)
    grid = Grid((i, j, k), fine.affine @ np.diag([*step, 1.0]))
    stacks: dict[str, list[np.ndarray]] = {}
    covers = []
    for _, out, case in cases:
        volumes, inside, affine = volumes_of(out, case)
        wanted = template_matrix(case) @ grid.affine
        cover = resample_linear(inside.astype(np.float32), affine, grid.shape, wanted)
        covers.append(cover)
        for name, values in volumes.items():
            moved = resample_linear(np.where(inside, values, np.float32(0)), affine, grid.shape, wanted)
            stacks.setdefault(name, []).append(np.divide(moved, cover, out=np.zeros_like(moved), where=cover > 0.5))
    inside = np.min(covers, axis=0) > 0.5
    values = {name: np.stack([one[inside] for one in stack]).astype(np.float64) for name, stack in stacks.items()}
    return Heads(values, grid, inside, np.array([number for number, _, _ in cases]))


def ridge(kernel: np.ndarray, wanted: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Kernel ridge regression with a free constant; the penalty by leave-one-out.

    Parameters
    ----------
    kernel : array, shape (n, n)
        Of the heads that teach.
    wanted : array, shape (n, m)
    own : array, shape (n,)
        Kernel of the head that is foretold with them.
    """
    usual = np.trace(kernel) / len(kernel)
    # As good as free: values that were centred beforehand would tell each head of itself when it is left out.
    constant = 1e6 * usual
    values, vectors = np.linalg.eigh(kernel + constant)
    scores = vectors.T @ wanted
    best, weights = np.inf, np.zeros_like(wanted)
    for penalty in PENALTIES * usual:
        shrunk = 1 / (np.maximum(values, 0) + penalty)
        dual = vectors @ (shrunk[:, None] * scores)
        diagonal = np.einsum("ij,j,ij->i", vectors, shrunk, vectors)
        error = float(np.mean(np.square(dual / diagonal[:, None])))
        if error < best:
            best, weights = error, dual
    return np.asarray((own + constant) @ weights)


def from_volumes(*names: str) -> Callable[[Heads, np.ndarray, int], np.ndarray]:
    """The difference of a head, foretold linearly from whole volumes of it."""

    def foretold(heads: Heads, others: np.ndarray, own: int) -> np.ndarray:
        kernel, new = np.zeros((len(others), len(others))), np.zeros(len(others))
        for name in names:
            values = heads.values[name]
            mean = values[others].mean(axis=0)
            taught = values[others] - mean
            scale = np.mean(np.square(taught))
            kernel += taught @ taught.T / scale
            new += taught @ (values[own] - mean) / scale
        return ridge(kernel, heads.values[DIFFERENCE][others], new)

    return foretold


def from_place(heads: Heads, others: np.ndarray, own: int) -> np.ndarray:
    """The mean difference of the other heads."""
    return heads.values[DIFFERENCE][others].mean(axis=0)


def from_components(heads: Heads, others: np.ndarray, own: int) -> np.ndarray:
    """What the components of the cohort's SPECTs, their scores told by the volumes, have beyond the synthetic SPECT."""
    # At the level of the synthetic SPECT.
    measured = heads.values[DIFFERENCE][others] + heads.values[SYNTHETIC][others]
    mean = measured.mean(axis=0)
    components = np.linalg.svd(measured - mean, full_matrices=False)[2][:N_COMPONENTS]
    features = np.concatenate([heads.values[name] @ components.T for name in VOLUMES], axis=1)
    centre, spread = features[others].mean(axis=0), features[others].std(axis=0)
    taught, new = (features[others] - centre) / spread, (features[own] - centre) / spread
    scores = (measured - mean) @ components.T
    told = ridge(taught @ taught.T, scores, taught @ new)
    return mean + told @ components - heads.values[SYNTHETIC][own]


def drawn_to_components(heads: Heads, others: np.ndarray, own: int) -> np.ndarray:
    """As much of that as serves other heads best (every fourth of them, foretold from those strange to it)."""
    inner, wanted = others[::4], heads.values[DIFFERENCE]
    parts = np.stack([from_components(heads, heads.strangers(one, others), one) for one in inner])
    share = np.sum(parts * wanted[inner]) / np.sum(np.square(parts))
    return np.asarray(share * from_components(heads, others, own))


def deviation_factors(heads: Heads, others: np.ndarray) -> np.ndarray:
    """Least squares of the difference on what PET and synthetic SPECT are above the others' means there."""
    parts = [heads.values[name][others] - heads.values[name][others].mean(axis=0) for name in (PET, SYNTHETIC)]
    table = np.column_stack([part.ravel() for part in parts])
    return np.asarray(np.linalg.lstsq(table, heads.values[DIFFERENCE][others].ravel(), rcond=None)[0])


def from_deviations(heads: Heads, others: np.ndarray, own: int) -> np.ndarray:
    """The difference of a head, foretold from what its PET and synthetic SPECT are above the others' means there."""
    factors, values = deviation_factors(heads, others), heads.values
    parts = (values[name][own] - values[name][others].mean(axis=0) for name in (PET, SYNTHETIC))
    return np.asarray(sum(factor * part for factor, part in zip(factors, parts, strict=True)))


def boosted(heads: Heads, *, place: bool, mirrored: bool) -> np.ndarray:
    """The difference of all heads, each foretold voxel by voxel from the heads of the other cohorts.

    From the volumes there; with the place also from what they are above their mean.
    """
    points = np.argwhere(heads.inside) @ heads.grid.affine[:3, :3].T + heads.grid.affine[:3, 3]
    opposite = spatial.KDTree(points).query(points * [-1, 1, 1])[1]
    found = np.zeros_like(heads.values[DIFFERENCE])

    def features(one: int, others: np.ndarray) -> np.ndarray:
        here = [heads.values[name][one] for name in VOLUMES]
        means = (heads.values[name][others].mean(axis=0) for name in VOLUMES) if place else ()
        beside = [values - mean for values, mean in zip(here, means, strict=True)] if place else []
        other = [values[opposite] for values in here] if mirrored else []
        return np.column_stack([*([points] if place else []), *here, *beside, *other])

    for cohort in np.unique(heads.cohort):
        own, others = np.flatnonzero(heads.cohort == cohort), np.flatnonzero(heads.cohort != cohort)
        model = HistGradientBoostingRegressor(
            max_iter=100, learning_rate=0.05, min_samples_leaf=500, l2_regularization=100, random_state=0
        )
        taught = np.concatenate([features(one, others[others != one]) for one in others])
        model.fit(taught, heads.values[DIFFERENCE][others].ravel())
        for one in own:
            found[one] = model.predict(features(one, others))
    return found


def lines(heads: Heads) -> list[list[str]]:
    """Rows of the table."""
    ways: dict[str, Callable[[Heads, np.ndarray, int], np.ndarray]] = {
        "place in template space": from_place,
        "place and the whole PET": from_volumes(PET),
        "place and the whole T1w": from_volumes(T1W),
        "place and the whole synthetic SPECT": from_volumes(SYNTHETIC),
        "place and all three volumes": from_volumes(*VOLUMES),
        f"{N_COMPONENTS} components of the cohort's SPECTs": drawn_to_components,
        "PET and synthetic SPECT there, less their means (two factors)": from_deviations,
    }
    wanted = heads.values[DIFFERENCE]
    told = {"nothing": np.zeros_like(wanted)}
    for name, way in ways.items():
        told[name] = np.stack([way(heads, heads.strangers(own), own) for own in range(heads.n)])
    told["the volumes there, smoothed (boosting)"] = boosted(heads, place=False, mirrored=False)
    told["the volumes there and on the other side"] = boosted(heads, place=False, mirrored=True)
    told["the volumes there, their deviations from the means, and the place"] = boosted(
        heads, place=True, mirrored=False
    )
    told["all of the last three"] = boosted(heads, place=True, mirrored=True)
    plain = wanted.std(axis=1)
    rows = []
    for name, values in told.items():
        left = (wanted - values).std(axis=1)
        rows.append([name, str(heads.n), spread(left, 2), spread(left / plain, 3)])
    return rows


def main() -> None:
    """Print the table."""
    parser = held_out_parser(__doc__)
    args = parser.parse_args()
    heads = gather(held_out_cohorts(args))
    print(f"{heads.inside.sum()} voxels\n")
    head = ["foretold from", "heads", "SD of what is left, percent", "ratio to nothing"]
    print(markdown(head, lines(heads)))
    factors = deviation_factors(heads, np.arange(heads.n))
    print(f"\nFactors of the deviations of PET and synthetic SPECT: {factors[0]:.2f}, {factors[1]:.2f}")


if __name__ == "__main__":
    main()
