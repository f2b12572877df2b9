"""Preparation in the spaces of templates with cohorts and resolutions, from a folder of tiny ones."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from bids_spectsynth.bids.prepared import find_prepared, is_registered_to
from bids_spectsynth.errors import UsageError
from bids_spectsynth.preprocess.workflow.build import preprocess

REGISTERED = "register T1w 12 auto"


@pytest.fixture
def case(make_case: Any) -> Any:
    return make_case("01", ("T1w", "interictal"))


def sidecar(folder: Path, pattern: str) -> dict[str, Any]:
    (path,) = folder.glob(pattern)
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_a_cohort_in_names_and_sidecars(
    store: Callable[..., Path], tiny: Any, case: Any, make_options: Any, tmp_path: Path
) -> None:
    store("MNIInfant", cohort="2", res="1")
    settings = make_options(output_spaces=["MNIInfant:cohort-2", "T1w"])
    assert [outcome.status for outcome in preprocess([case], settings)] == ["ok"]
    anat = tmp_path / "out" / "sub-01" / "anat"
    assert {path.name for path in anat.glob("*MNIInfant*.*") if path.suffix != ".json"} == {
        "sub-01_space-MNIInfant+2_desc-preproc_T1w.nii.gz",
        "sub-01_space-MNIInfant+2_desc-brain_mask.nii.gz",
        "sub-01_from-T1w_to-MNIInfant+2_mode-image_xfm.txt",
        "sub-01_from-MNIInfant+2_to-T1w_mode-image_xfm.txt",
    }
    source = "tpl-MNIInfant/cohort-2/tpl-MNIInfant_cohort-2_res-1_T1w.nii.gz"
    image = sidecar(anat, "*space-MNIInfant+2_desc-preproc_T1w.json")
    assert image["SpatialReference"] == f"https://templateflow.s3.amazonaws.com/{source}"
    assert "bids::sub-01/anat/sub-01_from-T1w_to-MNIInfant+2_mode-image_xfm.txt" in image["Sources"]
    for direction in ("from-T1w_to-MNIInfant+2", "from-MNIInfant+2_to-T1w"):
        assert sidecar(anat, f"*{direction}_mode-image_xfm.json")["Template"] == "MNIInfant:cohort-2:res-1"
    (prepared,) = find_prepared(tmp_path / "out", "MNIInfant+2")
    assert prepared.template == "MNIInfant+2"
    assert set(prepared.images) == {"T1w", "interictal"}


def test_two_cohorts_side_by_side(
    store: Callable[..., Path], tiny: Any, case: Any, make_options: Any, tmp_path: Path
) -> None:
    for cohort in ("1", "12"):
        store("A", cohort=cohort, res=None)
    store("A1", cohort="2", res=None)
    spaces = ["A:cohort-1", "A:cohort-12", "A1:cohort-2"]
    assert preprocess([case], make_options(output_spaces=spaces))[0].status == "ok"
    assert tiny.calls.count(REGISTERED) == 3
    for label, asked in zip(("A+1", "A+12", "A1+2"), spaces, strict=True):
        (prepared,) = find_prepared(tmp_path / "out", label)
        assert prepared.template_xfm is not None
        assert sidecar(prepared.template_xfm.parent, f"*to-{label}_*.json")["Template"] == asked
    before = list(tiny.calls)
    assert preprocess([case], make_options(output_spaces=spaces[::-1]))[0].status == "ok"
    assert tiny.calls == before


def test_another_resolution_registers_anew(
    store: Callable[..., Path], tiny: Any, case: Any, make_options: Any, tmp_path: Path
) -> None:
    store("Mine", res="1")
    moved = store("Mine", res="2")
    for path in moved.parent.glob("*_res-2_*"):
        image = nib.load(path)
        shifted = image.affine.copy()
        shifted[2, 3] += 24
        nib.save(nib.Nifti1Image(image.dataobj, shifted), path)

    def run(asked: str) -> Any:
        assert preprocess([case], make_options(output_spaces=[asked]))[0].status == "ok"
        (prepared,) = find_prepared(tmp_path / "out", "Mine")
        return prepared

    first = run("Mine")
    start = nib.load(first.images["T1w"]).affine
    assert is_registered_to(first, "Mine:res-1")
    assert not is_registered_to(first, "Mine:res-2")
    assert is_registered_to(first, "Mine")
    # To name what was taken anyway changes nothing.
    run("Mine:res-01")
    assert tiny.calls.count(REGISTERED) == 1
    second = run("Mine:res-2")
    assert tiny.calls.count(REGISTERED) == 2
    assert is_registered_to(second, "Mine:res-2")
    assert sidecar(second.images["T1w"].parent, "*space-Mine_desc-preproc_T1w.json")["SpatialReference"].endswith(
        "tpl-Mine_res-2_T1w.nii.gz"
    )
    # The grid's rule is the same, its centre is that of the other image's brain.
    np.testing.assert_allclose(nib.load(second.images["T1w"]).affine - start, np.pad([[24.0]], ((2, 1), (3, 0))))
    # The brain was extracted once.
    assert tiny.calls.count("brain T1w") == 1


def test_another_content_of_the_same_files_registers_anew(
    store: Callable[..., Path], tiny: Any, case: Any, make_options: Any
) -> None:
    path = store("Mine", res="1")
    settings = make_options(output_spaces=["Mine"])
    content = path.read_bytes()
    preprocess([case], settings)
    # A copy of the same content, however young, is the same template.
    path.write_bytes(content)
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime + 100))
    preprocess([case], settings)
    assert tiny.calls.count(REGISTERED) == 1
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj) * 2 + 1, image.affine), path)
    assert preprocess([case], settings)[0].status == "ok"
    assert tiny.calls.count(REGISTERED) == 2
    assert tiny.calls.count("brain T1w") == 1


def test_a_finer_image_that_comes_later_is_taken_aloud(
    store: Callable[..., Path], tiny: Any, case: Any, make_options: Any, caplog: Any
) -> None:
    caplog.set_level("INFO")
    store("Mine", res="2")
    preprocess([case], make_options(output_spaces=["Mine"]))
    store("Mine", res="1")
    preprocess([case], make_options(output_spaces=["Mine"]))
    assert tiny.calls.count(REGISTERED) == 2
    said = [line for line in caplog.messages if line.startswith("Template Mine: ")]
    assert ["res-2_T1w" in said[0], "res-1_T1w" in said[1]] == [True, True]


def test_a_template_that_is_damaged_ends_the_run_at_once(
    store: Callable[..., Path], tiny: Any, case: Any, make_options: Any
) -> None:
    store("Mine").write_bytes(b"<?xml version='1.0'?><Error>")
    with pytest.raises(UsageError, match=r"template Mine:res-1: .*_T1w.nii.gz"):
        preprocess([case], make_options(output_spaces=["Mine"]))
    assert tiny.calls == []
