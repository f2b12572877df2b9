"""What less work loses: voxels of 2 mm against 1 mm, slices cropped to the brain against whole ones.

bids_spectsynth-phantom PH -n 12 --size paper --folds individual --seed 77
for SIZE in 1 2; do
  for FOLD in 1 2 3; do   # SPLIT1.tsv to SPLIT3.tsv: each holds out other participants
    for CROP in none brain; do
      bids_spectsynth PH OUT$SIZE participant --voxel-size $SIZE --crop $CROP --preset best --base-filters 16 \\
        --epochs 10 --learning-rate 1e-3 --learning-rate-decay-epochs 4 --split-file SPLIT$FOLD.tsv \\
        --random-seed $FOLD --model-label $CROP$FOLD
    done
  done
done
python benchmarks/less_work.py PH-truth OUT1 OUT2 --more none1 none2 none3 --less none1 none2 none3
python benchmarks/less_work.py PH-truth OUT2 OUT2 --more none1 none2 none3 --less brain1 brain2 brain3

Models of two output folders, or of one, are compared on the grid of the first. Every participant is rated with the one
model that had not seen it (its table of metrics says ``test`` or ``external``). Outputs on a coarser grid are
interpolated (cubic). Real SPECTs are those of the first grid. A phantom proves the machinery, not clinical value.
"""

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from presets_on_phantom import deficit, lesion_asymmetry, truth_on
from scipy import ndimage, stats

from bids_spectsynth.bids.output_files import synthetic_path
from bids_spectsynth.bids.prepared import PreparedCase, find_prepared
from bids_spectsynth.evaluation.case.metrics import slice_metrics
from bids_spectsynth.evaluation.statistics.effect_size import studentised_interval
from bids_spectsynth.synthesis.data.slices import CaseArrays, load_case
from bids_spectsynth.synthesis.prediction.reading import network_output

MEASURES = {
    "rmse": "in-mask RMSE",
    "ssim": "in-mask SSIM",
    "lesion_error": "lesion asymmetry error, percentage points",
}


def moved(path: Path, fine: CaseArrays) -> np.ndarray:
    """A network's output at the voxels of the finer grid, in [-1, 1]; what lies there already is left as it is."""
    output, affine = network_output(path), nib.load(path).affine
    if output.shape == fine.mask.shape:
        return output
    matrix = np.linalg.inv(affine) @ fine.affine
    shape = fine.mask.shape
    found = ndimage.affine_transform(output, matrix[:3, :3], matrix[:3, 3], output_shape=shape, order=3, mode="nearest")
    return np.clip(found, -1, 1)


def rated(case: PreparedCase, image: np.ndarray, arrays: CaseArrays, truth: Path) -> dict[str, float]:
    """In-mask metrics on the volume scale, and the lesion's asymmetry against the noise-free SPECT."""
    table = slice_metrics(arrays.target, image.astype(np.float32), arrays.evaluation_mask, 2.0)
    weights = table["mask_voxels"]
    found = {
        "rmse": float(np.sqrt(np.average(table["mask_rmse"] ** 2, weights=weights))),
        "ssim": float(np.average(table["mask_ssim"], weights=weights)),
    }
    focus = deficit(case, truth)
    if focus is not None:
        points = np.argwhere(arrays.evaluation_mask) @ arrays.affine[:3, :3].T + arrays.affine[:3, 3]
        noise_free = truth_on(case, truth, arrays.affine, arrays.mask.shape)
        pair = [lesion_asymmetry(v[arrays.evaluation_mask], points, case, focus) for v in ((image + 1) / 2, noise_free)]
        found["lesion_error"] = abs(pair[0] - pair[1])
    return found


def held_out(output: Path, label: str) -> set[str]:
    """Labels of the participants that a model was rated on and had not seen."""
    found = set()
    for path in output.glob(f"sub-*/**/spect/*_desc-{label}_metrics.tsv"):
        if set(pd.read_csv(path, sep="\t")["split"]) <= {"test", "external"}:
            found.add(path.name.split("_")[0].removeprefix("sub-"))
    return found


def rate(fine: Path, output: Path, labels: list[str], truth: Path) -> pd.DataFrame:
    """One row per held-out participant."""
    rows = []
    on_fine = {case.participant: case for case in find_prepared(fine, "T1w")}
    own = {case.participant: case for case in find_prepared(output, "T1w")}
    for label in labels:
        for participant in sorted(held_out(output, label)):
            arrays = load_case(on_fine[participant], ("T1w",), "volume")
            image = moved(synthetic_path(output, own[participant], label), arrays)
            rows.append({"participant": participant, **rated(on_fine[participant], image, arrays, truth)})
    return pd.DataFrame(rows).groupby("participant").mean()


def seconds(output: Path, labels: list[str]) -> float:
    """Seconds of all epochs of the models."""
    return sum(pd.read_csv(output / "models" / label / "history.tsv", sep="\t")["seconds"].sum() for label in labels)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth", type=Path)
    parser.add_argument("more_output", type=Path)
    parser.add_argument("less_output", type=Path)
    parser.add_argument("--more", nargs="+", required=True)
    parser.add_argument("--less", nargs="+", required=True)
    args = parser.parse_args()
    tables = [
        rate(args.more_output, args.more_output, args.more, args.truth),
        rate(args.more_output, args.less_output, args.less, args.truth),
    ]
    times = [seconds(args.more_output, args.more), seconds(args.less_output, args.less)]
    ratio = times[0] / times[1]
    print(f"training: {times[0]:.0f} s with more work, {times[1]:.0f} s with less: {ratio:.1f} times faster\n")
    print("| measure | more work | less work | difference [95 % interval] | p (paired t) | participants |")
    print("|---|---|---|---|---|---|")
    for name, title in MEASURES.items():
        pair = pd.concat([table[name] for table in tables], axis=1, keys=["more", "less"]).dropna()
        difference = (pair["less"] - pair["more"]).to_numpy()
        limits = studentised_interval(difference, 10000, np.random.default_rng(0))
        p = stats.ttest_rel(pair["less"], pair["more"]).pvalue
        print(
            f"| {title} | {pair['more'].mean():.4f} | {pair['less'].mean():.4f} | {difference.mean():+.4f} "
            f"[{limits.low:+.4f}, {limits.high:+.4f}] | {p:.2g} | {len(pair)} |"
        )


if __name__ == "__main__":
    main()
