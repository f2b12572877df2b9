"""The table of a training's epochs."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.logs import duration_words

_WHERE = "in the brain where the SPECT was measured, mean over validation participants"
#: Losses, weights and rates have none.
_UNITS = {
    "validation_rmse": "scaled intensity, -1 to 1",
    "seconds": "s",
}


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
    dictionary = {
        name: {"Description": words} | ({"Units": _UNITS.get(name, "1")} if name != "epoch" else {})
        for name, words in columns.items()
    }
    write_table(folder / "history.tsv", frame, dictionary)


def remaining_words(history: Sequence[Mapping[str, float]], epochs: int) -> str:
    """How long the last epoch took, and how long the others will: ``11 s, 3.1 h left``.

    Parameters
    ----------
    history : sequence of mapping
        Rows of the epochs so far, with ``seconds``. The median of the last ten is taken for each that is to come.
    epochs : int
        Of the whole training.
    """
    seconds = [row["seconds"] for row in history]
    left = (epochs - len(seconds)) * statistics.median(seconds[-10:])
    return f"{duration_words(seconds[-1])}, " + (f"{duration_words(left)} left" if left > 0 else "done")
