"""The table of a training's epochs."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bids_spectsynth.bids.writing import write_table

_WHERE = "in the brain where the SPECT was measured, mean over validation participants"


def history_columns(losses: Sequence[str]) -> dict[str, str]:
    """Columns of ``history.tsv`` and what they mean, for a training with these losses."""
    return {
        "epoch": "Number of the epoch, from 1",
        **{f"loss_{name}": f"Mean {name} loss of the training slices, unweighted" for name in losses},
        "loss_generator": "Mean weighted sum of the generator's losses over the training slices",
        "validation_rmse": f"Root mean square error on the (-1, 1) scale {_WHERE}",
        "validation_ssim": f"Structural similarity {_WHERE}",
        "learning_rate": "Of both optimisers",
        "seconds": "Wall time of the epoch",
    }


def write_history(folder: Path, history: Sequence[dict[str, float]], losses: Sequence[str]) -> None:
    """Write ``history.tsv``, one row per epoch, with its data dictionary.

    Parameters
    ----------
    folder : Path
        Of the model.
    history : sequence of dict
        A value for each of :func:`history_columns`.
    losses : sequence of str
        Names of the losses, in the order of their columns.
    """
    columns = history_columns(losses)
    frame = pd.DataFrame(history, columns=list(columns)).astype({"epoch": int})
    write_table(folder / "history.tsv", frame, {k: {"Description": v} for k, v in columns.items()})
