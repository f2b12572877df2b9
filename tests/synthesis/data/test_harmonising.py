"""Resolution of prepared images, the common one of a training, and inputs that are smoothed when they are read."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.errors import ImageError
from bids_spectsynth.synthesis.baselines.base import unscaled
from bids_spectsynth.synthesis.data.harmonising import (
    LEAST_FACTOR,
    TOLERANCE,
    case_widths,
    common_width,
    group_notes,
    harmonised,
    has_width,
    kernel,
)
from bids_spectsynth.synthesis.data.slices import load_case
from tests.images.test_resolution import AFFINE, scan_of, tissue

_WIDTHS = st.floats(4, 20)


@pytest.fixture
def prepare(tmp_path: Path) -> Callable[..., PreparedCase]:
    """Writes the prepared images of a head whose PET and SPECT have these resolutions (mm)."""

    def write(label: str, pet: float, spect: float = 10.0) -> PreparedCase:
        t1w, _, mask = tissue()
        folder = tmp_path / f"sub-{label}"
        folder.mkdir(parents=True, exist_ok=True)
        values = {"T1w": t1w, "pet": scan_of(pet) * mask, "interictal": scan_of(spect) * mask}
        images = {role: folder / f"{role}.nii.gz" for role in values}
        for role, image in values.items():
            nib.Nifti1Image(image.astype(np.float32), AFFINE).to_filename(images[role])
        nib.Nifti1Image(mask.astype(np.uint8), AFFINE).to_filename(folder / "mask.nii.gz")
        return PreparedCase(label, None, "T1w", images, {"T1w": folder / "mask.nii.gz"}, None, None)

    return write


def test_has_width__of_pet_and_interictal_spect_alone() -> None:
    assert [role for role in ("T1w", "FLAIR", "pet", "interictal", "ictal2") if has_width(role)] == [
        "pet",
        "interictal",
    ]


@pytest.mark.parametrize("fwhm", [6.0, 8.0, 12.0])
def test_case_widths__known_blur_within_a_millimetre(prepare: Callable[..., PreparedCase], fwhm: float) -> None:
    found = case_widths(prepare("01", fwhm), ("T1w", "pet", "interictal", "ictal"))
    assert found == {"pet": pytest.approx(fwhm, abs=1), "interictal": pytest.approx(10, abs=1)}


def test_case_widths__blurrier_images_have_larger_widths(prepare: Callable[..., PreparedCase]) -> None:
    found = [case_widths(prepare(f"{fwhm}", fwhm), ("pet",))["pet"] for fwhm in (5, 6, 7, 8, 9, 10, 12, 14)]
    assert (np.diff(found) > 0.4).all()


def test_case_widths__an_image_that_was_written_anew_is_measured_anew(prepare: Callable[..., PreparedCase]) -> None:
    before = case_widths(prepare("01", 6), ("pet",))["pet"]
    assert case_widths(prepare("01", 12), ("pet",))["pet"] > before + 4


def test_case_widths__where_nothing_can_be_measured(prepare: Callable[..., PreparedCase], tmp_path: Path) -> None:
    case = prepare("01", 6)
    nib.Nifti1Image(np.where(tissue()[2], 5, 0).astype(np.float32), AFFINE).to_filename(case.images["pet"])
    assert np.isnan(case_widths(case, ("pet",))["pet"])
    case.images["pet"].unlink()
    with pytest.raises(ImageError, match=r"pet\.nii\.gz: cannot read it"):
        case_widths(case, ("pet",))
    nib.Nifti1Image(np.arange(125, dtype=np.float32).reshape(5, 5, 5), AFFINE).to_filename(case.images["pet"])
    with pytest.raises(ImageError, match=r"pet\.nii\.gz: 5 x 5 x 5 voxels"):
        case_widths(case, ("pet",))


@pytest.mark.parametrize("role", ["noise", "constant", "one voxel", "T1w"])
def test_case_widths__what_the_anatomy_does_not_explain_is_not_measured(
    prepare: Callable[..., PreparedCase], role: str
) -> None:
    case, mask = prepare("01", 8), tissue()[2]
    noise = np.random.default_rng(0).standard_normal(mask.shape)
    voxel = np.zeros(mask.shape)
    voxel[tuple(n // 2 for n in mask.shape)] = 1
    # All but constant: what is exactly so is not looked at.
    bad = {"noise": noise, "constant": 5 + 1e-5 * noise, "one voxel": voxel, "T1w": noise}[role]
    path = case.images["T1w" if role == "T1w" else "pet"]
    nib.Nifti1Image((bad * mask).astype(np.float32), AFFINE).to_filename(path)
    assert np.isnan(case_widths(case, ("pet",))["pet"])


@given(_WIDTHS, _WIDTHS)
def test_kernel__gives_the_target_or_leaves_the_image(width: float, target: float) -> None:
    fwhm = kernel(width, target)
    if fwhm:
        assert np.hypot(width, fwhm) == pytest.approx(target)
        assert width * LEAST_FACTOR < target
    else:
        assert not width * LEAST_FACTOR < target


@given(st.lists(_WIDTHS, min_size=1, max_size=30))
def test_common_width__lies_in_the_blurriest_group_whatever_the_order(widths: list[float]) -> None:
    common = common_width(widths)
    assert min(widths) <= common <= max(widths)
    least = 1 if len(widths) < 5 else max(2, int(np.ceil(0.1 * len(widths))))
    above = sorted(width for width in widths if width > common * TOLERANCE**4)
    # What is left more blurred than that is never so many that are alike.
    assert all(above[at + least - 1] > above[at] * TOLERANCE**2 for at in range(len(above) - least + 1))
    assert common_width([*reversed(widths), float("nan")]) == common


@given(_WIDTHS, st.integers(1, 40), st.integers(0, 2**31))
def test_common_width__scans_of_one_camera_are_left_alone(width: float, n: int, seed: int) -> None:
    own = width * np.exp(np.random.default_rng(seed).uniform(-0.035, 0.035, n))
    assert not any(kernel(float(one), common_width(own.tolist())) for one in own)


def test_common_width__one_blurred_scan_of_thirty_sets_no_standard() -> None:
    assert common_width([*np.linspace(5.6, 6.4, 29), 15.0]) == pytest.approx(6.0, abs=0.1)
    assert np.isnan(common_width([float("nan")]))


@pytest.mark.parametrize("n", range(5, 31))
def test_common_width__one_blurred_scan_sets_no_standard_in_any_cohort(n: int) -> None:
    assert common_width([6.0] * (n - 1) + [15.0]) == 6
    assert common_width([*np.linspace(5.6, 6.4, n - 1), 15.0]) == pytest.approx(6.0, abs=0.3)


@pytest.mark.parametrize(("n", "blurred"), [(5, 2), (16, 2), (20, 2), (30, 3), (60, 6)])
def test_common_width__a_second_camera_does(n: int, blurred: int) -> None:
    assert common_width([6.0] * (n - blurred) + [9.0] * blurred) == 9
    assert common_width([6.0] * (n - blurred + 1) + [9.0] * (blurred - 1)) == 6


def test_common_width__scans_that_are_all_unlike_have_their_median() -> None:
    assert common_width([4.0, 6.0, 9.0, 13.0, 19.0]) == 9


def test_group_notes__scans_that_stay_sharp_because_nothing_was_measured() -> None:
    nan = float("nan")
    (note,) = group_notes({"a": nan, "b": 8.1, "c": 8.3, "d": nan}, 8.2)
    assert note.startswith("resolution of a, d not measured, not smoothed (2 of 4)")
    (note,) = group_notes(dict.fromkeys("abcde", nan) | {"f": 8.1, "g": 8.3}, 8.2)
    assert "a, b, c, ... not measured, not smoothed (5 of 7)" in note


def test_group_notes__what_deserves_a_look() -> None:
    assert group_notes({"a": 6.0, "b": 6.2}, 6.1) == []
    (blurred,) = group_notes(dict.fromkeys("abcd", 6.0) | {"e": 15.0}, 6.0)
    assert "e (15.0 mm) is more blurred" in blurred
    alone, strong = group_notes({"a": 6.0, "b": 15.0}, 15.0)
    assert "b alone" in alone
    assert "more than 8 mm: a (1 of 2)" in strong


def test_harmonised__a_sharper_pet_is_read_as_blurred_as_the_others(prepare: Callable[..., PreparedCase]) -> None:
    sharp, mask = prepare("01", 5.5), tissue()[2]
    target = case_widths(prepare("02", 9), ("pet",))["pet"]
    case = harmonised(sharp, {"pet": target})
    assert set(case.smoothing) == {"pet"}
    assert np.hypot(case.smoothing["pet"], case_widths(sharp, ("pet",))["pet"]) == pytest.approx(target)
    read, truth = unscaled(case, "pet"), scan_of(9) * mask
    own = np.asarray(nib.load(sharp.images["pet"]).dataobj)
    assert np.square(read - truth)[mask].mean() < 0.1 * np.square(own - truth)[mask].mean()
    assert (read[~mask] == 0).all()
    # The network sees the same, and nothing else is smoothed.
    arrays, plain = (load_case(one, ("T1w", "pet"), "volume") for one in (case, sharp))
    assert np.array_equal(arrays.inputs[0], plain.inputs[0])
    assert np.array_equal(arrays.target, plain.target)
    assert np.corrcoef(arrays.inputs[1][mask], truth[mask])[0, 1] > 0.995
    assert np.std(arrays.inputs[1][mask]) < np.std(plain.inputs[1][mask])


def test_harmonised__nothing_is_sharpened(prepare: Callable[..., PreparedCase]) -> None:
    case = prepare("01", 10)
    assert harmonised(case, {"pet": 6.0}).smoothing == {}
    assert harmonised(case, {}) is case
