"""Whether the rated images of one model were made from inputs of one resolution."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bids_spectsynth.bids.names import parse_name
from bids_spectsynth.bids.roles import role_of
from bids_spectsynth.bids.sidecars import sidecar
from bids_spectsynth.evaluation.group.usable import usable_ratings
from bids_spectsynth.synthesis.data.harmonising import TOLERANCE
from bids_spectsynth.synthesis.models.scan_records import recorded_numbers
from bids_spectsynth.synthesis.models.training_scans import HARMONISED_FWHM


def mixed_harmonising(output_dir: Path) -> list[str]:
    """A line for each model whose rated images are partly of harmonised inputs, or of such of other resolutions.

    Parameters
    ----------
    output_dir : Path

    Returns
    -------
    list of str
        Images of several folds of a cross-validation, whose trainings had different resolutions, are no mixture where
        all of them are harmonised.

    Raises
    ------
    DatasetError
        ``participants.tsv`` is no table.
    """
    found: dict[str, list[tuple[str, dict[str, float]]]] = {}
    for path in usable_ratings(output_dir, "metrics"):
        facts: dict[str, Any] = sidecar(path.with_name(path.name.removesuffix("_metrics.tsv") + "_spect.nii.gz"))
        if facts:
            model = parse_name(path.name)[0].get("desc", "")
            networks = str(facts.get("ModelChecksum", ""))
            found.setdefault(model, []).append((networks, recorded_numbers(facts, HARMONISED_FWHM)))
    return [line for model, targets in sorted(found.items()) for line in _lines(model, targets)]


def _lines(model: str, targets: Sequence[tuple[str, dict[str, float]]]) -> Iterable[str]:
    for role in sorted({role for _, one in targets for role in one}):
        by_networks: dict[str, list[float]] = {}
        for networks, one in targets:
            if role in one:
                by_networks.setdefault(networks, []).append(one[role])
        widths = [width for own in by_networks.values() for width in own]
        plain = len(targets) - len(widths)
        if not plain and all(max(own) <= min(own) * TOLERANCE for own in by_networks.values()):
            continue
        low, high = f"{min(widths):.1f}", f"{max(widths):.1f}"
        to = low if low == high else f"{low} to {high}"
        words = f"{len(widths)} from a {role_of(role).sentence} harmonised to {to} mm"
        words += f", {plain} from one that is not" if plain else ""
        yield (
            f"model {model}: ratings of images of different resolution stand together ({words}); apply it to all with "
            "the same --harmonise"
        )
