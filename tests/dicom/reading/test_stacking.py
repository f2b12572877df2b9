import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from bids_spectsynth.dicom.reading.stacking import Plane, stack
from bids_spectsynth.errors import ImageError


def planes(n: int, turn: np.ndarray, step: float, origin: np.ndarray) -> list[Plane]:
    row, column, normal = turn.T
    return [Plane(origin + k * step * normal, row, column, (1.0, 2.0), (5, 6)) for k in range(n)]


@given(
    order=st.permutations(range(6)),
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    step=st.floats(0.5, 9),
    origin=st.tuples(*[st.floats(-300, 300)] * 3),
)
def test_stack__any_order_and_direction_is_sorted_along_the_normal(order, angles, step, origin) -> None:
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    sorted_planes = planes(6, turn, step, np.array(origin))
    found, placement = stack([sorted_planes[n] for n in order])
    assert [order[n] for n in found] == list(range(6))
    assert placement.spacing == pytest.approx(step)
    np.testing.assert_allclose(placement.position, origin, atol=1e-6)


def test_stack__a_tilted_gantry_is_refused() -> None:
    own = planes(6, np.eye(3), 2.0, np.zeros(3))
    moved = [plane.position + np.array([0, 0.3 * k, 0]) for k, plane in enumerate(own)]
    tilted = [Plane(place, own[0].row, own[0].column, (1.0, 2.0), (5, 6)) for place in moved]
    with pytest.raises(ImageError, match="shifted against each other"):
        stack(tilted)


def test_stack__too_few_and_sizes_that_differ_are_refused() -> None:
    own = planes(6, np.eye(3), 2.0, np.zeros(3))
    with pytest.raises(ImageError, match="3 slices are no volume"):
        stack(own[:3])
    with pytest.raises(ImageError, match="different sizes"):
        stack([*own[:5], Plane(own[5].position, own[5].row, own[5].column, (1.0, 2.0), (4, 6))])


def test_stack__an_uneven_gap_is_refused() -> None:
    own = planes(6, np.eye(3), 2.0, np.zeros(3))
    with pytest.raises(ImageError, match="at an uneven distance after number 5"):
        stack([*own[:5], Plane(np.array([0, 0, 10.7]), own[5].row, own[5].column, (1.0, 2.0), (5, 6))])
