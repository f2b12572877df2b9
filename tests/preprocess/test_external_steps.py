"""Masks and transforms made elsewhere, through the preparation: what is replaced, made anew, refused, and recorded."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from bids_spectsynth.bids.finding.cases import Case
from bids_spectsynth.bids.finding.external import find_external
from bids_spectsynth.bids.writing import read_matrix
from bids_spectsynth.options.declarations.derivatives import NamedFolder
from bids_spectsynth.preprocess.workflow.build import preprocess
from tests.packed import unpacked
from tests.preprocess.external.files import itk_affine, write_flirt, write_itk, write_lta

pytestmark = pytest.mark.usefixtures("tiny_template")

ROLES = ("T1w", "pet", "interictal")
MASK = "sub-01/anat/sub-01_desc-brain_mask.nii.gz"
PET = "sub-01/pet/sub-01_from-pet_to-T1w_mode-image_xfm"
PREPARED_PET = "sub-01/pet/sub-01_trc-FDG_space-T1w_desc-preproc_pet"


@pytest.fixture
def hand(tmp_path: Path) -> Path:
    """A folder of corrections."""
    for datatype in ("anat", "pet", "spect"):
        (tmp_path / "hand" / "sub-01" / datatype).mkdir(parents=True)
    return tmp_path / "hand"


@pytest.fixture
def with_hand(hand: Path) -> Callable[[Case], Case]:
    """A case with what lies in the folder by now."""

    def given(case: Case) -> Case:
        external, notes = find_external(case.images, case.participant, (NamedFolder("hand", hand),))
        assert not notes
        return replace(case, external=external)

    return given


def draw(path: Path, case: Case, *, cut: int = 0, flip: bool = False, value: int = 1) -> None:
    image = nib.load(case.images["T1w"].path)
    inside = (np.asanyarray(image.dataobj) > 50).astype(np.uint8) * np.uint8(value)
    inside[:, :, : 8 + cut] = 0
    nib.save(nib.Nifti1Image(inside[::-1] if flip else inside, image.affine), path)
    # Files of one size and second are told apart, too, but not those of one size and moment.
    os.utime(path, ns=(cut * 10**9, cut * 10**9))


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("sub-*/**/*") if path.is_file())
    return {path.relative_to(folder).as_posix(): unpacked(path) for path in files}


def sidecar(folder: Path, name: str) -> dict[str, Any]:
    return dict(json.loads((folder / f"{name}.json").read_text()))


def test_preprocess__mask_is_used_and_recorded(
    tiny: Any, make_case: Any, make_options: Any, hand: Path, with_hand: Any, tmp_path: Path
) -> None:
    case = make_case("01", ROLES)
    draw(hand / MASK, case, cut=3)
    (outcome,) = preprocess([with_hand(case)], make_options())
    assert outcome.status == "ok", outcome.reason
    assert "brain T1w" not in tiny.calls
    out = tmp_path / "out"
    of_mask = sidecar(out, "sub-01/anat/sub-01_space-T1w_desc-brain_mask")
    assert of_mask["ExternalSource"] == f"bids:hand:{MASK}"
    for name in ("sub-01/anat/sub-01_space-T1w_desc-brain_mask", "sub-01/anat/sub-01_space-T1w_desc-preproc_T1w",
                 PREPARED_PET):  # fmt: skip
        assert f"bids:hand:{MASK}" in sidecar(out, name)["Sources"]
    spect = sidecar(out, "sub-01/spect/sub-01_task-interictal_space-T1w_desc-preproc_spect")
    assert f"bids:hand:{MASK}" not in spect["Sources"], "it has a mask of its own"


def test_preprocess__corrected_mask_gives_what_it_gives_from_the_start(
    tiny: Any, make_case: Any, make_options: Any, hand: Path, with_hand: Any, tmp_path: Path
) -> None:
    case, other = make_case("01", ROLES), make_case("02", ROLES)
    preprocess([case, other], make_options())
    before = contents(tmp_path / "out")
    draw(hand / MASK, case, cut=3)
    tiny.calls.clear()
    assert [one.status for one in preprocess([with_hand(case), other], make_options())] == ["ok", "ok"]
    # All registrations look at the mask; nobody else's are done again.
    assert sorted(tiny.calls) == [
        "brain interictal", "register T1w 12 auto", "register interictal 6 auto", "register pet 6 auto"
    ]  # fmt: skip
    corrected = contents(tmp_path / "out")
    changed = {name for name in corrected if corrected[name] != before[name]}
    assert changed
    assert all(name.startswith("sub-01/") for name in changed)
    tiny.calls.clear()
    preprocess([with_hand(case), other], make_options())
    assert tiny.calls == []

    fresh = make_options(output_dir=tmp_path / "fresh", work_dir=tmp_path / "fresh-work")
    preprocess([with_hand(case), other], fresh)
    assert contents(tmp_path / "fresh") == corrected

    draw(hand / MASK, case, cut=5)
    preprocess([with_hand(case)], make_options())
    assert contents(tmp_path / "out") != corrected, "a mask that is corrected once more"
    (hand / MASK).unlink()
    preprocess([with_hand(case)], make_options())
    assert contents(tmp_path / "out") == before, "our own again"


def test_preprocess__transform_of_one_image_costs_no_other_registration(
    tiny: Any, make_case: Any, make_options: Any, hand: Path, with_hand: Any, tmp_path: Path
) -> None:
    case = make_case("01", ROLES)
    preprocess([case], make_options())
    tiny.calls.clear()
    matrix = np.eye(4)
    matrix[:3, 3] = (2, -1, 3)
    np.savetxt(hand / f"{PET}.txt", matrix)
    (outcome,) = preprocess([with_hand(case)], make_options())
    assert outcome.status == "ok", outcome.reason
    assert tiny.calls == []
    name = "sub-01/pet/sub-01_trc-FDG_from-pet_to-T1w_mode-image_xfm"
    np.testing.assert_allclose(read_matrix(tmp_path / "out" / f"{name}.txt"), matrix)
    written = sidecar(tmp_path / "out", name)
    assert written["ExternalSource"] == f"bids:hand:{PET}.txt"
    assert written["Sources"][-1] == f"bids:hand:{PET}.txt"
    assert set(written["Tools"]) == {"nitransforms"}
    assert "Backend" not in written
    assert written["Score"] > 0.8
    corrected = contents(tmp_path / "out")
    preprocess([with_hand(case)], make_options(output_dir=tmp_path / "fresh", work_dir=tmp_path / "fresh-work"))
    assert contents(tmp_path / "fresh") == corrected


def test_preprocess__other_content_of_the_same_size_and_time_is_noticed(
    tiny: Any, make_case: Any, make_options: Any, hand: Path, with_hand: Any, tmp_path: Path
) -> None:
    case, found = make_case("01", ROLES), []
    for shift in (2, 3):
        matrix = np.eye(4)
        matrix[0, 3] = shift
        np.savetxt(hand / f"{PET}.txt", matrix)
        os.utime(hand / f"{PET}.txt", ns=(10**9, 10**9))
        (outcome,) = preprocess([with_hand(case)], make_options())
        assert outcome.status == "ok", outcome.reason
        name = "sub-01/pet/sub-01_trc-FDG_from-pet_to-T1w_mode-image_xfm.txt"
        found.append(read_matrix(tmp_path / "out" / name)[0, 3])
    assert found == [2, 3]


def test_preprocess__flirt_itk_and_freesurfer_give_the_same_image(
    tiny: Any, make_case: Any, make_options: Any, hand: Path, with_hand: Any, tmp_path: Path
) -> None:
    case = make_case("01", ROLES)
    pet, t1w = (nib.load(case.images[role].path) for role in ("pet", "T1w"))
    world = np.eye(4)
    world[:3, :3] = [[np.cos(0.1), -np.sin(0.1), 0], [np.sin(0.1), np.cos(0.1), 0], [0, 0, 1]]
    world[:3, 3] = (3, -2, 4)
    writers: dict[str, Callable[[Path], Any]] = {
        "own.txt": lambda path: np.savetxt(path, world),
        "flirt.mat": lambda path: write_flirt(path, world, pet, t1w),
        "itk.txt": lambda path: write_itk(path, world),
        "itk.mat": lambda path: write_itk(path, world),
        "itk.h5": lambda path: write_itk(path, world),
        "freesurfer.lta": lambda path: write_lta(path, world, pet, t1w),
    }
    images = {}
    for number, (name, write) in enumerate(writers.items()):
        path = hand / (PET + Path(name).suffix)
        write(path)
        os.utime(path, ns=(number * 10**9, number * 10**9))
        (outcome,) = preprocess([with_hand(case)], make_options())
        assert outcome.status == "ok", outcome.reason
        path.unlink()
        images[name] = np.asanyarray(nib.load(tmp_path / "out" / f"{PREPARED_PET}.nii.gz").dataobj)
    first = images["own.txt"]
    for name, image in images.items():
        assert np.abs(image - first).max() <= 1e-4 * np.ptp(first), name
    (outcome,) = preprocess([case], make_options())
    unmoved = np.asanyarray(nib.load(tmp_path / "out" / f"{PREPARED_PET}.nii.gz").dataobj)
    assert np.abs(unmoved - first).max() > 0.1 * np.ptp(first), "the transforms have an effect"


def test_preprocess__of_a_nonlinear_transform_to_the_template_the_affine_part_is_taken_and_that_is_said(
    tiny: Any, make_case: Any, make_options: Any, hand: Path, with_hand: Any, tmp_path: Path, caplog: Any
) -> None:
    case, name = make_case("01", ROLES), "sub-01/anat/sub-01_from-T1w_to-MNI152NLin2009aSym_mode-image_xfm"
    matrix = np.eye(4)
    matrix[:3, 3] = (0, 10, -10)
    field = SimpleITK.DisplacementFieldTransform(SimpleITK.Image([4, 4, 4], SimpleITK.sitkVectorFloat64))
    SimpleITK.WriteTransform(SimpleITK.CompositeTransform([itk_affine(matrix), field]), str(hand / f"{name}.h5"))
    (outcome,) = preprocess([with_hand(case)], make_options())
    assert outcome.status == "ok", outcome.reason
    assert "register T1w 12 auto" not in tiny.calls
    np.testing.assert_allclose(read_matrix(tmp_path / "out" / f"{name}.txt"), matrix, atol=1e-4)
    written = sidecar(tmp_path / "out", name)
    assert written["ExternalSource"] == f"bids:hand:{name}.h5"
    assert "the affine part alone is taken" in " ".join(written["Notes"])
    assert sum("the affine part alone is taken" in record.message for record in caplog.records) == 1


def of_another_head(path: Path, case: Case) -> None:
    matrix = np.eye(4)
    matrix[:3, 3] = (60, 40, -30)
    np.savetxt(path, matrix)


def moved(path: Path, case: Case) -> None:
    draw(path, case)
    image = nib.load(path)
    affine = image.affine.copy()
    affine[:3, 3] += 150
    nib.save(nib.Nifti1Image(np.asanyarray(image.dataobj), affine), path)


@pytest.mark.parametrize(
    ("name", "make", "why"),
    [
        (MASK, moved, "another grid"),
        (MASK, lambda path, case: draw(path, case, value=0), "empty"),
        (f"{PET}.txt", of_another_head, "poor registration"),
        (f"{PET}.txt", lambda path, case: np.savetxt(path, np.diag([-1.0, 1, 1, 1])), "mirrored"),
    ],
)
def test_preprocess__what_does_not_fit_is_one_line_and_others_go_on(
    name: str, make: Any, why: str, tiny: Any, make_case: Any, make_options: Any, hand: Path, with_hand: Any
) -> None:
    case, other = make_case("01", ROLES), make_case("02", ROLES)
    make(hand / name, case)
    # Even of an image that no model needs: what somebody gives is to be used or to be corrected.
    outcomes = preprocess([with_hand(case), other], make_options(inputs=[["T1w"]]))
    assert [one.status for one in outcomes] == ["failed", "ok"]
    assert why in outcomes[0].reason
    assert str(hand / name) in outcomes[0].reason
    assert "\n" not in outcomes[0].reason
