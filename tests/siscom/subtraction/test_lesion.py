import nibabel as nib
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_spectsynth.siscom.subtraction.lesion import without_lesion
from tests.siscom.conftest import AFFINE, SHAPE, ball, image, moved_scan, rigid, scan

LESION = ball((30.0, -10.0, 20.0), 40)


@settings(max_examples=10, deadline=None)
@given(shift=st.tuples(*[st.floats(-9, 9)] * 3), degrees=st.tuples(*[st.floats(-9, 9)] * 3), gain=st.floats(0, 9))
def test_without_lesion__depends_on_nothing_in_it_and_changes_nothing_else(
    shift: tuple[float, ...], degrees: tuple[float, ...], gain: float
) -> None:
    matrix = rigid(shift, degrees)
    values = moved_scan(matrix)
    filled = np.asarray(without_lesion(image(values), matrix, LESION, AFFINE).dataobj)
    inside = filled != values
    assert abs(inside.sum() - LESION.sum()) < 0.2 * LESION.sum()
    # The same brain, so that the lesion lies at the same place of it.
    there = np.argwhere(inside) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    back = np.linalg.inv(matrix)
    middle = (there @ back[:3, :3].T + back[:3, 3]).mean(axis=0)
    assert np.linalg.norm(middle - (np.argwhere(LESION) @ AFFINE[:3, :3].T + AFFINE[:3, 3]).mean(axis=0)) < 3
    again = without_lesion(image(np.where(inside, gain * values, values)), matrix, LESION, AFFINE)
    np.testing.assert_array_equal(np.asarray(again.dataobj), filled)
    around = values[~inside]
    assert np.isin(filled[inside], around).all()


def test_without_lesion__the_scan_itself_where_it_lies_elsewhere_or_covers_all() -> None:
    one: nib.Nifti1Image = image(scan())
    assert without_lesion(one, np.eye(4), np.zeros(SHAPE, dtype=bool), AFFINE) is one
    assert without_lesion(one, np.eye(4), np.ones(SHAPE, dtype=bool), AFFINE) is one
    assert without_lesion(one, rigid((999, 0, 0), (0, 0, 0)), LESION, AFFINE) is one
