import gzip
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_spectsynth.bids import manifests
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.transforms import Transform
from bids_spectsynth.errors import ImageError
from bids_spectsynth.quality import files
from bids_spectsynth.quality.files import case_quality, quality_path, read_flags, write_quality
from bids_spectsynth.quality.judge import Flag
from tests.quality.conftest import VOXEL, Head

FLAG = Flag("pet-flat", 0.05, 0.12, "the PET hardly varies")


@pytest.fixture
def case(tmp_path: Path, heads: list[Head]) -> PreparedCase:
    head, affine = heads[0], np.diag([VOXEL, VOXEL, VOXEL, 1.0])
    arrays = {"T1w": head.t1w, "pet": head.pet * head.brain, "interictal": head.spect * head.brain}
    images = {role: tmp_path / "sub-01" / f"{role}.nii.gz" for role in arrays}
    masks = {role: tmp_path / "sub-01" / f"{role}_mask.nii.gz" for role in ("T1w", "interictal")}
    (tmp_path / "sub-01").mkdir()
    for role, path in images.items():
        nib.save(nib.Nifti1Image(arrays[role].astype(np.float32), affine), path)
    for path in masks.values():
        nib.save(nib.Nifti1Image(head.brain.astype(np.uint8), affine), path)
    return PreparedCase("01", None, "T1w", images, masks, None, None)


@pytest.fixture
def transforms(tmp_path: Path, case: PreparedCase) -> list[Transform]:
    facts = {"Score": 0.98, "Metric": "m", "Poor": True}
    found = [
        Transform(tmp_path / "sub-01" / f"{role}_xfm.txt", "sub-01", role, "T1w", facts) for role in ("pet", "ictal")
    ]
    for one in found:
        one.path.with_suffix(".json").write_text(json.dumps(facts))
    return found


def test_case_quality__as_of_the_arrays(
    tmp_path: Path, case: PreparedCase, transforms: list[Transform], heads: list[Head]
) -> None:
    found = case_quality(tmp_path, case, transforms)
    wanted = heads[0].measures()
    assert {name: found.measures[name] for name in wanted} == pytest.approx(dict(wanted), rel=1e-3)
    assert (found.measures["pet.score"], found.measures["pet.poor"]) == (0.98, 1.0)
    assert not [name for name in found.measures if name.startswith("ictal")]
    assert found.metrics == {"pet": "m"}


def test_write_quality__written_once_read_back_and_measured_anew_where_an_image_changes(
    tmp_path: Path, case: PreparedCase, transforms: list[Transform], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = case_quality(tmp_path, case, transforms)
    write_quality(tmp_path, case, found, [FLAG])
    path = quality_path(tmp_path, case)
    assert path == tmp_path / "sub-01" / "sub-01_qc.json"
    assert read_flags(tmp_path, case) == (FLAG,)
    before = path.stat().st_mtime_ns
    write_quality(tmp_path, case, found, [FLAG])
    assert path.stat().st_mtime_ns == before
    monkeypatch.setattr(files, "_measured", lambda case: {"pet.spread": 7.0})
    assert case_quality(tmp_path, case, transforms) == found
    shutil.copy(case.images["interictal"], case.images["pet"])
    assert case_quality(tmp_path, case, transforms).measures["pet.spread"] == 7.0


def test_write_quality__another_packing_of_the_same_images_gives_the_same_file(
    tmp_path: Path, case: PreparedCase, transforms: list[Transform]
) -> None:
    write_quality(tmp_path, case, case_quality(tmp_path, case, transforms), [FLAG])
    path = quality_path(tmp_path, case)
    before = path.read_bytes()
    path.unlink()
    for image in case.images.values():
        packed = image.read_bytes()
        image.write_bytes(gzip.compress(gzip.decompress(packed), 9))
        assert image.read_bytes() != packed
    write_quality(tmp_path, case, case_quality(tmp_path, case, transforms), [FLAG])
    assert path.read_bytes() == before


def test_case_quality__damage_in_the_middle_of_a_known_image_is_named(
    tmp_path: Path, case: PreparedCase, transforms: list[Transform]
) -> None:
    write_quality(tmp_path, case, case_quality(tmp_path, case, transforms), [])
    packed = bytearray(case.images["pet"].read_bytes())
    middle = len(packed) // 2
    packed[middle : middle + 9] = bytes(9)
    case.images["pet"].write_bytes(packed)
    with pytest.raises(ImageError, match="cannot be read"):
        case_quality(tmp_path, case, transforms)


@pytest.mark.parametrize("text", ["", "[]", '{"QC": 5}', '{"QC": ["x"]}'])
def test_read_flags__damaged_file_has_none(tmp_path: Path, case: PreparedCase, text: str) -> None:
    quality_path(tmp_path, case).write_text(text)
    assert read_flags(tmp_path, case) == ()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def _other_grid(path: Path) -> None:
    nib.save(nib.Nifti1Image(np.ones((9, 9, 9), dtype=np.float32), np.eye(4)), path)


def _not_finite(path: Path) -> None:
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.full(image.shape, np.nan, dtype=np.float32), image.affine), path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [(_cut, "cannot be read"), (_other_grid, "another grid"), (_not_finite, "no volume of finite numbers")],
)
def test_case_quality__damaged_image_is_named(
    tmp_path: Path, case: PreparedCase, damage: Callable[[Path], None], message: str
) -> None:
    damage(case.images["pet"])
    with pytest.raises(ImageError, match=rf"pet\.nii\.gz: .*{message}"):
        case_quality(tmp_path, case, [])


def test_case_quality__without_pet_or_spect(tmp_path: Path, case: PreparedCase) -> None:
    alone = replace(case, images={"T1w": case.images["T1w"], "pet": case.images["pet"]})
    names = set(case_quality(tmp_path, alone, []).measures)
    assert names
    assert all(name.startswith("pet.") for name in names)
    assert case_quality(tmp_path, replace(case, images={"T1w": case.images["T1w"]}), []).measures == {}


@pytest.mark.parametrize(("part", "value"), [("Measures", None), ("Metrics", []), ("Inputs", 3), ("Measures", "x")])
def test_case_quality__damaged_file_counts_as_none(
    tmp_path: Path, case: PreparedCase, transforms: list[Transform], part: str, value: object
) -> None:
    found = case_quality(tmp_path, case, transforms)
    write_quality(tmp_path, case, found, [])
    path = quality_path(tmp_path, case)
    path.write_text(json.dumps({**json.loads(path.read_text()), part: value}))
    assert case_quality(tmp_path, case, transforms) == found


def test_case_quality__number_that_no_float_holds(
    tmp_path: Path, case: PreparedCase, transforms: list[Transform]
) -> None:
    write_quality(tmp_path, case, case_quality(tmp_path, case, transforms), [FLAG])
    path = quality_path(tmp_path, case)
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "Measures": {"pet.fwhm": 10**400}, "QC": [{"value": 10**400}]}))
    assert np.isnan(case_quality(tmp_path, case, transforms).measures["pet.fwhm"])
    assert np.isnan(read_flags(tmp_path, case)[0].value)


def test_case_quality__worst_of_several_registrations_counts(
    tmp_path: Path, case: PreparedCase, transforms: list[Transform]
) -> None:
    other = tmp_path / "sub-01" / "other_xfm.txt"
    other.with_suffix(".json").write_text("{}")
    good = replace(transforms[0], path=other, sidecar={"Score": 0.98, "Metric": "m", "Poor": False})
    assert case_quality(tmp_path, case, [*transforms, good]).measures["pet.poor"] == 1.0


def test_case_quality__records_what_was_measured_and_not_what_came_after(
    tmp_path: Path, case: PreparedCase, transforms: list[Transform]
) -> None:
    found = case_quality(tmp_path, case, transforms)
    shutil.copy(case.images["interictal"], case.images["pet"])  # by another job, before this one writes
    write_quality(tmp_path, case, found, [])
    assert case_quality(tmp_path, case, transforms).measures != found.measures


def test_case_quality__image_that_is_written_meanwhile_is_not_judged(
    tmp_path: Path, case: PreparedCase, transforms: list[Transform], monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(case: PreparedCase) -> dict[str, float]:
        shutil.copy(case.images["interictal"], case.images["pet"])
        return {}

    monkeypatch.setattr(files, "_measured", measured)
    with pytest.raises(ImageError, match="written anew while they were measured"):
        case_quality(tmp_path, case, transforms)


def test_case_quality__reads_no_image_whose_size_and_time_are_as_recorded(
    tmp_path: Path, case: PreparedCase, transforms: list[Transform], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = case_quality(tmp_path, case, transforms)
    write_quality(tmp_path, case, found, [])
    monkeypatch.setattr(manifests, "_sha256", lambda path, *_: pytest.fail(f"{path} was read"))
    assert case_quality(tmp_path, case, transforms) == found
