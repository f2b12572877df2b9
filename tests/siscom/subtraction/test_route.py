import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_spectsynth.siscom.records import BaselineImage, BaselineKind
from bids_spectsynth.siscom.subtraction import route
from bids_spectsynth.siscom.subtraction.alignment import Alignment
from bids_spectsynth.siscom.subtraction.lesion import without_lesion
from bids_spectsynth.siscom.subtraction.route import DIRECT, THROUGH_T1W, IctalScan, Route, choose_route
from tests.siscom.conftest import AFFINE, SHAPE, ball, brain, image, moved_scan, noise, rigid, scan

START = rigid((1.0, -2.0, 0.5), (0, 0, 1))
STILL = (0.0, 0.0, 0.0)


def chosen(values: np.ndarray, kind: BaselineKind = "real", lesion: np.ndarray | None = None) -> Route:
    baseline = BaselineImage(kind=kind, label="Real", values=scan(), mask=brain())
    return choose_route(IctalScan(image=image(values), matrix=START, mask=brain()), baseline, brain(), AFFINE, lesion)


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


@settings(max_examples=25, deadline=None)
@given(shift=st.tuples(*[st.floats(-7, 7)] * 3), degrees=st.tuples(*[st.floats(-6, 6)] * 3), many=st.booleans())
def test_choose_route__looks_at_nothing_that_a_way_that_it_may_take_brings_into_the_lesion(
    shift: tuple[float, ...], degrees: tuple[float, ...], many: bool
) -> None:
    lesion = ball((30.0, -10.0, 20.0), 14)
    if many:
        lesion = np.zeros(SHAPE, dtype=bool)
        lesion[::8, ::8, ::8] = True
    matrix, seen = START @ rigid(shift, degrees), []

    def aligned(ictal: nib.Nifti1Image, values: np.ndarray, compared: np.ndarray, *rest: object) -> Alignment:
        seen.append((np.asarray(ictal.dataobj), compared))
        return Alignment(matrix, 7, 8, 1.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(route, "align", aligned)
        way = chosen(scan(), lesion=lesion)
        inside = scan() != np.asarray(without_lesion(image(scan()), lesion, AFFINE, way.matrix).dataobj)
        chosen(np.where(inside, 900, scan()), lesion=lesion)
    assert inside.any()
    np.testing.assert_array_equal(seen[0][0], seen[1][0])
    assert not (seen[0][1] & lesion).any()
    assert np.count_nonzero(seen[0][1]) >= np.count_nonzero(brain() & ~lesion) / 2


def test_choose_route__where_all_of_the_scan_is_near_lesions_what_lies_in_them_is_filled_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lesion, seen = np.zeros(SHAPE, dtype=bool), []
    lesion[::3, ::3, ::3] = True

    def aligned(ictal: nib.Nifti1Image, *rest: object) -> Alignment:
        seen.append(np.asarray(ictal.dataobj))
        return Alignment(START, 7, 8, 1.0)

    monkeypatch.setattr(route, "align", aligned)
    inside = scan() != np.asarray(without_lesion(image(scan()), lesion, AFFINE, START).dataobj)
    for values in (scan(), np.where(inside, 900, scan())):
        chosen(values, lesion=lesion)
    assert inside.any()
    np.testing.assert_array_equal(*seen)


def test_choose_route__a_lesion_beyond_the_brain_may_not_be_moved_further_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turned = Alignment(START @ rigid((0, 0, 0), (0, 0, 4)), 7, 8, 1.0)
    monkeypatch.setattr(route, "align", lambda *arguments: turned)
    corner = np.zeros(SHAPE, dtype=bool)
    corner[-1, -1, :] = True
    inner, outer = chosen(scan(), lesion=ball((0.0, 0.0, 20.0), 14)), chosen(scan(), lesion=corner)
    assert (inner.name, outer.name) == (DIRECT, THROUGH_T1W)
    assert outer.largest_mm > 6 > inner.largest_mm
