"""What inputs that a slice lacks could tell of the error of a synthetic baseline; printed as Markdown.

    python benchmarks/siscom_inputs.py --work FOLDER [--seeds 201 202 203] [--size 20] [--preset best]

Takes the cohorts of `uncertainty.py --work FOLDER` (or makes them): held-out synthetic SPECTs of three networks for
each seed. The difference of measured and synthetic SPECT at 12 mm, whose standard deviation is `baseline_sd_percent`,
is brought to a grid of 6 mm in template space and foretold, for each head from all the others, by what a network that
looks at a slice and its neighbours is not given:

- the place in template space: the mean difference of the other heads;
- the whole volumes at once (PET, T1w, synthetic SPECT, each over its mean in the brain and less the other heads' mean):
  kernel ridge regression, linear, its penalty by leaving out one after the other of the other heads;
- the principal components of the other heads' measured SPECTs (second order of a cohort prior): their scores by ridge
  regression from those of the same volumes, and the synthetic SPECT drawn to the components;
- what PET and synthetic SPECT are above the others' means at the place, times one factor each: least squares;
- the volumes at 12 mm at the voxel itself, on the other side, and the place: gradient boosting over voxels (ten groups
  of heads). The first of these a network has; what it tells is what the training has not learned.

All heads of all seeds teach, more than any of the networks has had. Means over heads with t intervals (95 %), and the
ratio to the difference as it is. What is left may be noise and what no input shows: `siscom_floor.py` has the floor.
A phantom proves the machinery, not clinical value.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import spatial, stats
from siscom_rating import markdown
from sklearn.ensemble import HistGradientBoostingRegressor
from uncertainty import trained

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
N_COMPONENTS, N_GROUPS = 10, 10
DIFFERENCE, SYNTHETIC = "difference", "synthetic"
VOLUMES = (PET, T1W, SYNTHETIC)


@dataclass(frozen=True, eq=False)
class Heads:
    """Volumes of all heads in the voxels of template space that all brains share, shape (heads, voxels)."""

    values: dict[str, np.ndarray]
    grid: Grid
    inside: np.ndarray

    @property
    def n(self) -> int:
        return len(self.values[DIFFERENCE])


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
    cases = [(out, case) for out in folders for case in find_prepared(out, "T1w")]
    fine = mean_grid([case for _, case in cases])
    step = SPACING_MM / fine.voxel_sizes
    i, j, k = (int(n) for n in np.ceil(np.array(fine.shape) / step) + 1)
    grid = Grid((i, j, k), fine.affine @ np.diag([*step, 1.0]))
    stacks: dict[str, list[np.ndarray]] = {}
    covers = []
    for out, case in cases:
        volumes, inside, affine = volumes_of(out, case)
        wanted = template_matrix(case) @ grid.affine
        cover = resample_linear(inside.astype(np.float32), affine, grid.shape, wanted)
        covers.append(cover)
        for name, values in volumes.items():
            moved = resample_linear(np.where(inside, values, np.float32(0)), affine, grid.shape, wanted)
            stacks.setdefault(name, []).append(np.divide(moved, cover, out=np.zeros_like(moved), where=cover > 0.5))
    inside = np.min(covers, axis=0) > 0.5
    values = {name: np.stack([one[inside] for one in stack]).astype(np.float64) for name, stack in stacks.items()}
    return Heads(values, grid, inside)


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
    measured = heads.values[INTERICTAL][others]
    mean = measured.mean(axis=0)
    components = np.linalg.svd(measured - mean, full_matrices=False)[2][:N_COMPONENTS]
    features = np.concatenate([heads.values[name] @ components.T for name in VOLUMES], axis=1)
    centre, spread = features[others].mean(axis=0), features[others].std(axis=0)
    taught, new = (features[others] - centre) / spread, (features[own] - centre) / spread
    scores = (measured - mean) @ components.T
    told = ridge(taught @ taught.T, scores, taught @ new)
    return mean + told @ components - heads.values[SYNTHETIC][own]


def drawn_to_components(heads: Heads, others: np.ndarray, own: int) -> np.ndarray:
    """As much of that as serves other heads best (every fourth of them, foretold without itself)."""
    inner, wanted = others[::4], heads.values[DIFFERENCE]
    parts = np.stack([from_components(heads, others[others != one], one) for one in inner])
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
    """The difference of all heads, each foretold voxel by voxel from the heads of the other groups.

    From the volumes there; with the place also from what they are above the mean of all heads.
    """
    points = np.argwhere(heads.inside) @ heads.grid.affine[:3, :3].T + heads.grid.affine[:3, 3]
    opposite = spatial.KDTree(points).query(points * [-1, 1, 1])[1]
    # Of what is given to all: no measured SPECT goes into these means.
    means = {name: heads.values[name].mean(axis=0) for name in VOLUMES}

    def features(one: int) -> np.ndarray:
        here = [heads.values[name][one] for name in VOLUMES]
        beside = [values - means[name] for name, values in zip(VOLUMES, here, strict=True)] if place else []
        other = [values[opposite] for values in here] if mirrored else []
        return np.column_stack([*([points] if place else []), *here, *beside, *other])

    table = np.stack([features(one) for one in range(heads.n)])
    wanted, groups = heads.values[DIFFERENCE], np.arange(heads.n) % N_GROUPS
    found = np.zeros_like(wanted)
    for group in range(N_GROUPS):
        others = groups != group
        model = HistGradientBoostingRegressor(
            max_iter=100, learning_rate=0.05, min_samples_leaf=500, l2_regularization=100, random_state=0
        )
        model.fit(table[others].reshape(-1, table.shape[-1]), wanted[others].ravel())
        for own in np.flatnonzero(~others):
            found[own] = model.predict(table[own])
    return found


def interval(values: np.ndarray, digits: int = 2) -> str:
    """Mean with its t interval over heads."""
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.{digits}f} [{values.mean() - half:.{digits}f}, {values.mean() + half:.{digits}f}]"


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
    wanted, everybody = heads.values[DIFFERENCE], np.arange(heads.n)
    told = {"nothing": np.zeros_like(wanted)}
    for name, way in ways.items():
        told[name] = np.stack([way(heads, everybody[everybody != own], own) for own in everybody])
    told["the volumes there, smoothed (boosting)"] = boosted(heads, place=False, mirrored=False)
    told["the volumes there and on the other side"] = boosted(heads, place=False, mirrored=True)
    told["the volumes there and the place"] = boosted(heads, place=True, mirrored=False)
    told["all of it"] = boosted(heads, place=True, mirrored=True)
    plain = wanted.std(axis=1)
    rows = []
    for name, values in told.items():
        left = (wanted - values).std(axis=1)
        rows.append([name, str(heads.n), interval(left), interval(left / plain, 3)])
    return rows


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
    heads = gather([trained(args.work, seed, args.size, args) for seed in args.seeds])
    print(
        f"Seeds {', '.join(map(str, args.seeds))}, preset {args.preset}, {args.size} heads each, "
        f"{heads.inside.sum()} voxels\n"
    )
    head = ["foretold from", "heads", "SD of what is left, percent", "ratio to nothing"]
    print(markdown(head, lines(heads)))
    factors = deviation_factors(heads, np.arange(heads.n))
    print(f"\nFactors of the deviations of PET and synthetic SPECT: {factors[0]:.2f}, {factors[1]:.2f}")


if __name__ == "__main__":
    main()
