"""How well standard deviations can be told from images on the phantom: highest rank correlation with the error.

    python benchmarks/uncertainty_floor.py [--work FOLDER] [-n 10] [--seeds 201 202] [--scans 24] [--quick]

`uncertainty.py` finds .15 to .16 over voxels. Here the image is the best one that MRI and PET allow
(`siscom_heads.expected_uptake`), and the predicted standard deviation the true one: that of the noise, over scans of
the same head that differ by noise alone, together with that of the person's own deviations, which neither MRI nor PET
shows. Nobody who predicts it from images can know more. The last column takes the noise-free SPECT in place of the
image: what is left is noise. Only heads all of whose scans are of one camera; 4 mm, the brain without its edge, mean
over heads with its t interval (95 %). A phantom proves the machinery, not clinical value.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from scipy import ndimage, stats
from siscom_heads import Head, Wanted, heads
from siscom_rating import markdown

from bids_spectsynth.phantom.uptake import OWN_SD, SHARED_SD

VOXEL_MM = 4.0


def hidden_sd() -> float:
    """Standard deviation of the logarithm of a person's perfusion where the PET is known."""
    shared, pet = SHARED_SD**2, OWN_SD["fdg"] ** 2
    return float(np.sqrt(shared * pet / (shared + pet) + OWN_SD["hmpao"] ** 2))


def of_one_camera(head: Head) -> bool:
    """Whether the further scans are as sharp as the interictal one."""
    return abs(head.fwhm["null-1"] - head.fwhm["interictal"]) < 1e-3


def ranks(head: Head) -> tuple[float, float, float]:
    """Rank correlations against the best image and the noise-free SPECT, and spread of the true SD."""
    inside = ndimage.binary_erosion(head.grid["brain"])
    names = [name for name in head.grid if name.startswith("null-")]

    def relative(name: str) -> np.ndarray:
        values = head.grid[name][inside].astype(np.float64)
        return values / values.mean()

    noise = np.std([relative(name) for name in names], axis=0, ddof=1)
    scan, expected = relative("interictal"), relative("expected")
    deviation = np.hypot(noise, hidden_sd() * expected)
    against_expected = float(stats.spearmanr(deviation, np.abs(scan - expected)).statistic)
    against_clean = float(stats.spearmanr(noise, np.abs(scan - relative("clean"))).statistic)
    return against_expected, against_clean, float(np.log(deviation).std())


def mean(values: np.ndarray) -> str:
    """Mean with its t interval."""
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.2f} [{values.mean() - half:.2f}, {values.mean() + half:.2f}]"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="keep the heads here")
    parser.add_argument("-n", type=int, default=10, help="heads per seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[201, 202])
    parser.add_argument("--scans", type=int, default=24, help="scans per head that differ by noise alone")
    parser.add_argument("--nprocs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="four heads")
    args = parser.parse_args()
    if args.quick:
        args.n, args.seeds = 4, args.seeds[:1]
    wanted = Wanted(n=args.n, seeds=tuple(args.seeds), voxel_size=VOXEL_MM, nulls=args.scans, variation=0.0)
    with tempfile.TemporaryDirectory() as temporary:
        every = heads((args.work or Path(temporary)) / "heads", wanted, args.nprocs)
        found = np.array([ranks(head) for head in every if of_one_camera(head)])
    header = ["heads", "best image, true SD: rank", "SD of the logarithm of that SD", "noise alone: rank"]
    print(f"Seeds {', '.join(map(str, args.seeds))}, {args.scans} scans each\n")
    print(markdown(header, [[str(len(found)), mean(found[:, 0]), mean(found[:, 2]), mean(found[:, 1])]]))


if __name__ == "__main__":
    main()
