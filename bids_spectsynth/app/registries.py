"""What is registered on other floors and shown by the help or on the usage page; importing it is quick."""

from bids_spectsynth.synthesis.network.losses import LOSSES


def registered_losses() -> dict[str, str]:
    """Terms of the loss that ``--loss`` knows, each with its title and usual weight.

    Returns
    -------
    dict of str to str
        By name, in the order of the registry.
    """
    return {loss.name: f"{loss.title}, {loss.default_weight:g}" for loss in LOSSES.values()}


def registered_margins() -> dict[str, str]:
    """Margins of equivalence that metrics have by themselves, each with its unit.

    Returns
    -------
    dict of str to str
        By the name that ``--equivalence-margins`` takes: one for a metric of the whole slice and the same in the brain,
        where their margins are equal.
    """
    # Imports numpy.
    from bids_spectsynth.evaluation.case.metrics import by_measure

    found = {}
    for measure, regions in by_measure().items():
        common = len({one.margin for one in regions.values()}) == 1
        for one in regions.values():
            found[measure if common else one.name] = f"{one.margin:g} {one.short_unit}".strip()
    return found
