import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from bids_spectsynth.reports.pictures.charts import metric_lines
from bids_spectsynth.reports.pictures.mosaic import WIDTH, Contour, Layer, Row, Title, mosaic
from bids_spectsynth.reports.pictures.reportlets import (
    GLANCE_WIDTH,
    mask_outline,
    registration,
    synthesis,
    synthesis_at_a_glance,
    template_outline,
)
from bids_spectsynth.reports.pictures.views import View, frame_of

SHAPE = (20, 24, 16)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
TITLE = Title("sub-01")


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
    return synthesis({"T1w": image}, image, image, mask, AFFINE, TITLE)


def well_formed(svg):
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    references = [v for e in root.iter() for k, v in e.attrib.items() if k.endswith("href")]
    assert all(reference.startswith(("data:image/png;base64,", "#")) for reference in references)
    assert "<dc:date>" not in svg
    return root


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


def test_pictures_are_of_one_width_and_one_strip(head):
    image, mask = head
    shown = pixels(registration(image, image[::-1].copy(), mask, AFFINE, ("PET", TITLE)))
    assert shown.shape[1] == WIDTH
    assert shown.shape[0] < 0.45 * WIDTH
    strip = pixels(template_outline(image, mask, mask.astype(np.float32), AFFINE, TITLE))
    assert strip.shape[0] < 0.6 * shown.shape[0]


def test_equal_images_give_equal_text(head):
    image, mask = head
    assert mask_outline(image, mask, AFFINE, TITLE) == mask_outline(image.copy(), mask.copy(), AFFINE.copy(), TITLE)


def test_empty_images_and_masks_are_drawn_too():
    nothing, nowhere = np.zeros(SHAPE, dtype=np.float32), np.zeros(SHAPE, dtype=bool)
    pixels(registration(nothing, nothing, nowhere, AFFINE, ("PET", TITLE)))
    pixels(mask_outline(nothing, nowhere, AFFINE, TITLE))
    picture, scales = synthesis({"T1w": nothing}, nothing, nothing, nowhere, AFFINE, TITLE)
    pixels(picture)
    assert np.isnan(scales.mean_absolute)


def test_real_and_synthetic_are_compared_in_units_of_their_own_mean(head, equal):
    image, mask = head
    picture, scales = equal
    assert scales.mean_absolute == pytest.approx(0, abs=1e-6)
    assert scales.scale == pytest.approx(np.percentile(image[mask], 99.8) / image[mask].mean(), rel=1e-5)
    # A factor of 8 is exact in binary numbers: the picture must be the same to the byte.
    same, _ = synthesis({"T1w": image}, image, image * 8, mask, AFFINE, TITLE)
    assert same == picture
    _, scales = synthesis({"T1w": image}, image, image + mask * 3, mask, AFFINE, TITLE)
    assert scales.mean_absolute > 0.05
    assert scales.difference >= 0.1


def test_without_a_real_image_there_is_no_difference(head, equal):
    image, mask = head
    picture, scales = synthesis({"T1w": image}, None, image, mask, AFFINE, TITLE)
    assert scales.difference == 0
    assert np.isnan(scales.mean_absolute)
    height = [pixels(one).shape[0] for one in (picture, equal[0])]
    assert height[0] < 0.65 * height[1]


def test_synthesis_at_a_glance__stands_beside_text_and_says_synthetic(head):
    image, mask = head
    shown = pixels(synthesis_at_a_glance({"T1w": image}, image, image, mask, AFFINE, Title("a", "SYNTHETIC")))
    assert shown.shape[1] == GLANCE_WIDTH
    alarm = (shown[..., 0] > 200) & (abs(shown[..., 1] - 122) < 40) & (abs(shown[..., 2] - 107) < 40)
    # In the line above, and as the name of the last row.
    assert alarm[:70].sum() > 200
    assert alarm[-250:, :120].sum() > 200


def test_the_patients_left_is_on_the_left_and_front_is_up(head):
    _, mask = head
    spot = np.zeros(SHAPE, dtype=np.float32)
    spot[4:7, 15:18, 6:9] = 1  # low i: left; high j: front
    row = Row("", [View("axial", 7)], Layer(mask * np.float32(0), 0, 1), [Contour(spot, 0.5, "#00ff00")])
    frame = frame_of(mask, AFFINE)
    shown = pixels(mosaic([row], frame, Title("")))
    height, width = shown.shape[0] - 30, 1248
    ys, xs = np.nonzero((shown[..., 1] > 180) & (shown[..., 0] < 100))
    i, j = 5.0, 16.0  # the spot's middle
    across = (i + 0.5 - frame.box[0].start) / (frame.box[0].stop - frame.box[0].start)
    up = (j + 0.5 - frame.box[1].start) / (frame.box[1].stop - frame.box[1].start)
    assert (xs.min() + xs.max()) / 2 == pytest.approx(128 + across * width, abs=0.02 * width)
    assert (ys.min() + ys.max()) / 2 == pytest.approx((1 - up) * height, abs=0.03 * height)
    assert across < 0.5 < up


@pytest.mark.parametrize("start", [(0, 0, 0), (5, 3, 1), (1, 8, 7)])
def test_air_around_a_head_changes_nothing_in_its_pictures(head, start):
    """Only the part around the brain is computed; that must not show."""
    image, mask = head
    larger = [np.pad(volume, [(n, 9) for n in start]) for volume in (image, mask)]
    affine = AFFINE.copy()
    affine[:3, 3] = -4.0 * np.array(start)
    picture, scales = synthesis({"T1w": image}, image, image * 2, mask, AFFINE, TITLE)
    moved, moved_scales = synthesis({"T1w": larger[0]}, larger[0], larger[0] * 2, larger[1], affine, TITLE)
    assert moved == picture
    assert moved_scales == scales
    names = ("PET", TITLE)
    assert registration(*larger[:1] * 2, larger[1], affine, names) == registration(image, image, mask, AFFINE, names)


def test_metric_lines_draw_one_line_per_method_and_the_model_thick():
    z = np.arange(10.0)
    svg = metric_lines({"RMSE": {"model": (z, z), "base": (z, 2 * z)}, "SSIM": {"model": (z, z)}}, ["model"])
    well_formed(svg)
    assert svg.count('stroke="#0072B2" fill="none" stroke-width="3"') == 3  # two panels and the legend
    assert (
        svg.count('stroke="#D55E00" fill="none" stroke-width="1.5" stroke-dasharray') == 2
    )  # one panel and the legend


def test_metric_lines__what_is_not_finite_interrupts_its_line_and_names_are_escaped():
    z = np.arange(5.0)
    values = np.array([1, 2, np.inf, 4, 5.0])
    svg = metric_lines({"PSNR": {"a<b": (z, values)}, "none": {"a<b": (z, z * np.nan)}})
    well_formed(svg)
    path = re.search(r'<path d="(M[^"]*)" stroke="#0072B2"[^>]*stroke-linejoin', svg)
    assert path is not None
    assert (path[1].count("M"), path[1].count("L")) == (2, 2)
    assert "a&lt;b" in svg
    assert "none: no values" in svg


def test_mask_outline__a_lesion_has_its_outline_and_slices_through_it(head):
    image, mask = head
    lesion = np.zeros(SHAPE, dtype=bool)
    lesion[11:14, 10:14, 6:9] = True
    plain, shown = (pixels(mask_outline(image, mask, AFFINE, TITLE, one)) for one in (None, lesion))
    assert shown.shape[0] > 1.2 * plain.shape[0]
    orange = [np.count_nonzero(picture[..., 0] - picture[..., 2] > 60) for picture in (plain, shown)]
    assert orange[1] > 200 + orange[0]
    assert np.array_equal(pixels(mask_outline(image, mask, AFFINE, TITLE, np.zeros(SHAPE, dtype=bool))), plain)
