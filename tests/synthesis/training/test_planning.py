"""Which networks start from which model, and what is said of participants that it knows."""

import dataclasses
import logging
import shutil

import pytest

from bids_spectsynth.app.apply import split_of
from bids_spectsynth.errors import ModelError
from bids_spectsynth.options.settings import make_settings
from bids_spectsynth.synthesis.cohort.select import make_cohort
from bids_spectsynth.synthesis.models.card import load_card
from bids_spectsynth.synthesis.models.ensemble import load_members
from bids_spectsynth.synthesis.study import planned_models
from bids_spectsynth.synthesis.training.planning import check_initial_model, plan_trainings
from bids_spectsynth.synthesis.training.train_models import train_models

LABELS = [f"{n:02d}" for n in range(1, 6)]
QUICK = {"voxel_size": 4, "base_filters": 2, "epochs": 1, "slices_per_subject": 2, "nprocs": 1, "device": "cpu"}


def options(folder, **values):
    plain = {"bids_dir": folder / "data", "output_dir": folder / "out", "analysis_level": "participant"}
    return make_settings({**plain, **QUICK, **values})


def split(folder, name, parts):
    path = folder / f"{name}.tsv"
    lines = [f"sub-{label}\t{part}" for label, part in zip(LABELS, parts, strict=True)]
    path.write_text("\n".join(["participant_id\tsplit", *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, write_prepared):
    """A model that has learned from 01 and 02, with 03 for validation."""
    folder = tmp_path_factory.mktemp("trained")
    cases = {label: write_prepared(folder / "out", label, seed) for seed, label in enumerate(LABELS)}
    first = split(folder, "first", ["train", "train", "validation", "test", "test"])
    train_models(options(folder, model_label="parent", split_file=first), None)
    return folder, cases


def test_initial_model__a_held_out_participant_that_it_learned_from_is_not_held_out(trained, caplog):
    folder, cases = trained
    second = split(folder, "second", ["test", "validation", "train", "train", "test"])
    parent = folder / "out" / "models" / "parent"
    settings = options(folder, model_label="child", split_file=second, initial_model=parent)
    with caplog.at_level(logging.WARNING):
        (own,), _ = train_models(settings, None)
    warnings = [record.getMessage() for record in caplog.records if "has learned from" in record.getMessage()]
    assert len(warnings) == 2
    assert "validation part: 02;" in warnings[0]
    assert "test part: 01; they will not be rated" in warnings[1]
    cards = [member.card for member in load_members(own)]
    assert [split_of(cards, own, cases[label], settings) for label in ("01", "03", "05")] == ["train", "train", "test"]
    assert load_card(own).initial_models[0]["label"] == "parent"


def test_initial_model__of_several_networks_gives_each_its_namesake(trained):
    folder, _ = trained
    ensemble = options(folder, model_label="folds", cross_validate=3)
    (path,), _ = train_models(ensemble, None)
    settings = options(folder, model_label="tuned", cross_validate=3, initial_model=path)
    plans = plan_trainings(settings, make_cohort(settings, None), planned_models(settings))
    (trainings,) = plans.values()
    assert [one.initial.folder.name for one in trainings] == [one.network.name for one in trainings]
    assert len({one.config.initial_weights for one in trainings}) == 3
    single = dataclasses.replace(settings, cross_validate=0)
    with pytest.raises(ModelError, match="it has the networks fold-1, fold-2, fold-3; give the folder of one of them"):
        check_initial_model(planned_models(single)[0], 0)


def test_initial_model__that_does_not_fit_is_refused_before_anything_is_prepared(trained):
    folder, _ = trained
    parent = folder / "out" / "models" / "parent"
    with pytest.raises(ModelError, match="its inputs is T1w pet, that of the model to train pet"):
        check_initial_model(planned_models(options(folder, initial_model=parent, inputs="pet"))[0], 0)
    with pytest.raises(ModelError, match="no such model folder"):
        check_initial_model(planned_models(options(folder, initial_model=folder / "none"))[0], 0)


@pytest.mark.parametrize("adversarial_weight", [0, 1])
def test_initial_model__that_has_lost_its_checkpoint_leaves_a_finished_model_finished(
    trained, tmp_path, adversarial_weight
):
    folder, _ = trained
    parent = tmp_path / "parent"
    shutil.copytree(folder / "out" / "models" / "parent", parent)
    label = f"lost{adversarial_weight}"
    settings = options(folder, model_label=label, initial_model=parent, adversarial_weight=adversarial_weight)
    train_models(settings, None)
    shutil.rmtree(parent / "checkpoint")
    ((planned,),) = plan_trainings(settings, make_cohort(settings, None), planned_models(settings)).values()
    assert planned.is_finished
