import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.models import ensemble
from bids_spectsynth.synthesis.models.card import participant_hash
from bids_spectsynth.synthesis.models.ensemble import (
    ENSEMBLE_FILE,
    Member,
    find_models,
    holds_out_sites,
    load_members,
    member_name,
    members_for,
    model_name,
    write_ensemble,
)


class Card:
    """Whom a network has seen."""

    def __init__(self, label, training=(), selection=()):
        self.label, self.salt = label, "s"
        self.inputs, self.space, self.scaling, self.voxel_size = ("pet",), "T1w", "slice", 2.0
        self.participants = tuple(participant_hash("s", one) for one in training)
        self.initial_models = ()
        self.selection_participants = tuple(participant_hash("s", one) for one in selection)


@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from(["axial", "coronal", "sagittal"])),
        min_size=2,
        unique=True,
    )
)
def test_members_have_names_of_their_own(members):
    names = [member_name(f, n, o, n_folds=9, n_members=9, n_orientations=3) for f, n, o in members]
    assert len(set(names)) == len(members)
    assert all("/" not in name for name in names)


def test_a_single_network_needs_no_name():
    assert member_name(1, 1, "axial", n_folds=0, n_members=1, n_orientations=1) == ""


@pytest.fixture
def folds(tmp_path, monkeypatch):
    """A model of three folds, each of which holds one of 01 to 03 out and chose its epoch on the next."""
    held_out = {"fold-1": "01", "fold-2": "02", "fold-3": "03"}
    chose = {"fold-1": "02", "fold-2": "03", "fold-3": "01"}
    cards = {name: Card("m", {"01", "02", "03"} - {held_out[name], chose[name]}, {chose[name]}) for name in held_out}
    monkeypatch.setattr(ensemble, "load_card", lambda folder: cards[folder.name])
    folder = tmp_path / "models" / "m"
    folder.mkdir(parents=True)
    write_ensemble(folder, "m", [("fold-1", 1), ("fold-2", 2), ("fold-3", 3)])
    return folder


def test_a_participant_is_served_by_the_fold_that_held_it_out(folds):
    members = load_members(folds)
    for number, participant in enumerate(("01", "02", "03"), start=1):
        assert [one.fold for one in members_for(members, participant)] == [number]


def test_somebody_from_elsewhere_is_served_by_all_folds(folds):
    assert len(members_for(load_members(folds), "99")) == 3


def test_where_all_know_a_participant_all_serve():
    members = [Member(None, Card("m", ["01"]), fold) for fold in (1, 2)]
    assert len(members_for(members, "01")) == 2


def test_models_are_found_when_they_are_finished(folds, tmp_path):
    (tmp_path / "models" / "unfinished" / "fold-1").mkdir(parents=True)
    (tmp_path / "models" / "single").mkdir()
    (tmp_path / "models" / "single" / "model.json").write_text("{}")
    assert [path.name for path in find_models(tmp_path)] == ["m", "single"]
    assert model_name(load_members(folds.rename(folds.with_name("my-model")))) == "m"


@pytest.mark.parametrize(
    "content",
    [
        "not json",
        "[]",
        json.dumps({"format_version": 1, "members": []}),
        json.dumps({"format_version": 1, "label": "m", "members": [{"folder": "../other", "fold": 1}]}),
        json.dumps({"format_version": 1, "label": "m", "members": [{"folder": "..", "fold": 1}]}),
        json.dumps({"format_version": 1, "label": "my-model", "members": [{"folder": "fold-1", "fold": 1}]}),
        json.dumps({"format_version": 1, "members": [{"folder": "fold-1"}]}),
    ],
)
def test_a_damaged_list_of_members(folds, content):
    (folds / ENSEMBLE_FILE).write_text(content)
    with pytest.raises(ModelError, match=f"{ENSEMBLE_FILE}: damaged"):
        load_members(folds)


def test_a_list_of_a_newer_version(folds):
    (folds / ENSEMBLE_FILE).write_text(json.dumps({"format_version": 99, "members": [{"folder": "a", "fold": 0}]}))
    with pytest.raises(ModelError, match="newer version"):
        load_members(folds)


def test_holds_out_sites__as_the_ensemble_says(tmp_path):
    assert not holds_out_sites(tmp_path)
    for by_site in (False, True):
        write_ensemble(tmp_path, "m", [("fold-1", 1), ("fold-2", 2)], by_site=by_site)
        assert holds_out_sites(tmp_path) is by_site
        assert ensemble.read_ensemble(tmp_path) == ("m", [("fold-1", 1), ("fold-2", 2)])
