"""How what was written to an output folder is found again."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.bids.output_files import (
    RATINGS,
    Rating,
    find_ratings,
    group_figures,
    group_table_path,
    rating_path,
)
from bids_spectsynth.bids.prepared import PreparedCase


def test_find_ratings__of_all_cases(derivative: tuple[Path, Path]) -> None:
    _, out = derivative
    found = find_ratings(out, "metrics")
    assert len(found) == 4
    assert {path.relative_to(out).parts[0] for path in found} == {"sub-01", "sub-02"}
    assert find_ratings(out / "nowhere", "metrics") == []


@pytest.mark.parametrize("session", [None, "x"])
@pytest.mark.parametrize("rating", RATINGS)
def test_find_ratings__what_rating_path_named(tmp_path: Path, session: str | None, rating: Rating) -> None:
    case = PreparedCase("01", session, "T1w", {}, {}, None, None)
    paths = {kind: rating_path(tmp_path, case, "pix2pixPet", kind) for kind in RATINGS}
    for path in paths.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    assert find_ratings(tmp_path, rating) == [paths[rating]]
    name = f"sub-01_{f'ses-{session}_' if session else ''}task-interictal_space-T1w_desc-pix2pixPet_{rating}.tsv"
    assert paths[rating].name == name


@given(st.from_regex("[0-9A-Za-z]{1,8}", fullmatch=True), st.from_regex("[0-9A-Za-z]{1,8}", fullmatch=True))
def test_rating_path__is_another_for_every_model_and_kind(first: str, second: str) -> None:
    case = PreparedCase("01", None, "T1w", {}, {}, None, None)
    paths = {rating_path(Path("out"), case, label, rating) for label in (first, second) for rating in RATINGS}
    assert len(paths) == len(RATINGS) * len({first, second})


def test_group_table_path__names_the_table(tmp_path: Path) -> None:
    assert group_table_path(tmp_path, "table4") == tmp_path / "group_table4.tsv"
    assert group_figures(tmp_path) == tmp_path / "figures"
