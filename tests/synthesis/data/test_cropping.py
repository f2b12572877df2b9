import dataclasses
import json
import logging

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from bids_spectsynth.errors import ImageError, ModelError
from bids_spectsynth.options.presets import GOVERNED, PRESETS
from bids_spectsynth.options.settings import make_settings
from bids_spectsynth.synthesis.computing.computation import Computation
from bids_spectsynth.synthesis.data.cropping import LEVELS, STEP, brain_size, case_sizes, common_size, crop
from bids_spectsynth.synthesis.data.gathering import gather_slices
from bids_spectsynth.synthesis.data.orientation import to_slices
from bids_spectsynth.synthesis.data.slices import PreparedCases, load_case
from bids_spectsynth.synthesis.models.card import load_card
from bids_spectsynth.synthesis.models.folder import load_model
from bids_spectsynth.synthesis.network.channels import predict_slices
from bids_spectsynth.synthesis.network.networks import network_levels
from bids_spectsynth.synthesis.prediction.case_prediction import larger_slices
from bids_spectsynth.synthesis.prediction.predict import network_input_size, predict
from bids_spectsynth.synthesis.prediction.synthetic_image import synthesise
from bids_spectsynth.synthesis.training.config import TrainingConfig
from bids_spectsynth.synthesis.training.train import train
from bids_spectsynth.synthesis.training.validation import validate

INPUTS = ("T1w", "pet")
#: Grid of the tests; a small brain lies in 32 x 32 pixels of its slices, a large one in 64 x 64.
GRID, SMALL, LARGE = (96, 128, 12), (36, 36, 12), (64, 64, 12)
CPU = torch.device("cpu")


@st.composite
def masks(draw):
    shape = (draw(st.sampled_from((32, 64, 96, 128))), draw(st.sampled_from((32, 64, 96))), 3)
    mask = np.zeros(shape, dtype=bool)
    points = draw(st.lists(st.tuples(*(st.integers(0, n - 1) for n in shape)), max_size=4))
    for point in points:
        mask[point] = True
    return mask


@given(masks(), st.tuples(st.sampled_from((0, 32, 64)), st.sampled_from((0, 32, 64))))
def test_the_box_holds_the_brain_and_is_the_smallest(mask, at_least):
    size = brain_size(mask, at_least)
    assert crop(mask, size).sum() == mask.sum()
    for axis in (0, 1):
        length = size[axis]
        assert length % STEP == 0
        assert min(at_least[axis], mask.shape[axis]) <= length <= mask.shape[axis]
        smaller = [size[0], size[1]]
        smaller[axis] = length - STEP
        if length - STEP >= max(at_least[axis], 0) and length > 0:
            assert crop(mask, tuple(smaller)).sum() < mask.sum()


@given(npst.arrays(np.float32, (2, 64, 32, 2), elements=st.floats(-1, 1, width=32)))
def test_a_crop_is_the_middle(stack):
    assert np.array_equal(crop(stack, (32, 32)), stack[:, 16:48, :, :])
    crop(stack, (32, 32))[:] = 5
    assert (stack[:, 16:48] == 5).all()


def test_networks_of_whole_slices_keep_their_levels():
    assert network_levels((256, 256), (256, 256)) == 8
    assert network_levels((64, 64), (64, 64)) == 6
    assert network_levels((160, 192), (256, 256)) == LEVELS == 5


def test_of_cases_on_disk_only_the_masks_are_read(tmp_path, make_case, write_prepared):
    sizes = {"01": SMALL, "02": LARGE}
    prepared = tuple(write_prepared(tmp_path, label, 3, shape, GRID) for label, shape in sizes.items())
    for case in prepared:
        for path in case.images.values():
            path.unlink()
    on_disk = PreparedCases(prepared, INPUTS, "slice")
    in_memory = [make_case(label, 3, shape=shape, within=GRID) for label, shape in sizes.items()]
    assert case_sizes(on_disk, "axial") == case_sizes(in_memory, "axial") == [(32, 32), (64, 64)]
    assert case_sizes(in_memory[:1], "axial", (32, 96)) == [(32, 96)]
    assert common_size([(32, 96), (64, 64)]) == (64, 96)
    prepared[1].masks["T1w"].unlink()
    with pytest.raises(ImageError, match="sub-02"):
        case_sizes(on_disk, "axial")


@pytest.mark.parametrize("orientation", ["axial", "coronal", "sagittal"])
def test_cropped_slices_are_the_middle_of_whole_ones(make_case, orientation):
    cases = [make_case(label, seed, shape=SMALL, within=GRID) for label, seed in (("01", 1), ("02", 2))]
    how = {"masks": True, "orientation": orientation, "neighbours": 1}
    whole, facts = gather_slices(cases, 6, **how)
    cropped, same_facts = gather_slices(cases, 6, crop_to_brain=True, **how)
    size = cropped.layout.height, cropped.layout.width
    assert size < (whole.layout.height, whole.layout.width)
    for name in ("images", "targets", "masks"):
        full, part = (np.moveaxis(getattr(data, name).numpy(), 0, -1) for data in (whole, cropped))
        assert np.array_equal(crop(full, size), part)
    assert cropped.masks.sum() == whole.masks.sum() > 0
    assert facts == same_facts


def config(**values):
    return dataclasses.replace(
        TrainingConfig(label="m", inputs=INPUTS, scaling="volume", voxel_size=2.0, slices_per_subject=6, epochs=1),
        base_filters=2, **{"crop": "brain", **values},
    )  # fmt: skip


def trained(cases, folder, own=None):
    train(cases[:1], cases[1:2], own or config(), folder, device="cpu", progress=False, threads=1)
    return load_model(folder, CPU)


@pytest.fixture(scope="module")
def cases(make_case):
    """Two small heads and a large one."""
    shapes = {"01": SMALL, "02": SMALL, "03": LARGE}
    return [make_case(label, int(label), "volume", shape, GRID) for label, shape in shapes.items()]


@pytest.fixture(scope="module")
def model(cases, tmp_path_factory):
    return trained(cases, tmp_path_factory.mktemp("models") / "m")


def by_hand(case, size):
    """The case on the smaller grid that its cropped axial slices make."""
    parts = {name: crop(getattr(case, name), size) for name in ("inputs", "target", "mask")}
    return dataclasses.replace(case, **parts)


def test_the_card_tells_of_the_crop(model):
    assert model.card.architecture["slice_shape"] == [32, 32]
    assert model.card.architecture["levels"] == LEVELS
    assert model.card.is_cropped
    assert model.card.grid_shape == GRID
    assert model.card.config["crop"] == "brain"


def test_training_equals_that_on_images_cropped_by_hand(model, cases, tmp_path):
    other = trained([by_hand(case, (32, 32)) for case in cases], tmp_path / "m", config(crop="none"))
    assert other.card.weights_sha256 == model.card.weights_sha256
    assert not other.card.is_cropped


def test_prediction_equals_that_of_slices_cropped_by_hand(model, cases):
    made = predict(model, cases[1], computation=Computation(torch.device("cpu")))
    stack = np.moveaxis(crop(cases[1].inputs, (32, 32)), -1, 0).copy()
    with torch.inference_mode():
        wanted = predict_slices(model.generator, torch.from_numpy(stack), model.recipe)[:, 0].numpy()
    brain = np.flatnonzero(cases[1].mask.any(axis=(0, 1)))
    assert np.allclose(np.moveaxis(crop(made, (32, 32)), -1, 0)[brain], wanted[brain], atol=1e-5)
    outside = np.ones(GRID, dtype=bool)
    crop(outside, (32, 32))[:] = False
    assert (made[outside] == -1).all()


def test_a_larger_head_gets_larger_slices(model, cases):
    made = predict(model, cases[2])
    assert network_input_size(model, cases[2].mask) == (64, 64)
    assert (made[cases[2].mask] > -1).all()
    assert made[15, 64, 6] == -1 != made[16, 64, 6]
    assert larger_slices([model], cases[1].mask) == ""
    assert "32 x 32 pixels that model m learned from; it was shown 64 x 64" in larger_slices([model], cases[2].mask)


@pytest.mark.parametrize(("label", "warned"), [("02", 0), ("03", 1)])
def test_an_image_of_a_larger_head_says_so_once(model, tmp_path, write_prepared, caplog, label, warned):
    prepared = write_prepared(tmp_path, label, 3, LARGE if warned else SMALL, GRID)
    plain = {"bids_dir": tmp_path / "none", "output_dir": tmp_path, "analysis_level": "participant", "voxel_size": 2}
    with caplog.at_level(logging.WARNING):
        path = synthesise([model], prepared, tmp_path, make_settings({**plain, "uncertainty": 3}))
    assert caplog.text.count("does not fit into the 32 x 32 pixels") == warned
    sidecars = [json.loads(path.read_text()) for path in path.parent.glob("*desc-m*.json")]
    assert len(sidecars) == 3
    assert sum("does not fit" in sidecar.get("SliceSizeWarning", "") for sidecar in sidecars) == 3 * warned


def test_each_validation_head_is_shown_at_the_size_that_it_will_be_shown_at(model, cases):
    """A larger head beside it must not change how a head is rated."""
    how = {"masks": True, "crop_to_brain": True, "at_least": (32, 32)}
    together, _ = gather_slices(cases[1:], 6, **how)
    assert together.layout.sizes == [(32, 32), (64, 64)]
    assert {size: len(rows) for size, rows in together.by_size().items()} == {(32, 32): 6, (64, 64): 6}
    alone = [gather_slices([case], 6, **how)[0] for case in cases[1:]]
    found = validate(model.generator, together, 4, Computation(CPU), recipe=model.recipe)
    each = [validate(model.generator, data, 4, Computation(CPU), recipe=model.recipe) for data in alone]
    for name in ("rmse", "ssim"):
        assert found[name] == pytest.approx((each[0][name] + each[1][name]) / 2, rel=1e-6)
    shown_larger = dataclasses.replace(together, layout=dataclasses.replace(together.layout, sizes=()))
    assert validate(model.generator, shown_larger, 4, Computation(CPU), recipe=model.recipe) != found


def test_a_larger_head_may_choose_the_epoch_without_changing_the_weights(model, cases, tmp_path, make_case):
    other = trained([cases[0], cases[2]], tmp_path / "m")
    assert other.card.weights_sha256 == model.card.weights_sha256
    assert other.card.slice_shape == (32, 32)


def test_a_head_that_fills_the_slices_is_not_cropped(make_case, tmp_path):
    filled = [make_case(label, int(label), "volume", (32, 32, 12)) for label in ("01", "02")]
    found = trained(filled, tmp_path / "m")
    assert not found.card.is_cropped
    plain = trained(filled, tmp_path / "p", config(crop="none"))
    assert plain.card.weights_sha256 == found.card.weights_sha256


@pytest.mark.parametrize("orientation", ["coronal", "sagittal"])
def test_other_orientations(cases, tmp_path, orientation):
    model = trained(cases, tmp_path / "m", config(orientation=orientation))
    assert model.card.slice_shape == (32, 32)
    made = predict(model, cases[1])
    assert made.shape == GRID
    assert (made[cases[1].mask] > -1).all()
    stack = to_slices(made, orientation, -1)
    crop(stack, (32, 32))[:] = -1
    assert (stack == -1).all()


def test_on_disk_as_in_memory(tmp_path, write_prepared):
    prepared = [write_prepared(tmp_path, label, int(label), SMALL, GRID) for label in ("01", "02")]
    lazily = [PreparedCases((case,), INPUTS, "volume") for case in prepared]
    card = train(*lazily, config(), tmp_path / "m", device="cpu", progress=False, threads=1)
    loaded = [load_case(case, INPUTS, "volume") for case in prepared]
    assert trained(loaded, tmp_path / "n").card.weights_sha256 == card.weights_sha256


def test_cards_of_earlier_versions_are_of_whole_slices(model, tmp_path):
    content = json.loads((model.folder / "model.json").read_text())
    del content["architecture"]["slice_shape"], content["config"]["crop"]
    (tmp_path / "model.json").write_text(json.dumps({**content, "format_version": 2}))
    card = load_card(tmp_path)
    assert card.slice_shape == (96, 128)
    assert not card.is_cropped


def test_an_option_that_an_earlier_model_did_not_have_was_as_in_the_article(model):
    best = {**model.card.config, **{name: PRESETS["best"][name] for name in GOVERNED}, "scaling": "volume"}
    assert dataclasses.replace(model.card, config=best).preset_name == "best"
    del best["flip_average"]
    assert dataclasses.replace(model.card, config=best).preset_name == "custom"
    assert dataclasses.replace(model.card, config={}).preset_name == "fard2024"


@pytest.mark.parametrize(
    "shape",
    [
        [32],
        [48, 32],
        [128, 32],
        [0, 32],
        "32",
        None,
        [32.0, 32],
        ["32", "32"],
        [float("inf"), 32],
        [True, 32],
        {"32": 1, "64": 2},
    ],
)
def test_a_card_with_impossible_slices(model, tmp_path, shape):
    content = json.loads((model.folder / "model.json").read_text())
    content["architecture"]["slice_shape"] = shape
    (tmp_path / "model.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match="damaged card"):
        load_card(tmp_path)


@pytest.mark.parametrize("part", ["config", "architecture"])
@pytest.mark.parametrize("value", [None, [], "x"])
def test_a_card_whose_parts_are_no_objects(model, tmp_path, part, value):
    content = {**json.loads((model.folder / "model.json").read_text()), part: value}
    (tmp_path / "model.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match="damaged card"):
        load_card(tmp_path)
