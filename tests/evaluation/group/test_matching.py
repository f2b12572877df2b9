import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.evaluation.group.matching import PairedValues, average_seeds, match, paired_values


def table(values: dict[str, list[float]], session: str = "n/a", first_slice: int = 0, model: str = "m") -> pd.DataFrame:
    rows = [
        (sub, session, first_slice + k, 2.0 * (first_slice + k), k, model, v)
        for sub, numbers in values.items()
        for k, v in enumerate(numbers)
    ]
    columns = ["participant_id", "session_id", "slice", "z_mm", "block_position", "model", "rmse"]
    return pd.DataFrame(rows, columns=columns)


def values(first: pd.DataFrame, second: pd.DataFrame, *, same_slices: bool = True) -> PairedValues:
    tables = match(first, second, ["rmse"], same_slices=same_slices)
    return paired_values(tables, "rmse", same_slices=same_slices)


def test_only_common_subjects_and_slices_are_paired() -> None:
    first = table({"sub-1": [1, 2, 3], "sub-2": [4, 6, 9], "sub-3": [9, 9, 9]})
    second = table({"sub-4": [0, 0, 0], "sub-2": [1, 2, 99], "sub-1": [0, 2, 1]})
    second = second[~((second["participant_id"] == "sub-2") & (second["slice"] == 2))]
    found = values(first, second)
    assert list(zip(found.subjects, found.first, found.second, strict=True)) == [
        ("sub-1", 1, 0), ("sub-1", 2, 2), ("sub-1", 3, 1), ("sub-2", 4, 1), ("sub-2", 6, 2),
    ]  # fmt: skip
    assert found.first_means.tolist() == [2, 5]
    assert found.second_means.tolist() == [1, 1.5]
    assert found.n_slices == 5


def test_rows_of_any_order_give_the_same() -> None:
    first, second = (table({f"sub-{i}": [i, i + seed, i - 1] for i in range(4)}) for seed in (1, 2))
    found, shuffled = values(first, second), values(first.sample(frac=1, random_state=1), second[::-1])
    np.testing.assert_array_equal(found.first, shuffled.first)
    np.testing.assert_array_equal(found.second_means, shuffled.second_means)


def test_sessions_of_a_subject_are_one_subject_and_never_mixed() -> None:
    first = pd.concat([table({"sub-1": [1, 2], "sub-2": [3, 4]}, "ses-a"), table({"sub-1": [8, 9]}, "ses-b")])
    second = pd.concat([table({"sub-1": [1, 1], "sub-2": [3, 3]}, "ses-a"), table({"sub-1": [8, 7]}, "ses-c")])
    for same_slices in (True, False):
        found = values(first, second, same_slices=same_slices)
        assert found.first.size == 4
        assert found.first_means.tolist() == [1.5, 3.5]


def test_slices_at_other_positions_are_not_paired() -> None:
    first = table({"sub-1": [1, 2, 3], "sub-2": [2, 4, 7]})
    assert values(first, first.assign(z_mm=first["z_mm"] / 2)).first.size == 2, "slice 0 lies at the same place"


def test_other_anatomy_is_paired_by_position_within_the_block() -> None:
    first = table({"sub-1": [1, 2], "sub-2": [3, 4], "sub-3": [5, 9]}, first_slice=7)
    second = table({"sub-1": [2, 2, 5], "sub-2": [0, 1, 2], "sub-4": [0, 1, 2]}, first_slice=3)
    found = values(first, second, same_slices=False)
    assert found.first.tolist() == [1, 2, 3, 4]
    assert found.second.tolist() == [2, 2, 0, 1]
    assert found.first_means.tolist() == [1.5, 3.5]
    assert found.second_means.tolist() == [3, 1], "over all slices of its own block"
    assert found.n_slices == 4


def test_a_gap_in_the_block_keeps_the_positions_above_it() -> None:
    first = table({"sub-1": [1, 2, 3], "sub-2": [4, 5, 6]})
    found = values(first[first["slice"] != 1], first.assign(slice=first["slice"] + 5), same_slices=False)
    np.testing.assert_array_equal(found.first, found.second)


def test_positions_are_counted_from_the_first_slice_of_the_block_rated_or_not() -> None:
    first = table({"sub-1": [1, 2, 3], "sub-2": [4, 5, 6]})
    second = first.assign(slice=first["slice"] + 5)
    found = values(first[first["block_position"] > 0], second, same_slices=False)
    assert found.first.tolist() == found.second.tolist() == [2, 3, 5, 6]


@pytest.mark.parametrize("same_slices", [True, False])
def test_infinite_values_are_left_out(same_slices: bool) -> None:
    first = table({"sub-1": [1, np.inf, 3], "sub-2": [4, 6, 9]})
    second = table({"sub-1": [1, 2, 3], "sub-2": [np.inf, np.inf, np.inf]})
    found = values(first, second, same_slices=same_slices)
    assert found.first.tolist() == [1, 3]
    assert found.first_means.tolist() == [2]
    assert found.second_means.tolist() == [2]


def test_seeds_are_averaged_slice_by_slice() -> None:
    rows = pd.concat([table({"sub-1": [1, 2], "sub-2": [5, 6]}), table({"sub-1": [3, 6], "sub-2": [5, 0]}, model="n")])
    averaged = average_seeds(rows, ["rmse"])
    assert averaged["rmse"].tolist() == [2, 4, 5, 3]
    assert averaged["slice"].tolist() == [0, 1, 0, 1]
    assert average_seeds(rows[rows["model"] == "m"], ["rmse"])["rmse"].tolist() == [1, 2, 5, 6]
