from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bids_spectsynth.bids.writing import write_json
from bids_spectsynth.reports.subject.methods import MethodFacts, described_card, methods_text

GRID = [128, 128, 96]


def text_of(card: dict[str, Any]) -> str:
    facts = MethodFacts("1.0", {}, (128, 128, 96), np.diag([2.0, 2, 2, 1]), (), {"m": card})
    return " ".join(methods_text(facts)[0])


@pytest.mark.parametrize(
    ("card", "told"),
    [
        ({"grid_shape": GRID, "architecture": {"slice_shape": [96, 64]}}, True),
        ({"grid_shape": GRID, "architecture": {"slice_shape": [96, 96]}, "config": {"orientation": "coronal"}}, True),
        # The option was given, but the brain filled the slices.
        ({"grid_shape": GRID, "architecture": {"slice_shape": [128, 128]}, "config": {"crop": "brain"}}, False),
        ({"grid_shape": GRID, "architecture": {}}, False),
        ({"architecture": {"slice_shape": [96, 64]}}, False),
        ({"grid_shape": GRID, "architecture": {"slice_shape": 5}}, False),
        ({"grid_shape": GRID, "architecture": {"slice_shape": [96, 64]}, "config": {"orientation": [1]}}, False),
        ({"grid_shape": GRID, "config": "brain", "architecture": [96, 64]}, False),
    ],
    ids=str,
)
def test_cropped_slices_are_told_of(card: dict[str, Any], told: bool) -> None:
    assert ("of slices cropped to the brain" in text_of(card)) is told


def test_methods_text__says_what_the_recipe_does_and_nothing_else() -> None:
    best = {
        "losses": {"adversarial": 0.0, "l1": 100.0},
        "NumberOfNetworks": 3,
        "config": {
            "neighbour_slices": 1,
            "cohort_prior": "residual",
            "augmentation": ["flip", "affine"],
            "ema_decay": 0.99,
            "flip_average": "on",
        },
    }
    text = text_of(best)
    told = (
        "trained without a discriminator, the mean of 3 networks, with 1 neighbouring slices on either side, with the "
        "training cohort's mean as a prior (residual), augmented by flip, affine, with weights averaged over steps "
        "(decay 0.99), averaged over the slice and its mirror image"
    )
    assert told in text
    plain = text_of({"losses": {"adversarial": 1.0, "l1": 100.0}, "config": {"cohort_prior": "none"}})
    assert "trained against a patch discriminator" in plain
    assert not any(word in plain for word in ("prior", "averaged", "augmented", "neighbouring", "mean of"))
    assert "discriminator" not in text_of({})


def cards_of_folds(folder: Path) -> list[str]:
    """Two networks of a cross-validation, whose trainings had other scans; URIs of their cards."""
    for number in (1, 2):
        scans = {"pet": {"scans": 9 + number}}
        card = {"scans": scans, "harmonised": {"pet": 7.0 + number}, "training": {"participants": 10 * number}}
        write_json(folder / "models" / "m" / f"fold-{number}" / "model.json", card)
    return [f"bids::models/m/fold-{number}/model.json" for number in (1, 2)]


def test_described_card__of_the_fold_that_made_the_image(tmp_path: Path) -> None:
    _, second = cards_of_folds(tmp_path)
    found = described_card(tmp_path, "m", [{"ModelURI": second, "NumberOfNetworks": 1, "HarmonisedFWHM": {"pet": 9.0}}])
    assert found["training"] == {"participants": 20}
    assert found["harmonised"] == {"pet": 9.0}
    assert (found["NumberOfNetworks"], found["HarmonisedFWHM"]) == (1, {"pet": 9.0})


def test_described_card__of_several_networks_no_scans_are_those_of_the_first(tmp_path: Path) -> None:
    facts = {"ModelURI": cards_of_folds(tmp_path), "HarmonisedFWHM": {"pet": 8.5}, "HarmonisingFWHM": {"pet": 3.0}}
    found = described_card(tmp_path, "m", [facts])
    assert not {"scans", "harmonised"} & set(found)
    assert found["HarmonisedFWHM"] == {"pet": 8.5}
    # What differs between sessions is not said.
    found = described_card(tmp_path, "m", [facts, facts | {"HarmonisingFWHM": {"pet": 0.0}}])
    assert "HarmonisingFWHM" not in found
