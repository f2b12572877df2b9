"""Whether calibrated intervals hold on the phantom: coverage, reliability, rank correlation; printed as Markdown.

    python benchmarks/uncertainty.py --work FOLDER [--seeds 201 202 203] [--sizes 20 10] [--preset best] [--quick]

Reads the cohorts of `siscom.py --work FOLDER` (`seed-<s>/data`, `data-truth` and the prepared images of `out`), or
simulates and prepares them. Of each seed, and of the first 20 and the first 10 of its heads, three networks are trained
by 3-fold cross-validation (4 mm, short training) with `--uncertainty calibrated`: every head is held out once, and
judged by a calibration that it did not go into. The model of each whole cohort is then applied to the first ten heads
of the next seed, which neither its networks nor its calibration know. Nothing of the calibration was chosen on these
seeds.

Intervals are of t over participants (95 %). The rank correlation of the predicted standard deviation with the absolute
error is given against the measured SPECT, whose noise nobody can predict, and against the phantom's noise-free one. A
phantom proves the machinery, not clinical value.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from scaling import PHANTOM, PROGRAM, measured
from scipy import stats
from siscom_rating import markdown

from bids_spectsynth.bids.output_files import find_synthetic, rating_path, standard_deviation_path
from bids_spectsynth.bids.prepared import find_prepared
from bids_spectsynth.images.resampling import resample_linear
from bids_spectsynth.synthesis.data.slices import brain_and_evaluation_mask

#: What is copied of an output folder: the prepared images alone.
_NOT_PREPARED = shutil.ignore_patterns("*siscom*", "*pix2pix*", "models", "logs", "*.html", "group*", ".manifests")
LEVELS = (50, 80, 90, 95)
#: Heads of the next seed that a model is applied to.
N_FURTHER = 10


def prepared_cohort(work: Path, seed: int, n: int, nprocs: int) -> Path:
    """Output folder with the prepared images of a cohort."""
    folder = work / f"seed-{seed}"
    data, out = folder / "data", folder / "out"
    if not data.exists():
        measured(
            PHANTOM, data, "-n", n, "--seed", seed, "--folds", "individual", "--ictal", "study", "--nprocs", nprocs
        )
    if not out.exists():
        words = ["--voxel-size", "4", "--mode", "preprocess", "--siscom", "off", "--skip-bids-validation"]
        measured(PROGRAM, data, out, "participant", *words, "-w", folder / "work", "--nprocs", nprocs)
    return out


def copied(prepared: Path, out: Path, n: int) -> None:
    """The first heads of a cohort in an output folder of its own."""
    out.mkdir(parents=True)
    for path in sorted(prepared.iterdir()):
        if path.is_file() and path.suffix in (".json", ".tsv"):
            shutil.copy(path, out)
    for path in sorted(path for path in prepared.glob("sub-*") if path.is_dir())[:n]:
        shutil.copytree(path, out / path.name, ignore=_NOT_PREPARED)


def trained(work: Path, seed: int, n: int, args: argparse.Namespace) -> Path:
    """Output folder of a cohort with a model, its calibration, and everybody's images."""
    out = work / f"uncertainty_seed-{seed}_n-{n}_{args.preset}"
    data = work / f"seed-{seed}" / "data"
    if not (out / "group_calibration.tsv").exists():
        shutil.rmtree(out, ignore_errors=True)
        copied(prepared_cohort(work, seed, max(args.sizes), args.nprocs), out, n)
        common = ["--voxel-size", "4", "--nprocs", args.nprocs, "-w", work / "work", "--uncertainty", "calibrated"]
        recipe = ["--preset", args.preset, "--inputs", "T1w", "pet", "--cross-validate", "3", "--base-filters", "8"]
        recipe += ["--learning-rate", "1e-3", "--epochs", args.epochs]
        recipe += ["--learning-rate-decay-epochs", max(args.epochs // 2, 1)]
        measured(PROGRAM, data, out, "participant", "--mode", "train", *common, *recipe)
        apply(data, out, common)
        measured(PROGRAM, data, out, "group", "--bootstrap-samples", "0")
    return out


def apply(data: Path, out: Path, common: list[object], *further: object) -> None:
    """Apply a model to the heads that are prepared in an output folder."""
    labels = [path.name for path in sorted(out.glob("sub-*")) if path.is_dir()]
    words = ["--mode", "apply", "--siscom", "off", "--skip-bids-validation", "--participant-label", *labels]
    measured(PROGRAM, data, out, "participant", *words, *common, *further)


def applied(work: Path, seed: int, model: Path, args: argparse.Namespace) -> Path:
    """Output folder of another cohort's first heads with the images of a model that knows none of them."""
    out = work / f"uncertainty_of-{model.parents[1].name}_on-seed-{seed}"
    if not list(out.glob("sub-*.html")):
        shutil.rmtree(out, ignore_errors=True)
        copied(prepared_cohort(work, seed, max(args.sizes), args.nprocs), out, N_FURTHER)
        # The phantom numbers the heads of every seed alike; labels of people whom the model knows are not rated.
        for path in sorted(path for path in out.glob("sub-*") if path.is_dir()):
            renamed(path, path.name.replace("sub-", f"sub-S{seed}x"))
        common = ["--voxel-size", "4", "--nprocs", args.nprocs, "-w", work / "work", "--uncertainty", "calibrated"]
        words = ["--mode", "apply", "--siscom", "off", "--skip-bids-validation", "--model", model]
        measured(PROGRAM, relabelled(work, seed), out, "participant", *words, *common)
    return out


def renamed(folder: Path, name: str) -> None:
    """Give a participant's folder and all files in it another label."""
    old = folder.name
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        path.rename(path.with_name(path.name.replace(f"{old}_", f"{name}_")))
    folder.rename(folder.with_name(name))


def relabelled(work: Path, seed: int) -> Path:
    """The first heads of a dataset under labels that no other seed has."""
    source, target = work / f"seed-{seed}" / "data", work / f"relabelled_seed-{seed}"
    if not target.exists():
        target.mkdir()
        shutil.copy(source / "dataset_description.json", target)
        for path in sorted(path for path in source.glob("sub-*") if path.is_dir())[:N_FURTHER]:
            shutil.copytree(path, target / path.name)
            renamed(target / path.name, path.name.replace("sub-", f"sub-S{seed}x"))
    return target


def case_rows(out: Path) -> pd.DataFrame:
    """Rows of all cases' calibration tables."""
    paths = sorted(out.glob("sub-*/spect/*_calibration.tsv"))
    return pd.concat([pd.read_csv(path, sep="\t", dtype={"bin": str}) for path in paths], ignore_index=True)


def noise_free_ranks(out: Path, truth: Path) -> list[float]:
    """Rank correlation of predicted standard deviation and absolute error against the noise-free SPECT, by head."""
    ranks = []
    for case in find_prepared(out, "T1w"):
        label = case.participant.partition("x")[2] or case.participant
        (clean,) = (truth / f"sub-{label}").glob("*_desc-noisefree_spect.nii.gz")
        (synthetic,) = find_synthetic(out, case)
        image = nib.load(synthetic.path)
        source = nib.load(clean)
        values = np.asarray(source.dataobj, dtype=np.float32)
        real = resample_linear(values, source.affine, image.shape, image.affine)
        _, mask, _ = brain_and_evaluation_mask(case)
        made = np.asarray(image.dataobj)
        sd = np.asarray(nib.load(standard_deviation_path(out, case, synthetic.model)).dataobj)
        error = np.abs(made / made[mask].mean() - real / real[mask].mean())[mask]
        ranks.append(float(stats.spearmanr(sd[mask], error).statistic))
        assert rating_path(out, case, synthetic.model, "calibration").exists()
    return ranks


def spread(values: Iterable[float], digits: int = 1) -> str:
    """Mean with its 95 % interval of t."""
    found = np.asarray(list(values), dtype=float)
    half = stats.t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found))
    return f"{found.mean():.{digits}f} [{found.mean() - half:.{digits}f}, {found.mean() + half:.{digits}f}]"


def coverage_lines(name: str, rows: pd.DataFrame, ranks: list[float]) -> tuple[list[str], list[list[str]]]:
    """A line of the table of voxels, and lines of that of regions."""
    whole = rows[rows["bin"] == "all"]
    voxels = whole[whole["measure"] == "voxels"]
    n = str(voxels["participant_id"].nunique())
    line = [name, n, *(spread(voxels[f"coverage_{level}"]) for level in LEVELS)]
    line += [f"{voxels['coverage_90'].min():.1f}", spread(voxels["ratio"], 2), spread(voxels["rank_correlation"], 2)]
    line += [spread(ranks, 2)]
    regional = []
    for measure in ("uptake", "asymmetry"):
        own = whole[whole["measure"] == measure]
        unit = "" if measure == "uptake" else " %"
        coverages = [spread(own[f"coverage_{level}"]) for level in LEVELS]
        regional.append([name, measure, n, *coverages, f"{own['width_90'].mean():.3g}{unit}"])
    return line, regional


def held_out_parser(description: str | None) -> argparse.ArgumentParser:
    """Options of a benchmark that looks at the held-out images of whole cohorts of one size."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[201, 202, 203])
    parser.add_argument("--size", type=int, default=20, help="heads of a cohort")
    parser.add_argument("--preset", default="best")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--nprocs", type=int, default=2)
    return parser


def held_out_cohorts(args: argparse.Namespace) -> list[Path]:
    """Output folders of the cohorts that such options name, in words on the first line of the output."""
    args.sizes = [args.size]
    folders = [trained(args.work, seed, args.size, args) for seed in args.seeds]
    print(f"Seeds {', '.join(map(str, args.seeds))}, preset {args.preset}, {args.size} heads each")
    return folders


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="keep everything here and go on from what is there")
    parser.add_argument("--seeds", type=int, nargs="+", default=[201, 202, 203])
    parser.add_argument("--sizes", type=int, nargs="+", default=[20, 10], help="heads of a cohort")
    parser.add_argument("--preset", default="best")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--nprocs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="one seed, 8 heads, 2 epochs")
    args = parser.parse_args()
    if args.quick:
        args.seeds, args.sizes, args.epochs = args.seeds[:1], [8], 2
    voxels, regions = [], []
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        for size in args.sizes:
            tables, ranks = [], []
            for seed in args.seeds:
                out = trained(work, seed, size, args)
                rows = case_rows(out)
                tables.append(rows.assign(participant_id=rows["participant_id"] + f"-{seed}"))
                ranks += noise_free_ranks(out, work / f"seed-{seed}" / "data-truth")
                print(f"seed {seed}, {size} heads", file=sys.stderr, flush=True)
            line, own = coverage_lines(f"{size} heads, cross-validated", pd.concat(tables), ranks)
            voxels.append(line)
            regions += own
        if len(args.seeds) > 1:
            tables, ranks = [], []
            for seed, following in zip(args.seeds, [*args.seeds[1:], args.seeds[0]], strict=True):
                (model,) = (trained(work, seed, max(args.sizes), args) / "models").iterdir()
                out = applied(work, following, model, args)
                tables.append(case_rows(out))
                ranks += noise_free_ranks(out, work / f"seed-{following}" / "data-truth")
                print(f"model of seed {seed} on seed {following}", file=sys.stderr, flush=True)
            line, own = coverage_lines(f"{max(args.sizes)} heads, on another cohort", pd.concat(tables), ranks)
            voxels.append(line)
            regions += own
    levels = [f"{level} %" for level in LEVELS]
    header = ["networks and calibration", "heads", *levels, "least at 90 %", "error / SD", "rank", "rank, noise-free"]
    print(f"Voxels, {args.preset}, seeds {', '.join(map(str, args.seeds))}\n\n{markdown(header, voxels)}\n")
    print(markdown(["networks and calibration", "measure", "heads", *levels, "width at 90 %"], regions))


if __name__ == "__main__":
    main()
