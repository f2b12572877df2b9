import tomllib
from pathlib import Path
from typing import Any

import pytest

from bids_spectsynth.errors import UsageError
from bids_spectsynth.options import checks
from bids_spectsynth.options.declarations.cohort import CohortOptions, EvaluationOptions
from bids_spectsynth.options.declarations.dicom import DicomOptions
from bids_spectsynth.options.declarations.execution import DataOptions, ExecutionOptions
from bids_spectsynth.options.declarations.model import ModelOptions
from bids_spectsynth.options.declarations.preparation import PreparationOptions
from bids_spectsynth.options.declarations.siscom import SiscomOptions
from bids_spectsynth.options.declarations.training import TrainingOptions
from bids_spectsynth.options.declare import flag
from bids_spectsynth.options.settings import make_settings, option_names, to_toml


def test_check_selection__participants_are_not_chosen_beside_what_chooses_itself() -> None:
    chosen = DataOptions(participant_label=("01",))
    checks.check_selection("group", chosen, SiscomOptions())
    checks.check_selection("participant", chosen, SiscomOptions(make_normals="a=b"))
    with pytest.raises(UsageError, match="--participant-label: --make-normals"):
        checks.check_selection("group", chosen, SiscomOptions(make_normals="a=b"))


def test_check_level__ratings_are_read_at_the_group_level_alone() -> None:
    rated = EvaluationOptions(ratings=Path("/ratings"))
    checks.check_level("group", rated)
    with pytest.raises(UsageError, match="--ratings: is of the group level"):
        checks.check_level("participant", rated)


@pytest.mark.parametrize(
    ("level", "values", "named"),
    [
        ("participant", {"reports_only": True, "boilerplate_only": True}, "--reports-only"),
        ("group", {"boilerplate_only": True}, "--boilerplate-only"),
        ("group", {"reports_only": True, "participant_label": ["01"]}, "--participant-label"),
        ("participant", {"reports_only": True, "mode": "apply"}, "--mode"),
        (
            "participant",
            {"reports_only": True, "voxel_size": 1, "session_label": ["a"]},
            "--session-label, --voxel-size",
        ),
        ("participant", {"reports_only": True, "random_seed": 1234}, "--random-seed"),
        ("participant", {"boilerplate_only": True, "stop_on_first_crash": True}, "--stop-on-first-crash"),
        ("group", {"reports_only": True, "bootstrap_samples": 10}, "--bootstrap-samples"),
        ("participant", {"boilerplate_only": True, "derivatives": ["/a"]}, "--derivatives"),
        ("participant", {"reports_only": True, "bids_database_dir": "/a"}, "--bids-database-dir"),
        ("group", {"bids_database_dir": "/a"}, "--bids-database-dir"),
        ("participant", {"bids_database_dir": "/a", "mode": "train"}, "--bids-database-dir"),
        ("group", {"lesion_mask": "all"}, "--lesion-mask"),
        ("group", {"lesion_mask": "none"}, "--lesion-mask"),
        ("participant", {"lesion_mask": "all", "mode": "train", "derivatives": ["/a"]}, "--lesion-mask"),
        ("participant", {"lesion_mask": "all"}, "--lesion-mask all"),
        ("participant", {"lesion_mask": "all", "mode": "preprocess", "derivatives": ["/a"]}, "--lesion-mask all"),
        ("participant", {"lesion_mask": "siscom", "mode": "preprocess"}, "--lesion-mask siscom"),
    ],
)
def test_checks__option_without_effect_is_refused(level: str, values: dict[str, Any], named: str) -> None:
    base = {"bids_dir": "/b", "output_dir": "/o", "analysis_level": level}
    with pytest.raises(UsageError, match=f"^{named}: "):
        make_settings({**base, **values}, given={*base, *values})


def test_check_lesions__with_an_effect_or_of_a_recorded_run_are_taken() -> None:
    base = {"bids_dir": "/b", "output_dir": "/o", "analysis_level": "participant"}
    for values in (
        {"lesion_mask": "none"},
        {"lesion_mask": "all", "derivatives": ["/a"]},
        {"lesion_mask": "siscom", "derivatives": ["/a"], "mode": "preprocess"},
        {"lesion_mask": "all", "derivatives": ["/a"], "mode": "apply"},
    ):
        own = make_settings({**base, **values}, given={*base, *values})
        assert own.lesion_mask == values["lesion_mask"]
    recorded = tomllib.loads(to_toml(own))
    for level in ("participant", "group"):
        again = {**recorded, **base, "analysis_level": level, "derivatives": []}
        assert make_settings(again, given=base).lesion_mask == "all"


def test_check_again__options_with_an_effect_and_those_of_a_recorded_run_are_taken() -> None:
    base = {"bids_dir": "/b", "output_dir": "/o", "analysis_level": "participant", "reports_only": True}
    effective = {
        "participant_label": ["01"], "work_dir": "/w", "nprocs": 2, "omp_nthreads": 1, "mem_mb": "8G", "verbose": 1,
        "stop_on_first_crash": True, "dry_run": True,
    }  # fmt: skip
    assert make_settings({**base, **effective}, given={*base, *effective}).reports_only
    own = make_settings({**base, "reports_only": False, "mode": "apply", "voxel_size": 2, "session_label": ["a"]})
    recorded = tomllib.loads(to_toml(own))
    assert make_settings({**recorded, **base}, given=base).voxel_size == 2
    for name in set(option_names()) - {*effective, "reports_only", "boilerplate_only"}:
        with pytest.raises(UsageError, match=f"^{flag(name)}: --reports-only computes nothing"):
            make_settings(base, given=[name])


def test_check_model__names_the_option_that_the_model_would_ignore() -> None:
    given = ModelOptions(model="m")  # type: ignore[arg-type]
    checks.check_model(given, [])
    checks.check_model(ModelOptions(model_label="mine"), ["l1_weight"])
    with pytest.raises(UsageError, match="--l1-weight, --epochs: --model"):
        checks.check_model(given, ["l1_weight", "epochs"])


def test_check_training__one_term_above_zero_is_enough() -> None:
    none = {"adversarial_weight": 0.0, "l1_weight": 0.0}
    checks.check_training(TrainingOptions(**none, loss=(("edge", 1.0),)), "slice")
    with pytest.raises(UsageError, match="at least one"):
        checks.check_training(TrainingOptions(**none), "slice")


def test_check_warmup__leaves_an_epoch_at_the_full_rate() -> None:
    chosen = {"warmup_epochs": 4}
    checks.check_warmup(TrainingOptions(epochs=5, warmup_epochs=4), chosen)
    # As an initial model suggests it, or as a run has recorded that.
    checks.check_warmup(TrainingOptions(epochs=3, warmup_epochs=3), ())
    base = {"bids_dir": "/b", "output_dir": "/o", "analysis_level": "participant", "epochs": 4}
    with pytest.raises(UsageError, match=r"^--warmup-epochs: 4 of 4 epochs"):
        make_settings({**base, **chosen}, chosen)


def test_check_quality__flagged_cannot_fail_and_be_taken() -> None:
    for one in (ExecutionOptions(), ExecutionOptions(strict=True), ExecutionOptions(include_flagged=True)):
        checks.check_quality(one)
    with pytest.raises(UsageError, match="--include-flagged: with --strict"):
        checks.check_quality(ExecutionOptions(strict=True, include_flagged=True))


def test_check_split_and_backend__defaults_go_together() -> None:
    checks.check_split(CohortOptions())
    checks.check_backend(PreparationOptions(backend="embedded"))


@pytest.mark.parametrize(("name", "value"), [("make_normals", "a=b"), ("reader_study", Path("x"))])
def test_check_siscom__options_of_the_group_level(name: str, value: object) -> None:
    chosen = SiscomOptions(**{name: value})  # type: ignore[arg-type]
    checks.check_siscom("group", chosen)
    checks.check_siscom("participant", SiscomOptions())
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')}: is of the group level"):
        checks.check_siscom("participant", chosen)


@pytest.mark.parametrize(
    ("level", "mode", "chosen", "message"),
    [
        ("group", "auto", {"export": ("dicom",)}, "--export: is of the participant level"),
        ("participant", "train", {"export": ("dicom",)}, "--export: --mode train makes no"),
        ("participant", "auto", {"export": ("dicom",), "force": True}, "--force: is for a donor"),
        ("participant", "auto", {"dicom_donor": Path("x")}, "--dicom-donor: is of the export; add --export dicom"),
        ("participant", "auto", {"dicom_class": "MR"}, "--dicom-class: is of the export"),
        ("participant", "auto", {"force": True}, "--force: is of the export"),
    ],
)
def test_check_dicom__options_that_would_have_no_effect(level, mode, chosen, message) -> None:
    with pytest.raises(UsageError, match=message):
        checks.check_dicom(level, ModelOptions(mode=mode), DicomOptions(**chosen))


def test_check_dicom__an_export_with_its_donor() -> None:
    chosen = DicomOptions(export=("dicom",), dicom_donor=Path("x"), force=True, dicom_class="MR")
    checks.check_dicom("participant", ModelOptions(), chosen)
    checks.check_dicom("group", ModelOptions(), DicomOptions())
