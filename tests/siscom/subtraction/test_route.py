import numpy as np
import pytest

from bids_spectsynth.siscom.records import BaselineImage, BaselineKind
from bids_spectsynth.siscom.subtraction import route
from bids_spectsynth.siscom.subtraction.alignment import Alignment
from bids_spectsynth.siscom.subtraction.route import DIRECT, THROUGH_T1W, IctalScan, Route, choose_route
from tests.siscom.conftest import AFFINE, brain, image, moved_scan, noise, rigid, scan

START = rigid((1.0, -2.0, 0.5), (0, 0, 1))
STILL = (0.0, 0.0, 0.0)


def chosen(values: np.ndarray, kind: BaselineKind = "real") -> Route:
    baseline = BaselineImage(kind=kind, label="Real", values=scan(), mask=brain())
    return choose_route(IctalScan(image=image(values), matrix=START, mask=brain()), baseline, brain(), AFFINE)


def found(
    monkeypatch: pytest.MonkeyPatch, shift: float, before: float, after: float, kind: BaselineKind = "real"
) -> Route:
    """What is chosen where the alignment has moved the brain so far, with these residuals."""
    result = Alignment(START @ rigid((shift, 0, 0), STILL), after, before, 1.0)
    monkeypatch.setattr(route, "align", lambda *arguments: result)
    return chosen(scan(), kind)


def test_choose_route__direct_where_it_makes_the_scans_more_alike() -> None:
    true = START @ rigid((1.5, 0, 0), STILL)
    way = chosen(2 * (moved_scan(true) + noise(0, 1)))
    assert way.name == DIRECT
    assert way.note == ""
    assert way.mean_mm == pytest.approx(1.5, abs=0.2)
    assert way.mean_mm <= way.largest_mm
    assert way.residual_percent < way.other_residual_percent


@pytest.mark.parametrize(
    ("shift", "before", "after", "name"),
    [
        (2, 8, 7, DIRECT),
        (2, 8, 8.1, DIRECT),
        (2, 8, 8.3, THROUGH_T1W),
        (5.9, 8, 7, DIRECT),
        (6.1, 8, 7, THROUGH_T1W),
    ],
)
def test_choose_route__through_the_t1w_where_the_direct_one_is_poor_or_goes_too_far(
    monkeypatch: pytest.MonkeyPatch, shift: float, before: float, after: float, name: str
) -> None:
    way = found(monkeypatch, shift, before, after)
    assert way.name == name
    kept = START if name == THROUGH_T1W else START @ rigid((shift, 0, 0), STILL)
    np.testing.assert_allclose(way.matrix, kept)
    own, other = (after, before) if name == DIRECT else (before, after)
    assert (way.residual_percent, way.other_residual_percent) == (own, other)
    # The disagreement is told in either case.
    assert way.mean_mm == pytest.approx(shift)
    assert way.largest_mm == pytest.approx(shift)
    assert ("not plausible" in way.note) is (name == THROUGH_T1W)


def test_choose_route__how_far_it_would_have_gone_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "moves the brain by up to 9.3 mm" in found(monkeypatch, 9.3, 8, 7).note


@pytest.mark.parametrize(("shift", "name"), [(0.9, THROUGH_T1W), (1.1, DIRECT), (6.1, THROUGH_T1W)])
def test_choose_route__of_what_was_not_measured_directly_only_where_both_ways_disagree(
    monkeypatch: pytest.MonkeyPatch, shift: float, name: str
) -> None:
    way = found(monkeypatch, shift, 8, 7, "synthetic")
    assert way.name == name
    assert way.mean_mm == pytest.approx(shift)
    assert ("not plausible" in way.note) is (shift > 6)
