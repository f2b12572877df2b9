"""The Nipype shells: what they leave, what changes their hash, what they say when they fail."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nipype.pipeline.engine import Node

from bids_spectsynth.preprocess.records import (
    load_record,
)
from bids_spectsynth.preprocess.workflow.interfaces import (
    PrepareReference,
    RegisterToReference,
)


def common(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    base = {"backend": "embedded", "software": "a 1", "failure_file": str(tmp_path / "why")}
    return {**base, **changes}


def test_reference_leaves_a_mask_and_notes(tiny: Any, make_case: Any, tmp_path: Path) -> None:
    case = make_case("01", ("T1w",))
    node = Node(PrepareReference(t1w=str(case.images["T1w"].path), **common(tmp_path)), "ref", base_dir=str(tmp_path))
    outputs = node.run().outputs
    mask = nib.load(outputs.mask)
    assert mask.get_data_dtype() == np.uint8
    assert set(np.unique(np.asanyarray(mask.dataobj))) == {0, 1}
    assert load_record(Path(outputs.record)).registration is None


def test_registration_says_where_the_mask_comes_from(tiny: Any, make_case: Any, tmp_path: Path) -> None:
    case = make_case("01", ("T1w", "pet", "ictal"))
    mask = tmp_path / "mask.nii.gz"
    head = nib.load(case.images["T1w"].path)
    nib.save(nib.Nifti1Image((np.asanyarray(head.dataobj) > 50).astype(np.uint8), head.affine), mask)
    masks = {}
    for role in ("pet", "ictal"):
        interface = RegisterToReference(
            moving=str(case.images[role].path), role=role, t1w=str(case.images["T1w"].path), t1w_mask=str(mask),
            coreg_init="auto", own_mask=role == "ictal", **common(tmp_path),
        )  # fmt: skip
        outputs = Node(interface, f"register_{role}", base_dir=str(tmp_path)).run().outputs
        masks[role] = bool(outputs.mask)
        found = load_record(Path(outputs.record)).registration
        assert found is not None
        assert (found.poor, found.notes) == (True, ("nothing done",))
    assert masks == {"pet": False, "ictal": True}


def test_everything_that_matters_is_in_the_hash(tmp_path: Path) -> None:
    def value(**changes: Any) -> str:
        interface = RegisterToReference(
            moving="a",
            role="pet",
            t1w="b",
            coreg_init=changes.pop("coreg_init", "auto"),
            own_mask=changes.pop("own_mask", False),
            **common(tmp_path, **changes),
        )
        return str(interface.inputs.get_hashval(hash_method="timestamp")[1])

    changes = [{}, {"backend": "fsl"}, {"software": "a 2"}, {"coreg_init": "header"}, {"own_mask": True}]
    assert len({value(**change) for change in changes}) == len(changes)
    assert value(failure_file="elsewhere") == value(optional=True) == value()
    hashes = {
        str(PrepareReference(t1w="a", threads=n, **common(tmp_path)).inputs.get_hashval(hash_method="timestamp")[1])
        for n in (1, 2)
    }
    assert len(hashes) == 2


@pytest.mark.parametrize(("size", "n_notes"), [(22, 0), (12, 1)])
def test_an_unusual_brain_volume_is_noted(tiny: Any, tmp_path: Path, size: int, n_notes: int) -> None:
    data = np.zeros((32, 32, 32), dtype=np.float32)
    data[4 : 4 + size, 4 : 4 + size, 4 : 4 + size] = 100
    nib.save(nib.Nifti1Image(data, np.diag([5.0, 5, 5, 1])), tmp_path / "t1w.nii.gz")
    (tmp_path / "step").mkdir()
    interface = PrepareReference(t1w=str(tmp_path / "t1w.nii.gz"), **common(tmp_path))
    outputs = interface.run(cwd=str(tmp_path / "step")).outputs
    notes = load_record(Path(outputs.record)).notes
    assert sum(note.startswith("brain mask of 0.22 l") for note in notes) == n_notes
