import io
import re

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.evaluation.group.subject_counts import split_counts, subjects_fingerprint


def test_who_is_held_out_for_one_model_and_a_stranger_to_another_counts_once() -> None:
    rows = pd.DataFrame({"participant_id": ["a", "a", "b", "c"], "split": ["test", "external", "external", "test"]})
    assert split_counts(rows) == (2, 1)
    assert split_counts(rows[:0]) == (0, 0)


def test_counts_of_many_rows_are_those_of_sets_of_them() -> None:
    rng = np.random.default_rng(0)
    people, splits = rng.integers(0, 60, 400).astype(str), rng.choice(["test", "external", "train"], 400)
    rows = pd.DataFrame({"participant_id": people, "split": splits}, index=rng.integers(0, 9, 400))
    test = set(people[splits == "test"])
    assert split_counts(rows) == (len(test), len(set(people) - test))
    assert subjects_fingerprint(rows["participant_id"]) == subjects_fingerprint(people.tolist())


def test_equal_sets_have_equal_fingerprints_and_others_not() -> None:
    assert subjects_fingerprint(["b", "a", "b"]) == subjects_fingerprint(["a", "b"])
    assert subjects_fingerprint(["a", "b"]) != subjects_fingerprint(["ab"])


@given(st.lists(st.text("0123456789abcdef", min_size=1, max_size=4)))
def test_subjects_fingerprint__is_text_to_every_reader(people: list[str]) -> None:
    label = subjects_fingerprint(people)
    assert re.fullmatch("s[0-9a-f]{8}", label)
    (read,) = pd.read_csv(io.StringIO(f"subjects\n{label}\n"))["subjects"]
    assert read == label
