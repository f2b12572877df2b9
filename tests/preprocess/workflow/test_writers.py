"""The shells that write to the output folder."""

import pickle
from pathlib import Path
from typing import Any

from bids_spectsynth.preprocess.workflow.writers import WritePrepared


def common(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    base = {"backend": "embedded", "software": "a 1", "failure_file": str(tmp_path / "why")}
    return {**base, **changes}


def test_the_writer_survives_the_way_to_another_process(tmp_path: Path) -> None:
    interface = WritePrepared(steps=("T1w", "pet"), space="T1w", **common(tmp_path))
    interface.inputs.record_pet = "somewhere"
    copy = pickle.loads(pickle.dumps(interface))
    assert copy.inputs.record_pet == "somewhere"
    assert copy.always_run
