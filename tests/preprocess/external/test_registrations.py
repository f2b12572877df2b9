from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.preprocess.external.registrations import external_registration
from bids_spectsynth.preprocess.registration.register import METRIC


@pytest.fixture
def pair(make_head: Any) -> tuple[Any, Any, Any]:
    """A PET that lies 12 mm to the right and 8 mm behind the T1w, the T1w, and its brain mask."""
    t1w = make_head((40, 48, 36), 5.0)
    pet = make_head((40, 48, 36), 5.0)
    pet = new_image(np.asanyarray(pet.dataobj), pet.affine + np.array([[0, 0, 0, 12], [0, 0, 0, -8], [0] * 4, [0] * 4]))
    return pet, t1w, nib.Nifti1Image((np.asanyarray(t1w.dataobj) > 50).astype(np.uint8), t1w.affine)


def shift(path: Path, *mm: float) -> Path:
    matrix = np.eye(4)
    matrix[:3, 3] = mm
    np.savetxt(path, matrix)
    return path


def test_external_registration__is_taken_as_it_is_and_rated(pair: Any, tmp_path: Path) -> None:
    found = external_registration(shift(tmp_path / "a.txt", 12, -8, 0), *pair, dof=6, role="pet")
    assert found.matrix[:3, 3].tolist() == [12, -8, 0]
    assert found.metric == METRIC
    assert found.score > 0.95
    assert found.overlap > 0.9


def test_external_registration__hand_that_differs_a_little_from_the_optimiser_wins(pair: Any, tmp_path: Path) -> None:
    found = external_registration(shift(tmp_path / "a.txt", 18, -8, 0), *pair, dof=6, role="pet")
    assert found.matrix[:3, 3].tolist() == [18, -8, 0]
    assert any("an optimiser would move it by" in note for note in found.notes)


@pytest.mark.parametrize("mm", [(40, 30, 20), (-12, 8, -60), (300, 0, 0)])
def test_external_registration__of_another_head_is_one_line(mm: Any, pair: Any, tmp_path: Path) -> None:
    path = shift(tmp_path / "a.txt", *mm)
    with pytest.raises(ImageError, match=r"poor registration.*another head") as caught:
        external_registration(path, *pair, dof=6, role="pet")
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_external_registration__to_a_template(make_head: Any, tmp_path: Path) -> None:
    def brain(centre: Any) -> Any:
        image = make_head((40, 48, 36), 5.0, centre=centre)
        inside = np.asanyarray(image.dataobj) > 50
        return new_image(np.where(inside, image.dataobj, 0).astype(np.float32), image.affine), inside

    moving, _ = brain((0, 0, 0))
    fixed, inside = brain((0, -10, 10))
    mask = nib.Nifti1Image(inside.astype(np.uint8), fixed.affine)
    found = external_registration(shift(tmp_path / "a.txt", 0, 10, -10), moving, fixed, mask, dof=12, role="T1w")
    assert found.overlap > 0.9
    with pytest.raises(ImageError, match="poor registration"):
        external_registration(shift(tmp_path / "b.txt", 60, 10, 50), moving, fixed, mask, dof=12, role="T1w")
