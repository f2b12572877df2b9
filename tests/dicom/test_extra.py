import importlib.util

import pytest

from bids_spectsynth.dicom.export import cli as export_cli
from bids_spectsynth.dicom.extra import require_dicom
from bids_spectsynth.dicom.importer import cli as import_cli
from bids_spectsynth.errors import ExitCode, UsageError
from bids_spectsynth.phantom import cli as phantom_cli


@pytest.fixture
def without_pydicom(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pydicom" else find(name))


@pytest.mark.usefixtures("without_pydicom")
def test_require_dicom__one_line_says_what_to_install() -> None:
    with pytest.raises(UsageError, match=r"^DICOM: pydicom is not installed; pip install 'bids_spectsynth\[dicom\]'$"):
        require_dicom()


@pytest.mark.usefixtures("without_pydicom")
@pytest.mark.parametrize(
    ("main", "arguments"),
    [
        (export_cli.main, ["out"]),
        (import_cli.main, ["in", "out", "--participant-label", "01"]),
        (phantom_cli.main, ["out", "--dicom"]),
    ],
)
def test_commands__without_the_extra_end_with_a_line(main, arguments, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == ExitCode.USAGE
    assert capsys.readouterr().err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
