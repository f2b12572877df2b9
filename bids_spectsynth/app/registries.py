"""What is registered on other floors and shown by the help; imports nothing heavy."""

from bids_spectsynth.synthesis.network.losses import LOSSES


def registered_losses() -> dict[str, str]:
    """Terms of the loss that ``--loss`` knows, each with its title and usual weight.

    Returns
    -------
    dict of str to str
        By name, in the order of the registry.
    """
    return {loss.name: f"{loss.title}, {loss.default_weight:g}" for loss in LOSSES.values()}
