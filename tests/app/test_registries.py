from bids_spectsynth.app.registries import registered_losses
from bids_spectsynth.options.declare import declared
from bids_spectsynth.options.settings import Settings


def test_registered_losses__hold_those_with_an_option_of_their_own() -> None:
    losses = registered_losses()
    own = {name.removesuffix("_weight") for name in declared(Settings) if name.endswith("_weight")}
    assert own <= set(losses)
    assert all(losses.values())
