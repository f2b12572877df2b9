import subprocess
import sys

import pytest

from bids_spectsynth.phantom import cli
from bids_spectsynth.phantom import participants as cohort


def test_options_reach_the_cohort(monkeypatch, tmp_path, capsys):
    calls = []
    monkeypatch.setattr(cohort, "make_cohort", lambda out, n, **options: calls.append((out, n, options)))
    arguments = [str(tmp_path / "out"), "-n", "3", "--size", "paper", "--seed", "7", "--nprocs", "2"]
    arguments += ["--folds", "individual", "--ictal", "study"]
    assert cli.main(arguments) == 0
    expected = {"size": "paper", "seed": 7, "nprocs": 2, "folds": "individual", "ictal": "study", "further": ()}
    assert calls == [(tmp_path / "out", 3, expected)]
    assert "out-truth" in capsys.readouterr().out


def test_non_empty_folder_is_one_line_and_exit_code_2(tmp_path, capsys):
    (tmp_path / "something").touch()
    assert cli.main([str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "not empty" in error
    assert str(tmp_path) in error


@pytest.mark.parametrize("arguments", [["-n", "0"], ["--seed", "-1"], ["--nprocs", "0"]])
def test_numbers_out_of_range_are_exit_code_2(tmp_path, capsys, arguments):
    assert cli.main([str(tmp_path / "out"), *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_folder_that_cannot_be_made_is_exit_code_3(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert cli.main([str(tmp_path / "file" / "out")]) == 3
    assert "cannot be written" in capsys.readouterr().err


def test_unknown_size_is_refused_by_the_parser(tmp_path):
    with pytest.raises(SystemExit) as refusal:
        cli.main([str(tmp_path / "out"), "--size", "huge"])
    assert refusal.value.code == 2


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from bids_spectsynth.phantom import cli; cli.build_parser().format_help(); "
        "sys.exit(any(name in sys.modules for name in ('numpy', 'nibabel', 'scipy', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_entry_point_exits_with_the_code(monkeypatch, tmp_path):
    (tmp_path / "something").touch()
    monkeypatch.setattr(sys, "argv", ["bids_spectsynth-phantom", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        cli.entry_point()
    assert end.value.code == 2
