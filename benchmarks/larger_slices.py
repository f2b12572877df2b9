"""What it costs to show a network for cropped slices larger ones than it learned from, as a larger head gets them.

python benchmarks/larger_slices.py OUT --models brain1 brain2 brain3

OUT as for ``less_work.py``. Held-out heads that fit are shown at the size that was learned and at each larger one; RMSE
in the brain on the model's scale. A phantom proves the machinery, not clinical value.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np
import torch
from less_work import held_out

from bids_spectsynth.bids.prepared import find_prepared
from bids_spectsynth.synthesis.data.cropping import STEP
from bids_spectsynth.synthesis.data.slices import load_case
from bids_spectsynth.synthesis.models.folder import load_model
from bids_spectsynth.synthesis.prediction.predict import predict, with_members_prior


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--models", nargs="+", required=True)
    args = parser.parse_args()
    ratios: dict[tuple[int, int], list[float]] = {}
    for label in args.models:
        model = load_model(args.output / "models" / label, torch.device("cpu"))
        height, width = model.card.slice_shape
        whole = model.card.grid_shape[:2]
        for case in find_prepared(args.output, model.card.space, sorted(held_out(args.output, label))):
            arrays = load_case(case, model.card.inputs, model.card.scaling)
            shown = with_members_prior(model, case, arrays)
            errors = {}
            for more in range(0, max(whole), STEP):
                size = (min(height + more, whole[0]), min(width + more, whole[1]))
                if size in errors:
                    break
                architecture = {**model.card.architecture, "slice_shape": list(size)}
                card = dataclasses.replace(model.card, architecture=architecture)
                made = predict(dataclasses.replace(model, card=card), shown)
                difference = (made - arrays.target)[arrays.evaluation_mask]
                errors[size] = float(np.sqrt((difference.astype(np.float64) ** 2).mean()))
            own = errors.pop((height, width))
            for size, error in errors.items():
                ratios.setdefault(size, []).append(error / own)
            print(
                f"{case.name}, {label}: {own:.4f} at {height} x {width}; "
                + ", ".join(f"{error:.4f} at {size[0]} x {size[1]}" for size, error in errors.items()),
                flush=True,
            )
    print(
        "\n| slices | RMSE against that at the size learned, mean | lowest | highest | heads |\n|---|---|---|---|---|"
    )
    for size, found in ratios.items():
        print(f"| {size[0]} x {size[1]} | {np.mean(found):.3f} | {min(found):.3f} | {max(found):.3f} | {len(found)} |")


if __name__ == "__main__":
    main()
