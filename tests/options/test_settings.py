import dataclasses
import math
import string
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.declarations.derivatives import NamedFolder
from bids_spectsynth.options.declare import declared
from bids_spectsynth.options.presets import PRESETS, Preset
from bids_spectsynth.options.settings import (
    AdversarialLoss,
    Augmentation,
    BackendChoice,
    CohortPrior,
    Compile,
    CoregInit,
    Crop,
    Device,
    DicomClass,
    Export,
    FlirtCost,
    FlirtSpect,
    Freeze,
    FslRunner,
    Harmonise,
    LesionUse,
    MemoryFormat,
    Mode,
    Orientations,
    Precision,
    Scaling,
    Schedule,
    Settings,
    SiscomBaseline,
    SiscomLevel,
    SliceStorage,
    Switch,
    TemplateAffine,
    make_settings,
    option_names,
    to_toml,
)

REQUIRED: dict[str, Any] = {"bids_dir": "/data", "output_dir": "/out", "analysis_level": "participant"}


def _settings(**values: Any) -> Settings:
    return make_settings({**REQUIRED, **values})


_labels = st.text(string.ascii_letters + string.digits, min_size=1, max_size=6)
_label_tuples = st.lists(_labels, max_size=3, unique=True).map(tuple)
# Every character that a POSIX file name may hold, line breaks and control characters included.
_names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=8)
_paths = _names.map(lambda name: Path("/folder") / name)
_positive = st.floats(min_value=1e-9, max_value=1e9)
_weights = st.floats(min_value=1e-6, max_value=1e6)
_counts = st.integers(min_value=1, max_value=10**6)
_inputs = st.lists(
    st.lists(st.sampled_from(["T1w", "pet", "T2w", "FLAIR"]), min_size=1, max_size=3, unique=True),
    min_size=1,
    max_size=3,
)

any_settings = st.fixed_dictionaries(
    {"bids_dir": _paths, "output_dir": _paths, "analysis_level": st.sampled_from(["participant", "group"])},
    optional={
        "participant_label": _label_tuples,
        "session_label": _label_tuples,
        "bids_filter_file": _paths,
        "bids_database_dir": _paths,
        "reports_only": st.booleans(),
        "boilerplate_only": st.booleans(),
        "work_dir": _paths,
        "clean_workdir": st.booleans(),
        "nprocs": _counts,
        "omp_nthreads": _counts,
        "mem_mb": _counts,
        "use_plugin": _paths,
        "skip_bids_validation": st.booleans(),
        "stop_on_first_crash": st.booleans(),
        # Not together with the other.
        "strict": st.just(False),
        "include_flagged": st.booleans(),
        "random_seed": st.integers(0, 2**31 - 1),
        "device": st.sampled_from(get_args(Device)),
        "precision": st.sampled_from(get_args(Precision)),
        "memory_format": st.sampled_from(get_args(MemoryFormat)),
        "compile": st.sampled_from(get_args(Compile)),
        "slice_storage": st.sampled_from(get_args(SliceStorage)),
        "dry_run": st.booleans(),
        "verbose": st.integers(0, 3),
        "mode": st.sampled_from(get_args(Mode)),
        "model": _paths,
        "model_label": _labels,
        "inputs": _inputs,
        "output_spaces": st.lists(
            st.builds("{}{}{}".format, _labels, st.sampled_from(["", ":cohort-3"]), st.sampled_from(["", ":res-2"])),
            min_size=1,
            max_size=3,
            unique_by=lambda text: text.partition(":res")[0],
        ),
        "backend": st.sampled_from(get_args(BackendChoice)),
        "bet_fractional_intensity": st.floats(0, 1),
        "bet_robust": st.sampled_from(get_args(Switch)),
        "bet_pet": st.sampled_from(get_args(Switch)),
        "flirt_cost": st.sampled_from(get_args(FlirtCost)),
        "flirt_spect": st.sampled_from(get_args(FlirtSpect)),
        "template_affine": st.sampled_from(get_args(TemplateAffine)),
        "fsl_runner": st.sampled_from(get_args(FslRunner)),
        "fsl_image": _labels,
        "coreg_init": st.sampled_from(get_args(CoregInit)),
        "intensity_scaling": st.sampled_from(get_args(Scaling)),
        "adversarial_weight": _weights,
        "l1_weight": _weights,
        "ssim_weight": _weights,
        "loss": st.lists(
            st.builds("{}={!r}".format, st.sampled_from(["edge", "nmi", "charbonnier"]), _weights),
            max_size=3,
            unique_by=lambda text: text.partition("=")[0],
        ),
        "epochs": _counts,
        "batch_size": _counts,
        "learning_rate": _positive,
        "learning_rate_decay_epochs": st.integers(0, 10**6),
        "learning_rate_schedule": st.sampled_from(get_args(Schedule)),
        "warmup_epochs": st.integers(0, 10**6),
        "patience": st.integers(0, 10**6),
        "initial_model": _paths,
        "freeze": st.sampled_from(get_args(Freeze)),
        "harmonise": st.sampled_from(get_args(Harmonise)),
        "base_filters": _counts,
        "checkpoint_every": _counts,
        "voxel_size": st.sampled_from([1, 2, 4, 1.0, 2.0, 4.0]),
        "slices_per_subject": _counts,
        "split": st.tuples(_positive, _positive, _positive),
        "split_counts": st.tuples(_counts, _counts, st.integers(0, 100)),
        "split_file": _paths,
        "hold_out": st.lists(st.builds("{}={}".format, _labels, _labels), max_size=2, unique=True).map(tuple),
        "cross_validate": st.just(0) | st.integers(3, 100) | st.just("site"),
        "site_column": _labels,
        "data_range": _positive,
        "preset": st.sampled_from(get_args(Preset)),
        "study": _names,
        "adversarial_loss": st.sampled_from(get_args(AdversarialLoss)),
        "neighbour_slices": st.integers(0, 9),
        "cohort_prior": st.sampled_from(get_args(CohortPrior)),
        "augmentation": st.lists(st.sampled_from(get_args(Augmentation)), unique=True),
        "ema_decay": st.floats(0, 1, exclude_max=True),
        "flip_average": st.sampled_from(get_args(Switch)),
        "orientations": st.sampled_from(get_args(Orientations)),
        "crop": st.sampled_from(get_args(Crop)),
        "ensemble_members": _counts,
        "uncertainty": st.just(0) | st.integers(2, 100) | st.just("calibrated"),
        "bootstrap_samples": st.integers(0, 10**6),
        "equivalence_margins": st.tuples(_positive, _positive, _positive)
        | st.dictionaries(st.sampled_from(["rmse", "mask_nmi", "x2"]), _positive).map(lambda one: list(one.items())),
        "siscom": st.sampled_from(get_args(Switch)),
        "siscom_baselines": st.lists(st.sampled_from(get_args(SiscomBaseline)), min_size=1, unique=True),
        "siscom_fwhm": _positive,
        "siscom_threshold": _positive,
        "siscom_extent": _positive,
        "siscom_gain": st.sampled_from(get_args(Switch)),
        "siscom_trend": st.sampled_from(get_args(Switch)),
        "siscom_level": st.sampled_from(get_args(SiscomLevel)),
        "export": st.lists(st.sampled_from(get_args(Export)), max_size=1),
        "dicom_class": st.sampled_from(get_args(DicomClass)),
        "dicom_donor": _paths,
        "force": st.booleans(),
        "normals": _paths,
        "derivatives": st.lists(_paths, max_size=2, unique=True).map(
            lambda paths: tuple(NamedFolder(f"n{number}", path) for number, path in enumerate(paths))
        ),
        "lesion_mask": st.sampled_from(get_args(LesionUse)),
        "make_normals": st.builds("{}={}".format, _labels, _labels),
        "reader_study": _paths,
        "reader_results": _paths,
        "ratings": _paths,
    },
).map(lambda values: _that_go_together(values))


def _that_go_together(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a drawn set without those that another one excludes."""
    excluded = {"model"} if values.get("mode") in ("train", "preprocess") else set()
    if "model" in values and "model" not in excluded:
        excluded |= {name for name, one in declared(Settings).items() if one.of_training}
    if values.get("mode", "auto") != "auto" or values["analysis_level"] == "group" or values.get("reports_only"):
        excluded.add("boilerplate_only")
    again = {name for name in ("reports_only", "boilerplate_only") if values.get(name)} - excluded
    if values.get("mode", "auto") != "auto":
        excluded.add("reports_only")
    elif again:
        excluded |= {"mode", "model", "export", "derivatives", "session_label", "bids_database_dir", "bids_filter_file"}
    if values["analysis_level"] == "group":
        excluded |= {"bids_database_dir", "harmonise"}
        if values.get("reports_only") or {"make_normals", "reader_study", "reader_results"} & set(values):
            excluded.add("participant_label")
    else:
        excluded |= {"make_normals", "reader_study", "reader_results", "ratings"}
    if values.get("mode") == "train":
        excluded.add("bids_database_dir")
    if values.get("mode") == "preprocess":
        excluded.add("harmonise")
    if values.get("mode") == "train" or values["analysis_level"] == "group":
        excluded.add("export")
    if not values.get("export") or "export" in excluded:
        excluded |= {"dicom_class", "dicom_donor", "force"}
    if not values.get("dicom_donor"):
        excluded.add("force")
    splits = [name for name in ("cross_validate", "split_counts", "split_file") if values.get(name)]
    excluded |= set(splits[1:])
    if values.get("cross_validate") != "site" or "cross_validate" in excluded:
        excluded.add("site_column")
    if "initial_model" not in values or "initial_model" in excluded:
        excluded.add("freeze")
    if values.get("learning_rate_schedule") == "cosine":
        excluded.add("learning_rate_decay_epochs")
    if values.get("backend") == "embedded":
        excluded |= {"bet_fractional_intensity", "bet_robust", "bet_pet", "flirt_cost", "flirt_spect"}
        excluded |= {"fsl_runner", "fsl_image"}
    if splits[:1] == ["split_file"]:
        excluded.add("hold_out")
    scaling = PRESETS[values.get("preset", "fard2024")]["intensity_scaling"]
    if values.get("intensity_scaling", scaling) == "slice":
        excluded.add("orientations")
    return {name: value for name, value in values.items() if name not in excluded}


def test_the_strategy_reaches_every_field() -> None:
    drawn: set[str] = set()

    # The same draws every time, and enough of them for fields that are often left out together.
    @hypothesis_settings(max_examples=600, derandomize=True)
    @given(any_settings)
    def collect(values: dict[str, Any]) -> None:
        drawn.update(values)

    collect()
    assert drawn == {field.name for field in dataclasses.fields(Settings)}


@given(any_settings)
def test_toml_holds_the_whole_record(values: dict[str, Any]) -> None:
    settings = make_settings(values)
    again = make_settings(tomllib.loads(to_toml(settings)))
    assert again == settings


@given(any_settings)
def test_making_settings_twice_changes_nothing(values: dict[str, Any]) -> None:
    settings = make_settings(values)
    fields = {field.name: getattr(settings, field.name) for field in dataclasses.fields(Settings)}
    assert make_settings(fields) == settings


@pytest.mark.parametrize(
    "name",
    ["nprocs", "omp_nthreads", "mem_mb", "epochs", "batch_size", "base_filters", "checkpoint_every",
     "slices_per_subject", "data_range", "ensemble_members"],
)  # fmt: skip
@pytest.mark.parametrize("value", [0, -1])
def test_what_counts_or_scales_must_be_above_zero(name: str, value: int) -> None:
    option = name.replace("_", "-")
    with pytest.raises(UsageError, match=f"--{option}: .* not above zero"):
        _settings(**{name: value})


@pytest.mark.parametrize(
    "name",
    ["adversarial_weight", "l1_weight", "ssim_weight", "learning_rate_decay_epochs", "random_seed", "neighbour_slices",
     "patience", "warmup_epochs", "uncertainty", "cross_validate", "bootstrap_samples"],
)  # fmt: skip
def test_weights_and_the_seed_must_not_be_negative(name: str) -> None:
    assert getattr(_settings(**{name: 0}), name) == 0
    with pytest.raises(UsageError, match="below zero"):
        _settings(**{name: -1})


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(
    "name", ["learning_rate", "l1_weight", "adversarial_weight", "ssim_weight", "data_range", "epochs", "voxel_size"]
)
def test_numbers_must_be_finite(name: str, value: float) -> None:
    with pytest.raises(UsageError, match="--" + name.replace("_", "-")):
        _settings(**{name: value})


@pytest.mark.parametrize(
    "values",
    [
        {"adversarial_weight": 0, "l1_weight": 0, "ssim_weight": 0},
        {"voxel_size": 3},
        {"voxel_size": 0.5},
        {"split": (0, 1, 1)},
        {"split": (1, 0, 1)},
        {"split": (1, 1, -1)},
        {"split": (1, 1)},
        {"split": (math.nan, 1, 1)},
        {"split": "30"},
        {"model_label": "with space"},
        {"model_label": "../up"},
        {"model_label": "m\u00f6del"},
        {"model_label": ""},
        {"output_spaces": []},
        {"inputs": []},
        {"inputs": [[]]},
        {"inputs": ["spect"]},
        {"inputs": ["T1w", "Interictal"]},
        {"inputs": ["ictal"]},
        {"model": "m", "mode": "train"},
        {"model": "m", "mode": "preprocess"},
        {"inputs": ["../T1w"]},
        {"inputs": 3},
        {"analysis_level": "subject"},
        {"device": "gpu"},
        {"epochs": 1.5},
        {"epochs": "many"},
        {"epochs": True},
        {"dry_run": 1},
        {"work_dir": 3},
        {"preset": "worst"},
        {"split_counts": (30, 6)},
        {"split_counts": (30, 6, 1.5)},
        {"split_counts": (0, 6, 12)},
        {"split_counts": (30, 0, 12)},
        {"split_counts": (30, 6, -1)},
        {"split_counts": (30, 6, 12), "split_file": "s.tsv"},
        {"cross_validate": 1},
        {"cross_validate": "centre"},
        {"cross_validate": "site", "split_file": "s.tsv"},
        {"site_column": "centre"},
        {"site_column": "centre", "cross_validate": 3},
        {"site_column": " ", "cross_validate": "site"},
        {"cross_validate": 2},
        {"cross_validate": 3, "split_file": "s.tsv"},
        {"cross_validate": 3, "split_counts": (30, 6, 12)},
        {"hold_out": "resection"},
        {"hold_out": ["resection=yes", "=yes"]},
        {"hold_out": "resection= "},
        {"hold_out": "resection=yes", "split_file": "s.tsv"},
        {"augmentation": ["flip", "none"]},
        {"augmentation": "rotate"},
        {"ema_decay": 1},
        {"ema_decay": -0.1},
        {"uncertainty": 1},
        {"uncertainty": "calibratd"},
        {"uncertainty": 2.5},
        {"adversarial_weight": 0, "l1_weight": 0, "loss": "scale=1"},
        {"equivalence_margins": (0.01, 0, 0.5)},
        {"equivalence_margins": (0.01, 0.5)},
        {"equivalence_margins": "0.01"},
        {"equivalence_margins": "rmse"},
        {"equivalence_margins": ["rmse=0.01", "0.5", "0.5"]},
        {"equivalence_margins": "rmse="},
        {"equivalence_margins": "=1"},
        {"equivalence_margins": "rmse=0"},
        {"equivalence_margins": "rmse=inf"},
        {"equivalence_margins": "rmse=nan"},
        {"equivalence_margins": ["rmse=1", "rmse=2"]},
        {"orientations": "three"},
        {"orientations": "three", "preset": "best", "intensity_scaling": "slice"},
        {"cohort_prior": "sum"},
        {"flip_average": True},
        {"crop": "skull"},
        {"freeze": "encoder"},
        {"freeze": "decoder", "initial_model": "m"},
        {"learning_rate": 0},
        {"learning_rate": -1e-4, "initial_model": "m"},
        {"learning_rate_schedule": "linear"},
        {"learning_rate_schedule": "cosine", "learning_rate_decay_epochs": 1},
        {"initial_model": "m", "model": "n"},
        {"patience": 3, "model": "m"},
        {"bet_fractional_intensity": 1.1},
        {"bet_fractional_intensity": -0.1},
        {"bet_fractional_intensity": math.nan},
        {"bet_robust": True},
        {"bet_robust": "off", "backend": "embedded"},
        {"bet_pet": "on", "backend": "embedded"},
        {"flirt_cost": "leastsq"},
        {"flirt_cost": "normmi", "backend": "embedded"},
        {"flirt_spect": "masked", "backend": "embedded"},
        {"template_affine": "maybe"},
        {"bet_fractional_intensity": 0.3, "backend": "embedded"},
        {"fsl_runner": "podman"},
        {"fsl_runner": "docker", "backend": "embedded"},
        {"fsl_image": "", "fsl_runner": "docker"},
        {"fsl_image": "--privileged", "fsl_runner": "docker"},
        {"loss": "edge"},
        {"loss": "edge="},
        {"loss": "=1"},
        {"loss": "edge=-1"},
        {"loss": "edge=inf"},
        {"loss": "edge=many"},
        {"loss": ["edge=1", "edge=2"]},
        {"loss": 3},
        {"loss": "l1=50", "l1_weight": 60},
        {"adversarial_weight": 0, "l1_weight": 0, "ssim_weight": 0, "loss": "edge=0"},
        {"participant_label": "01", "analysis_level": "group", "make_normals": "a=b"},
        {"model_label": "mine", "model": "m"},
        {"l1_weight": 50, "model": "m"},
        {"loss": "edge=1", "model": "m"},
        {"ensemble_members": 2, "model": "m"},
        {"flip_average": "off", "model": "m", "preset": "best"},
        {"crop": "brain", "model": "m"},
        {"epochs": 3, "model": "m"},
        {"inputs": "pet", "model": "m"},
        {"study": "fard2024", "model": "m"},
        {"preset": "demo", "model": "m"},
        {"random_seed": 1, "model": "m"},
    ],
    ids=str,
)
def test_unusable_values_are_refused_with_one_line(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as error:
        _settings(**values)
    assert "\n" not in str(error.value)
    assert f"--{next(iter(values)).replace('_', '-')}" in str(error.value)


def test_a_test_set_may_be_empty() -> None:
    assert _settings(split=(3, 1, 0)).split == (3.0, 1.0, 0.0)
    assert _settings(split_counts=(3, 1, 0)).split_counts == (3, 1, 0)


def test_kinds_of_augmentation_have_one_order() -> None:
    assert _settings(augmentation=["intensity", "flip", "flip"]).augmentation == ("flip", "intensity")
    assert _settings(augmentation="affine").augmentation == ("affine",)
    assert _settings(preset="best", augmentation="none").augmentation == ()


def test_three_orientations_need_one_scale() -> None:
    assert _settings(preset="best", orientations="three").orientations == "three"
    assert _settings(intensity_scaling="volume", orientations="three").orientations == "three"


@pytest.mark.parametrize(
    ("given_inputs", "expected"),
    [
        (["pet", "T1w"], (("T1w", "pet"),)),
        (["pet", "FLAIR", "T2w", "T1w"], (("T1w", "FLAIR", "T2w", "pet"),)),
        (["pet", "pet"], (("pet",),)),
        ([["T1w"], ["pet"], ["T1w"]], (("T1w",), ("pet",))),
        ("pet", (("pet",),)),
    ],
    ids=str,
)
def test_one_set_of_inputs_has_one_order(given_inputs: Any, expected: tuple[tuple[str, ...], ...]) -> None:
    assert _settings(inputs=given_inputs).inputs == expected


@pytest.mark.parametrize(("voxel_size", "expected"), [(1, 100), (2, 50), (4, 25)])
def test_slices_of_a_subject_cover_the_same_height_at_every_voxel_size(voxel_size: int, expected: int) -> None:
    assert _settings(voxel_size=voxel_size).n_slices == expected
    assert _settings(voxel_size=voxel_size, slices_per_subject=7).n_slices == 7


def test_work_folder_and_templates() -> None:
    assert _settings().work_folder == Path("/out/work")
    assert _settings(work_dir="/scratch").work_folder == Path("/scratch")
    assert _settings(output_spaces=["MNI152NLin6Sym", "T1w"]).templates == ("MNI152NLin6Sym",)


def test_settings_are_frozen_and_know_their_options() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        _settings().epochs = 3  # type: ignore[misc]
    assert not {"bids_dir", "output_dir", "analysis_level"} & set(option_names())


@pytest.mark.parametrize("preset", PRESETS)
def test_make_settings__recorded_settings_go_with_a_model(preset: Preset) -> None:
    """What a run has recorded holds all values: those of the preset are not taken for given ones."""
    recorded = tomllib.loads(to_toml(_settings(preset=preset)))
    assert make_settings({**recorded, "model": "m"}) == _settings(preset=preset, model="m")


def test_roles_are_spelled_as_bids_spells_them() -> None:
    settings = make_settings({**REQUIRED, "inputs": [["PET", "t1w", "T1W", "flair"]]})
    assert settings.inputs == (("T1w", "FLAIR", "pet"),)


def test_a_space_that_is_named_twice_counts_once() -> None:
    assert make_settings({**REQUIRED, "output_spaces": ["T1w", "A", "T1w"]}).output_spaces == ("T1w", "A")


def test_make_settings__options_of_training_beside_a_model_are_named_together() -> None:
    assert _settings(model="m", epochs=1000, inputs=["T1w", "pet"]).model == Path("m").absolute()
    with pytest.raises(UsageError, match=r"^--inputs, --epochs, --cross-validate: --model applies"):
        _settings(model="m", cross_validate=5, epochs=3, inputs="pet", batch_size=8)
    # What a shorthand stands for was not given.
    with pytest.raises(UsageError, match=r"^--preset: --model"):
        _settings(model="m", preset="demo")
    plain = {"bids_dir": "in", "output_dir": "out", "analysis_level": "participant", "model": "m", "epochs": 1000}
    with pytest.raises(UsageError, match=r"^--epochs: --model"):
        make_settings(plain, given=["epochs", "model"])


@pytest.mark.parametrize("value", ["calibratd", "nan", "inf", "2.5", ""])
def test_uncertainty__that_is_none_is_told_what_it_may_be(value: str) -> None:
    with pytest.raises(UsageError, match=r"--uncertainty: .*calibrated or a whole number needed"):
        _settings(uncertainty=value)


def test_make_settings__fine_tuning_is_slow_and_short_unless_told_otherwise() -> None:
    names = ("learning_rate", "learning_rate_schedule", "warmup_epochs", "epochs")
    tuned, plain = _settings(initial_model="m"), _settings()
    assert tuple(getattr(plain, name) for name in names) == (1e-4, "constant", 0, 1000)
    assert tuple(getattr(tuned, name) for name in names) == (3e-5, "cosine", 3, 200)
    told = _settings(initial_model="m", learning_rate=1e-3, warmup_epochs=0, epochs=7, learning_rate_decay_epochs=2)
    assert tuple(getattr(told, name) for name in names) == (1e-3, "constant", 0, 7)
    assert _settings(initial_model="m", learning_rate=0).learning_rate == 0


def test_make_settings__patience_is_of_the_recommended_preset() -> None:
    assert (_settings().patience, _settings(preset="best").patience) == (0, 50)
    assert _settings(preset="best", patience=0).patience == 0


GROUP = {"bids_dir": "/data", "output_dir": "/out", "analysis_level": "group"}


def test_harmonise__is_refused_where_no_image_is_made() -> None:
    with pytest.raises(UsageError, match="--harmonise: the group level makes no images"):
        make_settings({**GROUP, "harmonise": "resolution"}, given=["harmonise"])
    prepared = {**GROUP, "analysis_level": "participant", "mode": "preprocess", "harmonise": "resolution"}
    with pytest.raises(UsageError, match="--harmonise: --mode preprocess trains and applies no model"):
        make_settings(prepared, given=["harmonise"])
    # What a run has recorded serves both levels, and every mode.
    assert make_settings(prepared).harmonise == "resolution"
    assert make_settings({**GROUP, "harmonise": "resolution"}).harmonise == "resolution"
    assert make_settings({**GROUP, "harmonise": "none"}, given=["harmonise"]).harmonise == "none"
