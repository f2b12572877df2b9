"""The viewer in a participant's page: which images it holds and how they are first shown."""

import json
import re
from html import unescape

import nibabel as nib
import numpy as np
import pytest

from bids_spectsynth.bids.output_files import find_cases, find_synthetic, standard_deviation_path
from bids_spectsynth.bids.transforms import find_transforms
from bids_spectsynth.bids.writing import read_matrix, write_image, write_matrix
from bids_spectsynth.reports.context import SubjectContext
from bids_spectsynth.reports.html import Code
from bids_spectsynth.reports.subject import page, viewer
from bids_spectsynth.reports.subject.page import subject_report
from bids_spectsynth.reports.subject.siscom.section import siscom_section
from bids_spectsynth.reports.subject.viewer import viewer_section
from bids_spectsynth.reports.subject.viewer_maps import foci_of
from bids_spectsynth.reports.viewer.layers import Viewer
from bids_spectsynth.reports.viewer.packing import unpack
from bids_spectsynth.siscom.outputs.paths import clusters_path, map_path


def context_of(tree, participant="01"):
    cases = find_cases(tree, participant)
    synthetic = [(case, one) for case in cases for one in find_synthetic(tree, case)]
    return SubjectContext(tree, participant, cases, find_transforms(tree, participant), synthetic, {})


def blocks_of(context):
    section = viewer_section(context)
    assert section is not None
    return section.blocks


def viewer_of(context):
    return next(block for block in blocks_of(context) if isinstance(block, Viewer))


def add_deviation(tree):
    context = context_of(tree)
    case, synthetic = context.synthetic[0]
    image = nib.load(synthetic.path)
    values = (0.1 * image.get_fdata()).astype(np.float32)
    write_image(standard_deviation_path(tree, case, synthetic.model), nib.Nifti1Image(values, image.affine), {})


def test_viewer_section__nobody_prepared_no_section(tree):
    assert viewer_section(context_of(tree, "02")) is None


def test_viewer_section__all_images_and_what_was_computed_from_a_network_says_so(tree):
    add_deviation(tree)
    shown = viewer_of(context_of(tree))
    found = {layer.title: (layer.kind, layer.synthetic) for layer in shown.layers}
    assert found == {
        "T1w": ("anatomy", False),
        "PET": ("uptake", False),
        "Real interictal SPECT": ("uptake", False),
        "Synthetic SPECT, pix2pixPet": ("uptake", True),
        "Real minus synthetic, pix2pixPet": ("signed", True),
        "Uncertainty (one SD), pix2pixPet": ("sd", True),
    }
    assert shown.base == "pix2pixPet", "without a SISCOM the synthetic image is what one came for"
    assert "research use only" in shown.stamp
    assert "9.8.7" in shown.stamp
    assert shown.template == "MNI152NLin2009aSym"


def test_viewer_section__values_are_percent_of_the_brain_mean_where_they_were(tree):
    context = context_of(tree)
    case = context.cases[0]
    mask, affine = context.brain(case)
    layers = {layer.name: layer for layer in viewer_of(context).layers}
    assert unpack(layers["pet"].volume)[unpack(layers["pet"].volume) > 0].mean() == pytest.approx(100, abs=0.5)
    wanted = context.image(case, "interictal")
    volume = layers["interictal"].volume
    voxel = np.argwhere(mask)[1234]
    place = np.linalg.inv(volume.affine) @ affine @ [*voxel, 1]
    i, j, k = np.rint(place[:3]).astype(int)
    assert unpack(volume)[i, j, k] == pytest.approx(100 * wanted[tuple(voxel)] / wanted[mask].mean(), abs=0.3)
    real, made, less = (unpack(layers[name].volume) for name in ("interictal", "pix2pixPet", "pix2pixPet-difference"))
    assert less == pytest.approx(real - made, abs=1)


def test_viewer_section__siscom_first_with_its_foci(siscom):
    shown = viewer_of(context_of(siscom.tree))
    by_name = {layer.name: layer for layer in shown.layers}
    first = by_name[shown.overlay]
    assert (shown.base, first.title, first.kind) == ("T1w", "SISCOM z, minus Real", "signed")
    assert first.threshold == (-2, 2)
    assert not first.synthetic
    assert {layer.synthetic for layer in shown.layers if "minus synthetic Pix2pixPet" in layer.title} == {True}
    assert [focus.title.partition(" · ")[0] for focus in shown.foci] == ["1 ▲", "2 ▼"] * 2
    assert shown.foci[0].at == shown.at == (42, 2, -18)
    assert shown.foci[2].layer != shown.foci[0].layer
    values = unpack(first.volume)
    place = np.linalg.inv(first.volume.affine) @ [*shown.at, 1]
    peak = values[tuple(np.rint(place[:3]).astype(int))]
    assert peak == pytest.approx(values.max(), abs=0.2)


def test_foci_of__a_damaged_table_has_none(siscom):
    clusters_path(siscom.ictal, "Real").write_text("rank\n\x00")
    context = context_of(siscom.tree)
    groups = {focus.group for focus in foci_of(context, context.cases[0])}
    assert len(groups) == 1
    assert "synthetic" in groups.pop()


def test_viewer_section__what_cannot_be_read_is_left_out_and_said(siscom):
    map_path(siscom.ictal, "Real", "z").write_bytes(b"no image")
    context = context_of(siscom.tree)
    shown = viewer_of(context)
    assert "SISCOM z, minus Real" not in [layer.title for layer in shown.layers]
    assert any("SISCOM z, minus Real in the viewer" in line for line in context.errors)
    assert all(focus.layer for focus in shown.foci)


def test_viewer_section__a_page_does_not_grow_without_end(siscom, monkeypatch):
    monkeypatch.setattr(viewer, "_ROOM", 1)
    blocks = blocks_of(context_of(siscom.tree))
    assert [layer.name for layer in blocks[1].layers] == ["T1w"]
    lost = blocks[2]
    assert isinstance(lost, Code)
    assert "SISCOM z, minus Real" in lost.text
    assert re.match(r"\d+ further images were left out", lost.title)


def test_subject_report__coordinates_of_foci_lead_to_the_viewer(siscom, parse, monkeypatch, quick):
    monkeypatch.setattr(page, "SECTIONS", (viewer_section, siscom_section))
    html = subject_report(siscom.tree, "01").read_text(encoding="utf-8")
    parsed = parse(html)
    assert parsed.scripts
    jumps = re.findall(r'data-focus="([^"]*)" data-layer="([^"]*)" data-in="([^"]*)"', html)
    # Of each baseline that below the picture, then the rows of its table.
    assert [at for at, _, _ in jumps] == ["42,2,-18", "42,2,-18", "-34,-46,6"] * 2
    data = re.search(r'data-part="data">(.*?)</script>', html, re.DOTALL)
    assert data is not None
    names = {layer["name"] for layer in json.loads(data[1])["layers"]}
    assert {unescape(layer) for _, layer, _ in jumps} <= names
    assert {name for _, _, name in jumps} <= set(parsed.ids)
    assert html.index('id="viewer"') < html.index('id="siscom"')


def test_viewer_section__template_coordinates_are_through_the_inverse_of_the_file(tree):
    path = next((tree / "sub-01/anat").glob("*from-T1w_to-MNI*_xfm.txt"))
    matrix = np.array([[1.1, 0.1, 0, 4], [0, 0.9, 0, -3], [0, 0, 1, 2], [0, 0, 0, 1]])
    write_matrix(path, matrix, json.loads(path.with_suffix(".json").read_text()))
    one = viewer_of(context_of(tree))
    assert one.template == "MNI152NLin2009aSym"
    assert one.to_template is not None
    assert one.to_template @ read_matrix(path) == pytest.approx(np.eye(4))


def test_viewer_section__without_siscom_the_synthetic_image_before_the_real_one(tree):
    one = viewer_of(context_of(tree))
    assert (one.base, one.overlay, one.second, one.foci, one.at) == ("pix2pixPet", "", "interictal", [], None)


def test_viewer_section__an_image_in_a_templates_space_lies_in_the_world_of_the_t1w(tree):
    matrix = np.array([[1.1, 0.1, 0, 4], [0, 0.9, 0, -3], [0, 0, 1, 2], [0, 0, 0, 1]])
    path = next((tree / "sub-01/anat").glob("*from-T1w_to-MNI*_xfm.txt"))
    write_matrix(path, matrix, json.loads(path.with_suffix(".json").read_text()))
    for folder, pattern in (("anat", "*_space-T1w_desc-*.*"), ("spect", "*_space-T1w_desc-pix2pixPet_spect.*")):
        for one in (tree / "sub-01" / folder).glob(pattern):
            one.with_name(one.name.replace("space-T1w", "space-MNI152NLin2009aSym")).write_bytes(one.read_bytes())
    layers = {layer.name: layer for layer in viewer_of(context_of(tree)).layers}
    native, other = layers["pix2pixPet"].volume, layers["pix2pixPet-MNI152NLin2009aSym"]
    assert other.synthetic
    assert other.volume.affine == pytest.approx(matrix @ native.affine)


def test_viewer_section__a_viewer_for_each_session(tmp_path, write):
    for session in ("a", "b"):
        write.case(tmp_path, "04", session)
    names = [block.name for block in blocks_of(context_of(tmp_path, "04")) if isinstance(block, Viewer)]
    assert names == ["viewer-sub-04_ses-a", "viewer-sub-04_ses-b"]
