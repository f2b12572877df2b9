"""What a failing step leaves."""

from pathlib import Path
from typing import Any

import pytest

from bids_spectsynth.errors import ImageError
from bids_spectsynth.preprocess.records import (
    load_failure,
    save_failure,
)
from bids_spectsynth.preprocess.workflow.interfaces import PrepareReference
from bids_spectsynth.preprocess.workflow.step import named


def common(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    base = {"backend": "embedded", "software": "a 1", "failure_file": str(tmp_path / "why")}
    return {**base, **changes}


def test_a_failing_step_leaves_its_reason(tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "sub-01_T1w.nii.gz").write_bytes(b"")
    interface = PrepareReference(t1w=str(tmp_path / "sub-01_T1w.nii.gz"), **common(tmp_path))
    with pytest.raises(ImageError):
        interface.run(cwd=str(tmp_path))
    reason = load_failure(tmp_path / "why")
    assert reason is not None
    assert "sub-01_T1w.nii.gz" in reason
    save_failure(tmp_path / "why", "a later one")
    assert load_failure(tmp_path / "why") == reason


def test_an_error_without_a_file_gets_one() -> None:
    def failing(path: str) -> None:
        raise ImageError(f"{path}the mask is empty")

    with pytest.raises(ImageError, match=r"^/a/b.nii: the mask is empty$"):
        named(Path("/a/b.nii"), failing, "")
    with pytest.raises(ImageError, match=r"^/a/b.nii: the mask is empty$"):
        named(Path("/a/b.nii"), failing, "/a/b.nii: ")
