import itertools
import re
from xml.etree import ElementTree

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_spectsynth.evaluation.figures.comparison_bands import bands_of
from bids_spectsynth.evaluation.figures.comparisons import comparison_figure
from bids_spectsynth.evaluation.figures.style import FONT_SIZE, svg_text
from bids_spectsynth.evaluation.group.configurations import Configuration, comparison_groups, configurations, paper_rows

WHOLE = ("rmse", "ssim", "psnr")
NO_TESTS = pd.DataFrame()


def texts(svg: str) -> list[str]:
    found = (e for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("}text"))
    return [" ".join("".join(e.itertext()).split()) for e in found]


def results_of(a: str, b: str, p_slice: float, p_holm: float) -> pd.DataFrame:
    fixed = {"comparison": "inputs", "configuration_a": a, "configuration_b": b, "scale": "slice", "metric": "rmse"}
    fixed |= {"method_a": "pix2pix", "method_b": "pix2pix"}
    return pd.DataFrame(
        [{**fixed, "test": "slice_t", "p": p_slice}, {**fixed, "test": "subject_t", "p": 0.0, "p_holm": p_holm}]
    )


@pytest.mark.parametrize(("kind", "n_bands", "n_rows"), [("space", 6, 2), ("loss", 6, 2), ("inputs", 4, 3)])
def test_bands_of_the_papers_study(study, kind, n_bands, n_rows):
    bands = bands_of(comparison_groups(configurations(paper_rows(study())), kind), kind)
    assert [len(band.group) for band in bands] == [n_rows] * n_bands
    heights = [height for band in bands for height in band.heights]
    assert heights == sorted(heights, reverse=True)
    assert all(above.bottom > below.top for above, below in itertools.pairwise(bands))
    assert len({band.heading for band in bands}) == n_bands
    assert all(len(set(band.labels)) == n_rows for band in bands)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(("T1w", "pet", "T1w+pet", "T2w", "flair")), min_size=2, max_size=6))
def test_brackets_of_one_level_do_not_overlap(inputs):
    found = [Configuration(f"m{n}", name, "T1w", "L1+BCE", "fard2024", "slice") for n, name in enumerate(inputs)]
    for band in bands_of(comparison_groups(found, "inputs"), "inputs"):
        for one in band.brackets:
            for other in band.brackets:
                if one is not other and one.level == other.level:
                    assert one.second <= other.first or other.second <= one.first


@pytest.mark.parametrize(
    ("p_slice", "p_holm", "mark"), [(1e-9, 0.5, "*"), (0.5, 0.001, "†"), (0.01, 0.01, "ns"), (None, None, "–")]
)
def test_marks_of_both_tests(model, p_slice, p_holm, mark):
    metrics = pd.concat([model("a", "T1w", "T1w", "L1+BCE"), model("b", "pet", "T1w", "L1+BCE")])
    tests = NO_TESTS if p_slice is None else results_of("b", "a", p_slice, p_holm)
    drawing = comparison_figure(metrics, tests, "inputs", ("rmse",), phantom=False)
    assert drawing is not None
    shown = texts(svg_text(drawing))
    assert [text for text in shown if text in ("*", "†", "ns", "–")] == [mark]


def test_both_marks_stand_side_by_side(model):
    metrics = pd.concat([model("a", "T1w", "T1w", "L1+BCE"), model("b", "pet", "T1w", "L1+BCE")])
    drawing = comparison_figure(metrics, results_of("a", "b", 1e-9, 1e-4), "inputs", ("rmse",), phantom=False)
    places = {t.get_text(): t.get_position()[0] for t in drawing.figure.axes[0].texts if t.get_text() in "*†"}
    assert places["*"] < places["†"] < 1


def test_counts_units_and_phantoms_are_named(study):
    drawing = comparison_figure(study(), NO_TESTS, "space", WHOLE, phantom=True)
    shown = " ".join(texts(svg_text(drawing)))
    assert "PHANTOM DATA. Each violin: 3 held-out subjects (3 test), 15 slices" in shown
    assert "(dB)" in shown
    assert shown.count("template") >= 6
    assert "3 held-out subjects (3 test), 15 slices" in drawing.caption
    assert "different subjects" not in drawing.caption
    assert "phantoms" in drawing.caption
    assert "MNI152NLin2009aSym" in drawing.caption


@pytest.mark.parametrize(("n_rows", "drawn"), [(2, True), (4, True), (6, False), (8, False)])
def test_brackets_leave_half_of_the_width_to_the_violins(model, n_rows, drawn):
    metrics = pd.concat([model(f"m{n}", f"in{n}", "T1w", "L1+BCE") for n in range(n_rows)])
    drawing = comparison_figure(metrics, NO_TESTS, "inputs", WHOLE, phantom=False)
    for axes in drawing.figure.axes:
        low, high = axes.get_xlim()
        assert low < high, "not reversed"
        column = WHOLE[drawing.figure.axes.index(axes)]
        own = paper_rows(metrics)[column]
        assert (own.max() - low) / (high - low) > 0.45
        assert own.max() < high
    marks = [text for text in texts(svg_text(drawing)) if text == "–"]
    assert len(marks) == (3 * n_rows * (n_rows - 1) / 2 if drawn else 0)
    assert ("group_comparisons.tsv" in drawing.caption) is not drawn


def test_bands_of_other_trainings_have_names_of_their_own(model):
    rows = [
        model(f"m{inputs}{training}", inputs, "T1w", "L1", recipe="custom", training=training)
        for inputs in ("T1w", "pet")
        for training in ("aaaaaaaa", "bbbbbbbb")
    ]
    bands = bands_of(comparison_groups(configurations(paper_rows(pd.concat(rows))), "inputs"), "inputs")
    assert [len(band.group) for band in bands] == [2, 2]
    assert {band.heading[-8:] for band in bands} == {"aaaaaaaa", "bbbbbbbb"}


def test_violins_of_different_subjects_are_counted_one_by_one(model):
    def drawing_of(participants):
        other = model("b", "pet", "T1w", "L1+BCE", participants=participants)
        external = model("b", "pet", "T1w", "L1+BCE", participants=("x1",), split="external")
        rows = pd.concat([model("a", "T1w", "T1w", "L1+BCE"), other, *([external] if len(participants) < 3 else [])])
        return comparison_figure(rows, NO_TESTS, "inputs", ("rmse",), phantom=False)

    drawing = drawing_of(("01", "02"))
    labels = [text.get_text() for text in drawing.figure.axes[0].get_yticklabels()]
    assert labels == ["MRI (n = 3)", "PET (n = 3)"]
    assert "3 held-out subjects (2 test + 1 external or 3 test)" in drawing.caption
    assert "different subjects" in drawing.caption
    same = drawing_of(("01", "02", "03"))
    assert [text.get_text() for text in same.figure.axes[0].get_yticklabels()] == ["MRI", "PET"]


def test_text_is_readable_at_the_width_of_a_page(study):
    svg = svg_text(comparison_figure(study(), NO_TESTS, "inputs", WHOLE, phantom=False))
    sizes = [float(size) for size in re.findall(r"font(?:-size)?: (?:\w+ )*?([0-9.]+)px", svg)]
    assert len(sizes) > 20
    assert min(sizes) >= FONT_SIZE
    width = float(ElementTree.fromstring(svg).get("width").removesuffix("pt"))
    assert width / 72 * 25.4 == pytest.approx(180, abs=0.1)


def test_the_same_data_gives_the_same_bytes(study):
    first, second = (svg_text(comparison_figure(study(), NO_TESTS, "loss", WHOLE, phantom=False)) for _ in range(2))
    assert first == second
    assert "<dc:date>" not in first


@pytest.mark.parametrize("kind", ["space", "loss", "inputs"])
def test_one_model_has_nothing_to_be_compared_with(study, kind):
    metrics = study(inputs=("pet",), spaces=("T1w",), losses=("L1+BCE",))
    assert comparison_figure(metrics, NO_TESTS, kind, WHOLE, phantom=False) is None


def test_infinite_and_equal_values_do_not_stop_a_figure(model):
    metrics = pd.concat([model("a", "T1w", "T1w", "L1+BCE"), model("b", "pet", "T1w", "L1+BCE")])
    metrics["psnr"] = float("inf")
    metrics["rmse"] = 0.25
    assert comparison_figure(metrics, NO_TESTS, "inputs", WHOLE, phantom=False) is not None
