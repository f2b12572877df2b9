"""The sites of a cross-validation that holds out one site after the other."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from bids_spectsynth.errors import ModelError, UsageError
from bids_spectsynth.options.settings import BY_SITE, Settings
from bids_spectsynth.synthesis.cohort.hold_out import read_table
from bids_spectsynth.synthesis.cohort.split import Part, split_participants

_OPTION = f"--cross-validate {BY_SITE}"
#: What stands for no value in a table, in small letters.
_MISSING = frozenset({"", "n/a", "na", "nan", "null", "none", "unknown"})


def read_sites(settings: Settings) -> dict[str, str]:
    """Site of each participant of ``participants.tsv``, by label without ``sub-``; empty where no split asks for it.

    Parameters
    ----------
    settings : Settings
        ``site_column`` names the column.

    Raises
    ------
    UsageError
        There is no such table or column, it has one value alone, two for one participant, or one site in two
        spellings.
    """
    if settings.cross_validate != BY_SITE:
        return {}
    column = settings.site_column
    path, rows = read_table(settings, [column], _OPTION)
    if column not in rows[0]:
        columns = ", ".join(rows[0])
        raise UsageError(f"{_OPTION}: {path} has no column {column}; it has {columns}; name another with --site-column")
    sites: dict[str, str] = {}
    for row in rows:
        label, site = row["participant_id"].removeprefix("sub-"), row[column]
        if site.casefold() in _MISSING:
            continue
        # Whoever is listed twice would otherwise be of the site of the last row, and may train its own network.
        if sites.setdefault(label, site) != site:
            raise UsageError(
                f"{_OPTION}: the column {column} of {path} has two values for participant {label}, {sites[label]} and "
                f"{site}; correct the table"
            )
    _check_spellings(set(sites.values()), f"{_OPTION}: the column {column} of {path}")
    if len(set(sites.values())) < 2:
        raise UsageError(
            f"{_OPTION}: the column {column} of {path} has {len(set(sites.values()))} value(s), two at least needed; "
            "use --cross-validate with a number of folds"
        )
    return sites


def _check_spellings(names: Collection[str], where: str) -> None:
    """Refuse one site under two names, whose networks would each learn from the half of it that they serve."""
    spellings: dict[str, str] = {}
    for name in sorted(names):
        other = spellings.setdefault("".join(name.split()).casefold(), name)
        if other != name:
            raise UsageError(f"{where} has the values {other!r} and {name!r}, which may be one site; correct the table")


def describe_folds(folds: Sequence[Mapping[str, Part]], sites: Mapping[str, str]) -> str:
    """Which site each network holds out, and how many participants of it.

    Parameters
    ----------
    folds : sequence of mapping of str to str
        Part of each participant in each fold.
    sites : mapping of str to str
        By label.

    Examples
    --------
    >>> folds = {"01": "test", "02": "train", "03": "train"}, {"01": "train", "02": "test", "03": "test"}
    >>> describe_folds(folds, {"01": "Basel", "02": "Bonn", "03": "Bonn"})
    'fold-1: Basel (1), fold-2: Bonn (2)'
    """
    # Who is held out from every fold is of no fold's site.
    everywhere = {label for label in folds[0] if all(fold.get(label) == "test" for fold in folds)}
    words = []
    for number, fold in enumerate(folds, start=1):
        held = [label for label, part in fold.items() if part == "test" and label not in everywhere]
        counts = Counter(sites[label] for label in held if label in sites)
        words.append(f"fold-{number}: " + ", ".join(f"{site} ({count})" for site, count in sorted(counts.items())))
    return ", ".join(words)


def n_folds(settings: Settings) -> int:
    """Folds that the settings ask for, as far as they are known without the images; 0 for none."""
    if settings.cross_validate != BY_SITE:
        return int(settings.cross_validate)
    return len(set(read_sites(settings).values()))


def check_held_out_sites(kept: Collection[str], others: Collection[str], sites: Mapping[str, str]) -> None:
    """Refuse participants that are held out besides, where others of their site train.

    Every network would serve them, and all but one have learned from their site.

    Parameters
    ----------
    kept : collection of str
        Labels of those that no network is trained on.
    others : collection of str
        Labels of those that the sites are made of.
    sites : mapping of str to str
        By label.

    Raises
    ------
    UsageError
        Names the participants.
    """
    training = {sites[label] for label in others if label in sites}
    mates = sorted(label for label in kept if sites.get(label) in training)
    if mates:
        names = ", ".join(sorted({sites[label] for label in mates}))
        raise UsageError(
            f"--hold-out: participant {', '.join(mates)} is of a site that {_OPTION} trains on ({names}): networks "
            "that know the site would serve; leave --hold-out out (everybody is held out with the site), or hold out "
            "whole sites"
        )


def site_splits(
    participants: Sequence[str], sites: Mapping[str, str], proportions: tuple[float, float, float], seed: int
) -> tuple[dict[str, Part], ...]:
    """The splits that hold out one site each, in alphabetical order of the sites.

    Parameters
    ----------
    participants : sequence of str
        Labels without ``sub-``.
    sites : mapping of str to str
        By label.
    proportions : tuple of float
        Of training and validation among the other sites; the third is not used.
    seed : int
        See :func:`bids_spectsynth.synthesis.cohort.split.split_participants`.

    Returns
    -------
    tuple of dict of str to str
        One split per site, each of all participants.

    Raises
    ------
    UsageError
        A participant has no site.
    ModelError
        Those who can take part are of one site, or beside one there are fewer than two others.
    """
    homeless = [label for label in participants if label not in sites]
    if homeless:
        raise UsageError(
            f"{_OPTION}: no site is given for participant {', '.join(homeless)}; fill in the column, or leave them out "
            "with --participant-label"
        )
    names = sorted({sites[label] for label in participants})
    if len(names) < 2:
        raise ModelError(f"{_OPTION}: all {len(participants)} participants that can take part are of one site")
    splits = []
    for name in names:
        others = [label for label in participants if sites[label] != name]
        if len(others) < 2:
            raise ModelError(f"{_OPTION}: beside site {name} there is nobody to train on and to choose the epoch with")
        training = split_participants(others, (*proportions[:2], 0), seed, minimum=2)
        held_out: dict[str, Part] = dict.fromkeys((label for label in participants if sites[label] == name), "test")
        splits.append(dict(sorted({**training, **held_out}.items())))
    return tuple(splits)
