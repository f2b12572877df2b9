"""FSL's programs get the right arguments, and FLIRT's matrices are read as FLIRT means them."""

import logging
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from bids_spectsynth.errors import ImageError, UsageError
from bids_spectsynth.preprocess.backends.choice import make_backend, resolve_backend
from bids_spectsynth.preprocess.backends.fsl import backend as fsl_backend
from bids_spectsynth.preprocess.backends.fsl.backend import FslBackend
from bids_spectsynth.preprocess.backends.fsl.environment import missing_programs
from bids_spectsynth.preprocess.backends.fsl.flirt_matrix import (
    upright,
)
from bids_spectsynth.preprocess.backends.fsl.options import FslOptions
from bids_spectsynth.preprocess.registration.agreement import (
    correlation_ratio,
    mask_dice,
    mirrored_ratio_gain,
    share_outside,
)


def rigid(angles: tuple[float, float, float], shift: tuple[float, float, float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def brain(spacing: float = 4.0, shape: tuple[int, int, int] = (24, 28, 22)) -> nib.Nifti1Image:
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = -spacing * (np.array(shape) - 1) / 2
    x, y, z = (spacing * g + a for g, a in zip(np.indices(shape), affine[:3, 3], strict=True))
    inside = (x / 38) ** 2 + (y / 48) ** 2 + (z / 36) ** 2 < 1
    return nib.Nifti1Image((inside * (120 + x + 0.5 * y)).astype(np.float32), affine)


def mask_of(image: nib.Nifti1Image) -> nib.Nifti1Image:
    return nib.Nifti1Image((np.asanyarray(image.dataobj) > 0).astype(np.uint8), image.affine)


def test_bet_is_robust_for_t1w_and_plain_for_pet(fake_fsl: Any, tmp_path: Path) -> None:
    backend = FslBackend(folder=tmp_path, options=FslOptions(fractional_intensity=0.4))
    mask = backend.extract_brain(brain(), "T1w")
    assert np.array_equal(np.asanyarray(mask.dataobj), np.asanyarray(brain().dataobj) > 50)
    backend.extract_brain(brain(), "pet")
    robust, plain = fake_fsl.calls("bet")
    assert ["-R" in call.split() for call in (robust, plain)] == [True, False]
    assert all("-f 0.4" in call for call in (robust, plain))
    assert [p.name for p in tmp_path.iterdir()] == ["fsl"], "FSL's files are removed"


def test_spect_is_masked_by_its_histogram_and_not_by_bet(fake_fsl: Any, tmp_path: Path) -> None:
    mask = FslBackend(folder=tmp_path).extract_brain(brain(), "ictal")
    assert np.asanyarray(mask.dataobj).sum() > 1000
    assert fake_fsl.calls("bet") == []


def test_flirt_result_is_inverted_by_convert_xfm_and_brought_to_world(fake_fsl: Any, tmp_path: Path) -> None:
    world = rigid((3, -2, 1), (4, 3, -5))  # fixed to moving
    fixed, moving = brain(), nib.Nifti1Image(np.asanyarray(brain(5.0).dataobj), world @ brain(5.0).affine)
    fake_fsl.finds("search", world, moving, fixed)
    backend = FslBackend(folder=tmp_path)
    found = backend.register(moving, fixed, mask_of(fixed), dof=6, init="auto", role="pet")
    np.testing.assert_allclose(found.matrix, world, atol=1e-6)
    assert all("-dof 6" in call for call in fake_fsl.calls("flirt"))
    assert len(fake_fsl.calls("convert_xfm")) == len(fake_fsl.calls("flirt"))
    assert (found.notes, found.poor) == (("start: search",), False)
    assert 0 < found.score <= 1
    # BET of the PET is done once, for the registration and the mask.
    backend.extract_brain(moving, "pet")
    assert len(fake_fsl.calls("bet")) == 1


def starts(fake_fsl: Any) -> list[str]:
    return ["header" if "-nosearch" in call else "search" for call in fake_fsl.calls("flirt")]


def test_register__a_second_start_where_the_search_is_poor(fake_fsl: Any, tmp_path: Path) -> None:
    image = brain()
    fake_fsl.finds("search", rigid((0, 0, 40), (50, 0, 0)), image, image)
    fake_fsl.finds("header", rigid((1, 0, 0), (1, 0, 0)), image, image)
    found = FslBackend(folder=tmp_path).register(image, image, mask_of(image), dof=6, init="auto", role="interictal")
    assert starts(fake_fsl) == ["search", "header"]
    assert (found.poor, found.notes[0]) == (False, "start: headers' positions")
    # Where it is no better, the search's result stays.
    fake_fsl.finds("header", rigid((0, 0, 60), (90, 0, 0)), image, image)
    found = FslBackend(folder=tmp_path).register(image, image, mask_of(image), dof=12, init="auto", role="interictal")
    assert (found.poor, found.notes[0]) == (True, "start: search")


def test_register__a_second_start_where_the_header_explains_more(fake_fsl: Any, tmp_path: Path) -> None:
    image = brain()
    fake_fsl.finds("search", rigid((0, 0, 0), (6, 0, 0)), image, image)
    fake_fsl.finds("header", np.eye(4), image, image)
    found = FslBackend(folder=tmp_path).register(image, image, mask_of(image), dof=6, init="auto", role="interictal")
    assert starts(fake_fsl) == ["search", "header"]
    np.testing.assert_allclose(found.matrix, np.eye(4), atol=1e-6)


def test_register__cost_function_by_role(fake_fsl: Any, tmp_path: Path) -> None:
    roles = ("pet", "interictal", "ictal", "T1w", "T2w")
    assert [FslOptions().cost_of(role) for role in roles] == ["normmi", *["corratio"] * 4]
    assert {FslOptions(cost="mutualinfo").cost_of(role) for role in roles} == {"mutualinfo"}
    FslBackend(folder=tmp_path).register(brain(), brain(), mask_of(brain()), dof=12, init="header", role="pet")
    (call,) = fake_fsl.calls("flirt")
    assert "-cost normmi -searchcost normmi" in call


def test_of__options_of_a_run(make_options: Any) -> None:
    assert FslOptions.of(make_options(backend="fsl")) == FslOptions()
    chosen = FslOptions.of(make_options(backend="fsl", flirt_cost="mutualinfo", flirt_spect="masked", bet_pet="on"))
    assert chosen == FslOptions(cost="mutualinfo", whole_spect=False, pet_mask=True)


@pytest.mark.parametrize("whole", [True, False])
def test_register__a_spect_goes_to_flirt_whole_or_masked(
    fake_fsl: Any, tmp_path: Path, monkeypatch: Any, whole: bool
) -> None:
    image = brain()
    spect = nib.Nifti1Image(np.asanyarray(image.dataobj) + np.float32(9), image.affine)
    lowest = {}
    original = fsl_backend.FslTools.flirt

    def spy(self: Any, moving: Path, fixed: Path, **others: Any) -> Path:
        lowest[role] = float(np.asanyarray(nib.load(moving).dataobj).min())
        return original(self, moving, fixed, **others)

    monkeypatch.setattr(fsl_backend.FslTools, "flirt", spy)
    backend = FslBackend(FslOptions(whole_spect=whole), folder=tmp_path)
    for role in ("ictal", "pet"):
        backend.register(spect, image, mask_of(image), dof=12, init="header", role=role)
    assert lowest == {"ictal": 9 if whole else 0, "pet": 0}


@pytest.mark.parametrize("role", ["T1w", "pet", "ictal"])
def test_extract_brain__a_mask_that_is_no_brain(fake_fsl: Any, tmp_path: Path, role: str) -> None:
    small = nib.Nifti1Image(np.asanyarray(brain().dataobj), brain().affine * [[0.4], [0.4], [0.4], [1]])
    with pytest.raises(ImageError, match=r"^the brain mask of the .* holds only 0\.02 l, which is no brain"):
        FslBackend(folder=tmp_path).extract_brain(small, role)


@pytest.mark.parametrize(("init", "flags"), [("header", "-usesqform"), ("identity", None)])
def test_the_start_is_the_users_choice(fake_fsl: Any, tmp_path: Path, init: Any, flags: str | None) -> None:
    image = brain()
    found = FslBackend(folder=tmp_path).register(image, image, mask_of(image), dof=12, init=init, role="T1w")
    np.testing.assert_allclose(found.matrix, np.eye(4), atol=1e-9)
    calls = fake_fsl.calls("flirt")
    assert fake_fsl.calls("bet") == [], "a T1w that goes to a template is extracted already"
    assert [flags in call and "-dof 12" in call for call in calls] == ([True] if flags else [])
    assert found.overlap == pytest.approx(1, abs=0.01)


def test_a_registration_beside_the_brain_is_poor(fake_fsl: Any, tmp_path: Path) -> None:
    image = brain()
    far = nib.Nifti1Image(np.asanyarray(image.dataobj), rigid((0, 0, 0), (500, 0, 0)) @ image.affine)
    for start in ("search", "header"):
        fake_fsl.finds(start, rigid((0, 0, 0), (545, 0, 0)), far, image)
    found = FslBackend(folder=tmp_path).register(far, image, mask_of(image), dof=6, init="auto", role="interictal")
    assert found.poor
    assert found.overlap < 0.5
    assert "Dice" in found.notes[1]


@pytest.mark.parametrize("program", ["bet", "flirt", "convert_xfm"])
def test_a_failing_program_gives_one_line_with_its_words(fake_fsl: Any, tmp_path: Path, program: str) -> None:
    fake_fsl.fails(program, "Image Exception : #22\ncould not open")
    with pytest.raises(ImageError, match=f"^{program} failed with code 1: .*could not open") as caught:
        FslBackend(folder=tmp_path).register(brain(), brain(), mask_of(brain()), dof=6, init="auto", role="pet")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("program", ["bet", "flirt", "convert_xfm"])
def test_a_program_that_writes_nothing_is_noticed(fake_fsl: Any, tmp_path: Path, program: str) -> None:
    fake_fsl.is_silent(program)
    with pytest.raises(ImageError, match=f"{program} ended without an error but did not write"):
        FslBackend(folder=tmp_path).register(brain(), brain(), mask_of(brain()), dof=6, init="auto", role="pet")


def test_versions_and_no_chatter(fake_fsl: Any, tmp_path: Path, monkeypatch: Any, capfd: Any) -> None:
    assert FslBackend(folder=tmp_path).tools["FSL FLIRT"] == "FLIRT version 6.0"
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "fslversion").write_text("6.0.5.1:57b01774\n")
    monkeypatch.setenv("FSLDIR", str(tmp_path))
    backend = FslBackend(folder=tmp_path)
    assert backend.tools["FSL BET"] == "6.0.5.1"
    backend.extract_brain(brain(), "pet")
    handlers = logging.getLogger("styx_local_runner").handlers
    assert all(isinstance(handler, logging.NullHandler) for handler in handlers)
    assert capfd.readouterr() == ("", "")


def test_fsl_is_found_in_fsldir_or_reported(fake_fsl: Any, make_options: Any, tmp_path: Path, monkeypatch: Any) -> None:
    auto, fsl = make_options(backend="auto"), make_options(backend="fsl")
    assert resolve_backend(auto) == resolve_backend(fsl) == "fsl"
    assert make_backend("fsl", 1).name == "fsl"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert missing_programs() == ("bet", "flirt", "convert_xfm")
    assert resolve_backend(auto) == "embedded"
    with pytest.raises(UsageError, match="bet, flirt, convert_xfm not found"):
        resolve_backend(fsl)
    (tmp_path / "dir").mkdir()
    fake_fsl.folder.rename(tmp_path / "dir" / "bin")
    monkeypatch.setenv("FSLDIR", str(tmp_path / "dir"))
    assert missing_programs() == ()
    with pytest.raises(UsageError, match="spm"):
        make_backend("spm", 1)


@given(st.floats(0, 30))
@settings(max_examples=15, deadline=None)
def test_agreement_is_best_in_place(shift: float) -> None:
    image = brain()
    off = rigid((0, 0, 0), (shift, 0, 0))
    assert mask_dice(mask_of(image), mask_of(image), off) <= mask_dice(mask_of(image), mask_of(image), np.eye(4))
    here = correlation_ratio(image, mask_of(image), image, np.eye(4))
    assert 0 <= correlation_ratio(image, mask_of(image), image, off) <= here + 1e-4 <= 1 + 1e-3


def test_dice_of_two_boxes() -> None:
    box = np.zeros((10, 10, 10), dtype=np.uint8)
    box[2:6, 2:6, 2:6] = 1
    image = nib.Nifti1Image(box, np.eye(4))
    assert mask_dice(image, image, rigid((0, 0, 0), (2, 0, 0))) == pytest.approx(0.5)
    fine = nib.Nifti1Image(box.repeat(2, 0).repeat(2, 1).repeat(2, 2), np.diag([0.5, 0.5, 0.5, 1]))
    assert mask_dice(image, fine, rigid((0, 0, 0), (-0.25, -0.25, -0.25))) == pytest.approx(1)


def stored_otherwise(image: nib.Nifti1Image, codes: str) -> nib.Nifti1Image:
    """The same image in the same world, its voxels in another order."""
    target = nib.orientations.axcodes2ornt(codes)
    return image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(image.affine), target))


@pytest.mark.parametrize("codes", ["LPI", "ASR", "PIL"])
def test_storage_order_does_not_matter(fake_fsl: Any, tmp_path: Path, codes: str) -> None:
    fixed, moving = brain(), brain(5.0)
    world = rigid((3, -2, 1), (2, 1, -3))
    fake_fsl.finds("search", world, moving, fixed)
    stored = stored_otherwise(moving, codes)
    backend = FslBackend(folder=tmp_path)
    mask = backend.extract_brain(stored, "pet")
    np.testing.assert_array_equal(np.asanyarray(mask.dataobj), np.asanyarray(stored.dataobj) > 50)
    np.testing.assert_allclose(mask.affine, stored.affine)
    other = stored_otherwise(fixed, codes[::-1])
    found = backend.register(stored, other, mask_of(other), dof=6, init="auto", role="pet")
    np.testing.assert_allclose(found.matrix, world, atol=1e-5)


def test_brains_far_apart_start_centred(fake_fsl: Any, tmp_path: Path, monkeypatch: Any) -> None:
    image = brain()
    far = nib.Nifti1Image(np.asanyarray(image.dataobj), rigid((0, 0, 10), (500, -40, 0)) @ image.affine)
    world = rigid((0, 0, 10), (500, -40, 0))
    fake_fsl.finds("header", world, far, image)
    fake_fsl.finds("search", rigid((0, 0, 0), (545, 0, 0)), far, image)
    centres = []
    original = fsl_backend.FslTools.flirt

    def spy(self: Any, moving: Path, fixed: Path, *, header_start: bool, **others: Any) -> Path:
        if header_start:
            centres.extend(fsl_backend._centre(mask_of(nib.load(path))) for path in (moving, fixed))
        return original(self, moving, fixed, header_start=header_start, **others)

    monkeypatch.setattr(fsl_backend.FslTools, "flirt", spy)
    found = FslBackend(folder=tmp_path).register(far, image, mask_of(image), dof=6, init="auto", role="interictal")
    np.testing.assert_allclose(centres[0], centres[1], atol=1.0)
    np.testing.assert_allclose(found.matrix, world, atol=1e-4)
    assert (found.poor, found.notes) == (False, ("start: headers, brains centred",))
    # What the user says of the start is followed to the letter.
    fake_fsl.finds("header", world, far, image)
    header = FslBackend(folder=tmp_path).register(far, image, mask_of(image), dof=6, init="header", role="interictal")
    assert header.notes[0] == "start: headers' positions"
    assert np.linalg.norm(centres[2] - centres[3]) > 400


def lopsided() -> nib.Nifti1Image:
    """A brain whose halves differ, in a shape that does not."""
    image = brain()
    x = np.indices(image.shape)[0] - (image.shape[0] - 1) / 2
    data = np.asanyarray(image.dataobj)
    return nib.Nifti1Image(np.where((x > 2) & (data > 0), data * 0.3, data).astype(np.float32), image.affine)


def registered(fake_fsl: Any, tmp_path: Path, moving: Any, fixed: Any, world: np.ndarray, dof: int = 6) -> Any:
    for start in ("search", "header"):
        fake_fsl.finds(start, world, upright(moving), fixed)
    return FslBackend(folder=tmp_path).register(moving, fixed, mask_of(fixed), dof=dof, init="auto", role="T1w")


def test_a_header_turned_or_mirrored_is_poor(fake_fsl: Any, tmp_path: Path) -> None:
    image = lopsided()
    turn = rigid((0, 0, 90), (0, 0, 0))
    turned = nib.Nifti1Image(np.asanyarray(image.dataobj), turn @ image.affine)
    found = registered(fake_fsl, tmp_path, turned, image, turn)
    assert found.poor
    assert found.notes[1:] == ("turned by 90 degrees against the header: the orientation in the header may be wrong",)
    mirrored = nib.Nifti1Image(np.asanyarray(image.dataobj), np.diag([-1.0, 1, 1, 1]) @ image.affine)
    found = registered(fake_fsl, tmp_path, mirrored, image, np.eye(4))
    assert found.poor
    assert "mirrored head fits better" in found.notes[-1]
    assert not registered(fake_fsl, tmp_path, image, image, np.eye(4)).poor
    # To a template, both are what an affine may do.
    assert not registered(fake_fsl, tmp_path, turned, image, turn, dof=12).poor


def test_a_cut_or_unrelated_image_is_poor(fake_fsl: Any, tmp_path: Path) -> None:
    image = lopsided()
    cut = nib.Nifti1Image(np.asanyarray(image.dataobj)[:, :, 8:], image.affine @ rigid((0, 0, 0), (0, 0, 8)))
    found = registered(fake_fsl, tmp_path, cut, image, np.eye(4))
    assert found.poor
    assert any("outside the moving image" in note for note in found.notes)
    inside = np.asanyarray(image.dataobj) > 0
    noise = np.where(inside, np.random.default_rng(1).uniform(50, 90, image.shape), 0).astype(np.float32)
    found = registered(fake_fsl, tmp_path, nib.Nifti1Image(noise, image.affine), image, np.eye(4))
    assert found.poor
    assert any(note.startswith("the correlation ratio is 0.0") for note in found.notes)


def test_mirrored_ratio_gain__has_the_right_sign() -> None:
    image = lopsided()
    mirrored = nib.Nifti1Image(np.asanyarray(image.dataobj)[::-1], image.affine)
    off = rigid((2, -1, 2), (1, -2, 1))
    assert mirrored_ratio_gain(image, mask_of(image), image, off) < -0.05
    assert mirrored_ratio_gain(image, mask_of(image), mirrored, off) > 0.05


@given(st.integers(0, 22))
@settings(max_examples=10, deadline=None)
def test_the_share_outside_the_field_of_view(n: int) -> None:
    mask = nib.Nifti1Image(np.ones((4, 22, 4), dtype=np.uint8), np.eye(4))
    moving = nib.Nifti1Image(np.zeros((4, 22, 4), dtype=np.float32), np.eye(4))
    assert share_outside(mask, moving, rigid((0, 0, 0), (0, n, 0))) == pytest.approx(n / 22)


def test_asking_for_the_version_leaves_nothing_behind(fake_fsl: Any, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    for _ in range(3):
        assert FslBackend(folder=tmp_path).tools["FSL BET"] == "FLIRT version 6.0"
    assert list((tmp_path / "temporary").iterdir()) == []
    assert (fake_fsl.folder / "calls.txt").read_text().splitlines() == ["flirt -version"]
