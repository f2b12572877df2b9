import nibabel as nib
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_spectsynth.siscom.subtraction.lesion import around, without_lesion
from tests.siscom.conftest import AFFINE, SHAPE, ball, image, moved_scan, rigid, scan

LESION = ball((30.0, -10.0, 20.0), 40)


@settings(max_examples=10, deadline=None)
@given(shift=st.tuples(*[st.floats(-9, 9)] * 3), degrees=st.tuples(*[st.floats(-9, 9)] * 3), gain=st.floats(0, 9))
def test_without_lesion__depends_on_nothing_in_it_and_changes_nothing_else(
    shift: tuple[float, ...], degrees: tuple[float, ...], gain: float
) -> None:
    matrix = rigid(shift, degrees)
    values = moved_scan(matrix)
    filled = np.asarray(without_lesion(image(values), LESION, AFFINE, matrix).dataobj)
    inside = filled != values
    assert abs(inside.sum() - LESION.sum()) < 0.2 * LESION.sum()
    # The same brain, so that the lesion lies at the same place of it.
    there = np.argwhere(inside) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    back = np.linalg.inv(matrix)
    middle = (there @ back[:3, :3].T + back[:3, 3]).mean(axis=0)
    assert np.linalg.norm(middle - (np.argwhere(LESION) @ AFFINE[:3, :3].T + AFFINE[:3, 3]).mean(axis=0)) < 3
    again = without_lesion(image(np.where(inside, gain * values, values)), LESION, AFFINE, matrix)
    np.testing.assert_array_equal(np.asarray(again.dataobj), filled)
    around = values[~inside]
    assert np.isin(filled[inside], around).all()


def test_without_lesion__the_scan_itself_where_it_lies_elsewhere_or_covers_all() -> None:
    one: nib.Nifti1Image = image(scan())
    assert without_lesion(one, np.zeros(SHAPE, dtype=bool), AFFINE, np.eye(4)) is one
    assert without_lesion(one, np.ones(SHAPE, dtype=bool), AFFINE, np.eye(4)) is one
    assert without_lesion(one, LESION, AFFINE, rigid((999, 0, 0), (0, 0, 0))) is one


@settings(max_examples=10, deadline=None)
@given(shift=st.tuples(*[st.floats(-9, 9)] * 3), reach=st.floats(0, 9))
def test_without_lesion__of_several_ways_what_lies_in_it_by_any(shift: tuple[float, ...], reach: float) -> None:
    near, own = around(LESION, AFFINE, reach)
    values, ways = scan(), (np.eye(4), rigid(shift, (0, 0, 0)))
    filled = np.asarray(without_lesion(image(values), near, own, *ways).dataobj)
    each = [np.asarray(without_lesion(image(values), near, own, way).dataobj) != values for way in ways]
    np.testing.assert_array_equal(filled != values, each[0] | each[1])


@settings(max_examples=10, deadline=None)
@given(reach=st.floats(0, 30), corner=st.booleans())
def test_around__within_a_distance_also_beyond_the_grid(reach: float, corner: bool) -> None:
    mask = np.zeros((7, 6, 5), dtype=bool)
    mask[(0, 0, 0) if corner else (3, 2, 2)] = True
    affine = np.array([[0, 3.0, 0, -4], [-2.0, 0, 0, 7], [0, 0, 5.0, 1], [0, 0, 0, 1]])
    near, own = around(mask, affine, reach)
    middle = affine[:3, :3] @ np.argwhere(mask)[0] + affine[:3, 3]
    found = np.argwhere(near) @ own[:3, :3].T + own[:3, 3]
    assert np.linalg.norm(found - middle, axis=1).max() <= reach + 1e-9
    # As many as a grid without an end has.
    offsets = np.stack(np.meshgrid(*[np.arange(-20, 21)] * 3), axis=-1).reshape(-1, 3)
    assert len(found) == np.count_nonzero(np.linalg.norm(offsets * [2, 3, 5], axis=1) <= reach)
