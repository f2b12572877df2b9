import base64
import json
import re

import numpy as np
import pytest

from bids_spectsynth.reports.viewer.colours import COLOUR_MAPS, colours
from bids_spectsynth.reports.viewer.document import document, frame
from bids_spectsynth.reports.viewer.layers import Focus, Viewer
from bids_spectsynth.reports.viewer.packing import pack

EVIL = "</script><script>alert('x')</script>&lt;\u2028"


def test_document__no_text_can_end_its_element(small):
    viewer = Viewer("v", EVIL, small.layers(), [Focus(EVIL, (1, 2, 3), "z", EVIL)], template=EVIL, stamp=EVIL)
    text = document(viewer)
    assert not set(text) & set("<>&\u2028")
    assert text.isascii()
    content = json.loads(text)
    assert content["stamp"] == content["foci"][0]["title"] == content["template"] == EVIL
    assert content["layers"][1]["threshold"] == [-2, 2]
    assert content["base"] == "T1w"


def test_document__in_a_page_all_texts_are_escaped(small, parse):
    html = small.page(template=EVIL)
    parse(html)
    assert len(re.findall(r"<script ", html)) == 2, "the data and niivue; scripts of ours have no attributes"
    assert "alert('x')</script>" not in html


def test_document__affines_lead_back_to_the_voxels(small):
    volume = json.loads(document(Viewer("v", "t", small.layers())))["volumes"][0]
    assert volume["toVoxel"] @ (small.affine @ [3, 4, 5, 1]) == pytest.approx([3, 4, 5])


def test_frame__picture_elements_fill_the_volume_and_meet_the_voxels(small):
    content = frame(small.layers()[0].volume)
    assert content["step"] == pytest.approx(2 / 3)
    assert content["voxel"] == 2
    centres = (np.array(content["low"])[:, None] + content["step"] * np.arange(60)).T
    for axis, first in enumerate((-31, -37, -23)):
        assert np.abs(centres[:, axis] - first).min() < 1e-9
    assert content["size"] == [93, 105, 81]


def test_frame__a_turned_volume_is_held_whole():
    turned = np.eye(4)
    turned[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    content = frame(pack(np.zeros((10, 20, 5), np.float32), turned))
    assert content["size"] == [20, 22, 5]


@pytest.mark.parametrize("names", [[], ["T1w", "T1w"]])
def test_viewer__layers_have_names_of_their_own(small, names):
    by_name = {layer.name: layer for layer in small.layers()}
    with pytest.raises(ValueError, match="name"):
        Viewer("v", "t", [by_name[name] for name in names])


def test_viewer__unknown_layers_are_refused(small):
    with pytest.raises(ValueError, match="nowhere"):
        Viewer("v", "t", small.layers(), overlay="nowhere")


def test_colours__ends_differ_and_steps_are_steps():
    for name, (_, family) in COLOUR_MAPS.items():
        table = colours(name).astype(int)
        assert table.shape == (256, 3)
        assert np.abs(table[0] - table[-1]).sum() > 90, name
        if family == "both-sides":
            assert table[0, 2] > table[0, 0], f"{name}: blue below"
            assert table[-1, 0] > table[-1, 2], f"{name}: red above"
    steps = colours("clinical")
    assert (np.diff(steps.astype(int), axis=0).any(axis=1)).sum() == 11


def test_document__colour_maps_are_those_of_python(small):
    maps = json.loads(document(Viewer("v", "t", small.layers())))["maps"]
    stored = np.frombuffer(base64.b64decode(maps["hot-cold"]["colours"]), np.uint8).reshape(256, 3)
    assert (stored == colours("hot-cold")).all()
