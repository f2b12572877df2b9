"""The table of a training's epochs."""

from pathlib import Path

import pandas as pd

from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.synthesis.training.steps import LOSS_NAMES

_WHERE = "in the brain where the SPECT was measured, mean over validation participants"
HISTORY_COLUMNS = {
    "epoch": "Number of the epoch, from 1",
    **{f"loss_{name}": f"Mean {name} loss of the training slices, unweighted" for name in LOSS_NAMES},
    "loss_generator": "Mean weighted sum of the generator's losses over the training slices",
    "validation_rmse": f"Root mean square error on the (-1, 1) scale {_WHERE}",
    "validation_ssim": f"Structural similarity {_WHERE}",
    "learning_rate": "Of both optimisers",
    "seconds": "Wall time of the epoch",
}


def write_history(folder: Path, history: list[dict[str, float]]) -> None:
    """Write ``history.tsv``, one row per epoch, with its data dictionary."""
    frame = pd.DataFrame(history, columns=list(HISTORY_COLUMNS)).astype({"epoch": int})
    write_table(folder / "history.tsv", frame, {k: {"Description": v} for k, v in HISTORY_COLUMNS.items()})
