"""The card of a model that has just been trained."""

from pathlib import Path
from typing import Any

import pytest

from bids_spectsynth.synthesis.models.card import load_card
from bids_spectsynth.synthesis.models.folder import save_model
from bids_spectsynth.synthesis.training.card import with_scans
from tests.synthesis.models.conftest import make_model


@pytest.mark.parametrize(("camera", "is_kept"), [("A One", True), ("", False), ("Doe^John", False)])
def test_with_scans__what_no_reader_would_take_is_left_out(
    tmp_path: Path, camera: str, is_kept: bool, caplog: pytest.LogCaptureFixture
) -> None:
    plain, weights = make_model(tmp_path)
    scans: dict[str, Any] = {"pet": {"scans": 2, "camera": {camera: 2}}}
    card = with_scans(plain, scans, {"pet": 7.5})
    save_model(tmp_path, card, weights)
    found = load_card(tmp_path)
    assert found.scans == (scans if is_kept else {})
    assert found.harmonised == {"pet": 7.5}
    assert ("does not record the training scans" in caplog.text) is not is_kept
