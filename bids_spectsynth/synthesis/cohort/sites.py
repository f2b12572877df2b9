"""The sites of a cross-validation that holds out one site after the other."""

from collections.abc import Mapping, Sequence

from bids_spectsynth.errors import ModelError, UsageError
from bids_spectsynth.options.settings import BY_SITE, Settings
from bids_spectsynth.synthesis.cohort.hold_out import read_table
from bids_spectsynth.synthesis.cohort.split import Part, split_participants

_OPTION = f"--cross-validate {BY_SITE}"
#: What stands for no value in a table.
_MISSING = ("", "n/a")


def read_sites(settings: Settings) -> dict[str, str]:
    """Site of each participant of ``participants.tsv``, by label without ``sub-``; empty where no split asks for it.

    Parameters
    ----------
    settings : Settings
        ``site_column`` names the column.

    Raises
    ------
    UsageError
        There is no such table or column, or it has one value alone.
    """
    if settings.cross_validate != BY_SITE:
        return {}
    column = settings.site_column
    path, rows = read_table(settings, [column], _OPTION)
    if column not in rows[0]:
        columns = ", ".join(rows[0])
        raise UsageError(f"{_OPTION}: {path} has no column {column}; it has {columns}; name another with --site-column")
    sites = {row["participant_id"].removeprefix("sub-"): row[column] for row in rows if row[column] not in _MISSING}
    if len(set(sites.values())) < 2:
        raise UsageError(
            f"{_OPTION}: the column {column} of {path} has {len(set(sites.values()))} value(s), two at least needed; "
            "use --cross-validate with a number of folds"
        )
    return sites


def n_folds(settings: Settings) -> int:
    """Folds that the settings ask for, as far as they are known without the images; 0 for none."""
    if settings.cross_validate != BY_SITE:
        return int(settings.cross_validate)
    return len(set(read_sites(settings).values()))


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
