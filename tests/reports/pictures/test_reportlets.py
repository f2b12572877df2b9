import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_spectsynth.reports.pictures.charts import metric_lines
from bids_spectsynth.reports.pictures.mosaic import Contour, Layer, Row, mosaic
from bids_spectsynth.reports.pictures.reportlets import (
    mask_outline,
    registration,
    resampled,
    synthesis,
    template_outline,
)
from bids_spectsynth.reports.pictures.views import View, frame_of

SHAPE = (20, 24, 16)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])


@pytest.fixture(scope="module")
def head():
    i, j, k = np.indices(SHAPE)
    mask = ((i - 9.5) / 7) ** 2 + ((j - 11.5) / 9) ** 2 + ((k - 7.5) / 6) ** 2 < 1
    image = (mask * (2 + np.sin(i) + np.cos(j / 2))).astype(np.float32)
    return image, mask


@pytest.fixture(scope="module")
def equal(head):
    """Mosaic and scales of an image that is compared with itself."""
    image, mask = head
    return synthesis({"T1w": image}, image, image, mask, AFFINE)


def well_formed(svg):
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    references = [v for e in root.iter() for k, v in e.attrib.items() if k.endswith("href")]
    assert all(reference.startswith(("data:image/png;base64,", "#")) for reference in references)
    assert "<dc:date>" not in svg
    return root


def test_pictures_are_svg_without_outside_references(head):
    image, mask = head
    well_formed(registration(image, image[::-1].copy(), mask, AFFINE, "PET"))
    well_formed(template_outline(image, mask, mask.astype(np.float32), AFFINE))


def test_equal_images_give_equal_text(head):
    image, mask = head
    assert mask_outline(image, mask, AFFINE) == mask_outline(image.copy(), mask.copy(), AFFINE.copy())


def test_empty_images_and_masks_are_drawn_too():
    nothing, nowhere = np.zeros(SHAPE, dtype=np.float32), np.zeros(SHAPE, dtype=bool)
    well_formed(registration(nothing, nothing, nowhere, AFFINE, "PET"))
    svg, scales = synthesis({"T1w": nothing}, nothing, nothing, nowhere, AFFINE)
    well_formed(svg)
    assert np.isnan(scales.mean_absolute)


def test_real_and_synthetic_are_compared_in_units_of_their_own_mean(head, equal):
    image, mask = head
    svg, scales = equal
    assert scales.mean_absolute == pytest.approx(0, abs=1e-6)
    assert scales.scale == pytest.approx(np.percentile(image[mask], 99.8) / image[mask].mean(), rel=1e-5)
    # A factor of 8 is exact in binary numbers: the picture must be the same to the byte.
    same, _ = synthesis({"T1w": image}, image, image * 8, mask, AFFINE)
    assert same == svg
    _, scales = synthesis({"T1w": image}, image, image + mask * 3, mask, AFFINE)
    assert scales.mean_absolute > 0.05
    assert scales.difference >= 0.1


def test_without_a_real_image_there_is_no_difference(head, equal):
    image, mask = head
    svg, scales = synthesis({"T1w": image}, None, image, mask, AFFINE)
    assert scales.difference == 0
    assert np.isnan(scales.mean_absolute)
    height = [float(well_formed(text).attrib["height"].removesuffix("pt")) for text in (svg, equal[0])]
    assert height[0] < 0.6 * height[1]


def contour_points(svg, colour):
    paths = re.findall(rf'<path d="([^"]*)"[^>]*stroke: {colour}', svg)
    return np.array([[float(v) for v in pair] for path in paths for pair in re.findall(r"([-\d.]+) ([-\d.]+)", path)])


def test_the_patients_left_is_on_the_left_and_front_is_up(head):
    _, mask = head
    spot = np.zeros(SHAPE, dtype=np.float32)
    spot[4:7, 15:18, 6:9] = 1  # low i: left; high j: front
    row = Row("x", [View("axial", 7)], Layer(mask.astype(np.float32), 0, 1), [Contour(spot, 0.5, "#123456")])
    frame = frame_of(mask, AFFINE)
    svg = mosaic([row], frame)
    points = contour_points(svg, "#123456")
    width, height = (float(well_formed(svg).attrib[name].removesuffix("pt")) for name in ("width", "height"))
    left, right = width * 0.95 / 12, width * (1 - 0.75 / 12)
    i, j = 5.0, 16.0  # the spot's middle
    across = (i + 0.5 - frame.box[0].start) / (frame.box[0].stop - frame.box[0].start)
    up = (j + 0.5 - frame.box[1].start) / (frame.box[1].stop - frame.box[1].start)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    assert middle[0] == pytest.approx(left + across * (right - left), abs=0.02 * width)
    assert middle[1] == pytest.approx((1 - up) * height, abs=0.04 * height)
    assert across < 0.5 < up


@settings(max_examples=15, deadline=None)
@given(st.tuples(*[st.integers(-2, 2)] * 3))
def test_a_mask_is_resampled_by_the_inverse_of_its_motion(shift):
    mask = np.zeros((12, 12, 12), dtype=np.float32)
    mask[4:7, 5:8, 3:9] = 1
    matrix = np.eye(4)
    matrix[:3, 3] = np.array(shift) * 2.0
    grid = np.diag([2.0, 2.0, 2.0, 1.0])
    moved = resampled(mask, grid, (12, 12, 12), grid, matrix)
    np.testing.assert_allclose(moved, np.roll(mask, [-s for s in shift], axis=(0, 1, 2)), atol=1e-5)


@pytest.mark.parametrize("start", [(0, 0, 0), (5, 3, 1), (1, 8, 7)])
def test_air_around_a_head_changes_nothing_in_its_pictures(head, start):
    """Only the part around the brain is computed; that must not show."""
    image, mask = head
    larger = [np.pad(volume, [(n, 9) for n in start]) for volume in (image, mask)]
    affine = AFFINE.copy()
    affine[:3, 3] = -4.0 * np.array(start)
    svg, scales = synthesis({"T1w": image}, image, image * 2, mask, AFFINE)
    moved_svg, moved_scales = synthesis({"T1w": larger[0]}, larger[0], larger[0] * 2, larger[1], affine)
    assert moved_svg == svg
    assert moved_scales == scales
    assert registration(*larger[:1] * 2, larger[1], affine, "PET") == registration(image, image, mask, AFFINE, "PET")


def test_the_part_that_is_looked_at_is_that_of_the_whole():
    image = np.random.default_rng(0).random((10, 12, 14), dtype=np.float32)
    grid = np.array([[1.5, 0.1, 0, 2], [0, 1.2, 0.2, 1], [0, 0, 1.1, 3], [0, 0, 0, 1]])
    box = (slice(2, 6), slice(0, 5), slice(3, 9))
    whole = resampled(image, np.eye(4), (8, 9, 9), grid, np.eye(4))
    part = resampled(image, np.eye(4), (8, 9, 9), grid, np.eye(4), box)
    np.testing.assert_allclose(part[box], whole[box], atol=1e-5)
    assert (whole[box] > 0).any()
    assert part.sum() == pytest.approx(part[box].sum())


def test_a_mask_is_carried_to_a_coarser_grid():
    mask = np.zeros((16, 16, 16), dtype=np.float32)
    mask[4:12, 4:12, 4:12] = 1
    coarse = np.diag([2.0, 2.0, 2.0, 1.0])
    coarse[:3, 3] = 0.5
    seen = resampled(mask, np.eye(4), (8, 8, 8), coarse, np.eye(4))
    assert seen.sum() * 8 == pytest.approx(mask.sum())


def test_metric_lines_draw_one_line_per_method_and_the_model_thick():
    z = np.arange(10.0)
    svg = metric_lines({"RMSE": {"model": (z, z), "base": (z, 2 * z)}, "SSIM": {"model": (z, z)}}, ["model"])
    well_formed(svg)
    assert svg.count("stroke: #0072b2; stroke-width: 2.4") == 3  # two panels and the legend
    dashed = re.findall(r"stroke-dasharray: [^;]*; stroke-dashoffset: 0; stroke: #d55e00; stroke-width: 1.1", svg)
    assert len(dashed) == 2  # one panel and the legend
