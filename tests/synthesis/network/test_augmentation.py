import pytest
import torch

from bids_spectsynth.synthesis.network.augmentation import augment
from bids_spectsynth.synthesis.network.recipe import Recipe

KINDS = ("flip", "affine", "elastic", "intensity")


def blobs(n=6, channels=2, size=32):
    """Smooth images in (-1, 1) that are -1 at the border, all channels alike, and a target that equals them."""
    axis = torch.linspace(-1, 1, size)
    x, y = torch.meshgrid(axis, axis, indexing="ij")
    image = 1.8 * torch.exp(-((x - 0.2) ** 2 + (y + 0.1) ** 2) / 0.08) - 1
    return image.expand(n, channels, size, size).clone(), image.expand(n, 1, size, size).clone()


def changed(*kinds, seed=1, recipe=None, channels=2):
    inputs, targets = blobs(channels=channels)
    return augment(inputs, targets, kinds, seed, recipe or Recipe(n_images=channels))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_changes_something_and_repeats(kind):
    inputs, _ = blobs()
    first, second, other = changed(kind), changed(kind), changed(kind, seed=2)
    assert not torch.equal(first[0], inputs)
    assert torch.equal(first[0], second[0])
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("kind", KINDS[:3])
def test_inputs_and_target_move_together(kind):
    inputs, targets = changed(kind)
    assert torch.allclose(inputs[:, :1], targets, atol=1e-6)
    assert torch.allclose(inputs[:, 1:], targets, atol=1e-6)


def test_contrast_changes_neither_target_nor_prior():
    recipe = Recipe(n_images=1, neighbours=1, prior=True)
    inputs, targets = changed("intensity", recipe=recipe, channels=6)
    before, target = blobs(channels=6)
    assert torch.equal(targets, target)
    assert torch.equal(inputs[:, 3:], before[:, 3:])
    # The slices of one image change alike.
    assert torch.equal(inputs[:, 0], inputs[:, 2])


@pytest.mark.parametrize("kind", KINDS)
def test_values_stay_in_range_and_background_stays_background(kind):
    inputs, targets = changed(kind)
    for images in (inputs, targets):
        assert float(images.min()) >= -1 - 1e-5
        assert float(images.max()) <= 1 + 1e-5
        assert torch.allclose(images[..., 0, 0], torch.tensor(-1.0), atol=1e-3)


def test_changes_are_small():
    """A blob that fills the slice's middle stays there: its centre moves by a few percent of the slice."""
    _, before = blobs()
    _, after = changed("affine", "elastic")
    axis = torch.linspace(-1, 1, 32)

    def centre(images):
        weight = (images + 1).sum(dim=(1, 3))
        return (weight * axis).sum(dim=1) / weight.sum(dim=1)

    assert float((centre(after) - centre(before)).abs().max()) < 0.15


@pytest.mark.parametrize("kept", [(32, 16), (16, 32)])
def test_slices_that_are_not_square_are_turned_not_sheared(kept, monkeypatch):
    """What happens to the middle of a square slice happens to that middle on its own."""
    monkeypatch.setattr("bids_spectsynth.synthesis.network.augmentation.SHIFT", 0.0)
    monkeypatch.setattr("bids_spectsynth.synthesis.network.augmentation.ROTATION", 40.0)
    axis = torch.linspace(-1, 1, 32)
    x, y = torch.meshgrid(axis, axis, indexing="ij")
    # Small enough for the middle wherever it is turned to.
    image = (1.8 * torch.exp(-((x - 0.2) ** 2 + (y + 0.1) ** 2) / 0.01) - 1).expand(6, 1, 32, 32)
    rows, columns = (slice((32 - n) // 2, (32 + n) // 2) for n in kept)
    square, _ = augment(image, image, ("affine",), 1, Recipe(n_images=1))
    middle = image[..., rows, columns]
    own, _ = augment(middle, middle, ("affine",), 1, Recipe(n_images=1))
    assert torch.allclose(own, square[..., rows, columns], atol=1e-4)
    assert not torch.allclose(own, middle, atol=0.1)


def test_a_flip_mirrors_rows_of_axial_slices_and_the_order_of_sagittal_ones():
    inputs, targets = torch.arange(2 * 3 * 4 * 4.0).reshape(2, 3, 4, 4), torch.zeros(2, 1, 4, 4)
    recipe = Recipe(n_images=1, neighbours=1)
    seen = set()
    for seed in range(8):
        made, _ = augment(inputs, targets, ("flip",), seed, recipe)
        for before, after in zip(inputs, made, strict=True):
            seen.add("same" if torch.equal(before, after) else "mirrored")
            assert torch.equal(after, before) or torch.equal(after, before.flip(1))
    assert seen == {"same", "mirrored"}
    sagittal = Recipe(n_images=1, neighbours=1, orientation="sagittal")
    made = torch.cat([augment(inputs, targets, ("flip",), seed, sagittal)[0] for seed in range(8)])
    for after in made:
        assert any(torch.equal(after, one) or torch.equal(after, one.flip(0)) for one in inputs)


def test_nothing_asked_nothing_done():
    inputs, targets = blobs()
    made = augment(inputs, targets, (), 1, Recipe(n_images=2))
    assert made[0] is inputs
    assert made[1] is targets
