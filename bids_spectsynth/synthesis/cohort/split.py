"""Which participants train, which choose the best epoch, and which are held out."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from bids_spectsynth.bids.participants import read_rows
from bids_spectsynth.errors import ModelError, UsageError

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, Part, Part] = get_args(Part)
#: A participant with one of these words in a split file takes no part; the second is that of ``participants.tsv``.
LEFT_OUT = ("n/a", "excluded")
MINIMUM = 3


def split_participants(
    participants: Sequence[str], proportions: tuple[float, float, float], seed: int, minimum: int = MINIMUM
) -> dict[str, Part]:
    """Assign every participant, with all of its slices, to one part.

    Parameters
    ----------
    participants : sequence of str
        Labels without ``sub-``; the order does not matter.
    proportions : tuple of float
        Of training, validation and test; only their ratios count.
    seed : int
        Same seed, same participants: same split, on any machine. The order is that of SHA-256 of seed and label.
    minimum : int
        Participants that there must be.

    Returns
    -------
    dict of str to str
        ``train``, ``validation`` or ``test`` by label, sorted by label. Counts follow the proportions by largest
        remainder; a part with a proportion above zero has at least one participant.

    Raises
    ------
    ModelError
        There are fewer than ``minimum`` participants.
    """
    shuffled = _shuffled(participants, seed, minimum, "to train")
    return _assigned(shuffled, part_counts(len(shuffled), proportions))


def split_by_counts(participants: Sequence[str], counts: tuple[int, int, int], seed: int) -> dict[str, Part]:
    """Assign exactly so many participants to training, validation and test; who is left over is in no part.

    Parameters
    ----------
    participants, seed
        See :func:`split_participants`.
    counts : tuple of int
        Participants for training, validation and test.

    Raises
    ------
    ModelError
        There are fewer participants than that.
    """
    words = f"for --split-counts {' '.join(map(str, counts))}"
    return _assigned(_shuffled(participants, seed, sum(counts), words), counts)


def fold_splits(
    participants: Sequence[str], n_folds: int, proportions: tuple[float, float, float], seed: int
) -> tuple[dict[str, Part], ...]:
    """The splits of a cross-validation: in each fold other participants are the test set, and everybody once.

    Parameters
    ----------
    participants, seed
        See :func:`split_participants`.
    n_folds : int
        At least 3.
    proportions : tuple of float
        Of training and validation among those that the fold does not hold out; at least one each. The third is not
        used.

    Returns
    -------
    tuple of dict of str to str
        One split per fold, each of all participants. Test sets differ in size by one participant at most. Validation
        participants come from the test sets of the folds that follow, so that nobody validates much more often than
        others.

    Raises
    ------
    ModelError
        There are fewer participants than folds.
    """
    shuffled = _shuffled(participants, seed, n_folds, f"for --cross-validate {n_folds}")
    groups = [shuffled[fold::n_folds] for fold in range(n_folds)]
    splits = []
    for fold, held_out in enumerate(groups):
        rest = [label for group in (*groups[fold + 1 :], *groups[:fold]) for label in group]
        n_training, n_validation, _ = part_counts(len(rest), (*proportions[:2], 0))
        counts = (n_validation, n_training, len(held_out))
        splits.append(_assigned([*rest, *held_out], counts, ("validation", "train", "test")))
    return tuple(splits)


def _shuffled(participants: Sequence[str], seed: int, minimum: int, purpose: str) -> list[str]:
    labels = sorted(set(participants))
    if len(labels) < minimum:
        raise ModelError(
            f"{len(labels)} participant(s) with an interictal SPECT and all inputs, at least {minimum} needed "
            f"{purpose}; run --mode preprocess on more participants first, or apply a trained model with --model"
        )
    return sorted(labels, key=lambda label: hashlib.sha256(f"{seed}:{label}".encode()).hexdigest())


def _assigned(
    ordered: Sequence[str], counts: tuple[int, int, int], order: tuple[Part, Part, Part] = PARTS
) -> dict[str, Part]:
    parts = [part for part, count in zip(order, counts, strict=True) for _ in range(count)]
    return dict(sorted(zip(ordered, parts, strict=False)))


def part_counts(n: int, proportions: tuple[float, float, float]) -> tuple[int, int, int]:
    """Sizes of the parts by largest remainder; ties go to the earlier part.

    A part with a proportion above zero gets one participant at least, taken from the largest part.
    """
    total = sum(proportions)
    quotas = [n * proportion / total for proportion in proportions]
    counts = [int(quota) for quota in quotas]
    by_remainder = sorted(range(3), key=lambda part: (counts[part] - quotas[part], part))
    for part in by_remainder[: n - sum(counts)]:
        counts[part] += 1
    for part in range(3):
        if proportions[part] > 0 and counts[part] == 0:
            counts[counts.index(max(counts))] -= 1
            counts[part] = 1
    return counts[0], counts[1], counts[2]


def read_split_file(path: Path, participants: Sequence[str], *, known: Collection[str] = ()) -> dict[str, Part]:
    """Read the split that the user has decided on.

    Parameters
    ----------
    path : Path
        A tab-separated table with the columns ``participant_id`` (``sub-01`` or ``01``) and ``split``
        (``train``, ``validation``, ``test``; ``n/a`` or ``excluded`` leaves a participant out). Further columns are
        ignored, so that the ``participants.tsv`` of an earlier output can be given.
    participants : sequence of str
        Labels of those that can take part.
    known : collection of str
        Labels of further participants of the dataset, who may be named but cannot take part (an image is missing).

    Raises
    ------
    UsageError
        The file cannot be read, lacks a column, names an unknown participant, names one twice, does not name one who
        can take part, has another word than those above, or leaves training or validation empty.
    """
    rows = _read_rows(path)
    split: dict[str, str] = {}
    for number, (participant, word) in enumerate(rows, start=2):
        if word not in (*PARTS, *LEFT_OUT):
            raise UsageError(f"{path}, line {number}: split {word!r} is none of {', '.join((*PARTS, *LEFT_OUT))}")
        if participant in split:
            raise UsageError(f"{path}, line {number}: participant {participant} is listed twice")
        split[participant] = word
    unknown = sorted(set(split) - set(participants) - set(known))
    if unknown:
        raise UsageError(f"{path}: unknown participant {', '.join(unknown)}; known: {', '.join(sorted(participants))}")
    missing = sorted(set(participants) - set(split))
    if missing:
        raise UsageError(f"{path}: no split for participant {', '.join(missing)}; add a line for each")
    chosen = _chosen(split, set(participants))
    for part in ("train", "validation"):
        if part not in chosen.values():
            raise UsageError(f"{path}: no usable participant is in {part}; at least one needed")
    return chosen


def _chosen(split: Mapping[str, str], usable: set[str]) -> dict[str, Part]:
    words: dict[str, Part] = {part: part for part in PARTS}
    return {label: words[word] for label, word in sorted(split.items()) if label in usable and word in words}


def _read_rows(path: Path) -> list[tuple[str, str]]:
    try:
        columns, rows = read_rows(path, quoted=True)
    except OSError as error:
        raise UsageError(f"{path}: cannot read the split file ({error.strerror})") from error
    except ValueError as error:
        raise UsageError(f"{path}: not a tab-separated text table ({error})") from error
    absent = [name for name in ("participant_id", "split") if name not in columns]
    if absent:
        raise UsageError(f"{path}: no column {absent[0]}; participant_id<TAB>split needed in the first line")
    return [(row["participant_id"].strip().removeprefix("sub-"), row["split"].strip()) for row in rows]
