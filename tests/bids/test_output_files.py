"""Names of what is written, and how it is found again."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.bids import output_files
from bids_spectsynth.bids.output_files import (
    ORIGINAL_SPACE,
    RATINGS,
    Rating,
    case_tables,
    find_lesions,
    find_ratings,
    find_synthetic,
    group_figures,
    group_table_path,
    image_cards,
    lesion_path,
    rating_path,
    rating_tables,
    ratings_of,
    standard_deviation_path,
    synthetic_path,
)
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.writing import write_json, write_text


def case_of(participant: str, session: str | None, space: str = "T1w") -> PreparedCase:
    return PreparedCase(participant, session, space, {}, {}, None, None)


def test_rating_tables__names_and_finders_agree(tmp_path: Path) -> None:
    cases = [case_of("01", None), case_of("02", "b"), case_of("02", "a", "MNI152NLin2009aSym")]
    for case in cases:
        for path in rating_tables(tmp_path, case, "m"):
            write_text(path, "x")
    for number, rating in enumerate(RATINGS):
        wanted = sorted(rating_tables(tmp_path, case, "m")[number] for case in cases)
        assert find_ratings(tmp_path, rating) == wanted, rating
    first = rating_tables(tmp_path, cases[0], "m")
    named = [rating_path(tmp_path, cases[0], "m", rating) for rating in RATINGS]
    assert [*case_tables(tmp_path, cases[0], "m"), first[-1]] == first == named
    assert first[0] == tmp_path / "sub-01/spect/sub-01_task-interictal_space-T1w_desc-m_metrics.tsv"


@pytest.mark.parametrize("session", [None, "a"])
def test_find_synthetic__only_images_on_the_prepared_grid(tmp_path: Path, session: str | None) -> None:
    case = case_of("01", session)
    image = synthetic_path(tmp_path, case, "m")
    others = standard_deviation_path(tmp_path, case, "m"), synthetic_path(tmp_path, case, "m", space=ORIGINAL_SPACE)
    for path in (image, *others):
        write_text(path, "x")
        facts = {"Synthetic": True} | ({"StandardDeviationOf": "m"} if path == others[0] else {})
        write_json(path.with_name(path.name.replace(".nii.gz", ".json")), facts)
    (found,) = find_synthetic(tmp_path, case)
    assert (found.path, found.model, found.space, found.metrics) == (image, "m", "T1w", None)
    write_text(rating_path(tmp_path, case, "m", "metrics"), "x")
    (found,) = find_synthetic(tmp_path, case)
    assert found.metrics == rating_path(tmp_path, case, "m", "metrics")


def test_names__no_two_files_share_one(tmp_path: Path) -> None:
    names = [
        output_files.group_table_path(tmp_path, "metrics"),
        output_files.group_page(tmp_path),
        output_files.subject_page(tmp_path, "01"),
        output_files.participants_file(tmp_path),
        output_files.description_file(tmp_path),
        output_files.descriptions_file(tmp_path),
        output_files.models_folder(tmp_path),
        output_files.group_figures(tmp_path),
    ]
    assert len(set(names)) == len(names)
    assert all(name.parent == tmp_path for name in names)


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


def test_ratings_of__whatever_the_model_in_one_space(tmp_path: Path) -> None:
    case = case_of("01", "a")
    wanted = sorted(rating_path(tmp_path, case, label, rating) for label in ("m", "other") for rating in RATINGS)
    others = [case_of("01", "a", "MNI"), case_of("01", "b"), case_of("01", None), case_of("02", "a")]
    for path in (*wanted, *(rating_path(tmp_path, one, "m", "metrics") for one in others)):
        write_text(path, "x")
    assert ratings_of(tmp_path, case) == wanted
    assert ratings_of(tmp_path, case_of("03", None)) == []


@given(st.from_regex("[0-9A-Za-z]{1,8}", fullmatch=True), st.from_regex("[0-9A-Za-z]{1,8}", fullmatch=True))
def test_rating_path__is_another_for_every_model_and_kind(first: str, second: str) -> None:
    case = PreparedCase("01", None, "T1w", {}, {}, None, None)
    paths = {rating_path(Path("out"), case, label, rating) for label in (first, second) for rating in RATINGS}
    assert len(paths) == len(RATINGS) * len({first, second})


def test_group_table_path__names_the_table(tmp_path: Path) -> None:
    assert group_table_path(tmp_path, "table4") == tmp_path / "group_table4.tsv"
    assert group_figures(tmp_path) == tmp_path / "figures"


def test_find_lesions__of_every_session_and_space(tmp_path: Path) -> None:
    cases = [case_of("01", None), case_of("01", None, "MNI"), case_of("02", "post")]
    for one in cases:
        write_text(lesion_path(tmp_path, one), "")
    write_text(lesion_path(tmp_path, cases[0]).with_name("sub-01_space-T1w_desc-brain_mask.nii.gz"), "")
    assert set(find_lesions(tmp_path)) == {lesion_path(tmp_path, one) for one in cases}


def test_image_cards__those_that_the_image_names_and_no_others(tmp_path: Path) -> None:
    cards = [tmp_path / "models" / "m" / f"fold-{number}" / "model.json" for number in (1, 2)]
    for card in cards:
        write_json(card, {})
    write_json(tmp_path / "other.json", {})
    uris = [f"bids::models/m/fold-{number}/model.json" for number in (1, 2)]
    assert image_cards(tmp_path, "m", {"ModelURI": uris[1]}) == cards[1:]
    assert image_cards(tmp_path, "m", {"ModelURI": uris}) == cards
    for odd in (None, 5, [], [None], "bids::models/m/fold-9/model.json", "bids::models/m/../../other.json", "/etc"):
        assert image_cards(tmp_path, "m", {"ModelURI": odd}) == cards[:1]
