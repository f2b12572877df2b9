"""The networks of a model, and the training of all of them on prepared participants."""

import dataclasses
import itertools
import json
import os
import shutil
import signal
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.bids.participants import read_participants
from bids_spectsynth.errors import ModelError
from bids_spectsynth.options.settings import make_settings
from bids_spectsynth.synthesis.baselines.files import has_baselines
from bids_spectsynth.synthesis.cohort import select as cohort
from bids_spectsynth.synthesis.data.slices import PreparedCases
from bids_spectsynth.synthesis.models.card import is_selection_participant, is_training_participant
from bids_spectsynth.synthesis.models.ensemble import ENSEMBLE_FILE, find_models, is_model, load_members, members_for
from bids_spectsynth.synthesis.study import planned_models
from bids_spectsynth.synthesis.training import loop as training
from bids_spectsynth.synthesis.training import train_models as train_cohort
from bids_spectsynth.synthesis.training.config import TrainingConfig
from bids_spectsynth.synthesis.training.planning import PlannedNetwork, PlannedTraining, planned_networks
from bids_spectsynth.synthesis.training.state import Interrupted
from bids_spectsynth.synthesis.training.steps import Stepper
from bids_spectsynth.synthesis.training.train_models import train_models, with_common_widths
from tests.synthesis.data.test_scans import write as write_scans

LABELS = [f"{n:02d}" for n in range(1, 6)]
STUDY = 'inputs = [["pet"]]\n[[losses]]\nname = "Gan"\n[[losses]]\nname = "L1only"\nadversarial_weight = 0\n'
QUICK = {"voxel_size": 4, "base_filters": 2, "epochs": 1, "slices_per_subject": 2, "nprocs": 1, "device": "cpu"}
MODELS = ("pix2pixPetGan", "pix2pixPetL1only")


def options(folder, **values):
    plain = {"bids_dir": folder / "data", "output_dir": folder / "out", "analysis_level": "participant"}
    return make_settings({**plain, **QUICK, **values})


# The networks of a model


@given(st.integers(3, 6) | st.just(0), st.integers(1, 4), st.booleans(), st.integers(0, 99))
def test_networks_of_a_model(tmp_path_factory, n_folds, n_members, three, seed):
    values = {"cross_validate": n_folds, "ensemble_members": n_members, "random_seed": seed}
    if three:
        values |= {"orientations": "three", "intensity_scaling": "volume"}
    (model,) = planned_models(options(tmp_path_factory.getbasetemp(), **values))
    networks = planned_networks(model, n_folds)
    assert len(networks) == max(1, n_folds) * n_members * (3 if three else 1)
    assert len({network.name for network in networks}) == len(networks)
    assert (networks[0].name == "") == (len(networks) == 1)
    assert {network.fold for network in networks} == (set(range(1, n_folds + 1)) if n_folds else {0})
    # Orientations and folds share their members' seeds; the first member is the model without others.
    assert len({network.seed for network in networks}) == n_members
    assert networks[0].seed == seed


def test_members_of_neighbouring_seeds_differ(tmp_path):
    seeds = [
        {one.seed for one in planned_networks(planned_models(options(tmp_path, random_seed=s, **members))[0], 0)}
        for s, members in itertools.product(range(4), [{"ensemble_members": 3}])
    ]
    assert len(set.union(*seeds)) == 12


# Training


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, write_prepared):
    """An output folder with prepared participants and the study of two models."""
    folder = tmp_path_factory.mktemp("prepared")
    for seed, label in enumerate(LABELS):
        write_prepared(folder / "out", label, seed)
    (folder / "study.toml").write_text(STUDY)
    return folder


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory):
    """The study, cross-validated in three folds."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(prepared, folder, dirs_exist_ok=True)
    folders, outcomes = train_models(study_options(folder), None)
    assert [path.name for path in folders] == list(MODELS)
    assert [outcome.participant for outcome in outcomes] == LABELS
    return folder


def study_options(folder, **values):
    return options(folder, study=str(folder / "study.toml"), cross_validate=3, **values)


def weights(folder):
    """Checksum of each network's weights, and content of its baselines, by folder."""
    cards = {path.parent: json.loads(path.read_text()) for path in (folder / "out" / "models").rglob("model.json")}
    return {
        path.relative_to(folder).as_posix(): (card["weights_sha256"], (path / "baselines.safetensors").read_bytes())
        for path, card in cards.items()
    }


def stamps(folder):
    files = (path for path in (folder / "out" / "models").rglob("*") if path.is_file())
    return {path: path.stat().st_mtime_ns for path in files}


def test_every_model_is_an_ensemble_of_its_folds(trained):
    assert [path.name for path in find_models(trained / "out")] == list(MODELS)
    for label in MODELS:
        members = load_members(trained / "out" / "models" / label)
        assert [(member.folder.name, member.fold) for member in members] == [(f"fold-{k}", k) for k in (1, 2, 3)]
        assert {member.card.label for member in members} == {label}
        assert all(has_baselines(member.folder) for member in members)
        assert ("discriminator" in members[0].card.architecture) == (label == "pix2pixPetGan")


def test_no_network_has_seen_whom_it_serves(trained):
    members = load_members(trained / "out" / "models" / MODELS[0])
    served = {label: members_for(members, label) for label in LABELS}
    assert all(len(own) == 1 for own in served.values())
    assert {own[0].fold for own in served.values()} == {1, 2, 3}
    for label, (member,) in served.items():
        assert not is_training_participant(member.card, label)
        assert not is_selection_participant(member.card, label)
    table = read_participants(trained / "out")
    assert set(table["split"]) == {"cross-validated"}


def test_models_of_the_same_images_share_their_baselines(trained):
    found = weights(trained)
    for fold in (1, 2, 3):
        one, other = (found[f"out/models/{label}/fold-{fold}"] for label in MODELS)
        assert one[1] == other[1]
        assert one[0] != other[0]


def test_a_second_training_changes_nothing(trained):
    before = stamps(trained)
    train_models(study_options(trained), None)
    assert stamps(trained) == before


class KilledError(Exception):
    """The process is gone at once."""


def stop_after(module, name, n_calls, *, at_once):
    """Replace a function by one that stops the process in its n-th call: by SIGTERM after it, or at once within it."""
    original, count = getattr(module, name), itertools.count(1)

    def stopped(*args, **kwargs):
        last = next(count) == n_calls
        if last and at_once:
            raise KilledError
        result = original(*args, **kwargs)
        if last:
            os.kill(os.getpid(), signal.SIGTERM)
        return result

    return stopped


@pytest.mark.parametrize(
    ("module", "name", "n_calls", "at_once"),
    [
        (Stepper, "step", 1, False),
        (Stepper, "step", 6, False),
        (Stepper, "step", 4, True),
        (training, "make_card", 2, True),
        (train_cohort, "write_ensemble", 1, True),
        (train_cohort, "train", 5, True),
    ],
)
def test_a_study_that_is_stopped_goes_on_to_the_same_models(
    prepared, trained, tmp_path, monkeypatch, module, name, n_calls, at_once
):
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    with monkeypatch.context() as patch:
        patch.setattr(module, name, stop_after(module, name, n_calls, at_once=at_once))
        with pytest.raises(KilledError if at_once else Interrupted):
            train_models(study_options(tmp_path), None)
    assert not all(is_model(tmp_path / "out" / "models" / label) for label in MODELS)
    done = {path: stamp for path, stamp in stamps(tmp_path).items() if (path.parent / "model.json").exists()}
    train_models(study_options(tmp_path), None)
    assert weights(tmp_path) == weights(trained)
    after = stamps(tmp_path)
    assert {path: after[path] for path in done} == done


def test_training_for_longer_hides_the_ensemble_until_all_are_done(trained, tmp_path, monkeypatch):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    ensemble = tmp_path / "out" / "models" / MODELS[0] / ENSEMBLE_FILE
    step = Stepper.step

    def watched(self, *args):
        assert self.config.label != MODELS[0] or not ensemble.exists()
        return step(self, *args)

    monkeypatch.setattr(Stepper, "step", watched)
    train_models(study_options(tmp_path, epochs=2), None)
    assert ensemble.exists()
    assert {member.card.training["epochs"] for member in load_members(ensemble.parent)} == {2}


@pytest.mark.parametrize("values", [{"cross_validate": 0}, {"cross_validate": 4}, {"ensemble_members": 2}], ids=str)
def test_other_networks_are_not_put_over_an_ensemble(trained, values):
    before = stamps(trained)
    settings = options(trained, study=str(trained / "study.toml"), **{"cross_validate": 3, **values})
    with pytest.raises(ModelError, match=r"pix2pixPetGan: holds a model of 3 network\(s\).*remove the folder"):
        train_models(settings, None)
    assert stamps(trained) == before


def test_an_ensemble_is_not_put_over_a_network(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    train_models(options(tmp_path, inputs=["pet"]), None)
    with pytest.raises(ModelError, match=r"pix2pixPet: holds a model of 1 network\(s\)"):
        train_models(options(tmp_path, inputs=["pet"], ensemble_members=2), None)


def test_members_and_held_out_participants(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "participants.tsv").write_text("participant_id\tresection\nsub-03\tyes\nsub-01\tno\n")
    settings = options(tmp_path, inputs=["pet"], ensemble_members=2, hold_out="resection=yes", split_counts=[2, 1, 0])
    (folder,), _ = train_models(settings, None)
    first, second = load_members(folder)
    assert first.card.weights_sha256 != second.card.weights_sha256
    assert (first.folder.name, second.folder.name) == ("member-1", "member-2")
    split = dict(read_participants(tmp_path / "out").set_index("participant_id")["split"])
    assert split["sub-03"] == "test"
    assert sorted(split.values()) == ["excluded", "test", "train", "train", "validation"]
    # The first member is the network that would be trained alone.
    (alone,), _ = train_models(
        options(tmp_path, inputs=["pet"], hold_out="resection=yes", split_counts=[2, 1, 0], model_label="alone"), None
    )
    assert load_members(alone)[0].card.weights_sha256 == first.card.weights_sha256


def test_the_cohort_is_found_by_name(prepared, monkeypatch):
    with pytest.raises(ModelError, match=r"2 participant\(s\)"):
        train_models(options(prepared, inputs=["pet"]), {"sub-01", "sub-02"})
    assert cohort.make_cohort(options(prepared, inputs=["pet"]), {"sub-01", "sub-02", "sub-05"}).split.keys() == {
        "01",
        "02",
        "05",
    }


# Several scanners


def plan_of(folder, inputs=("T1w", "pet"), harmonise="resolution"):
    """A training with a sharp and a blurred PET, and a validation with a sharp one and one that is blurrier still."""
    parts = [[write_scans(folder, f"{fwhm}", fwhm, {}) for fwhm in part] for part in ((5.0, 9.0), (5.5, 13.0))]
    config = TrainingConfig(label="m", inputs=inputs, harmonise=harmonise)
    data = [PreparedCases(tuple(part), inputs, "volume") for part in parts]
    return PlannedTraining(folder, PlannedNetwork("", 0, 1, "axial"), config, *data)


def test_with_common_widths__training_participants_alone_decide(tmp_path):
    found = with_common_widths(plan_of(tmp_path))
    assert found.training.widths == found.validation.widths == {"pet": pytest.approx(9, abs=1)}
    smoothed = [[set(case.smoothing) for case in part.cases] for part in (found.training, found.validation)]
    assert smoothed == [[{"pet"}, set()], [{"pet"}, set()]]
    # What is finished is recognised by images and options, not by what was measured.
    assert found.config == plan_of(tmp_path).config


def test_with_common_widths__a_resolution_of_one_scan_alone_is_said(tmp_path, caplog):
    with_common_widths(plan_of(tmp_path))
    assert "Model m, pet: sub-9.0 alone sets the" in caplog.text


def test_with_common_widths__without_the_option_or_a_pet(tmp_path):
    for plan in (plan_of(tmp_path, harmonise="none"), plan_of(tmp_path, inputs=("T1w",))):
        assert with_common_widths(plan) is plan


def test_with_common_widths__without_any_resolution_nothing_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(train_cohort, "case_widths", lambda case, roles: dict.fromkeys(roles, float("nan")))
    with pytest.raises(ModelError, match=r"model m: --harmonise resolution: .* none of its 2 training PETs"):
        with_common_widths(plan_of(tmp_path))


def test_with_common_widths__what_stays_sharp_for_lack_of_a_measure_is_said(tmp_path, monkeypatch, caplog):
    found = {"sub-9.0": 9.0}
    plan = plan_of(tmp_path)
    monkeypatch.setattr(
        train_cohort, "case_widths", lambda case, roles: dict.fromkeys(roles, found.get(case.name, float("nan")))
    )
    with_common_widths(plan)
    lines = [line for line in caplog.messages if "not measured, not smoothed" in line]
    assert len(lines) == 2
    assert "(1 of 2)" in lines[0]
    assert "validation: resolution of" in lines[1]


@pytest.mark.parametrize(("earlier", "is_said"), [({"pet": 6.0}, True), ({"pet": 9.2}, False), ({}, False)])
def test_with_common_widths__a_start_from_another_common_resolution_is_said(tmp_path, caplog, earlier, is_said):
    initial = SimpleNamespace(card=SimpleNamespace(harmonised=earlier))
    with_common_widths(dataclasses.replace(plan_of(tmp_path), initial=initial))
    assert ("--initial-model learned from a PET of 6.0 mm, here it is" in caplog.text) is is_said
