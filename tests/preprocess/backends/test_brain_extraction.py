"""Brain extraction: orientation is handled, results are checked. The network itself runs once, on a simulated head."""

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.preprocess.backends import brain_extraction
from bids_spectsynth.preprocess.backends.brain_extraction import extract_t1w_brain
from bids_spectsynth.preprocess.backends.embedded import EmbeddedBackend

SHAPE = (60, 70, 64)


def _head(spacing: float = 3.0) -> tuple[nib.Nifti1Image, np.ndarray]:
    """A grey and white ellipsoid in a dark gap, skull and scalp: enough for the network to see a brain."""
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = -spacing * np.array(SHAPE) / 2
    x, y, z = (np.indices(SHAPE) - np.array(SHAPE).reshape(3, 1, 1, 1) / 2) * spacing
    r = np.sqrt((x / 66) ** 2 + (y / 82) ** 2 + (z / 62) ** 2)
    rng = np.random.default_rng(0)
    folds = ndimage.gaussian_filter(rng.standard_normal(SHAPE), 1.5)
    brain = r < 1
    data = np.where(brain, np.where((r < 0.85) & (folds > -0.02), 100.0, 65.0), 0.0)
    data[(r >= 1) & (r < 1.06)] = 20
    data[(r >= 1.12) & (r < 1.22)] = 90
    data += rng.normal(0, 2, SHAPE)
    return new_image(np.clip(data, 0, None).astype(np.float32), affine), brain


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def test_network_finds_the_brain_and_restores_torch() -> None:
    image, brain = _head()
    before = torch.get_num_threads()
    mask = EmbeddedBackend(threads=1).extract_brain(image, "T1w")
    assert torch.get_num_threads() == before
    inside = np.asanyarray(mask.dataobj)
    assert inside.dtype == np.uint8
    assert inside.shape == image.shape
    assert _dice(inside > 0, brain) > 0.9
    assert ndimage.label(inside)[1] == 1
    assert ndimage.label(inside == 0)[1] == 1


def _bright(data: np.ndarray, threads: int) -> np.ndarray:
    """Stands in for the network: the probability is the image; remembers how the head was shown."""
    _bright.shown = data
    return data


@settings(max_examples=20, deadline=None)
@given(st.permutations([0, 1, 2]), st.lists(st.sampled_from([1, -1]), min_size=3, max_size=3), st.integers(-10, 10))
def test_any_axis_order_is_shown_upright_and_comes_back(order: list[int], signs: list[int], tilt: int) -> None:
    blob = np.zeros((20, 24, 28), np.float32)
    blob[5:15, 6:20, 7:16] = 1
    blob[5:8, 6:12, 16:22] = 1
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("x", tilt, degrees=True).as_matrix() * 6.0
    turned = np.transpose(blob, order)[tuple(slice(None, None, s) for s in signs)]
    linear = affine[:3, :3][:, order] * np.array(signs)
    image = new_image(np.ascontiguousarray(turned), nib.affines.from_matvec(linear, [1, 2, 3]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(brain_extraction, "_brain_probability", _bright)
        mask = extract_t1w_brain(image)
    np.testing.assert_array_equal(np.asanyarray(mask.dataobj), turned)
    np.testing.assert_array_equal(_bright.shown, blob)


@pytest.mark.parametrize(("angle", "sizes"), [(40, (3.0, 3.0, 3.0)), (20, (2.0, 2.0, 6.0)), (30, (1.5, 4.0, 2.0))])
def test_oblique_images_are_shown_at_1_mm(
    angle: float, sizes: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brain_extraction, "_brain_probability", _bright)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xz", [angle, angle / 2], degrees=True).as_matrix() @ np.diag(sizes)
    shape = tuple(int(120 / s) for s in sizes)
    index = np.indices(shape)
    middle = (np.array(shape).reshape(3, 1, 1, 1) - 1) / 2
    ball = (((index - middle) * np.array(sizes).reshape(3, 1, 1, 1)) ** 2).sum(axis=0) < 45**2
    mask = extract_t1w_brain(new_image(ball.astype(np.float32), affine))
    assert mask.shape == shape
    assert _dice(np.asanyarray(mask.dataobj) > 0, ball) > 0.97
    assert min(_bright.shown.shape) >= 119


def test_fine_voxels_are_shown_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brain_extraction, "_brain_probability", _bright)
    data = np.zeros((161, 160, 70), np.float32)
    data[20:140, 20:141, 10:60] = 1
    mask = extract_t1w_brain(new_image(data, np.diag([-0.5, 0.5, 1.2, 1.0])))
    assert _bright.shown.shape == (80, 80, 70)
    assert mask.shape == data.shape
    assert _dice(np.asanyarray(mask.dataobj) > 0, data > 0) > 0.98


def test_implausible_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brain_extraction, "_brain_probability", _bright)
    data = np.zeros((40, 40, 40), np.float32)
    data[10:30, 10:30, 10:30] = 1
    for role, words in (("T1w", "T1w"), ("ictal", "ictal SPECT"), ("pet", "PET")):
        with pytest.raises(ImageError, match=rf"^the brain mask of the {words} holds only 0\.01 l.*0\.2 to 4 l"):
            EmbeddedBackend().extract_brain(new_image(data, np.eye(4)), role)
    with pytest.raises(ImageError, match=r"the brain mask of the T1w holds 8\.0 l"):
        EmbeddedBackend().extract_brain(new_image(data, np.diag([10.0, 10, 10, 1])), "T1w")
    with pytest.raises(ImageError, match="empty"):
        extract_t1w_brain(new_image(np.zeros_like(data), np.eye(4)))


def test_no_brain_is_an_error_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    class Blind:
        def __init__(self, no_gpu: bool) -> None:
            assert no_gpu

        def run_model(self, data: np.ndarray) -> np.ndarray:
            raise AssertionError("Not enough foreground to calculate bounding box")

    monkeypatch.setattr("deepbet.bet.BrainExtraction", Blind)
    before = torch.get_num_threads()
    with pytest.raises(ImageError, match="no brain was found in the T1w"):
        extract_t1w_brain(_head()[0], threads=before + 1)
    assert torch.get_num_threads() == before


def test_functional_masks_by_threshold() -> None:
    data = np.full((40, 40, 40), 2.0, np.float32)
    data[10:30, 10:30, 10:30] = 80
    backend = EmbeddedBackend()
    for role in ("interictal", "ictal", "pet"):
        mask = backend.extract_brain(new_image(data, np.diag([4.0, 4, 4, 1])), role)
        assert int(np.asanyarray(mask.dataobj).sum()) == 8000
        with pytest.raises(ImageError, match="only"):
            backend.extract_brain(new_image(data, np.eye(4)), role)


def test_tools_are_named_with_versions() -> None:
    backend = EmbeddedBackend(threads=2)
    assert backend.name == "embedded"
    assert {"deepbet", "scipy", "bids_spectsynth"} <= set(backend.tools)
    assert all(backend.tools.values())


def test_extract_t1w_brain__oblique_image_larger_than_any_head_asks_for_no_memory() -> None:
    affine = np.eye(4)
    affine[:3, :3] = 30 * Rotation.from_euler("xz", [30, 30], degrees=True).as_matrix()
    with pytest.raises(ImageError, match=r"the T1w measures \d+ x \d+ x \d+ mm, which no head does"):
        extract_t1w_brain(new_image(np.ones((40, 40, 40), np.float32), affine))
