"""SISCOM with the measured baseline on arrays: hits and false foci over many scans in little time.

python benchmarks/siscom_real.py FOLDER [-n 12] [--seeds 101 102 103] [--nulls 4] [--variation 0.03] [--nprocs 2]

The package's subtraction gets each head of `siscom_heads.py` at 2 mm: the ictal scan with the focus, and further scans
without a seizure, each with a starting registration that is off by up to 2 mm and 2 degrees. No program, no model. For
choosing thresholds; the report is `siscom.py`, on other seeds. Options of the comparison: --fwhm, --threshold, --level.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from siscom import HEADER, perturbation
from siscom_heads import Head, Wanted, head_paths
from siscom_rating import (
    Finding,
    Truth,
    frame,
    localisation_rows,
    markdown,
    rank_table,
    rate_findings,
    sensitivity_table,
    spread,
)

from bids_spectsynth.images.grid import new_image
from bids_spectsynth.siscom.case import Siscom, subtract
from bids_spectsynth.siscom.comparable import Choices
from bids_spectsynth.siscom.records import BaselineImage
from bids_spectsynth.siscom.subtraction.alignment import displacement
from bids_spectsynth.siscom.subtraction.route import IctalScan


def truth_of(head: Head) -> Truth:
    """The truth in the form that the rating takes."""
    seed, index = head.name.removeprefix("seed-").split("_head-")
    x, y, z = (float(value) for value in head.focus["centre_mm"])
    known = head.focus
    same = abs(head.fwhm["ictal"] - head.fwhm["interictal"]) < 1e-3
    numbers = (known["volume_ml"], known["strength"], known["depth_mm"])
    return Truth(int(seed), index, (x, y, z), known["side"], known["lobe"], *numbers, same)


def siscom_of(head: Head, scan: str, choices: Choices, number: int) -> Siscom:
    """The package's subtraction of the measured interictal from one of the head's ictal scans."""
    brain, affine = head.grid["brain"], head.affine
    values = np.where(brain, head.grid["interictal"], 0).astype(np.float32)
    baseline = BaselineImage(kind="real", label="Real", values=values, mask=brain)
    image = new_image(head.raw[scan].astype(np.float32), head.affines[scan])
    ictal = IctalScan(image=image, matrix=head.matrices[scan] @ perturbation(number, brain, affine), mask=brain)
    return subtract(ictal, baseline, head.grid["t1w"], brain, affine, choices)


def foci_table(found: Siscom, head: Head) -> pd.DataFrame:
    """Foci with the columns of ``*_clusters.tsv`` that the rating looks at; sides by the truth's midline."""
    rows = []
    for focus in found.foci:
        right = float(np.dot(focus.peak_mm, head.focus["left_to_right"])) > head.focus["midline"]
        x, y, z = focus.peak_mm
        rows.append((focus.rank, focus.sign, x, y, z, focus.p_corrected, "R" if right else "L"))
    return pd.DataFrame(rows, columns=["rank", "sign", "x_mm", "y_mm", "z_mm", "p_corrected", "side"])


def work(path: Path, choices: Choices, nulls: int) -> tuple[Truth, list[Finding], list[dict[str, float]]]:
    """Truth, findings, and errors and seconds, of all scans of one head."""
    findings, costs = [], []
    head = Head.load(path)
    truth = truth_of(head)
    for number, scan in enumerate(["ictal", *(f"null-{k}" for k in range(1, nulls + 1))]):
        began = time.process_time()
        found = siscom_of(head, scan, choices, 1000 * truth.seed + 10 * int(truth.participant) + number)
        seconds = time.process_time() - began
        mm = displacement(found.route.matrix, head.matrices[scan], head.grid["brain"], head.affine)[0]
        true = head.fwhm["interictal"] ** 2 - head.fwhm[scan] ** 2
        mismatch = found.matching.ictal**2 - found.matching.baseline**2
        costs.append({"seconds": seconds, "registration": mm, "mismatch": abs(mismatch - true)})
        findings.append(rate_findings(foci_table(found, head), truth, min(number + 1, 2), "Real"))
    return truth, findings, costs


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-n", type=int, default=12)
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103])
    parser.add_argument("--nulls", type=int, default=4)
    parser.add_argument("--variation", type=float, default=0.03)
    parser.add_argument("--voxel-size", type=float, default=2.0)
    parser.add_argument("--nprocs", type=int, default=1)
    parser.add_argument("--fwhm", type=float, default=12.0)
    parser.add_argument("--threshold", type=float, default=2.0)
    parser.add_argument("--level", default="mode")
    args = parser.parse_args()
    wanted = Wanted(args.n, tuple(args.seeds), args.voxel_size, args.nulls, variation=args.variation)
    choices = Choices(fwhm=args.fwhm, threshold=args.threshold, level=args.level)
    findings, costs, truths = [], [], []
    with ProcessPoolExecutor(args.nprocs) as pool:
        paths = head_paths(args.folder, wanted, args.nprocs)
        for truth, own, cost in pool.map(partial(work, choices=choices, nulls=args.nulls), paths):
            truths.append(truth)
            findings += own
            costs += cost
    table = frame(findings, truths)
    print(f"{len(truths)} heads, {len(findings)} scans\n")
    print(markdown(HEADER, [row.cells for row in localisation_rows(table)]))
    measured = pd.DataFrame(costs)
    for name, unit in (("registration", "mm"), ("mismatch", "mm^2 of FWHM^2, off the truth"), ("seconds", "s of CPU")):
        print(f"\n{name}: {spread(measured[name].to_numpy(), unit)}")
    print(f"\n{sensitivity_table(table)}\n\n{rank_table(table)}")


if __name__ == "__main__":
    main()
