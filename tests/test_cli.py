import atexit
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from bids_spectsynth import __version__, cli
from bids_spectsynth.app.registries import registered_losses
from bids_spectsynth.cli import main, parse
from bids_spectsynth.errors import MEMORY_ADVICE, ExitCode, UsageError
from bids_spectsynth.options.declarations.derivatives import NamedFolder
from bids_spectsynth.options.parser import build_parser
from bids_spectsynth.options.presets import GOVERNED, PRESETS
from bids_spectsynth.options.settings import Settings, option_names, to_toml
from bids_spectsynth.synthesis.models import ensemble

POSITIONAL = ["/data", "/out", "participant"]

#: One row per spelling: what is typed, and the field of the settings that it must set.
OPTIONS: list[tuple[list[str], str, Any]] = [
    (["--participant-label", "01", "sub-02"], "participant_label", ("01", "02")),
    (["--participant_label", "01"], "participant_label", ("01",)),
    (["--participant-label", "01", "--participant_label", "02", "03"], "participant_label", ("01", "02", "03")),
    (["--session-label", "a", "--session-id", "ses-b"], "session_label", ("a", "b")),
    (
        ["--participant-label", "01", "--participant_label=02", "--participant_label", "sub-03"],
        "participant_label",
        ("01", "02", "03"),
    ),
    (["--session-label", "a", "ses-b"], "session_label", ("a", "b")),
    (["--session-id", "ses-a"], "session_label", ("a",)),
    (["--bids-filter-file", "/f.json"], "bids_filter_file", Path("/f.json")),
    (["--skip-bids-validation"], "skip_bids_validation", True),
    (["-w", "/work"], "work_dir", Path("/work")),
    (["--work-dir", "/work"], "work_dir", Path("/work")),
    (["--nprocs", "3"], "nprocs", 3),
    (["--nthreads", "3"], "nprocs", 3),
    (["--n-cpus", "3"], "nprocs", 3),
    (["--n_cpus=3"], "nprocs", 3),
    (["--omp-nthreads", "2"], "omp_nthreads", 2),
    (["--clean-workdir"], "clean_workdir", True),
    (["--clean-work-dir"], "clean_workdir", True),
    (["--mem", "4000"], "mem_mb", 4000),
    (["--mem-mb", "4000"], "mem_mb", 4000),
    (["--mem", "8G"], "mem_mb", 8192),
    (["--mem_mb", "1.5 GiB"], "mem_mb", 1536),
    (["--mem", "512mb"], "mem_mb", 512),
    (["--mem-gb", "8"], "mem_mb", 8192),
    (["--use-plugin", "/p.yml"], "use_plugin", Path("/p.yml")),
    (["--nipype-plugin-file", "/p.yml"], "use_plugin", Path("/p.yml")),
    (["--stop-on-first-crash"], "stop_on_first_crash", True),
    (["--strict"], "strict", True),
    (["--include-flagged"], "include_flagged", True),
    (["--random-seed", "7"], "random_seed", 7),
    (["--device", "cpu"], "device", "cpu"),
    (["--precision", "bfloat16"], "precision", "bfloat16"),
    (["--memory-format", "channels_last"], "memory_format", "channels_last"),
    (["--compile", "off"], "compile", "off"),
    (["--slice-storage", "disk"], "slice_storage", "disk"),
    (["--dry-run"], "dry_run", True),
    (["-v"], "verbose", 1),
    (["--verbose", "-v"], "verbose", 2),
    (["--output-spaces", "T1w", "MNI152NLin6Sym"], "output_spaces", ("T1w", "MNI152NLin6Sym")),
    (["--output-spaces", "MNI152NLin6Sym", "--output-spaces", "anat"], "output_spaces", ("MNI152NLin6Sym", "T1w")),
    (["--backend", "fsl"], "backend", "fsl"),
    (["--bet-fractional-intensity", "0.3"], "bet_fractional_intensity", 0.3),
    (["--bet-robust", "off"], "bet_robust", "off"),
    (["--fsl-runner", "docker"], "fsl_runner", "docker"),
    (["--fsl-image", "me/fsl:1"], "fsl_image", "me/fsl:1"),
    (["--coreg-init", "header"], "coreg_init", "header"),
    (["--voxel-size", "2"], "voxel_size", 2.0),
    (["--mode", "train"], "mode", "train"),
    (["--model", "/m"], "model", Path("/m")),
    (["--model-label", "mine"], "model_label", "mine"),
    (["--inputs", "pet", "T1w"], "inputs", (("T1w", "pet"),)),
    (["--inputs", "FLAIR"], "inputs", (("FLAIR",),)),
    (["--intensity-scaling", "volume"], "intensity_scaling", "volume"),
    (["--adversarial-weight", "0.5"], "adversarial_weight", 0.5),
    (["--l1-weight", "10"], "l1_weight", 10.0),
    (["--ssim-weight", "1"], "ssim_weight", 1.0),
    (["--epochs", "5"], "epochs", 5),
    (["--batch-size", "4"], "batch_size", 4),
    (["--learning-rate", "2e-4"], "learning_rate", 2e-4),
    (["--learning-rate-decay-epochs", "3"], "learning_rate_decay_epochs", 3),
    (["--learning-rate-schedule", "cosine"], "learning_rate_schedule", "cosine"),
    (["--warmup-epochs", "2"], "warmup_epochs", 2),
    (["--patience", "20"], "patience", 20),
    (["--harmonise", "resolution"], "harmonise", "resolution"),
    (["--base-filters", "16"], "base_filters", 16),
    (["--checkpoint-every", "2"], "checkpoint_every", 2),
    (["--slices-per-subject", "20"], "slices_per_subject", 20),
    (["--split", "2", "1", "1"], "split", (2.0, 1.0, 1.0)),
    (["--split-counts", "2", "1", "0"], "split_counts", (2, 1, 0)),
    (["--split-file", "/s.tsv"], "split_file", Path("/s.tsv")),
    (["--hold-out", "resection=yes", "site=2"], "hold_out", ("resection=yes", "site=2")),
    (["--cross-validate", "4"], "cross_validate", 4),
    (["--cross-validate", "site"], "cross_validate", "site"),
    (["--study", "fard2024"], "study", "fard2024"),
    (["--preset", "fard2024"], "preset", "fard2024"),
    (["--loss", "nmi=2", "edge=0.5"], "loss", (("edge", 0.5), ("nmi", 2.0))),
    (["--loss", "nmi=2", "--loss", "edge=0.5"], "loss", (("edge", 0.5), ("nmi", 2.0))),
    (["--loss", "l1=50"], "l1_weight", 50.0),
    (["--loss", "ssim=1"], "ssim_weight", 1.0),
    (["--loss", "adversarial=0"], "adversarial_weight", 0.0),
    (["--adversarial-loss", "lsgan"], "adversarial_loss", "lsgan"),
    (["--neighbour-slices", "2"], "neighbour_slices", 2),
    (["--cohort-prior", "channel"], "cohort_prior", "channel"),
    (["--augmentation", "elastic", "flip"], "augmentation", ("flip", "elastic")),
    (["--augmentation", "none"], "augmentation", ()),
    (["--ema-decay", "0.9"], "ema_decay", 0.9),
    (["--flip-average", "on"], "flip_average", "on"),
    (["--orientations", "axial"], "orientations", "axial"),
    (["--crop", "brain"], "crop", "brain"),
    (["--ensemble-members", "3"], "ensemble_members", 3),
    (["--uncertainty", "8"], "uncertainty", 8),
    (["--bootstrap-samples", "0"], "bootstrap_samples", 0),
    (
        ["--equivalence-margins", "0.02", "0.03", "1"],
        "equivalence_margins",
        (("psnr", 1), ("rmse", 0.02), ("ssim", 0.03)),
    ),
    (["--equivalence-margins", "RMSE=0.02", "mask_psnr=1"], "equivalence_margins", (("mask_psnr", 1), ("rmse", 0.02))),
    (["--data-range", "2.3"], "data_range", 2.3),
    (["--bet-pet", "on"], "bet_pet", "on"),
    (["--flirt-cost", "mutualinfo"], "flirt_cost", "mutualinfo"),
    (["--flirt-spect", "masked"], "flirt_spect", "masked"),
    (["--template-affine", "off"], "template_affine", "off"),
    (["--seed", "7"], "random_seed", 7),
    (["--reports-only"], "reports_only", True),
    (["--boilerplate-only"], "boilerplate_only", True),
    (["--bids-database-dir", "/db"], "bids_database_dir", Path("/db")),
    (["--export", "dicom"], "export", ("dicom",)),
    (["--siscom", "off"], "siscom", "off"),
    (["--siscom-baselines", "pet", "real"], "siscom_baselines", ("real", "pet")),
    (["--siscom-fwhm", "14"], "siscom_fwhm", 14.0),
    (["--siscom-threshold", "1.5"], "siscom_threshold", 1.5),
    (["--siscom-extent", "2"], "siscom_extent", 2.0),
    (["--siscom-level", "median"], "siscom_level", "median"),
    (["--siscom-gain", "off"], "siscom_gain", "off"),
    (["--siscom-trend", "off"], "siscom_trend", "off"),
    (["--normals", "/normals"], "normals", Path("/normals")),
    (
        ["--derivatives", "fs=/a", "/b"],
        "derivatives",
        (NamedFolder("fs", Path("/a")), NamedFolder("b", Path("/b"))),
    ),
]


@pytest.mark.parametrize(("tokens", "name", "expected"), OPTIONS, ids=[" ".join(row[0]) for row in OPTIONS])
def test_an_option_sets_its_field_and_no_other(tokens: list[str], name: str, expected: Any) -> None:
    given, default = parse([*POSITIONAL, *tokens]), parse(POSITIONAL)
    assert getattr(given, name) == expected
    assert type(getattr(given, name)) is type(expected)
    others = [field for field in option_names() if field != name]
    assert [getattr(given, field) for field in others] == [getattr(default, field) for field in others]


OF_THE_GROUP_LEVEL = [
    (["--make-normals", "group=control"], "make_normals", "group=control"),
    (["--reader-study", "/study"], "reader_study", Path("/study")),
    (["--reader-results", "/form.tsv"], "reader_results", Path("/form.tsv")),
    (["--ratings", "/ratings"], "ratings", Path("/ratings")),
]


@pytest.mark.parametrize(("tokens", "name", "expected"), OF_THE_GROUP_LEVEL, ids=lambda value: str(value))
def test_an_option_of_the_group_level_sets_its_field(tokens: list[str], name: str, expected: Any) -> None:
    assert getattr(parse(["/data", "/out", "group", *tokens]), name) == expected


OF_THE_EXPORT = [
    (["--dicom-class", "MR"], "dicom_class", "MR"),
    (["--dicom-donor", "/donor"], "dicom_donor", Path("/donor")),
    (["--force"], "force", True),
]


@pytest.mark.parametrize(("tokens", "name", "expected"), OF_THE_EXPORT, ids=lambda value: str(value))
def test_an_option_of_the_export_sets_its_field(tokens: list[str], name: str, expected: Any) -> None:
    export = ["--export", "dicom", "--dicom-donor", "/donor"]
    assert getattr(parse([*POSITIONAL, *export, *tokens]), name) == expected


#: Options that need another one, or that others follow.
WITH_OTHERS = [
    (["--initial-model", "/m"], "initial_model", Path("/m")),
    (["--freeze", "encoder", "--initial-model", "/m"], "freeze", "encoder"),
    (["--site-column", "centre", "--cross-validate", "site"], "site_column", "centre"),
    (["--lesion-mask", "all", "--derivatives", "/a"], "lesion_mask", "all"),
]


@pytest.mark.parametrize(("tokens", "name", "expected"), WITH_OTHERS, ids=lambda value: str(value))
def test_an_option_that_goes_with_others_sets_its_field(tokens: list[str], name: str, expected: Any) -> None:
    assert getattr(parse([*POSITIONAL, *tokens]), name) == expected


def test_every_spelling_of_every_option_is_in_the_tables_above() -> None:
    known = {word for action in build_parser()._actions for word in action.option_strings}
    known -= {"-h", "--help", "--version", "--config-file"}
    tried = {
        word
        for tokens, _, _ in (*OPTIONS, *OF_THE_GROUP_LEVEL, *OF_THE_EXPORT, *WITH_OTHERS)
        for word in tokens
        if word.startswith("-")
    }
    assert known == {word for word in tried if "_" not in word}


def test_every_field_of_the_settings_has_an_option_and_the_other_way_round() -> None:
    dests = {action.dest for action in build_parser()._actions} - {"help", "version", "config_file"}
    assert dests - {"bids_dir", "output_dir", "analysis_level"} == set(option_names())


def test_without_options_the_settings_have_their_defaults() -> None:
    settings = parse(POSITIONAL)
    plain = Settings(bids_dir=Path("/data"), output_dir=Path("/out"), analysis_level="participant")
    assert all(getattr(settings, name) == getattr(plain, name) for name in option_names() if name != "nprocs")
    assert settings.nprocs >= 1


def test_a_preset_sets_what_it_governs_and_nothing_else() -> None:
    best, default = parse([*POSITIONAL, "--preset", "best"]), parse(POSITIONAL)
    assert {name: getattr(best, name) for name in GOVERNED} == PRESETS["best"]
    assert (best.voxel_size, default.voxel_size) == (2, 1)
    assert (best.crop, default.crop) == ("brain", "none")
    assert (best.patience, default.patience) == (50, 0)
    suggested = ("preset", "voxel_size", "crop", "patience")
    others = [name for name in option_names() if name not in (*GOVERNED, *suggested)]
    assert [getattr(best, name) for name in others] == [getattr(default, name) for name in others]


def test_an_option_overrules_the_preset_of_a_file(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('preset = "best"\nema-decay = 0.5\n')
    settings = parse([*POSITIONAL, "--config-file", str(config), "--cohort-prior", "none", "--augmentation", "none"])
    assert (settings.intensity_scaling, settings.ema_decay) == ("volume", 0.5)
    assert (settings.cohort_prior, settings.augmentation) == ("none", ())


def test_inputs_can_be_repeated_for_several_models() -> None:
    settings = parse([*POSITIONAL, "--inputs", "pet", "T1w", "--inputs", "pet", "--inputs", "T1w", "pet"])
    assert settings.inputs == (("T1w", "pet"), ("pet",))


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = parse(["data", "out", "group", "-w", "work"])
    assert (settings.bids_dir, settings.output_dir, settings.work_dir) == (
        tmp_path / "data",
        tmp_path / "out",
        tmp_path / "work",
    )
    assert settings.analysis_level == "group"


def test_the_configuration_file_lies_beneath_the_command_line(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('epochs = 7\nbatch-size = 2\nmodel_label = "fromfile"\ninputs = [["T1w", "pet"], ["pet"]]\n')
    settings = parse([*POSITIONAL, "--config-file", str(config), "--batch-size", "5", "--inputs", "T1w"])
    assert (settings.epochs, settings.batch_size, settings.model_label) == (7, 5, "fromfile")
    assert settings.inputs == (("T1w",),)


def test_flags_from_the_configuration_file(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('dry-run = true\nparticipant-label = ["sub-01", "02"]\nsession-label = "ses-a"\n')
    settings = parse([*POSITIONAL, "--config-file", str(config)])
    assert settings.dry_run
    assert settings.participant_label == ("01", "02")
    assert settings.session_label == ("a",)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"epoch = 3\n", "epoch"),
        (b"epochs = \n", "TOML"),
        (b"epochs = 'many'\n", "--epochs"),
        (b"epochs = 2.5\n", "--epochs"),
        (b"dry-run = 'no'\n", "--dry-run"),
        (b"device = 'tpu'\n", "--device"),
        (b"participant-label = 1\n", "--participant-label"),
        (b"\xff\xfe", "TOML"),
    ],
    ids=["unknown key", "bad syntax", "word for number", "fraction", "word for flag", "choice", "type", "not text"],
)
def test_a_wrong_configuration_file_is_one_line_and_code_2(
    content: bytes, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_bytes(content)
    assert main([*POSITIONAL, "--config-file", str(config)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("bids_spectsynth: error: ")
    assert named in error


def test_a_missing_configuration_file_is_one_line_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*POSITIONAL, "--config-file", "/nowhere/config.toml"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "/nowhere/config.toml" in error


def test_an_unknown_key_names_the_file_and_the_known_ones(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("colour = 1\n")
    with pytest.raises(UsageError, match=rf"{config}: unknown option colour; known: .*epochs"):
        parse([*POSITIONAL, "--config-file", str(config)])


def test_a_filter_file_with_bad_json_is_one_line_and_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "dataset_description.json").write_text(json.dumps({"Name": "x", "BIDSVersion": "1.9.0"}))
    broken = tmp_path / "filter.json"
    broken.write_text('{"pet": ')
    options = ["--bids-filter-file", str(broken), "--skip-bids-validation", "--mode", "preprocess"]
    assert main([str(data), str(tmp_path / "out"), "participant", *options]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == 1
    assert str(broken) in errors[0]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "bids_dir, output_dir, analysis_level"),
        (["/data", "/out"], "analysis_level"),
        (["/data", "/out", "subject"], "'subject' (choose from 'participant', 'group')"),
        ([*POSITIONAL, "--epochs", "many"], "--epochs: invalid int value: 'many'"),
        ([*POSITIONAL, "--device", "tpu"], "--device: invalid choice: 'tpu'"),
        ([*POSITIONAL, "--split", "1", "2"], "--split: expected 3 arguments"),
        ([*POSITIONAL, "--mem", "lots"], "--mem-mb: 'lots' is not usable"),
        ([*POSITIONAL, "--nonsense"], "unknown option --nonsense; bids_spectsynth --help"),
        ([*POSITIONAL, "--epoch", "3"], "unknown option --epoch; did you mean --epochs?"),
        (["--epoch", "3", *POSITIONAL], "unknown option --epoch; did you mean --epochs?"),
        (
            [*POSITIONAL, "--session_lable=01"],
            "unknown option --session_lable; did you mean --session-label?",
        ),
        ([*POSITIONAL, "-participant-label", "01"], "did you mean --participant-label?"),
        (
            [*POSITIONAL, "--inputs", "T1", "pet"],
            "and not pet; did you mean T1w?",
        ),
        ([*POSITIONAL, "--inputs", "bold"], "bold is no suffix of BIDS"),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, list) else "",
)
def test_wrong_syntax_is_one_line_and_code_2(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("bids_spectsynth: error: ")
    assert error.count("\n") == 1
    assert words in error


def test_a_template_that_there_is_not_is_named_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "templateflow")
    study = tmp_path / "study.toml"
    study.write_text('spaces = ["T1w", "MNI152Nlin6Asym:res-1"]\n')
    argv = [str(tmp_path), str(tmp_path / "out"), "participant", "--dry-run"]
    for options in (["--output-spaces", "anat", "MNI152Nlin6Asym:res-1"], ["--study", str(study)]):
        assert main([*argv, *options]) == 2
        error = capsys.readouterr().err
        assert "MNI152Nlin6Asym:res-1: unknown template; did you mean MNI152NLin6Asym?" in error
    assert not (tmp_path / "out").exists()
    assert parse([*argv, "--output-spaces", "MNI152NLin6Asym:res-1"]).output_spaces == ("MNI152NLin6Asym:res-1",)


def test_preset_demo_stands_for_the_options_of_the_demo() -> None:
    settings = parse([*POSITIONAL, "--preset", "demo"])
    named = "--inputs T1w pet --inputs pet --inputs T1w --voxel-size 2 --base-filters 16 --batch-size 4 --epochs 7 "
    named += "--learning-rate 1e-3 --learning-rate-decay-epochs 5 --adversarial-weight 0.1"
    assert settings == parse([*POSITIONAL, *named.split()])
    # What is given one by one wins.
    assert parse([*POSITIONAL, "--preset", "demo", "--epochs", "3"]).epochs == 3


def test_preset_demo_overrules_a_file(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("epochs = 1000\nrandom-seed = 3\n")
    settings = parse([*POSITIONAL, "--config-file", str(config), "--preset", "demo"])
    assert (settings.epochs, settings.random_seed) == (7, 3)
    config.write_text('preset = "demo"\nepochs = 9\n')
    settings = parse([*POSITIONAL, "--config-file", str(config)])
    assert (settings.epochs, settings.base_filters, settings.preset) == (9, 16, "fard2024")


def test_a_configuration_file_takes_every_spelling_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.toml"
    config.write_text('n-cpus = 3\nmem = "8G"\nsession_id = "a"\n')
    settings = parse([*POSITIONAL, "--config-file", str(config)])
    assert (settings.nprocs, settings.mem_mb, settings.session_label) == (3, 8192, ("a",))
    config.write_text("n-cpus = 3\nnprocs = 4\n")
    assert main([*POSITIONAL, "--config-file", str(config)]) == 2
    assert "nprocs: given twice" in capsys.readouterr().err
    config.write_text("epoch = 3\n")
    assert main([*POSITIONAL, "--config-file", str(config)]) == 2
    assert "unknown option epoch; did you mean epochs?" in capsys.readouterr().err


def test_an_interrupt_is_code_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(argv: object) -> Settings:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "parse", interrupted)
    assert main(POSITIONAL) == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_a_stopped_training_keeps_the_code_of_its_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(KeyboardInterrupt):
        exit_code = 143

    def stopped(argv: object) -> Settings:
        raise Stopped("stopped by SIGTERM")

    monkeypatch.setattr(cli, "parse", stopped)
    assert main(POSITIONAL) == 143


def test_a_defect_is_code_70_and_not_that_of_a_failed_participant(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(argv: object) -> Settings:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(cli, "parse", broken)
    assert main(POSITIONAL) == 70
    assert "RuntimeError: no such thing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (
            OSError(28, "No space left on device", "/o/group.html"),
            3,
            "/o/group.html: No space left on device; make room",
        ),
        (PermissionError(13, "Permission denied", "/o/x"), 3, "/o/x: Permission denied"),
        (MemoryError(), 1, "out of memory; lower --nprocs"),
        (OSError(12, "Cannot allocate memory"), 1, "out of memory; lower --nprocs"),
        (ImportError("x.so: failed to map segment from shared object"), 1, "out of memory; lower --nprocs"),
        (RuntimeError("can't start new thread"), 1, "out of memory; lower --nprocs"),
        (
            RuntimeError("[enforce fail at x.cpp] DefaultCPUAllocator: not enough memory: you"),
            1,
            "out of memory; lower",
        ),
    ],
)
def test_main__what_the_system_refuses_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, code: int, line: str
) -> None:
    def refused(argv: object) -> Settings:
        raise error

    monkeypatch.setattr(cli, "parse", refused)
    assert main(POSITIONAL) == code
    said = capsys.readouterr().err
    assert said.startswith(f"bids_spectsynth: error: {line}")
    assert said.count("\n") == 1


def test_processes_are_those_that_the_scheduler_grants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3}, raising=False)
    assert parse(POSITIONAL).nprocs == 1


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"bids_spectsynth {__version__}\n"


def test_help_explains_every_option_modes_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert all(word in text for action in build_parser()._actions for word in action.option_strings)
    assert all(action.help for action in build_parser()._actions)
    assert all(word in text for word in ("preprocess", "exit codes", "not measurements"))


def test_help_and_wrong_syntax_import_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from bids_spectsynth.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "names = sorted({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names))\n"
        "print('\\n' + ' '.join(names))"
    )
    before = subprocess.run(
        [sys.executable, "-c", "import sys; print(*{n.partition('.')[0] for n in sys.modules})"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    added = set(done.stdout.splitlines()[-1].split()) - set(before.stdout.split())
    assert added == {"bids_spectsynth"}


def test_a_preset_of_the_command_line_wins_over_a_recorded_file(tmp_path: Path) -> None:
    recorded = tmp_path / "settings.toml"
    recorded.write_text(to_toml(parse(["in", "out", "participant", "--epochs", "3", "--l1-weight", "7"])))
    # Voxel size and crop are those of the preset of the command line too, unless somebody chose another one.
    settings = parse(["in", "out", "participant", "--config-file", str(recorded), "--preset", "best"])
    expected = parse(["in", "out", "participant", "--preset", "best", "--epochs", "3"])
    assert settings == expected
    assert (settings.voxel_size, settings.crop) == (2, "brain")
    recorded.write_text(to_toml(parse(["in", "out", "participant", "--voxel-size", "4"])))
    settings = parse(["in", "out", "participant", "--config-file", str(recorded), "--preset", "best"])
    assert (settings.voxel_size, settings.crop) == (4, "none")


def test_parse__loss_of_the_command_line_wins_over_either_spelling_of_a_file(tmp_path: Path) -> None:
    recorded = tmp_path / "settings.toml"
    recorded.write_text(to_toml(parse([*POSITIONAL, "--l1-weight", "7", "--loss", "edge=2"])))
    again = parse([*POSITIONAL, "--config-file", str(recorded)])
    assert (again.l1_weight, again.loss) == (7, (("edge", 2.0),))
    settings = parse([*POSITIONAL, "--config-file", str(recorded), "--loss", "l1=50", "nmi=1"])
    assert (settings.l1_weight, settings.loss) == (50, (("nmi", 1.0),))
    recorded.write_text('loss = ["l1=50", "edge=2"]\n')
    settings = parse([*POSITIONAL, "--config-file", str(recorded), "--l1-weight", "60"])
    assert (settings.l1_weight, settings.loss) == (60, (("edge", 2.0),))


def test_parse__two_weights_of_one_loss_are_refused() -> None:
    assert parse([*POSITIONAL, "--loss", "l1=50", "--l1-weight", "50"]).l1_weight == 50
    with pytest.raises(UsageError, match="--loss: l1=50 is not --l1-weight 60"):
        parse([*POSITIONAL, "--loss", "l1=50", "--l1-weight", "60"])


@pytest.mark.parametrize(
    ("tokens", "named"),
    [
        (["group", "--participant-label", "01", "--make-normals", "a=b"], "--participant-label"),
        (["participant", "--reports-only", "--mode", "apply"], "--mode"),
        (["participant", "--model", "m", "--model-label", "mine"], "--model-label"),
        (["participant", "--model", "m", "--ema-decay", "0.5"], "--ema-decay"),
        (["participant", "--mode", "apply", "--model", "m", "--loss", "edge=1"], "--loss"),
        (["participant", "--model", "m", "--loss", "l1=100"], "--loss"),
        (["participant", "--model", "m", "--inputs", "T1w", "pet"], "--inputs"),
        (["participant", "--model", "m", "--split", "1", "1", "1", "--study", "fard2024"], "--study, --split"),
        (["participant", "--model", "m", "--learning-rate", "1e-4", "--epochs", "9"], "--epochs, --learning-rate"),
        (["participant", "--model", "m", "--preset", "demo"], "--preset"),
        (["participant", "--model", "m", "--compile", "auto", "--slice-storage", "auto"], "--compile, --slice-storage"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_main__option_without_effect_is_refused_with_one_line(
    tokens: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["/data", "/out", *tokens]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"bids_spectsynth: error: {named}: ")
    assert error.count("\n") == 1


def test_help_names_the_registered_losses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert all(f"{name} ({title})" in text for name, title in registered_losses().items())


def test_a_model_brings_its_voxels_and_its_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = SimpleNamespace(voxel_size=4.0, space="MNIPediatricAsym+3")
    monkeypatch.setattr(ensemble, "load_members", lambda folder: (SimpleNamespace(card=card),))
    argv = [*POSITIONAL, "--model", str(tmp_path)]
    taken = parse(argv)
    assert (taken.voxel_size, taken.output_spaces) == (4, ("MNIPediatricAsym:cohort-3",))
    # What is given is kept, and refused later if it does not fit.
    config = tmp_path / "config.toml"
    config.write_text("voxel-size = 2\n")
    kept = parse([*argv, "--config-file", str(config), "--output-spaces", "T1w"])
    assert (kept.voxel_size, kept.output_spaces) == (2, ("T1w",))
    # A folder that there is not is named by the run.
    assert parse([*POSITIONAL, "--model", str(tmp_path / "gone")]).voxel_size == 1


@pytest.mark.parametrize(("code", "at_once"), [(130, True), (138, True), (143, True), (0, False), (1, False)])
def test_entry_point__a_run_that_was_asked_to_end_ends_at_once(
    monkeypatch: pytest.MonkeyPatch, code: int, at_once: bool
) -> None:
    ended: list[object] = []
    monkeypatch.setattr(cli, "main", lambda argv: code)
    monkeypatch.setattr(atexit, "_run_exitfuncs", lambda: ended.append("what is to be done at the end"))
    monkeypatch.setattr(os, "_exit", ended.append)
    with pytest.raises(SystemExit) as left:
        cli.entry_point()
    assert left.value.code == code
    assert ended == (["what is to be done at the end", code] if at_once else [])


def test_main__lack_of_memory_where_none_is_left_for_the_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def none(*_: object) -> NoReturn:
        raise MemoryError

    monkeypatch.setattr(cli, "parse", none)
    monkeypatch.setattr(cli, "_ended_by", none)
    assert cli.main(["data", "out", "participant"]) == ExitCode.SOME_FAILED
    assert capfd.readouterr().err == f"bids_spectsynth: error: out of memory; {MEMORY_ADVICE}\n"
