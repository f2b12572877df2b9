import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_spectsynth.errors import ModelError, UsageError
from bids_spectsynth.synthesis.cohort.split import (
    fold_splits,
    part_counts,
    read_split_file,
    split_by_counts,
    split_participants,
)

PAPER = (30.0, 6.0, 12.0)


def labels(n):
    return [f"{i:02d}" if n < 100 else f"{i:03d}" for i in range(1, n + 1)]


@pytest.mark.parametrize(
    ("n", "proportions", "counts"),
    [
        (48, PAPER, (30, 6, 12)),
        (8, PAPER, (5, 1, 2)),
        (3, PAPER, (1, 1, 1)),
        (4, PAPER, (2, 1, 1)),
        (10, (8.0, 2.0, 0.0), (8, 2, 0)),
        # Ties go to the earlier part; what a part lacks is taken from the largest.
        (4, (1.0, 1.0, 1.0), (2, 1, 1)),
        (5, (1.0, 1.0, 1.0), (2, 2, 1)),
        (10, (98.0, 1.0, 1.0), (8, 1, 1)),
        (10, (1.0, 98.0, 1.0), (1, 8, 1)),
        (3, (0.0, 1.0, 1.0), (0, 2, 1)),
    ],
)
def test_counts(n, proportions, counts):
    assert part_counts(n, proportions) == counts


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 200), st.tuples(st.floats(0.1, 50), st.floats(0.1, 50), st.floats(0, 50)), st.integers(0, 9))
def test_every_participant_is_in_one_part(n, proportions, seed):
    split = split_participants(labels(n), proportions, seed)
    counts = [list(split.values()).count(part) for part in ("train", "validation", "test")]
    assert list(split) == labels(n)
    assert sum(counts) == n
    assert all(count > 0 for count, proportion in zip(counts, proportions, strict=True) if proportion > 0)


def test_the_split_depends_on_the_seed_alone():
    first = split_participants(labels(48), PAPER, 1)
    assert first == split_participants([*reversed(labels(48)), "07"], PAPER, 1)
    assert first != split_participants(labels(48), PAPER, 2)
    # Pinned: a model must be reproducible with a later version of this software.
    assert [k for k, part in split_participants(labels(8), PAPER, 1234).items() if part != "train"] == PINNED


PINNED = ["01", "04", "05"]


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_participants(n):
    with pytest.raises(ModelError, match=r"--mode preprocess.*--model"):
        split_participants(labels(n), PAPER, 0)


def members(split, part):
    return {label for label, own in split.items() if own == part}


def test_exact_counts():
    split = split_by_counts(labels(50), (30, 6, 12), 1)
    assert [len(members(split, part)) for part in ("train", "validation", "test")] == [30, 6, 12]
    assert set(split) < set(labels(50))
    assert (
        split == split_by_counts([*reversed(labels(50))], (30, 6, 12), 1) != split_by_counts(labels(50), (30, 6, 12), 2)
    )
    # The same people as with the proportions, where the numbers are the same.
    assert split_by_counts(labels(48), (30, 6, 12), 7) == split_participants(labels(48), PAPER, 7)


def test_fewer_participants_than_the_counts_need():
    with pytest.raises(ModelError, match=r"^47 participant\(s\).*at least 48 needed for --split-counts 30 6 12"):
        split_by_counts(labels(47), (30, 6, 12), 1)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(3, 12).flatmap(lambda k: st.tuples(st.just(k), st.integers(k, 60))),
    st.tuples(st.floats(0.1, 50), st.floats(0.1, 50), st.floats(0, 50)),
    st.integers(0, 9),
)
def test_folds_hold_everybody_out_once(sizes, proportions, seed):
    n_folds, n = sizes
    folds = fold_splits(labels(n), n_folds, proportions, seed)
    tested = [members(fold, "test") for fold in folds]
    assert len(folds) == n_folds
    assert set.union(*tested) == set(labels(n))
    assert sum(map(len, tested)) == n
    assert max(map(len, tested)) - min(map(len, tested)) <= 1
    for fold in folds:
        # A mapping: nobody is in two parts; everybody is in one.
        assert list(fold) == labels(n)
        training, validation = (len(members(fold, part)) for part in ("train", "validation"))
        assert training >= 1
        assert validation >= 1
        wanted = (training + validation) * proportions[1] / (proportions[0] + proportions[1])
        assert abs(validation - wanted) < 1.5


def test_folds_depend_on_the_seed_alone_and_share_the_validating():
    first = fold_splits(labels(12), 4, PAPER, 1)
    assert first == fold_splits([*reversed(labels(12)), "07"], 4, PAPER, 1)
    assert first != fold_splits(labels(12), 4, PAPER, 2)
    validating = [label for fold in first for label in members(fold, "validation")]
    assert len(set(validating)) == len(validating) == 4


def test_more_folds_than_participants():
    with pytest.raises(ModelError, match=r"^4 participant\(s\).*at least 5 needed for --cross-validate 5"):
        fold_splits(labels(4), 5, PAPER, 0)


def write(folder, text):
    path = folder / "split.tsv"
    path.write_text(text, encoding="utf-8")
    return path


def test_split_file(tmp_path):
    path = write(
        tmp_path,
        "participant_id\tage\tsplit\nsub-02\t40\ttrain\n01\t41\tvalidation\nsub-03\t9\tn/a\nsub-04\t9\ttest\n"
        "sub-05\t1\ttrain\nsub-06\t1\texcluded\n",
    )
    split = read_split_file(path, [*labels(4), "06"], known=["05"])
    assert split == {"01": "validation", "02": "train", "04": "test"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "participant_id\tsplit\n01\ttrain\n02\tvalidation\n03\ttest\n09\ttrain\n",
            "unknown participant 09; known: 01, 02, 03$",
        ),
        ("participant_id\tsplit\n01\ttrain\n02\tvalidation\n", "no split for participant 03"),
        (
            "participant_id\tsplit\n01\ttrain\n02\tvalidation\n03\tTest\n",
            "line 4: split 'Test' is none of train, validation, test, n/a, excluded$",
        ),
        ("participant_id\tsplit\n01\ttrain\n02\tvalidation\n01\ttest\n", "line 4: participant 01 is listed twice"),
        (
            "participant_id\tsplit\n01\ttrain\n02\ttrain\n03\ttest\n",
            "no usable participant is in validation; at least one needed$",
        ),
        ("participant_id\tsplit\n01\ttrain\n", "no split for participant 02, 03; add a line for each$"),
        (
            "participant_id,split\n01,train\n",
            "no column participant_id; participant_id<TAB>split needed in the first line$",
        ),
        ("participant_id\n01\n", "no column split;"),
        ("", "no column participant_id"),
    ],
)
def test_bad_split_file(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(UsageError, match=message) as error:
        read_split_file(path, labels(3))
    assert str(path) in str(error.value)


def test_unreadable_split_file(tmp_path):
    with pytest.raises(UsageError, match="cannot read"):
        read_split_file(tmp_path / "absent.tsv", labels(3))
    path = tmp_path / "binary.tsv"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(UsageError, match="not a tab-separated"):
        read_split_file(path, labels(3))


def test_too_few_participants__says_what_for() -> None:
    with pytest.raises(ModelError, match=r"^2 participant\(s\) .*, at least 3 needed to train; run --mode preprocess"):
        split_participants(["01", "02", "02"], PAPER, 0)
    assert set(split_participants(["01", "02", "03"], PAPER, 0).values()) == {"train", "validation", "test"}


def test_split_by_counts__order_is_that_of_the_hashes_of_seed_and_label() -> None:
    order = sorted(labels(9), key=lambda label: hashlib.sha256(f"5:{label}".encode()).hexdigest())
    split = split_by_counts(labels(9), (3, 2, 1), 5)
    parts = dict(zip(order, ["train"] * 3 + ["validation"] * 2 + ["test"], strict=False))
    assert split == parts
    assert list(split) == sorted(parts)


def test_fold_splits__folds_are_dealt_out_and_the_next_ones_validate() -> None:
    order = sorted(labels(7), key=lambda label: hashlib.sha256(f"1:{label}".encode()).hexdigest())
    groups = [order[0::3], order[1::3], order[2::3]]
    for fold, split in enumerate(fold_splits(labels(7), 3, (3.0, 1.0, 9.0), 1)):
        assert members(split, "test") == set(groups[fold])
        rest = [*groups[(fold + 1) % 3], *groups[(fold + 2) % 3]]
        assert members(split, "validation") == set(rest[:1])
        assert members(split, "train") == set(rest[1:])
