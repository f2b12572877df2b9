import json
import shlex
from pathlib import Path
from typing import Any

import boutiques
import pytest

from bids_spectsynth import __version__
from bids_spectsynth.app.boutiques import build_descriptor, main
from bids_spectsynth.app.registries import registered_losses
from bids_spectsynth.cli import parse
from bids_spectsynth.errors import ExitCode
from bids_spectsynth.options.parser import build_parser, parsed_options
from bids_spectsynth.options.settings import option_names

DESCRIPTOR = Path(__file__).parents[2] / "boutiques.json"

INVOCATION: dict[str, Any] = {
    "bids_dir": "/data/with space",
    "output_dir": "out",
    "analysis_level": "participant",
    "participant_label": ["01", "02"],
    "inputs": ["T1w", "pet"],
    "mode": "train",
    "epochs": 3,
    "learning_rate": 0.0002,
    "split": [2, 1, 1],
    "work_dir": "scratch",
    "dry_run": True,
    "skip_bids_validation": False,
}


def _simulate(invocation: dict[str, Any], tmp_path: Path) -> list[str]:
    path = tmp_path / "invocation.json"
    path.write_text(json.dumps(invocation))
    return shlex.split(boutiques.execute("simulate", str(DESCRIPTOR), "-i", str(path)).stdout)


def test_the_descriptor_equals_the_parser(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(DESCRIPTOR.read_text()) == build_descriptor(), "run: make boutiques"
    main()
    assert capsys.readouterr().out == DESCRIPTOR.read_text()


def test_bosh_accepts_the_descriptor() -> None:
    boutiques.validate(str(DESCRIPTOR))


def test_every_option_is_an_input_with_its_kind() -> None:
    descriptor = build_descriptor()
    inputs = {one["id"]: one for one in descriptor["inputs"]}
    assert set(inputs) == {"bids_dir", "output_dir", "analysis_level", "config_file", *option_names()}
    assert descriptor["command-line"].split()[0] == "bids_spectsynth"
    assert sorted(descriptor["command-line"].split()[1:]) == sorted(one["value-key"] for one in inputs.values())
    kinds = {name: (inputs[name]["type"], inputs[name].get("integer"), inputs[name].get("list")) for name in inputs}
    assert kinds["bids_dir"] == ("File", None, None)
    assert kinds["output_dir"] == ("String", None, None)
    assert kinds["epochs"] == ("Number", True, None)
    assert kinds["l1_weight"] == ("Number", None, None)
    assert kinds["participant_label"] == ("String", None, True)
    assert kinds["verbose"] == ("Flag", None, None)
    assert inputs["backend"]["value-choices"] == ["auto", "fsl", "embedded"]
    assert (inputs["split"]["min-list-entries"], inputs["split"]["max-list-entries"]) == (3, 3)
    assert [name for name, one in inputs.items() if not one["optional"]] == ["bids_dir", "output_dir", "analysis_level"]


def test_no_input_has_a_default_that_would_override_a_configuration_file() -> None:
    assert not [one["id"] for one in build_descriptor()["inputs"] if "default-value" in one]


def test_build_descriptor__a_model_excludes_the_options_of_training() -> None:
    inputs = {one["id"]: one for one in build_descriptor()["inputs"]}
    assert [name for name, one in inputs.items() if "disables-inputs" in one] == ["model"]
    refused = set(inputs["model"]["disables-inputs"])
    assert {"inputs", "epochs", "study", "cross_validate", "preset", "random_seed", "l1_weight"} <= refused
    assert not {"mode", "voxel_size", "output_spaces", "device", "uncertainty", "data_range"} & refused


def test_flags_and_descriptions_are_those_of_the_parser() -> None:
    parser = build_parser(registered_losses())
    flags = {word: action.help for action in parsed_options(parser) for word in action.option_strings}
    for one in build_descriptor()["inputs"]:
        assert one["description"]
        if "command-line-flag" in one:
            assert flags[one["command-line-flag"]] == one["description"]


def test_version_image_and_exit_codes() -> None:
    descriptor = build_descriptor()
    assert descriptor["schema-version"] == "0.5"
    assert descriptor["tool-version"] == __version__
    assert descriptor["container-image"] == {"type": "docker", "image": f"bids_spectsynth:{__version__}"}
    assert {one["code"] for one in descriptor["error-codes"]} == {int(code) for code in ExitCode} - {0}


def test_a_simulated_invocation_is_a_command_that_the_parser_takes(tmp_path: Path) -> None:
    program, *argv = _simulate(INVOCATION, tmp_path)
    settings = parse(argv)
    assert program == "bids_spectsynth"
    assert settings.bids_dir == Path("/data/with space")
    assert settings.participant_label == ("01", "02")
    assert settings.inputs == (("T1w", "pet"),)
    assert (settings.mode, settings.epochs, settings.learning_rate) == ("train", 3, 0.0002)
    assert settings.split == (2.0, 1.0, 1.0)
    assert settings.dry_run
    assert not settings.skip_bids_validation


def test_an_invocation_without_options_names_only_the_three_arguments(tmp_path: Path) -> None:
    minimal = {name: INVOCATION[name] for name in ("bids_dir", "output_dir", "analysis_level")}
    assert _simulate(minimal, tmp_path) == ["bids_spectsynth", "/data/with space", "out", "participant"]


def test_a_wrong_choice_is_refused_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="subject"):
        _simulate({**INVOCATION, "analysis_level": "subject"}, tmp_path)
