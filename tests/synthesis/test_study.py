"""Which models a study asks for, and what a study file may say."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.presets import GOVERNED, PRESETS
from bids_spectsynth.options.settings import Settings, make_settings, to_toml
from bids_spectsynth.options.study_grid import LOSS_OPTIONS
from bids_spectsynth.synthesis.network.losses import LOSSES
from bids_spectsynth.synthesis.study import PlannedModel, merge_models, planned_models, trains

EXAMPLE = Path(__file__).parents[2] / "examples" / "study.toml"
TEMPLATE = "MNI152NLin2009aSym"


def options(**values: Any) -> Settings:
    return make_settings({"bids_dir": "/data", "output_dir": "/out", "analysis_level": "participant", **values})


def labels(**values: Any) -> list[str]:
    return [model.label for model in planned_models(options(**values))]


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def make(text: str) -> str:
        path = tmp_path / "grid.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return make


# Without a study


def test_a_model_of_every_space_and_input_set() -> None:
    assert labels(inputs=[["T1w", "pet"], ["pet"]], output_spaces=["T1w", "MNI152NLin6Sym"], ssim_weight=1) == [
        "pix2pixT1wPetSsim",
        "pix2pixPetSsim",
        "pix2pixT1wPetSsimMNI152NLin6Sym",
        "pix2pixPetSsimMNI152NLin6Sym",
    ]
    assert labels(model_label="mine") == ["mine"]
    with pytest.raises(UsageError, match=r"--model-label: 2 models would share mine"):
        planned_models(options(model_label="mine", inputs=[["T1w"], ["pet"]]))


def test_planned_models__a_further_loss_is_in_the_label(monkeypatch: pytest.MonkeyPatch, write: Any) -> None:
    nmi = dataclasses.replace(LOSSES["l1"], name="nmi", title="NMI", default_weight=2.0, option="")
    monkeypatch.setitem(LOSSES, "nmi", nmi)
    assert labels(inputs=["pet"], loss=[]) == ["pix2pixPet"]
    assert labels(inputs=["pet"], loss=["nmi=2"]) == ["pix2pixPetNmi"]
    assert labels(inputs=["pet"], loss=["nmi=3"]) == ["pix2pixPetNmi3"]
    assert labels(inputs=["pet"], loss=["nmi=3"], model_label="mine") == ["mine"]
    # A study tells losses apart by the names that it gives them.
    grid = '[[losses]]\nname = "plain"\n[[losses]]\nname = "mutual"\nloss = ["nmi=3"]\n'
    assert labels(inputs=["pet"], study=write(grid)) == ["pix2pixPetPlain", "pix2pixPetMutual"]


def test_a_plain_model_has_the_options_of_the_run() -> None:
    (model,) = planned_models(options(preset="best", random_seed=5, epochs=3))
    assert (model.label, model.configuration, model.seed) == ("pix2pixT1wPetBest", "pix2pixT1wPetBest", 5)
    assert (model.losses, model.preset_name) == ("L1", "best")
    assert model.settings == options(preset="best", random_seed=5, epochs=3)


@pytest.mark.parametrize(
    ("values", "losses", "recipe"),
    [
        ({}, "L1+BCE", "fard2024"),
        ({"ssim_weight": 1}, "L1+BCE+SSIM", "fard2024"),
        ({"adversarial_loss": "lsgan", "l1_weight": 0}, "LSGAN", "fard2024"),
        ({"intensity_scaling": "volume"}, "L1+BCE", "custom"),
        ({"ensemble_members": 3}, "L1+BCE", "fard2024"),
        ({"preset": "best", "augmentation": "none"}, "L1", "custom"),
    ],
    ids=str,
)
def test_losses_and_recipe_in_words(values: dict[str, Any], losses: str, recipe: str) -> None:
    (model,) = planned_models(options(**values))
    assert (model.losses, model.preset_name) == (losses, recipe)


@pytest.mark.parametrize(
    ("values", "expected"),
    [({}, True), ({"mode": "train"}, True), ({"model": "/m"}, False), ({"mode": "apply"}, False)],
    ids=str,
)
def test_which_runs_train(values: dict[str, Any], expected: bool) -> None:
    assert trains(options(**values)) is expected


# The article's study


def test_the_papers_twelve_models() -> None:
    models = planned_models(options(study="fard2024", epochs=7, base_filters=8, voxel_size=2, random_seed=3))
    assert len({model.label for model in models}) == 12
    assert {(m.inputs, m.space, m.losses) for m in models} == {
        (inputs, space, losses)
        for inputs in (("T1w",), ("pet",), ("T1w", "pet"))
        for space in ("T1w", TEMPLATE)
        for losses in ("L1+BCE", "L1+BCE+SSIM")
    }
    assert {m.preset_name for m in models} == {"fard2024"}
    assert {m.settings.ssim_weight for m in models} == {0, 1}
    assert {(m.settings.epochs, m.settings.base_filters, m.settings.voxel_size, m.seed) for m in models} == {
        (7, 8, 2.0, 3)
    }
    assert all(model.label == model.configuration for model in models)


@pytest.mark.parametrize("spaces", [["MNI152NLin6Sym"], ["T1w", "MNI152NLin6Sym"], ["MNI152NLin6Sym", "T1w"]])
def test_the_papers_template_can_be_chosen(spaces: list[str]) -> None:
    models = planned_models(options(study="fard2024", output_spaces=spaces))
    assert {model.space for model in models} == {"T1w", "MNI152NLin6Sym"}
    assert len(models) == 12
    with pytest.raises(UsageError, match=r"--output-spaces: .*one template.*name one"):
        planned_models(options(study="fard2024", output_spaces=["MNI152NLin6Sym", "MNI152NLin6Asym"]))


def test_templates_with_cohorts_are_spaces_of_a_study(write: Any) -> None:
    given_options = options(study=write("inputs = [['T1w']]\nspaces = ['T1w', 'A:res-02:cohort-2', 'A:cohort-12']"))
    models = planned_models(given_options)
    assert [model.label for model in models] == ["pix2pixT1w", "pix2pixT1wACohort2", "pix2pixT1wACohort12"]
    assert [model.space for model in models] == ["T1w", "A+2", "A+12"]
    assert merge_models(given_options, models).output_spaces == ("T1w", "A:cohort-2:res-2", "A:cohort-12")
    paper = planned_models(options(study="fard2024", output_spaces=["A:cohort-2:res-2"]))
    assert {model.space for model in paper} == {"T1w", "A+2"}
    assert {space for model in paper for space in model.settings.output_spaces} == {"T1w", "A:cohort-2:res-2"}


@pytest.mark.parametrize(
    "values",
    [
        {"inputs": [["pet"]]},
        {"ssim_weight": 2},
        {"l1_weight": 1},
        {"adversarial_weight": 0},
        {"adversarial_loss": "lsgan"},
        {"model_label": "mine"},
    ],
    ids=str,
)
def test_what_the_study_decides_is_not_given_beside_it(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=rf"--{next(iter(values)).replace('_', '-')}: decided by the study.*leave"):
        planned_models(options(study="fard2024", **values))


@pytest.mark.parametrize("values", [{"study": "fard2024"}, {"study": str(EXAMPLE), "output_spaces": ["T1w"]}], ids=str)
def test_one_preparation_serves_all_models_and_changes_none(values: dict[str, Any]) -> None:
    given_options = options(**values)
    models = planned_models(given_options)
    together = merge_models(given_options, models)
    assert set(together.inputs) == {model.inputs for model in models}
    assert set(together.output_spaces) == {model.space for model in models}
    assert [m.label for m in planned_models(together)] == [m.label for m in models]


def test_no_such_study(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--study: there is no study fard2025; give fard2024 or a TOML file"):
        planned_models(options(study="fard2025"))
    with pytest.raises(UsageError, match=r"absent\.toml: cannot read the study"):
        planned_models(options(study=str(tmp_path / "absent.toml")))


# Study files


def test_the_example() -> None:
    models = planned_models(options(study=str(EXAMPLE)))
    assert len(models) == 12
    assert {m.losses for m in models} == {"L1+BCE", "L1", "L1+BCE+SSIM"}
    assert {m.seed for m in models} == {1, 2}
    assert {m.label for m in models if m.seed == 1} == {
        f"pix2pix{inputs}{loss}Seed1" for inputs in ("T1wPet", "Pet") for loss in ("Gan", "L1only", "Ssim")
    }
    assert {m.label for m in models} == {f"{m.configuration}Seed{m.seed}" for m in models}


def test_what_a_study_does_not_say_comes_from_the_options(write: Any) -> None:
    (model,) = planned_models(options(study=write("seeds = [9]"), ema_decay=0.5, inputs=[["pet"]], random_seed=4))
    assert (model.inputs, model.space, model.seed, model.settings.ema_decay) == (("pet",), "T1w", 9, 0.5)
    # The file may be given more seeds later; the split keeps its own.
    assert (model.label, model.configuration, model.settings.random_seed) == ("pix2pixPetSeed9", "pix2pixPet", 4)


def test_a_preset_of_the_grid_governs_but_for_the_losses(write: Any) -> None:
    study = write('presets = ["fard2024", "best"]\nlosses = [{ssim_weight = 2}]\n')
    plain, best = planned_models(options(study=study, epochs=5))
    assert (plain.label, best.label) == ("pix2pixT1wPetSsim", "pix2pixT1wPetSsimBest")
    for model, preset in ((plain, "fard2024"), (best, "best")):
        own = {name: getattr(model.settings, name) for name in GOVERNED}
        assert own == {**PRESETS[preset], "ssim_weight": 2.0}  # type: ignore[index]
        assert model.settings.epochs == 5


def test_options_beside_what_the_file_decides(write: Any) -> None:
    everything = write('inputs = [["pet"]]\nspaces = ["T1w"]\npresets = ["best"]\nseeds = [1]\n')
    assert labels(study=everything) == ["pix2pixPetBestSeed1"]
    for name, value in (
        ("inputs", [["T1w"]]),
        ("output_spaces", ["T1w", TEMPLATE]),
        ("preset", "best"),
        ("ema_decay", 0.9),
        ("ssim_weight", 1),
    ):
        with pytest.raises(UsageError, match=rf"--{name.replace('_', '-')}: decided by the study"):
            planned_models(options(study=everything, **{name: value}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("input = [['T1w']]", "unknown key input; known: name, inputs, spaces, presets, losses, seeds"),
        ("inputs = ", "not valid TOML"),
        ("inputs = ['T1w']", "inputs is not a list of lists"),
        ("inputs = [['spect']]", "--inputs"),
        ("inputs = []", "inputs is not a list with something in it"),
        ("spaces = 'T1w'", "spaces is not a list"),
        ("spaces = ['../x']", "spaces are T1w or templates: NAME"),
        ("spaces = [5]", "spaces are T1w or templates: 5"),
        ("spaces = ['A:res-1', 'A:res-2']", "would both be space-A"),
        ("presets = ['fard2024', 'worst']", "presets are names of fard2024, best"),
        ("seeds = [1.5]", "seeds are whole numbers"),
        ("seeds = [true]", "seeds are whole numbers"),
        ("seeds = [-1]", "seeds are whole numbers"),
        ("[[losses]]\nl2_weight = 1", "an entry of losses is not a table with keys of name, adversarial_weight"),
        ("losses = [1]", "an entry of losses is not a table"),
        ("[[losses]]\nname = 'a b'", "'a b' of a loss has other characters"),
        ("[[losses]]\nl1_weight = -1", "--l1-weight: -1.0 is below zero"),
        ("[[losses]]\nl1_weight = 'much'", "--l1-weight: 'much' is not usable"),
        ("[[losses]]\nl1_weight = 0\nadversarial_weight = 0", "at least one must be above zero"),
        ("[[losses]]\nl1_weight = 1\n[[losses]]\nl1_weight = 2", "pix2pixT1wPet would be the label of several"),
        ("[[losses]]\nname = 'a'\nl1_weight = 1\n[[losses]]\nname = 'A'", "pix2pixT1wPetA would be the label"),
    ],
)
def test_a_study_that_cannot_be_followed_is_one_line(write: Any, text: str, message: str) -> None:
    path = write(text)
    with pytest.raises(UsageError, match=message) as error:
        planned_models(options(study=path))
    assert path in str(error.value)
    assert "\n" not in str(error.value)


_names = st.text("abcXYZ019", min_size=1, max_size=4)
_roles = st.lists(st.sampled_from(["T1w", "pet", "FLAIR"]), min_size=1, max_size=3, unique=True)
_losses = st.fixed_dictionaries({"name": _names, "ssim_weight": st.sampled_from([0, 1])})


@settings(max_examples=60, deadline=None)
@given(
    inputs=st.lists(_roles, min_size=1, max_size=3),
    spaces=st.lists(st.sampled_from(["T1w", TEMPLATE, "MNI152NLin6Sym"]), min_size=1, max_size=3, unique=True),
    presets=st.lists(st.sampled_from(["fard2024", "best"]), min_size=1, max_size=2, unique=True),
    losses=st.lists(_losses, min_size=1, max_size=3, unique_by=lambda loss: loss["name"].lower()),
    seeds=st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True),
)
def test_every_combination_is_a_model_of_its_own_label(
    tmp_path_factory: pytest.TempPathFactory, inputs: Any, spaces: Any, presets: Any, losses: Any, seeds: Any
) -> None:
    path = tmp_path_factory.mktemp("grid") / "study.toml"
    tables = "".join(f'[[losses]]\nname = "{one["name"]}"\nssim_weight = {one["ssim_weight"]}\n' for one in losses)
    path.write_text(f"inputs = {inputs}\nspaces = {spaces}\npresets = {presets}\nseeds = {seeds}\n{tables}")
    models = planned_models(options(study=str(path)))
    n_inputs = len({frozenset(roles) for roles in inputs})
    assert len(models) == n_inputs * len(spaces) * len(presets) * len(losses) * len(seeds)
    assert len({model.label for model in models}) == len(models)
    assert all(model.label.isascii() and model.label.isalnum() for model in models)
    assert all(model.settings == make_settings(own_values(model)) for model in models)


def own_values(model: PlannedModel) -> dict[str, Any]:
    """Options of one model, as they would be given for it alone."""
    loss = {name: getattr(model.settings, name) for name in LOSS_OPTIONS}
    # A study has one voxel size and one patience, whatever its presets would take alone.
    base = options(
        preset=model.settings.preset, inputs=[list(model.inputs)], output_spaces=[model.space], voxel_size=1,
        patience=0, **loss,
    )  # fmt: skip
    return {name: getattr(base, name) for name in base.__dataclass_fields__}


def test_a_recorded_run_can_be_given_again(write: Any) -> None:
    """The settings in a run's log hold the study as it was given."""
    import tomllib

    given_options = options(study=write('inputs = [["pet"]]\n'))
    again = make_settings(tomllib.loads(to_toml(given_options)))
    assert [m.label for m in planned_models(again)] == ["pix2pixPet"]
