"""How many subjects of each part of the cohort stand behind numbers, and whether two numbers rest on the same ones."""

import hashlib
from collections.abc import Iterable

import pandas as pd

_DIGITS = 8


def split_counts(rows: pd.DataFrame) -> tuple[int, int]:
    """Held-out participants in some rows: those of the split ``test``, and those of another cohort alone.

    Parameters
    ----------
    rows : DataFrame
        With ``participant_id`` and ``split`` (``test`` or ``external``).
    """
    test = set(rows.loc[rows["split"] == "test", "participant_id"])
    return len(test), len(set(rows["participant_id"]) - test)


def split_text(n_test: int, n_external: int) -> str:
    """Both counts in words.

    Examples
    --------
    >>> split_text(11, 1), split_text(11, 0), split_text(0, 4)
    ('11 test + 1 external', '11 test', '4 external')
    """
    counts = {"test": n_test, "external": n_external}
    return " + ".join(f"{n} {split}" for split, n in counts.items() if n) or "0 test"


def subjects_fingerprint(participants: Iterable[str]) -> str:
    """Eight hexadecimal digits that two sets of participants share if they are equal.

    Parameters
    ----------
    participants : iterable of str
        In any order, and as often as they come.
    """
    names = "\n".join(sorted(set(participants)))
    return hashlib.sha256(names.encode()).hexdigest()[:_DIGITS]
