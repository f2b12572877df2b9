import errno

import pytest

from bids_spectsynth.dicom.command import run_command
from bids_spectsynth.errors import ExitCode, UsageError


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UsageError("no such option"), 2, "no such option"),
        (OSError(errno.EACCES, "Permission denied", "out/a.dcm"), ExitCode.DATASET, "out/a.dcm: Permission denied"),
        (OSError(errno.ENOSPC, "No space left on device", "a"), ExitCode.DATASET, "a: No space left on device; make"),
    ],
)
def test_run_command__an_error_is_one_line_with_its_code(error, code, line, capsys) -> None:
    def command() -> int:
        raise error

    assert run_command("bids_spectsynth-dicom", 0, command) == code
    said = capsys.readouterr().err
    assert said.startswith(f"bids_spectsynth-dicom: error: {line}")
    assert said.count("\n") == 1


def test_run_command__gives_the_code_of_the_command() -> None:
    assert run_command("bids_spectsynth-import", 0, lambda: 4) == 4
