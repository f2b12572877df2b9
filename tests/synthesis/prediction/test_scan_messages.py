"""Lines on the scans of a case."""

from typing import Any

import pytest

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.synthesis.prediction.scan_messages import log_scans

CASE = PreparedCase("03", None, "T1w", {}, {}, None, None)


@pytest.mark.parametrize(
    "facts",
    [
        {"OutsideTraining": [{"sentence": "the camera is new"}, None, {}], "InputFWHM": None, "HarmonisedFWHM": 5},
        {"OutsideTraining": [5, {"file": "", "sentence": "the camera is new"}], "HarmonisedFWHM": {"pet": "x"}},
    ],
)
def test_log_scans__an_edited_sidecar_fails_nobody(facts: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    log_scans(CASE, "m", facts)
    assert [record.getMessage() for record in caplog.records] == ["sub-03, model m: the camera is new"]


@pytest.mark.parametrize("targets", [{}, {"HarmonisedFWHM": {"pet": 8.0}}])
def test_log_scans__a_scan_whose_resolution_is_not_known_has_one_line(
    targets: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    log_scans(CASE, "m", {"ComparedWithTraining": True, "NotMeasured": ["pet"], **targets})
    (line,) = (record.getMessage() for record in caplog.records)
    assert line.startswith("sub-03, model m: the resolution of the PET could not be measured")
    assert ("harmonised" in line) is bool(targets)
