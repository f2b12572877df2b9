"""Regions of two templates, which a second output space leaves in one folder: they are not pooled."""

import pandas as pd
import pytest

from bids_spectsynth.evaluation.case.region_columns import REGIONS_DICTIONARY
from bids_spectsynth.evaluation.group.bland_altman import rate_agreement


def test_rate_agreement__regions_of_the_template_of_most_participants(caplog: pytest.LogCaptureFixture) -> None:
    rows = [
        {
            **dict.fromkeys(REGIONS_DICTIONARY, "x"),
            "participant_id": f"sub-{number:02d}",
            "template": "A" if number < 4 else "B",
            "region": "frontal",
            "hemisphere": side,
            **dict.fromkeys(("synthetic", "asymmetry_real", "asymmetry_synthetic"), 1.0 + 0.1 * number),
            "real": 1.0 if number < 4 else 100.0,
        }
        for number in range(1, 6)
        for side in "LR"
    ]
    mixed = pd.DataFrame(rows)
    for name, entry in REGIONS_DICTIONARY.items():
        if "Units" in entry and (mixed[name] == "x").all():
            mixed[name] = 1.0
    alone = rate_agreement(mixed[mixed["template"] == "A"])
    caplog.clear()
    pd.testing.assert_frame_equal(rate_agreement(mixed), alone)
    assert "regions of A; participants left out: 2 of B" in caplog.text
