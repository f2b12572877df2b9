"""Which slices of which participants stand as examples, chosen without a look at their metrics."""

from dataclasses import dataclass

import pandas as pd

from bids_spectsynth.evaluation.group.configurations import Configuration, configurations

#: Examples in the article's Tables 2 and 3: five held-out subjects, and one of a group of its own.
N_EXAMPLES = 5


@dataclass(frozen=True)
class Example:
    """One slice of a held-out participant in one space; ``z_mm`` is its height in that space's world.

    ``number`` counts from 1; ``split`` is ``test`` or ``external``.
    """

    number: int
    participant_id: str
    session_id: str
    split: str
    space: str
    slice: int
    z_mm: float


def choose_examples(rows: pd.DataFrame, space: str) -> list[Example]:
    """The first five held-out participants by label, and the first of another cohort; one slice of each.

    The slice is the middle of the block of slices that training would take, of the first session.

    Parameters
    ----------
    rows : DataFrame
        Rows of :func:`bids_spectsynth.evaluation.group.configurations.paper_rows`.
    space : str
        ``T1w`` or a template.

    Returns
    -------
    list of Example
        Empty where nobody was rated in that space.
    """
    own = rows[rows["space"] == space]
    by_person = dict(list(own.groupby("participant_id", sort=True)))
    # Who is held out for one model and of another cohort than the next one's is an example of the held-out ones.
    held_out = [name for name, found in by_person.items() if (found["split"] == "test").any()]
    external = [name for name in by_person if name not in held_out]
    chosen = [*held_out[:N_EXAMPLES], *(external[:1] if held_out else external[:N_EXAMPLES])]
    return [_example(number, by_person[name], space) for number, name in enumerate(chosen, start=1)]


def _example(number: int, rows: pd.DataFrame, space: str) -> Example:
    first = rows[rows["session_id"] == min(rows["session_id"])]
    # Models may have been trained on blocks of different length: only slices that most of them count.
    raters = first.groupby("slice")["model"].nunique()
    slices = sorted(int(k) for k in raters.index[raters == raters.max()])
    middle = slices[(len(slices) - 1) // 2]
    row = first[first["slice"] == middle].iloc[0]
    split = "test" if (first["split"] == "test").any() else str(row["split"])
    return Example(number, str(row["participant_id"]), str(row["session_id"]), split, space, middle, float(row["z_mm"]))


def shown_models(rows: pd.DataFrame, space: str) -> list[tuple[Configuration, str]]:
    """Configurations in a space, each with the label of its model of the lowest seed, whose images are shown.

    Parameters
    ----------
    rows : DataFrame
        As for :func:`choose_examples`.
    space : str
    """
    own = rows[rows["space"] == space]
    shown = []
    for one in configurations(own):
        models = own[own["configuration"] == one.name][["seed", "model"]].drop_duplicates()
        by_seed = models.assign(seed=pd.to_numeric(models["seed"])).sort_values(["seed", "model"])
        shown.append((one, str(by_seed["model"].iloc[0])))
    return shown
