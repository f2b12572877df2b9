"""The section on SISCOM in a participant's page."""

import re

import numpy as np
import pytest

from bids_spectsynth.reports.pictures import statmaps
from bids_spectsynth.reports.subject import page
from bids_spectsynth.reports.subject.all_pages import report_subjects
from bids_spectsynth.reports.subject.page import subject_report
from bids_spectsynth.reports.subject.siscom.section import siscom_section
from bids_spectsynth.siscom.outputs.paths import clusters_path, concordance_path, map_path

WARNING = "Synthetic baseline: computed by a network, no measurement, not for diagnosis"


@pytest.fixture(autouse=True)
def _only_this_section(monkeypatch):
    monkeypatch.setattr(page, "SECTIONS", (siscom_section, page._methods_section))


@pytest.fixture
def drawn(monkeypatch):
    """Pictures that were asked for, by the text of their title, instead of drawn ones."""
    asked = {}

    def draw(t1w, shown, mask, affine, **how):
        asked[how["title"].text] = {**how, "values": shown.values, "threshold": shown.threshold}
        return '<svg xmlns="http://www.w3.org/2000/svg"/>'

    monkeypatch.setattr(statmaps, "thresholded_map", draw)
    return asked


def text_of(tree, parse):
    html = subject_report(tree, "01").read_text(encoding="utf-8")
    assert "<i>" not in html
    assert "<b>" not in html
    return parse(html).text


def test_siscom_section__nothing_was_subtracted_no_section(tree, parse):
    text = text_of(tree, parse)
    assert "SISCOM" not in text
    assert "Traub-Weidinger" not in text


def test_siscom_section__real_first_with_pictures_files_and_titles(siscom, drawn, parse):
    html = subject_report(siscom.tree, "01").read_text(encoding="utf-8")
    assert re.findall(r"<h3>([^<]*)</h3>", html) == [
        "Ictal SPECT (ses-2) minus measured interictal SPECT (Real)",
        "Agreement of the baselines, Ictal SPECT (ses-2)",
    ]
    assert "<summary>Ictal SPECT (ses-2) minus synthetic interictal SPECT (Pix2pixPet)</summary>" in html
    figures = sorted(path.name for path in siscom.tree.glob("sub-01/ses-2/figures/*siscom*.svg"))
    assert figures == [
        "sub-01_ses-2_task-ictal_space-T1w_desc-siscomPix2pixPet_statmap.svg",
        "sub-01_ses-2_task-ictal_space-T1w_desc-siscomReal_statmap.svg",
    ]
    assert "No errors to report." in parse(html).text
    assert len(drawn) == 2


def test_siscom_section__warning_is_in_the_picture_and_the_text_of_synthetic_baselines_only(siscom, drawn, parse):
    text = text_of(siscom.tree, parse)
    real, synthetic = (next(how for title, how in drawn.items() if name in title) for name in ("Real", "Pix2pixPet"))
    assert synthetic["title"].warning == WARNING
    assert real["title"].warning == ""
    assert WARNING in text.partition("Pix2pixPet)")[2]
    assert WARNING not in text.partition("Pix2pixPet)")[0]


def test_siscom_section__picture_goes_through_the_first_focus_of_hyperperfusion(siscom, drawn, parse):
    siscom.write(siscom.ictal, "real", "Real", Threshold=1.5)
    text = text_of(siscom.tree, parse)
    how = next(how for title, how in drawn.items() if "Real" in title)
    # x, y, z = 42, 2, -18 mm on the grid of 4 mm, of whole voxels, less the first ones of the part that is shown.
    assert np.add(how["at"], (13, 9, 7)).tolist() == [42, 32, 19]
    assert how["values"][how["at"]] == np.max(how["values"])
    assert how["threshold"] == 1.5
    assert "x, y, z = 42, 2, −18 mm" in text


def test_siscom_section__no_focus_is_said_and_the_middle_shown(siscom, drawn, parse):
    siscom.write(siscom.ictal, "real", "Real", foci=0)
    text = text_of(siscom.tree, parse)
    assert "No cluster lies beyond z 2." in text
    assert "The lines meet in the middle of the brain." in text


def test_siscom_section__seen_and_cautions_stand_out(siscom, drawn, parse):
    baseline = {"Kind": "synthetic", "Label": "Pix2pixPet", "Model": "pix2pixPet", "SeenInTraining": True}
    note = "the PET is <b>old</b>"
    siscom.write(
        siscom.ictal, "synthetic", "Pix2pixPet", Baseline=baseline, Notes=[note], Levels={"mode": 1, "mean": 1.2}
    )
    text = text_of(siscom.tree, parse)
    for words in ("Seen in training", "SEEN: the model has learned", "The PET is <b>old</b>.", "differ by 20.0 %"):
        assert words in text


def test_siscom_section__concordance_as_its_dictionary_says(siscom, drawn, parse):
    text = text_of(siscom.tree, parse)
    assert "same <i>focus</i>" in text
    assert "0.4412" in text
    assert "Meaning of dice." in text


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (lambda ictal: clusters_path(ictal, "Real").unlink(), "the table of clusters is missing"),
        (lambda ictal: clusters_path(ictal, "Real").write_bytes(b""), "cannot read the table"),
        (lambda ictal: clusters_path(ictal, "Real").write_bytes(b"\xff\xfe\x00"), "cannot read the table"),
        (lambda ictal: clusters_path(ictal, "Real").write_text("a\tb\n1\t2\n"), "there is no column rank"),
        (lambda ictal: map_path(ictal, "Real", "z").unlink(), "cannot read the image"),
        (lambda ictal: map_path(ictal, "Real", "z").write_bytes(b"no image"), "cannot read the image"),
        (lambda ictal: concordance_path(ictal).write_bytes(b""), "cannot read the table"),
        (
            lambda ictal: map_path(ictal, "Real", "difference").with_name(
                map_path(ictal, "Real", "difference").name.replace(".nii.gz", ".json")
            ).unlink(),
            "its sidecar is missing or damaged",
        ),
    ],
)  # fmt: skip
def test_siscom_section__lost_and_damaged_files_are_one_line_each(siscom, drawn, parse, lost, said):
    lost(siscom.ictal)
    text = text_of(siscom.tree, parse)
    shown, _, errors = text.rpartition("Errors")
    assert said in shown
    assert errors.count(said) == 1
    assert "synthetic interictal SPECT (Pix2pixPet)" in shown
    assert "Through" not in errors


def test_siscom_section__sidecar_of_wrong_types_is_survived(siscom, drawn, parse):
    wrong = {
        "Levels": [1],
        "Route": "direct",
        "Null": None,
        "Baseline": 3,
        "Threshold": "2",
        "LevelUsed": {},
        "Notes": 5,
    }
    siscom.write(siscom.ictal, "real", "Real", **wrong)
    assert "measured interictal SPECT (Real)" in text_of(siscom.tree, parse)


def test_siscom_section__methods_and_references(siscom, drawn, parse):
    text = text_of(siscom.tree, parse)
    assert "Ictal SPECT was subtracted (SISCOM" in text
    assert "10.1007/s00259-024-06656-3" in text


def test_report_subjects__the_page_is_made_again_when_foci_change(siscom, drawn):
    tree = siscom.tree
    assert [one.status for one in report_subjects(tree, {}, ("01",))] == ["ok"]
    before = (tree / "sub-01.html").stat().st_mtime_ns
    assert [one.status for one in report_subjects(tree, {}, ("01",))] == ["ok"]
    assert (tree / "sub-01.html").stat().st_mtime_ns == before
    siscom.write(siscom.ictal, "real", "Real", foci=1)
    assert [one.status for one in report_subjects(tree, {}, ("01",))] == ["ok"]
    assert (tree / "sub-01.html").stat().st_mtime_ns > before
