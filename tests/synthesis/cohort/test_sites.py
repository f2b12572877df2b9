"""A cross-validation that holds out one site after the other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.errors import ModelError, UsageError
from bids_spectsynth.options.settings import make_settings
from bids_spectsynth.synthesis.cohort.select import split_cohort
from bids_spectsynth.synthesis.cohort.sites import describe_folds, n_folds, read_sites, site_splits
from bids_spectsynth.synthesis.models.card import is_selection_participant, is_training_participant
from bids_spectsynth.synthesis.models.ensemble import holds_out_sites, load_members, members_for
from bids_spectsynth.synthesis.training.train_models import train_models

TABLE = "participant_id\tsite\tcentre\n" + "".join(
    f"sub-{n:02d}\t{site}\t{centre}\n" for n, site, centre in
    [(1, "B", "x"), (2, "A", "x"), (3, "A", "y"), (4, "C", "x"), (5, "B", "y"), (6, "A", "x")]
)  # fmt: skip
SITES = {"01": "B", "02": "A", "03": "A", "04": "C", "05": "B", "06": "A"}


@pytest.fixture
def settings_for(tmp_path):
    (tmp_path / "data").mkdir()

    def make(table=TABLE, **values):
        if table is not None:
            (tmp_path / "data" / "participants.tsv").write_text(table)
        plain = {"bids_dir": tmp_path / "data", "output_dir": tmp_path / "out", "analysis_level": "participant"}
        return make_settings({**plain, "cross_validate": "site", **values})

    return make


def test_read_sites__by_label_and_by_another_column(settings_for):
    assert read_sites(settings_for()) == SITES
    assert n_folds(settings_for()) == 3
    assert n_folds(settings_for(site_column="centre")) == 2
    assert read_sites(settings_for(table=None, cross_validate=3)) == {}


@pytest.mark.parametrize(
    ("table", "values", "words"),
    [
        (None, {}, r"participants.tsv cannot be read"),
        (TABLE.replace("site", "place"), {}, "has no column site; it has participant_id, place, centre; name another"),
        (TABLE, {"site_column": "hospital"}, "has no column hospital"),
        (TABLE + "sub-02\tB\tx\n", {}, "has two values for participant 02, A and B; correct the table"),
        (TABLE.replace("B", "A").replace("C", "n/a"), {}, r"has 1 value\(s\), two at least needed"),
        (TABLE + "sub-07\tb\tx\n", {}, "has the values 'B' and 'b', which may be one site; correct the table"),
        (TABLE + "sub-07\tA  1\tx\nsub-08\ta1\tx\n", {}, "has the values 'A 1' and 'a1', which may be one site"),
    ],
)
def test_read_sites__what_is_wrong_is_one_line(settings_for, table, values, words):
    with pytest.raises(UsageError, match=f"^--cross-validate site: .*{words}") as error:
        read_sites(settings_for(table, **values))
    assert len(str(error.value).splitlines()) == 1


def test_read_sites__a_row_that_says_the_same_again_is_no_fault(settings_for):
    assert read_sites(settings_for(TABLE + "sub-02\tA\ty\nsub-02\tn/a\tx\n")) == SITES


@pytest.mark.parametrize("word", ["N/A", "na", "NaN", "null", "Unknown", "None", ""])
def test_read_sites__words_for_unknown_are_no_site(settings_for, word):
    assert read_sites(settings_for(TABLE + f"sub-07\t{word}\tx\n")) == SITES


def test_describe_folds__who_is_always_held_out_is_of_no_fold():
    folds = site_splits(list(SITES), SITES, (30, 6, 12), 1)
    folds = [{**fold, "09": "test"} for fold in folds]
    assert describe_folds(folds, {**SITES, "09": "D"}) == "fold-1: A (3), fold-2: B (2), fold-3: C (1)"


@given(st.dictionaries(st.integers(1, 99).map(str), st.sampled_from("ABCD"), min_size=4), st.integers(0, 9))
def test_site_splits__no_participant_of_a_site_is_in_its_own_network(sites, seed):
    names = sorted(set(sites.values()))
    if len(names) < 2 or any(sum(own != name for own in sites.values()) < 2 for name in names):
        with pytest.raises(ModelError):
            site_splits(list(sites), sites, (30, 6, 12), seed)
        return
    splits = site_splits(list(sites), sites, (30, 6, 12), seed)
    assert len(splits) == len(names)
    for name, split in zip(names, splits, strict=True):
        assert set(split) == set(sites)
        assert {label for label, part in split.items() if part == "test"} == {k for k, v in sites.items() if v == name}
        assert {"train", "validation"} <= set(split.values())


def test_site_splits__a_participant_without_a_site_is_named():
    with pytest.raises(UsageError, match="no site is given for participant 07"):
        site_splits([*SITES, "07"], SITES, (30, 6, 12), 1)


def test_train_models__each_network_has_seen_nobody_of_the_site_that_it_serves(
    settings_for, tmp_path, write_prepared, caplog
):
    caplog.set_level("INFO")
    for seed, label in enumerate(SITES):
        write_prepared(tmp_path / "out", label, seed)
    quick = {"voxel_size": 4, "base_filters": 2, "epochs": 1, "slices_per_subject": 2, "nprocs": 1, "device": "cpu"}
    (folder,), _ = train_models(settings_for(mode="train", **quick), None)
    assert "Sites that the networks hold out: fold-1: A (3), fold-2: B (2), fold-3: C (1)" in caplog.text
    members = load_members(folder)
    assert [member.folder.name for member in members] == ["fold-1", "fold-2", "fold-3"]
    assert holds_out_sites(folder)
    for label, site in SITES.items():
        (own,) = members_for(members, label)
        assert own.fold == "ABC".index(site) + 1
        mates = [mate for mate, there in SITES.items() if there == site]
        assert not any(is_training_participant(own.card, mate) for mate in mates)
        assert not any(is_selection_participant(own.card, mate) for mate in mates)


def test_split_cohort__who_is_held_out_besides_needs_no_site(settings_for, tmp_path, write_prepared):
    table = TABLE.replace("sub-04\tC", "sub-04\tn/a")
    cases = [write_prepared(tmp_path / "out", label, seed) for seed, label in enumerate(SITES)]
    found = split_cohort(settings_for(table, hold_out="participant_id=sub-04"), {"T1w": cases})
    assert found.n_folds == 2
    assert found.split["04"] == "test"


def test_split_cohort__who_is_held_out_besides_is_of_no_site_that_trains(settings_for, tmp_path, write_prepared):
    cases = {"T1w": [write_prepared(tmp_path / "out", label, seed) for seed, label in enumerate(SITES)]}
    with pytest.raises(
        UsageError, match=r"^--hold-out: participant 02, 05 is of a site .* trains on \(A, B\)"
    ) as error:
        split_cohort(settings_for(hold_out=["participant_id=sub-05", "participant_id=sub-02"]), cases)
    assert len(str(error.value).splitlines()) == 1
    # A whole site is nobody's whom a network knows.
    found = split_cohort(settings_for(hold_out="site=C"), cases)
    assert found.n_folds == 2
    assert {label for label, part in found.split.items() if part == "test"} == {"04"}
