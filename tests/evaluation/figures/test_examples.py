import itertools
import time
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bids_spectsynth.bids.writing import write_json, write_text
from bids_spectsynth.evaluation.columns import LESION_KEY
from bids_spectsynth.evaluation.figures import examples as example_figures_module
from bids_spectsynth.evaluation.figures.examples import example_figures
from bids_spectsynth.evaluation.figures.palette import DIFFERENCE
from bids_spectsynth.evaluation.figures.panels import Page, Window, draw_panel, window_of
from bids_spectsynth.evaluation.figures.style import WIDTH_MM, Drawing, svg_text
from bids_spectsynth.evaluation.paper.example_images import ExampleImages
from bids_spectsynth.evaluation.paper.examples import Example

EXAMPLE = Example(1, "sub-01", "n/a", "test", "T1w", 5, 0.0)


def example_of(brain: np.ndarray, zoom: float = 2.0) -> ExampleImages:
    return ExampleImages(EXAMPLE, {}, np.zeros(brain.shape, np.float32), {}, brain, (zoom, zoom))


def texts(svg: str) -> list[str]:
    found = (e for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("}text"))
    return [" ".join("".join(e.itertext()).split()) for e in found]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1), st.integers(0, 1), st.floats(0.5, 4))
def test_the_patients_left_is_left_and_the_front_on_top(right, front, zoom):
    brain = np.zeros((40, 50), dtype=bool)
    brain[5:35, 8:44] = True
    plane = np.zeros(brain.shape, np.float32)
    plane[slice(25, 35) if right else slice(5, 15), slice(32, 44) if front else slice(8, 20)] = 1
    one = example_of(brain, zoom)
    figure = Figure(figsize=(1, 1), dpi=100)
    canvas = FigureCanvasAgg(figure)
    draw_panel(figure.add_axes((0, 0, 1, 1)), plane, one, window_of([one]), ("gray", 0.0, 1.0))
    for text in figure.axes[0].texts:
        text.set_visible(False)
    canvas.draw()
    lit = np.argwhere(np.asarray(canvas.buffer_rgba())[..., 0] > 200).mean(axis=0)
    assert (lit[1] > 50) == bool(right)
    assert (lit[0] < 50) == bool(front)


def test_sides_are_named_where_they_are():
    one = example_of(np.ones((30, 30), dtype=bool))
    axes = Figure().add_subplot()
    draw_panel(axes, np.zeros((30, 30), np.float32), one, window_of([one]), ("gray", 0.0, 1.0))
    places = {text.get_text(): text.get_position()[0] for text in axes.texts}
    assert places["L"] < 0.5 < places["R"]


@pytest.mark.parametrize("cmap", ["gray", DIFFERENCE])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_sides_are_read_on_any_image(cmap, value):
    one = example_of(np.ones((30, 30), dtype=bool))
    figure = Figure(figsize=(1, 1), dpi=200)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    # Within the image: beyond it the ground is another one.
    draw_panel(axes, np.full((30, 30), value, np.float32), one, Window(20, 20, 20), (cmap, 0.0, 1.0))
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3] @ [0.299, 0.587, 0.114]
    for text in axes.texts:
        box = text.get_window_extent()
        ink = pixels[round(200 - box.y1) : round(200 - box.y0), round(box.x0) : round(box.x1)]
        assert np.ptp(ink) > 150, text.get_text()
    assert [text for text in texts(svg_text(Drawing(figure, "sides"))) if text in "LR"] == ["L", "R"]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(2, 40), st.integers(2, 50)), min_size=1, max_size=4))
def test_the_window_holds_every_brain(sizes):
    examples = []
    for width, height in sizes:
        brain = np.zeros((60, 60), dtype=bool)
        brain[3 : 3 + width, 4 : 4 + height] = True
        examples.append(example_of(brain))
    window = window_of(examples)
    for width, height in sizes:
        assert window.half_width >= width
        assert min(window.below, window.above) >= height


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.sampled_from([(4, 2), (1, 2), (3, 3), (3, 4), (1, 4)]), st.floats(40, 100))
def test_panels_stand_apart_and_on_the_page(n_rows, columns, half_width):
    n_models, n_inputs = columns
    page = Page(n_rows, n_models, Window(half_width, 110, 100), n_inputs=n_inputs)
    width, height = page.panel
    lefts = [page.left(column) for column in range(n_inputs + 1 + 2 * n_models)]
    assert all(later - earlier > width for earlier, later in itertools.pairwise(lefts))
    assert lefts[-1] + width <= page.size[0] <= WIDTH_MM + 0.01
    assert page.top(n_rows - 1) + height < page.size[1]


@pytest.fixture
def drawn(tmp_path, study, images):
    def draw(**choice):
        metrics = study(**choice)
        images(tmp_path, metrics)
        return dict(example_figures(metrics, tmp_path, phantom=True))

    return draw


def test_one_figure_for_each_space_and_loss(drawn):
    assert list(drawn()) == [
        "paper_figure3", "paper_figure3_L1_BCE_SSIM", "paper_figure4", "paper_figure4_L1_BCE_SSIM",
    ]  # fmt: skip


def test_what_is_synthetic_real_or_simulated_is_said(drawn):
    drawing = drawn(spaces=("T1w",), losses=("L1+BCE",))["paper_figure3"]
    shown = texts(svg_text(drawing))
    assert shown.count("synthetic") == 3 + 3 * 3, "headings and panels"
    assert shown.count("real") == 3
    assert {"from MRI", "from PET", "from MRI & PET", "z = −6 mm", "sub-02", "slice 12"} <= set(shown)
    assert any(text.startswith("PHANTOM DATA") and "3 held-out subjects" in text for text in shown)
    assert shown.count("L") == shown.count("R") == 3 * 9
    assert "not measurements" in drawing.caption
    assert "phantoms" in drawing.caption


@pytest.mark.parametrize(
    ("splits", "said", "unsaid"),
    [
        ({}, "3 held-out subjects (3 test), the first by label; of each", "another cohort"),
        ({"sub-03": "external"}, "(2 test + 1 external), the first by label, the last one of another", "all of"),
        (dict.fromkeys(("sub-01", "sub-02", "sub-03"), "external"), "(3 external), the first by label, all of another",
         "the last one"),
    ],
)  # fmt: skip
def test_the_caption_tells_whose_cohort_it_is(tmp_path, study, images, splits, said, unsaid):
    metrics = study(inputs=("pet",), spaces=("T1w",), losses=("L1+BCE",))
    metrics["split"] = metrics["participant_id"].map(splits).fillna("test")
    images(tmp_path, metrics)
    (drawing,) = dict(example_figures(metrics, tmp_path, phantom=False)).values()
    assert said in drawing.caption
    assert unsaid not in drawing.caption


def test_the_caption_says_whose_lesion_is_in_the_images_and_not_in_the_numbers(tmp_path, study, images):
    metrics = study(inputs=("pet",), spaces=("T1w",), losses=("L1+BCE",))
    images(tmp_path, metrics)
    (before,) = dict(example_figures(metrics, tmp_path, phantom=False)).values()
    assert "lesion" not in before.caption
    (example,) = (tmp_path / "sub-02" / "spect").glob("*_task-interictal_*desc-m*_spect.nii.gz")
    table = example.with_name(example.name.replace("_spect.nii.gz", "_metrics.tsv"))
    write_text(table, "x")
    write_json(table.with_suffix(".json"), {LESION_KEY: True})
    (after,) = dict(example_figures(metrics, tmp_path, phantom=False)).values()
    assert "A lesion was left out of the numbers of sub-02; the images show it" in after.caption


def test_weights_of_a_loss_stand_in_names_of_files_without_brackets(drawn):
    names = list(drawn(inputs=("pet",), spaces=("T1w",), losses=("L1+BCE", "L1+BCE(0.1)")))
    assert names == ["paper_figure3", "paper_figure3_L1_BCE-0.1"]


def test_metrics_below_an_image_are_its_own(tmp_path, study, images):
    metrics = study(inputs=("pet",), spaces=("T1w",), losses=("L1+BCE",))
    own = (metrics["participant_id"] == "sub-02") & (metrics["slice"] == 12) & (metrics["scale"] == "slice")
    metrics.loc[own & (metrics["method"] == "pix2pix"), ["rmse", "ssim", "psnr"]] = (0.314, 0.815, 26.535)
    images(tmp_path, metrics)
    (drawing,) = dict(example_figures(metrics, tmp_path, phantom=False)).values()
    shown = " ".join(texts(svg_text(drawing)))
    assert shown.count("RMSE 0.31 SSIM 0.81") + shown.count("RMSE 0.31 SSIM 0.82") == 1
    assert "PHANTOM" not in shown


def test_a_damaged_image_costs_its_subject_only(tmp_path, study, images, caplog):
    metrics = study(inputs=("pet",), spaces=("T1w",), losses=("L1+BCE",))
    images(tmp_path, metrics)
    next((tmp_path / "sub-02" / "spect").glob("*desc-preproc*.nii.gz")).write_bytes(b"no image")
    (drawing,) = dict(example_figures(metrics, tmp_path, phantom=False)).values()
    assert "sub-02" not in texts(svg_text(drawing))
    assert "sub-03" in texts(svg_text(drawing))
    assert "sub-02" in caplog.text


def test_examples_stand_in_their_order_whichever_was_read_first(tmp_path, study, images, monkeypatch):
    metrics = study(inputs=("pet",), spaces=("T1w",), losses=("L1+BCE",))
    images(tmp_path, metrics)
    read = example_figures_module.read_example
    begun, drawn = [], []

    def slow(output_dir, example, *wanted):
        begun.append(example.number)
        time.sleep(0.2 / example.number)
        return read(output_dir, example, *wanted)

    def draw(_variant, found, *_):
        drawn.extend(one.example.number for one in found)
        alone = [read(tmp_path, one.example, {"mpetT1wL1BCE": "slice"}) for one in found]
        for one, other in zip(found, alone, strict=True):
            np.testing.assert_array_equal(one.synthetic["mpetT1wL1BCE"], other.synthetic["mpetT1wL1BCE"])
            np.testing.assert_array_equal(one.real, other.real)
        return None

    monkeypatch.setattr(example_figures_module, "read_example", slow)
    monkeypatch.setattr(example_figures_module, "_draw", draw)
    assert len(list(example_figures(metrics, tmp_path, phantom=True))) == 1
    assert sorted(begun) == drawn == [1, 2, 3]


def test_without_images_there_are_no_figures(tmp_path, study):
    assert list(example_figures(study(), tmp_path, phantom=False)) == []
