"""What the sidecar of a synthetic image says."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bids_spectsynth.bids.names import source_uri
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.public import is_public_text
from bids_spectsynth.bids.roles import T1W
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.synthesis.models.card import CARD_FILE, STATEMENT, ModelCard
from bids_spectsynth.synthesis.models.folder import Model

DESCRIPTION = "Synthetic interictal SPECT; not a measurement"


def standard_deviation_entries(models: Sequence[Model], samples: int) -> dict[str, Any]:
    """What the sidecar of a standard deviation says beyond that of the image."""
    among = f"the outputs of {len(models)} networks" if len(models) > 1 else f"{samples} outputs with dropout left on"
    return {
        "Description": f"Standard deviation of a synthetic interictal SPECT over {among}; not a measurement",
        "StandardDeviationOf": models[0].card.target,
        "Samples": len(models) if len(models) > 1 else samples,
        "SampledBy": "ensemble" if len(models) > 1 else "dropout",
        "UnitsDescription": "As of the synthetic SPECT that it belongs to; 0 outside the brain.",
        "UncertaintyDescription": (
            "How much networks disagree, not how far they all are from the truth: compare it with the calibration in "
            "the group report."
        ),
    }


def model_checksum(cards: Sequence[ModelCard]) -> str:
    """What tells the network, or the networks together, from all others: ``sha256:`` and hexadecimal digits.

    Of one network without a cohort prior it is the checksum of its weights.
    """
    own = [part for card in cards for part in (card.weights_sha256, card.prior_sha256) if part]
    return f"sha256:{own[0] if len(own) == 1 else hashlib.sha256(' '.join(own).encode()).hexdigest()}"


def image_sidecar(
    card: ModelCard, models: Sequence[Model], prepared: PreparedCase, output_dir: Path, settings: Settings
) -> dict[str, Any]:
    """What the sidecar of a synthetic image says, besides how the image was scaled and computed.

    Parameters
    ----------
    card : ModelCard
        Of the whole model: with its label, and its networks' mean statistics.
    models : sequence of Model
        The networks that made the image.
    prepared : PreparedCase
    output_dir : Path
    settings : Settings
        For ``bids_dir`` (to name sources).
    """
    used = [prepared.images[role] for role in card.inputs] + [prepared.masks[T1W]]
    units = card.target_statistics["units"] if is_public_text(card.target_statistics["units"]) else "arbitrary"
    correction = "one factor for all slices"
    if card.scaling == "slice":
        correction = (
            "a factor for each axial slice, by least squares from the ratios of neighbouring slices' medians in the "
            "brain and from the training cohort's factors at the same relative height"
        )
    return {
        "Description": DESCRIPTION,
        "Synthetic": True,
        # Ours whatever the card of a model from elsewhere says.
        "Statement": STATEMENT,
        "Model": card.label,
        **_model_uri([model.folder for model in models], output_dir),
        "ModelChecksum": model_checksum([model.card for model in models]),
        "NumberOfNetworks": len(models),
        "ModelLicense": card.licence if is_public_text(card.licence) else "as the model's card says",
        **({"ModelTrainedOnPhantom": True} if card.phantom else {}),
        "Scaling": card.scaling,
        "Units": units,
        "UnitsDescription": (
            f"Multiplied so that the mean in the brain is {card.target_statistics['mean_in_brain']:.6g} ({units}), the "
            f"mean of the training cohort's SPECTs; {correction}. On the prepared grid, value = ScaleSlope * network "
            "output + ScaleIntercept, slice by slice."
        ),
        "SpatialReference": prepared.space,
        "SkullStripped": True,
        "Sources": [source_uri(path, settings.bids_dir, output_dir) for path in used],
    }


def _model_uri(folders: Sequence[Path], output_dir: Path) -> dict[str, str | list[str]]:
    """URIs of the cards, if the model lies in the output folder; another place would tell of this machine only."""
    root = output_dir.resolve()
    cards = [(folder / CARD_FILE).resolve() for folder in folders]
    if not all(card.is_relative_to(root) for card in cards):
        return {}
    uris = [f"bids::{card.relative_to(root).as_posix()}" for card in cards]
    return {"ModelURI": uris[0] if len(uris) == 1 else uris}
