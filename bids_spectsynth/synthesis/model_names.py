"""What models are called."""

from collections.abc import Sequence

from bids_spectsynth.options.presets import Preset
from bids_spectsynth.options.settings import T1W_SPACE, Scaling
from bids_spectsynth.options.spaces import plain_label


def model_label(
    inputs: Sequence[str], space: str, scaling: Scaling, ssim_weight: float, preset: Preset = "fard2024"
) -> str:
    """Name of a model: ``pix2pix``, each input, ``Ssim`` and ``Volume`` if used, and the template if there is one.

    The preset's name stands in place of ``Volume`` where it is not the paper's.
    """
    parts = ["pix2pix", *(role[:1].upper() + role[1:] for role in inputs)]
    parts += ["Ssim"] if ssim_weight > 0 else []
    if preset != "fard2024":
        parts += [preset[:1].upper() + preset[1:]]
    elif scaling == "volume":
        parts += ["Volume"]
    parts += [plain_label(space)] if space != T1W_SPACE else []
    return "".join(character for character in "".join(parts) if character.isalnum())
