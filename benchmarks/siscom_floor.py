"""How small the error of a baseline can be that is made of MRI and PET, and what SISCOM makes of it; as Markdown.

    python benchmarks/siscom_floor.py --work FOLDER [-n 16] [--seeds 201 202] [--presets best] [--quick]

Reads the cohorts of `siscom.py --work FOLDER` (held-out synthetic images of ``out``, transforms to the template), or
makes them. Each head is compared with its measured interictal SPECT, its held-out synthetic ones, and ``expected``: the
phantom's own interictal SPECT without noise, from the true anatomy, the true regional pattern and the true deviations
of the PET, with all that neither MRI nor PET show at its expectation (`siscom_heads.expected_uptake`). No network can
do better than that on these phantoms, whatever its loss, its inputs and its size; what a synthetic baseline has more is
what can still be learned.

Everything happens on arrays at 4 mm with the true transforms. Standard deviations at 12 mm, percent of the brain mean:
of interictal less baseline at one level (``baseline_sd_percent``), and of the map of a scan without a seizure with
gain and broad differences as `--siscom-gain` and `--siscom-trend` have them. A focus is hit by a first-ranked peak of
hyperperfusion within 15 mm. Means have t intervals over heads, shares Clopper-Pearson's (95 %). A phantom proves the
machinery, not clinical value.
"""

import argparse
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from scipy import stats
from siscom import run_program
from siscom_heads import Head, Wanted, head_paths
from siscom_rating import HIT_MM, LEAST_ML, LEAST_STRENGTH, markdown, share

from bids_spectsynth.bids.output_files import find_synthetic
from bids_spectsynth.bids.prepared import PreparedCase, find_prepared
from bids_spectsynth.bids.writing import read_matrix
from bids_spectsynth.evaluation.case.residual import residual, residual_sampling
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.images.resampling import resample_linear
from bids_spectsynth.siscom.case import subtract
from bids_spectsynth.siscom.comparable import Choices
from bids_spectsynth.siscom.records import BaselineImage
from bids_spectsynth.siscom.subtraction.route import IctalScan

#: Label of the baseline that no network can beat.
EXPECTED = "expected from MRI and PET"
MEASURED = "measured interictal"
#: What is left in a map without a seizure, by the options that take something off.
WAYS = {"one level": Choices(gain=False, trend=False), "gain and trend": Choices()}
VOXEL_MM = 4.0


def baselines(head: Head, output: Path, case: PreparedCase) -> dict[str, BaselineImage]:
    """All baselines of a head on its grid."""
    images: dict[str, np.ndarray] = {MEASURED: head.grid["interictal"], EXPECTED: head.grid["expected"]}
    for synthetic in find_synthetic(output, case):
        name = f"{synthetic.model}, held out"
        image = nib.load(synthetic.path)
        values = np.asanyarray(image.dataobj)
        images[name] = resample_linear(values, image.affine, head.grid["brain"].shape, head.affine)
    found = {}
    for name, values in images.items():
        mask = head.grid["brain"] & (values > 0)
        kind = "real" if name == MEASURED else "synthetic"
        values = np.where(mask, values, np.float32(0)).astype(np.float32)
        found[name] = BaselineImage(kind=kind, label=name, values=values, mask=mask, synthetic=kind == "synthetic")
    return found


def rate(path: Path, output: Path, participant: str) -> list[dict[str, object]]:
    """One row for each baseline of a head."""
    head, case = Head.load(path), find_prepared(output, "T1w", (participant,))[0]
    to_template = read_matrix(next(iter(case.template_xfms.values())))
    brain, affine, rows = head.grid["brain"], head.affine, []
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    for name, baseline in baselines(head, output, case).items():
        row: dict[str, object] = {"head": head.name, "baseline": name}
        if name != MEASURED:
            sampling = residual_sampling(baseline.mask, sizes)
            row["baseline_sd_percent"] = float(residual(head.grid["interictal"], baseline.values, sampling).std())
        for scan in ("null-1", "ictal"):
            ictal = IctalScan(
                image=new_image(head.raw[scan].astype(np.float32), head.affines[scan]),
                matrix=head.matrices[scan],
                mask=brain,
            )
            for way, choices in WAYS.items() if scan == "null-1" else [("gain and trend", Choices())]:
                # The PET has a fit of its own; here everything is a scan to which the gain may be fitted.
                made = subtract(ictal, baseline, head.grid["t1w"], brain, affine, choices, to_template=to_template)
                if scan == "null-1":
                    row[way] = float(made.maps.difference[made.maps.mask].std(dtype=np.float64))
                else:
                    hot = [focus for focus in made.foci if focus.sign == "hyper"]
                    distance = np.linalg.norm(np.array(hot[0].peak_mm) - head.focus["centre_mm"]) if hot else np.inf
                    row["hit"] = bool(distance <= HIT_MM)
        row["target"] = head.focus["volume_ml"] >= LEAST_ML and head.focus["strength"] >= LEAST_STRENGTH
        rows.append(row)
    return rows


def mean(values: pd.Series) -> str:
    """Mean with its t interval over heads."""
    known = values.dropna().to_numpy(float)
    if not len(known):
        return ""
    half = stats.t.ppf(0.975, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known)) if len(known) > 1 else np.nan
    return f"{known.mean():.2f} [{known.mean() - half:.2f}, {known.mean() + half:.2f}]"


def rows_of(table: pd.DataFrame) -> Iterator[list[str]]:
    """One line for each baseline."""
    for name, own in table.groupby("baseline", sort=False):
        deviations = [mean(own[column]) for column in ("baseline_sd_percent", *WAYS)]
        target = own.loc[own["target"], "hit"]
        yield [str(name), *deviations, f"{share(target)}, {len(target)}", f"{share(own['hit'])}, {len(own)}"]


def work_through(work: Path, args: argparse.Namespace) -> pd.DataFrame:
    """Make what is missing, and rate every head."""
    jobs: list[tuple[Path, Path, str]] = []
    for seed in args.seeds:
        folder = work / f"seed-{seed}"
        if not (folder / "out").exists():
            run_program(folder, seed, args, "--siscom", "off")
        names = sorted(path.name[4:] for path in (folder / "data-truth").glob("sub-*"))[: args.n]
        paths = head_paths(
            work / "heads", Wanted(n=len(names), seeds=(seed,), voxel_size=VOXEL_MM, nulls=1), args.nprocs
        )
        jobs += [(path, folder / "out", name) for path, name in zip(paths, names, strict=True)]
    with ProcessPoolExecutor(args.nprocs) as pool:
        return pd.DataFrame([row for rows in pool.map(rate, *zip(*jobs, strict=True)) for row in rows])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="keep everything here and go on from what is there")
    parser.add_argument("-n", type=int, default=16, help="heads per seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[201, 202])
    parser.add_argument("--presets", nargs="+", default=["best"])
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--nprocs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="6 heads, one seed, 2 epochs")
    args = parser.parse_args()
    if args.quick:
        args.n, args.seeds, args.folds, args.epochs = 6, [201], 3, 2
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        table = work_through(work, args)
    table.to_csv(work / "floor.tsv", sep="\t", index=False) if args.work else None
    print(f"{table['head'].nunique()} heads, seeds {', '.join(map(str, args.seeds))}\n")
    titles = ["baseline", "less interictal, one level", *(f"without a seizure, {way}" for way in WAYS)]
    titles += [f"hit, {LEAST_ML:g} mL and +{100 * LEAST_STRENGTH:.0f} % or more", "hit, all"]
    print(markdown(titles, list(rows_of(table))))


if __name__ == "__main__":
    main()
