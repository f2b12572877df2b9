"""The first section of a participant's page."""

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.bids.output_files import find_cases, find_synthetic, lesion_path, rating_path
from bids_spectsynth.bids.sidecars import sidecar_path
from bids_spectsynth.bids.transforms import find_transforms
from bids_spectsynth.bids.writing import write_image, write_table
from bids_spectsynth.reports.context import SubjectContext
from bids_spectsynth.reports.html import Glance, Note, Picture
from bids_spectsynth.reports.pictures import reportlets
from bids_spectsynth.reports.subject.glance import glance_section
from bids_spectsynth.reports.subject.page import subject_report
from bids_spectsynth.siscom.outputs.paths import clusters_path, map_path


def glance(tree, label="01"):
    cases = find_cases(tree, label)
    synthetic = [(case, one) for case in cases for one in find_synthetic(tree, case)]
    section = glance_section(SubjectContext(tree, label, cases, find_transforms(tree, label), synthetic, {}))
    assert section is not None
    (block,) = section.blocks
    assert isinstance(block, Glance)
    return block


def verdicts(block):
    return {one.about: one for one in block.verdicts}


def test_glance_section__nothing_prepared_has_none(tmp_path):
    assert glance_section(SubjectContext(tmp_path, "01", [], [], [], {})) is None


@pytest.mark.usefixtures("quick")
def test_glance_section__what_was_made_of_what_and_how_good(tree):
    block = glance(tree)
    model = verdicts(block)["pix2pixPet"]
    assert (model.level, model.badge) == ("good", "")
    assert model.text.startswith("synthetic interictal SPECT from PET; held out. RMSE in the brain 0.1")
    assert "best of 5 baselines 0.199 (Constant in the brain)" in model.text
    registration = verdicts(block)["Registration"]
    assert registration.text == "overlap of the brains (Dice): PET 0.93, Interictal SPECT 0.93; none is flagged"
    assert verdicts(block)["Brain mask"].text.endswith(" l")
    (picture,) = block.pictures
    assert isinstance(picture, Picture)
    assert "at a glance, pix2pixPet" in picture.alt


@pytest.mark.usefixtures("quick")
def test_glance_section__seen_behind_a_baseline_and_poor_stand_out(tmp_path, write):
    out = tmp_path / "out"
    write.case(out, "03", poor=True)
    write.synthetic(out, "03", "pix2pixPet", "train")
    write.synthetic(out, "03", "pix2pixT1w", "test", error=0.9)
    found = verdicts(glance(out, "03"))
    assert (found["pix2pixPet"].level, found["pix2pixPet"].badge) == ("danger", "seen")
    assert "SEEN: trained on this participant" in found["pix2pixPet"].text
    assert (found["pix2pixT1w"].level, found["pix2pixT1w"].badge) == ("warning", "baseline ahead")
    assert (found["Registration"].level, found["Registration"].badge) == ("danger", "poor")
    assert "do not trust PET to T1w" in found["Registration"].text


@pytest.mark.usefixtures("quick")
def test_glance_section__foci_of_each_baseline_and_whether_they_agree(siscom):
    block = glance(siscom.tree)
    found = verdicts(block)
    real, synthetic = (found[f"Top focus, baseline {name}"] for name in ("Real", "Pix2pixPet (SYNTHETIC)"))
    assert real.text == "right temporal, Amygdala <b>; 20.4 mL, z 5.4, corrected p 0.003"
    assert (real.level, synthetic.level) == ("good", "good")
    agreement = found["Top foci against Real"]
    assert agreement.text.startswith("Pix2pixPet: same <i>focus</i>")
    assert (agreement.level, agreement.badge) == ("warning", "differ"), "a verdict of another version is no agreement"
    (picture,) = block.pictures
    assert isinstance(picture, Picture)
    assert isinstance(picture.content, bytes)
    assert picture.jump is not None
    assert picture.jump.at == "42,2,-18"
    assert "through focus 1, right temporal" in picture.alt


@pytest.mark.usefixtures("quick")
def test_glance_section__chance_nothing_and_lost_tables(siscom):
    path = clusters_path(siscom.ictal, "Real")
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    table.assign(p_corrected="0.4").to_csv(path, sep="\t", index=False)
    assert verdicts(glance(siscom.tree))["Top focus, baseline Real"].badge == "may be chance"
    table.iloc[:0].to_csv(path, sep="\t", index=False)
    assert verdicts(glance(siscom.tree))["Top focus, baseline Real"].text == "none beyond z 2"
    path.write_bytes(b"")
    assert verdicts(glance(siscom.tree))["Top focus, baseline Real"].badge == "lost"


@pytest.mark.usefixtures("quick")
def test_glance_section__largest_asymmetry_with_its_side(tree):
    (case,) = find_cases(tree, "01")
    rows = [
        {"method": method, "region": region, "hemisphere": side, "asymmetry_real": real, "asymmetry_synthetic": made}
        for method in ("pix2pix", "petCopy")
        for region, real, made in (("hemisphere", 99, 99), ("a", -12.5, 3.0), ("b", 4.0, 8.25))
        for side in "LR"
    ]
    write_table(
        rating_path(tree, case, "pix2pixPet", "regions"),
        pd.DataFrame(rows),
        {name: {"Description": name} for name in rows[0]},
    )
    text = verdicts(glance(tree))["Largest asymmetry, pix2pixPet"].text
    assert text == "synthetic: left higher by 8.2 %, block b; real: right higher by 12.5 %, block a"


@pytest.mark.usefixtures("quick")
def test_glance_section__notes_on_images_and_a_damaged_mask(tree):
    sidecar = next((tree / "sub-01/pet").glob("*_desc-preproc_pet.json"))
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), "Notes": ["odd", "old"]}))
    mask = verdicts(glance(tree))["Brain mask"]
    assert (mask.level, mask.badge) == ("warning", "notes")
    assert "2 notes" in mask.text
    (tree / "sub-01/anat/sub-01_space-T1w_desc-brain_mask.nii.gz").write_bytes(b"no image")
    block = glance(tree)
    assert verdicts(block)["Brain mask"].text == "cannot be read"
    assert isinstance(block.pictures[0], Note)


@pytest.fixture
def with_lesion(siscom):
    """The tree with a lesion mask that was made elsewhere."""
    (case,) = find_cases(siscom.tree, "01")
    image = nib.load(case.masks["T1w"])
    inside = np.zeros(image.shape, dtype=np.uint8)
    inside[40:48, 20:28, 20:26] = 1
    facts = {"Type": "Lesion", "Volume": 24.64, "VolumeInBrain": 20.0, "Notes": ["the mask lies on another grid"]}
    facts["ExternalSource"] = "bids:hand:sub-01/lesion.nii.gz"
    write_image(lesion_path(siscom.tree, case), nib.Nifti1Image(inside, image.affine), facts)
    return siscom


@pytest.mark.usefixtures("quick")
def test_lesion__a_verdict_a_note_and_foci_beside_it(with_lesion, monkeypatch, parse):
    drawn = []
    monkeypatch.setattr(reportlets, "mask_outline", lambda *arguments: drawn.append(arguments[-1]) or b"picture")
    table = pd.read_csv(clusters_path(with_lesion.ictal, "Real"), sep="\t", dtype=str, keep_default_na=False)
    table.loc[0, "flags"] = "lesion"
    table.to_csv(clusters_path(with_lesion.ictal, "Real"), sep="\t", index=False)
    found = verdicts(glance(with_lesion.tree))
    lesion = found["Lesion mask"]
    assert lesion.text.startswith("24.6 mL, 20.0 mL of it in the brain mask; registration and synthesis do not")
    # What it is kept out of depends on the options and on each comparison, and stands there.
    assert "SISCOM" not in lesion.text
    assert (lesion.level, lesion.badge) == ("warning", "lesion")
    top = found["Top focus, baseline Real"]
    assert (top.level, top.badge) == ("warning", "lesion")
    assert top.text.endswith("in the lesion mask or near it")
    assert found["Top focus, baseline Pix2pixPet (SYNTHETIC)"].badge == ""
    text = parse(subject_report(with_lesion.tree, "01").read_text()).text
    assert "bids:hand:sub-01/lesion.nii.gz: 24.6 mL" in text
    assert "The mask lies on another grid." in text
    assert "Orange: the lesion mask" in text
    assert "The cluster lies in the lesion mask or within 8 mm of it" in text
    assert np.count_nonzero(drawn[-1]) == 8 * 8 * 6


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("p", "seen", "badge", "ending"),
    [
        ("0.4", False, "may be chance", "corrected p 0.400; in the lesion mask or near it"),
        ("n/a", False, "may be chance", "in the lesion mask or near it"),
        ("0.001", True, "seen", "in the lesion mask or near it; the model has learned from this participant"),
        ("0.4", True, "seen", "in the lesion mask or near it; the model has learned from this participant"),
    ],
)
def test_lesion__is_said_beside_the_top_focus_whatever_else_is_to_be_said(with_lesion, p, seen, badge, ending):
    path = clusters_path(with_lesion.ictal, "Real")
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    table.loc[0, ["flags", "p_corrected"]] = ["edge,lesion", p]
    table.to_csv(path, sep="\t", index=False)
    facts = sidecar_path(map_path(with_lesion.ictal, "Real", "difference"))
    own = json.loads(facts.read_text())
    facts.write_text(json.dumps({**own, "Baseline": {**own["Baseline"], "SeenInTraining": seen}}))
    top = verdicts(glance(with_lesion.tree))["Top focus, baseline Real"]
    assert top.badge == badge
    assert top.text.endswith(ending)


@pytest.mark.usefixtures("quick")
def test_lesion__none_is_not_spoken_of(siscom, parse):
    assert "Lesion mask" not in verdicts(glance(siscom.tree))
    text = parse(subject_report(siscom.tree, "01").read_text()).text
    assert "Lesion mask" not in text
    assert "Orange: the lesion mask" not in text
