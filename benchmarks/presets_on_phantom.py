"""Models of one output folder against the phantom's noise-free truth: error, through-slice consistency, lesions.

bids_spectsynth-phantom PH -n 16 --seed 2024 --folds individual
bids_spectsynth PH OUT participant --study examples/presets.toml --cross-validate 4 --voxel-size 4 \\
    --base-filters 8 --learning-rate 1e-3 --learning-rate-decay-epochs 10 --epochs 30
bids_spectsynth PH OUT group
python benchmarks/presets_on_phantom.py PH-truth OUT

At 2 mm: `-n 12 --seed 2027`, and `--voxel-size 2 --base-filters 32 --cross-validate 3 --epochs 12
--learning-rate-decay-epochs 6`, one seed; the article's recipe also in an output folder of its own without
`--learning-rate`, with `--epochs 24 --learning-rate-decay-epochs 12`.

Held-out participants only; seeds of one configuration are averaged within each participant. A phantom proves the
machinery, not clinical value.
"""

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from scipy import ndimage, stats

from bids_spectsynth.bids.output_files import synthetic_path
from bids_spectsynth.bids.prepared import PreparedCase, find_prepared
from bids_spectsynth.evaluation.group.tables import gather_metrics
from bids_spectsynth.evaluation.statistics.corrections import holm
from bids_spectsynth.evaluation.statistics.effect_size import studentised_interval
from bids_spectsynth.synthesis.baselines.files import has_baselines
from bids_spectsynth.synthesis.baselines.fitted import Baselines
from bids_spectsynth.synthesis.baselines.predict import predict as predict_baselines
from bids_spectsynth.synthesis.baselines.template import template_matrix
from bids_spectsynth.synthesis.data.slices import load_case
from bids_spectsynth.synthesis.models.ensemble import load_members, members_for

NETWORK = "network"
MEASURES = {
    "mask_rmse_volume": "in-mask RMSE, volume scale (real SPECT)",
    "mask_rmse_slice": "in-mask RMSE, slice scale (real SPECT)",
    "mask_ssim_volume": "in-mask SSIM, volume scale (real SPECT)",
    "mask_ssim_slice": "in-mask SSIM, slice scale (real SPECT)",
    "rmse_real": "volume RMSE over the in-brain mean (real SPECT)",
    "rmse_truth": "the same against the noise-free SPECT",
    "through_slice_real": "neighbouring slices' difference, synthetic over real",
    "through_slice_truth": "the same over the noise-free SPECT's",
    "lesion_error": "lesion asymmetry error against the noise-free SPECT, percentage points",
}
#: Through-slice ratios are best near 1, not low.
BEST_AT_ONE = ("through_slice_real", "through_slice_truth")


def truth_on(case: PreparedCase, truth: Path, affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The noise-free SPECT at the voxels of the prepared images, trilinear."""
    image = nib.load(next((truth / f"sub-{case.participant}").glob("*_desc-noisefree_spect.nii.gz")))
    matrix = np.linalg.inv(image.affine) @ affine
    values = np.asarray(image.dataobj, dtype=np.float32)
    return ndimage.affine_transform(values, matrix[:3, :3], matrix[:3, 3], output_shape=shape, order=1)


def deficit(case: PreparedCase, truth: Path) -> pd.Series | None:
    """The interictal deficit of a participant without a resection; None after one."""
    foci = pd.read_csv(truth / f"sub-{case.participant}" / f"sub-{case.participant}_foci.tsv", sep="\t")
    if (foci["kind"] == "cavity").any():
        return None
    return foci[foci["kind"] == "hypo"].iloc[0]


def lesion_asymmetry(values: np.ndarray, points: np.ndarray, case: PreparedCase, focus: pd.Series) -> float:
    """200 (a - b) / (a + b): mean in the focus's sphere against its mirror image about the template's midline."""
    to_native = template_matrix(case)
    centre = focus[["x", "y", "z"]].to_numpy(float)
    mirrored = np.linalg.inv(to_native) @ [*centre, 1]
    mirrored[0] *= -1
    means = []
    for place in (centre, (to_native @ mirrored)[:3]):
        means.append(values[np.linalg.norm(points - place, axis=1) < float(focus["radius"])].mean())
    return 200 * (means[0] - means[1]) / (means[0] + means[1])


def measures(
    image: np.ndarray, real: np.ndarray, truth: np.ndarray, rated: np.ndarray, points: np.ndarray, case: PreparedCase,
    focus: pd.Series | None,
) -> dict[str, float]:  # fmt: skip
    """What is measured on unscaled volumes, each over its mean in the evaluation mask."""
    made, real, truth = (volume / volume[rated].mean(dtype=np.float64) for volume in (image, real, truth))
    both = rated[..., 1:] & rated[..., :-1]
    steps = [np.abs(np.diff(volume, axis=2))[both].mean() for volume in (made, real, truth)]
    found = {
        "rmse_real": float(np.sqrt(((made - real)[rated] ** 2).mean())),
        "rmse_truth": float(np.sqrt(((made - truth)[rated] ** 2).mean())),
        "through_slice_real": steps[0] / steps[1],
        "through_slice_truth": steps[0] / steps[2],
    }
    if focus is not None:
        pair = [lesion_asymmetry(volume[rated], points, case, focus) for volume in (made, truth)]
        found["lesion_error"] = abs(pair[0] - pair[1])
    return found


def rate(output: Path, truth_dir: Path) -> pd.DataFrame:
    """One row per held-out participant, model and method."""
    rows = []
    metrics = gather_metrics(output)
    metrics = metrics[metrics["split"].isin(("test", "external")) & (metrics["in_block"] == "true")]
    for (model, space), own in metrics.groupby(["model", "space"], sort=False):
        for case in find_prepared(output, str(space)):
            mine = own[own["participant_id"] == f"sub-{case.participant}"]
            if mine.empty or space != "T1w":
                continue
            arrays = load_case(case, ("T1w",), "volume")
            real = np.asarray(nib.load(case.images["interictal"]).dataobj, dtype=np.float32)
            truth = truth_on(case, truth_dir, arrays.affine, real.shape)
            points = np.argwhere(arrays.evaluation_mask) @ arrays.affine[:3, :3].T + arrays.affine[:3, 3]
            focus = deficit(case, truth_dir)
            images = {NETWORK: np.asarray(nib.load(synthetic_path(output, case, str(model))).dataobj)}
            folder = members_for(load_members(output / "models" / str(model)), case.participant)[0].folder
            # Baselines on the slice scale have no scale from slice to slice and are no volumes.
            if has_baselines(folder) and set(mine["scaling"]) == {"volume"}:
                scaled = predict_baselines(Baselines.load(folder), case)
                images |= {name: (image + 1) / 2 * arrays.mask for name, image in scaled.items()}
            for method, image in images.items():
                named = mine[mine["method"] == ("pix2pix" if method == NETWORK else method)]
                row = {"participant": case.participant, "method": method}
                row["configuration"] = str(mine["configuration"].iloc[0])
                for scale, part in named.groupby("scale"):
                    row |= {f"{name}_{scale}": part[name].mean() for name in ("mask_rmse", "mask_ssim")}
                rows.append(row | measures(image, real, truth, arrays.evaluation_mask, points, case, focus))
    keys = ["configuration", "method", "participant"]
    return pd.DataFrame(rows).groupby(keys, sort=False).mean(numeric_only=True).reset_index()


def interval(values: np.ndarray) -> str:
    """Mean and 95 % confidence interval over participants."""
    values = values[np.isfinite(values)]
    if len(values) < 3:
        return "n/a"
    limits = studentised_interval(values, 10000, np.random.default_rng(0))
    return f"{values.mean():.4f} [{limits.low:.4f}, {limits.high:.4f}]"


def compare(table: pd.DataFrame, first: str, second: tuple[str, str]) -> list[tuple[str, float, float, int]]:
    """Subject-wise paired t-tests of a configuration's network against another configuration or a baseline of it."""
    out = []
    for measure in MEASURES:
        sides = []
        for configuration, method in ((first, NETWORK), second):
            rows = table[(table["configuration"] == configuration) & (table["method"] == method)]
            sides.append(rows.set_index("participant")[measure].dropna() if measure in rows else pd.Series(dtype=float))
        common = sides[0].index.intersection(sides[1].index)
        if len(common) < 2:
            continue
        a, b = (side.loc[common].to_numpy() for side in sides)
        if measure in BEST_AT_ONE:
            a, b = np.abs(a - 1), np.abs(b - 1)
        p = float(stats.ttest_rel(a, b).pvalue) if np.ptp(a - b) > 0 else np.nan
        out.append((measure, 100 * (a.mean() / b.mean() - 1), p, len(common)))
    return out


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth", type=Path)
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    table = rate(args.output, args.truth)
    runs = list(dict.fromkeys(zip(table["configuration"], table["method"], strict=True)))
    for measure, title in MEASURES.items():
        print(f"\n{title}: mean over participants [95 % interval, studentised bootstrap]")
        for configuration, method in runs:
            rows = table[(table["configuration"] == configuration) & (table["method"] == method)]
            if measure in rows and rows[measure].notna().any():
                text = interval(rows[measure].to_numpy(float))
                print(f"  {configuration:28s} {method:18s} {text}  n {int(rows[measure].notna().sum())}")
    networks = [configuration for configuration, method in runs if method == NETWORK]
    for first in networks:
        others = [(name, NETWORK) for name in networks if name != first]
        others += [(first, method) for configuration, method in runs if configuration == first and method != NETWORK]
        for other in others:
            found = compare(table, first, other)
            against = other[0] if other[1] == NETWORK else f"its baseline {other[1]}"
            print(f"\n{first} against {against}: change in percent, p (subject-wise t), p Holm over the rows")
            for (measure, change, p, n), corrected in zip(found, holm([p for _, _, p, _ in found]), strict=True):
                print(f"  {measure:22s} {change:+7.1f} %  p {p:.2g}  Holm {corrected:.2g}  n {n}")


if __name__ == "__main__":
    main()
