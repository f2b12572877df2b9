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
    people = rows[["participant_id", "split"]].drop_duplicates()
    test = set(people.loc[people["split"] == "test", "participant_id"])
    return len(test), len(set(people["participant_id"]) - test)


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
    """A label that two sets of participants share if they are equal: ``s`` and eight hexadecimal digits.

    Without a letter in front, readers of tables would take ``9e208567`` or ``01234567`` for numbers.

    Parameters
    ----------
    participants : iterable of str
        In any order, and as often as they come.
    """
    # A column knows its values faster than a set of its rows.
    names = participants.unique() if isinstance(participants, pd.Series) else participants
    text = "\n".join(sorted(set(names)))
    return "s" + hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
