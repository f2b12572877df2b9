"""The shells that write to the output folder."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bids_spectsynth.preprocess.outputs.inputs import CaseRecords
from bids_spectsynth.preprocess.records import StepRecord
from bids_spectsynth.preprocess.registration.quality import MIRRORED, TURNED
from bids_spectsynth.preprocess.registration.result import Registration
from bids_spectsynth.preprocess.workflow.writers import WritePrepared, WriteTransforms


def common(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    base = {"backend": "embedded", "software": "a 1", "failure_file": str(tmp_path / "why")}
    return {**base, **changes}


def test_the_writer_survives_the_way_to_another_process(tmp_path: Path) -> None:
    interface = WritePrepared(steps=("T1w", "pet"), space="T1w", **common(tmp_path))
    interface.inputs.record_pet = "somewhere"
    copy = pickle.loads(pickle.dumps(interface))
    assert copy.inputs.record_pet == "somewhere"
    assert copy.always_run


def test_write_transforms__a_turned_t1w_is_named_and_not_what_is_turned_against_it(
    make_case: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    case = make_case("01", ("T1w", "pet", "ictal"))
    turn = np.diag([1.0, -1, -1, 1])

    def warnings(*turned: str) -> tuple[str, ...]:
        found = {
            role: StepRecord(
                registration=Registration(turn, 0.9, "R", 0.9, True, (f"turned by 180 {TURNED}",))
                if role in turned
                else Registration(np.eye(4), 0.9, "R", 0.9, False)
            )
            for role in ("pet", "ictal")
        }
        known = CaseRecords(case=case, bids_dir=tmp_path, output_dir=tmp_path / "out", records=found)
        backend = type("Nothing", (), {"name": "embedded", "tools": {}, "options": {}})()
        return WriteTransforms(steps=("pet", "ictal"), **common(tmp_path))._write(known, backend).warnings

    (line,) = warnings("pet", "ictal")
    assert case.images["T1w"].path.name in line
    assert "turned by 180 degrees against it; correct the T1w's header" in line
    (line,) = warnings("pet")
    assert line.startswith("the registration of the PET to the T1w is poor")
    assert f"in the header of {case.images['pet'].path.name} may be wrong" in line
    assert case.images["T1w"].path.name not in line
    assert warnings() == ()


@pytest.mark.parametrize("note", [f"turned by 180 {TURNED}", MIRRORED])
def test_write_transforms__with_one_image_alone_either_header_may_be_wrong(
    make_case: Any, tmp_path: Path, note: str
) -> None:
    case = make_case("01", ("T1w", "ictal"))
    found = StepRecord(registration=Registration(np.diag([1.0, -1, -1, 1]), 0.9, "R", 0.9, True, (note,)))
    known = CaseRecords(case=case, bids_dir=tmp_path, output_dir=tmp_path / "out", records={"ictal": found})
    backend = type("Nothing", (), {"name": "embedded", "tools": {}, "options": {}})()
    (line,) = WriteTransforms(steps=("ictal",), **common(tmp_path))._write(known, backend).warnings
    ictal, t1w = (case.images[role].path.name for role in ("ictal", "T1w"))
    assert f"the header of {ictal}, or that of the T1w, {t1w}, may " in line
