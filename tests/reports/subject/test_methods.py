from typing import Any

import numpy as np
import pytest

from bids_spectsynth.reports.subject.methods import MethodFacts, methods_text

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
