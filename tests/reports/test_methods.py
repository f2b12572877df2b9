from typing import Any

import numpy as np
import pytest

from bids_spectsynth.reports.methods import MethodFacts, methods_text


def text_of(card: dict[str, Any]) -> str:
    facts = MethodFacts("1.0", {}, (128, 128, 96), np.diag([2.0, 2, 2, 1]), (), {"m": card})
    return " ".join(methods_text(facts)[0])


@pytest.mark.parametrize(
    ("card", "told"),
    [
        ({"config": {"crop": "brain"}, "architecture": {"slice_shape": [96, 64]}}, True),
        ({"config": {"crop": "none"}, "architecture": {"slice_shape": [96, 64]}}, False),
        ({"config": {"crop": "brain"}, "architecture": {}}, False),
        ({"config": {"crop": "brain"}, "architecture": {"slice_shape": 5}}, False),
        ({"config": "brain", "architecture": [96, 64]}, False),
    ],
    ids=str,
)
def test_cropped_slices_are_told_of(card: dict[str, Any], told: bool) -> None:
    assert ("cropped to slices of 96 x 64 pixels" in text_of(card)) is told
    assert "cropped" not in text_of({})
