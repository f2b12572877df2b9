"""What is said of a training whose numbers are none any more."""

from pathlib import Path

from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.training.checkpoint import checkpoint_path
from bids_spectsynth.synthesis.training.config import TrainingConfig


def not_finite(folder: Path, config: TrainingConfig, what: str, epoch: int) -> ModelError:
    """The error that ends such a training: what is lost, what is left, what to do.

    Parameters
    ----------
    folder : Path
        Of the model.
    config : TrainingConfig
    what : str
        What is no number: ``the loss``.
    epoch : int
        Epochs that ended well.
    """
    kept = "nothing was saved"
    if checkpoint_path(folder).exists():
        kept = "the last good checkpoint is kept and no model was written"
    return ModelError(
        f"model {config.label}: {what} is no usable number in epoch {epoch + 1}, {kept}; use a lower --learning-rate "
        f"than {config.learning_rate:g}, or --precision float32"
    )
