"""Which smoothing and which erosion of the mask SISCOM needs, on tuning heads of the phantom; printed as Markdown.

    python benchmarks/siscom_defaults.py FOLDER [-n 12] [--seeds 101 102 103] [--nprocs 1]

FOLDER holds the heads of `siscom_heads.py`; those that are missing are simulated. For each smoothing (FWHM, mm) and
each width taken off the brain's edge, the measured interictal scan is subtracted from the ictal one and from one
without a seizure, as the program does it but for the smooth gain: both aligned with the baseline, made equally sharp,
smoothed, at the level of the mode. Printed are the share of heads whose highest peak lies within 15 mm of the focus
(with its interval, Clopper-Pearson, 95 %), how many standard deviations the focus stands out, the ratio of the
focus's peak to the highest one of the same head's map without a seizure (median over heads), and the standard
deviation of that map.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.stats import binomtest
from siscom import perturbation
from siscom_heads import Head, Wanted, heads
from siscom_rating import markdown

from bids_spectsynth.images.grid import apply_affine, new_image
from bids_spectsynth.images.resolution import AnatomicalBlur
from bids_spectsynth.images.smoothing import MaskedSmoother
from bids_spectsynth.siscom.subtraction.alignment import align, resample_ictal
from bids_spectsynth.siscom.subtraction.level import levels
from bids_spectsynth.siscom.subtraction.maps import own_z, percent_difference
from bids_spectsynth.siscom.subtraction.mask import EROSION_MM, siscom_mask
from bids_spectsynth.siscom.subtraction.resolution import match

SMOOTHINGS_MM = (6.0, 8.0, 10.0, 12.0, 14.0, 16.0)
EROSIONS_MM = (0.0, 2.0, 4.0, 6.0, 8.0)
#: The defaults, which stay while the other one is varied.
FWHM_MM = 12.0
HIT_MM = 15.0
HEADER = ["", "highest peak within 15 mm [95 %]", "z at the focus", "focus over highest without", "SD without, %"]


def settings() -> list[tuple[float, float]]:
    """Smoothing and erosion of every row."""
    rows = [(fwhm, EROSION_MM) for fwhm in SMOOTHINGS_MM]
    return rows + [(FWHM_MM, erosion) for erosion in EROSIONS_MM if erosion != EROSION_MM]


def equally_sharp(head: Head, scan: str, number: int) -> tuple[np.ndarray, float, float]:
    """A scan aligned with the baseline, and the kernels that it and the baseline need."""
    brain, affine = head.grid["brain"], head.affine
    image = new_image(head.raw[scan].astype(np.float32), head.affines[scan])
    start = head.matrices[scan] @ perturbation(number, brain, affine)
    moved = resample_ictal(image, align(image, head.grid["interictal"], brain, affine, start).matrix, brain, affine)
    blur = AnatomicalBlur(head.grid["t1w"], brain, affine)
    matching = match(blur.fwhm(moved), blur.fwhm(head.grid["interictal"]))
    return moved, matching.ictal, matching.baseline


def rate(head: Head, number: int) -> list[dict[str, float]]:
    """What each setting gives on one head."""
    brain, affine = head.grid["brain"], head.affine
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    scans = {scan: equally_sharp(head, scan, number) for scan in ("ictal", "null-1")}
    points = apply_affine(affine, np.argwhere(np.ones(brain.shape, dtype=bool))).reshape(*brain.shape, 3)
    near = np.linalg.norm(points - head.focus["centre_mm"], axis=-1) <= HIT_MM
    rows = []
    for fwhm, erosion in settings():
        mask = siscom_mask(brain, tuple(sizes), erosion) if erosion else brain
        z, deviation = {}, {}
        for scan, (values, own, others) in scans.items():
            pair = ((values, own), (head.grid["interictal"], others))
            x, y = (MaskedSmoother(brain, sizes, float(np.hypot(fwhm, kernel)))(one) for one, kernel in pair)
            z[scan], deviation[scan] = own_z(percent_difference(x, y, levels(x, y, mask)["mode"], mask), mask)
        peak = np.unravel_index(int(np.argmax(z["ictal"])), brain.shape)
        at = ndimage.maximum(np.where(mask & near, z["ictal"], -np.inf))
        rows.append(
            {
                "hit": float(near[peak]),
                "z": float(at),
                "ratio": float(at * deviation["ictal"] / (z["null-1"].max() * deviation["null-1"])),
                "deviation": deviation["null-1"],
            }
        )
    return rows


def table(rated: list[list[dict[str, float]]]) -> str:
    """One row per setting, over heads."""
    lines = []
    for index, (fwhm, erosion) in enumerate(settings()):
        rows = [head[index] for head in rated]
        hits, n = int(sum(row["hit"] for row in rows)), len(rows)
        limits = binomtest(hits, n).proportion_ci()
        medians = (float(np.median([row[name] for row in rows])) for name in ("z", "ratio", "deviation"))
        text = f"{hits} of {n} [{100 * limits.low:.0f}, {100 * limits.high:.0f}]"
        lines.append([f"{fwhm:g} mm, {erosion:g} mm off the edge", text, *(f"{value:.2f}" for value in medians)])
    return markdown(HEADER, lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-n", type=int, default=12, help="heads per seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103])
    parser.add_argument("--nprocs", type=int, default=1)
    args = parser.parse_args()
    wanted = Wanted(n=args.n, seeds=tuple(args.seeds), nulls=1)
    rated = [rate(head, number) for number, head in enumerate(heads(args.folder, wanted, args.nprocs))]
    print(f"{len(rated)} heads, seeds {', '.join(map(str, args.seeds))}; z by the map's own standard deviation\n")
    print(table(rated))


if __name__ == "__main__":
    main()
