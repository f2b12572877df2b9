import gzip
import json
import re
from base64 import b64decode
from urllib.parse import unquote

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.bids.participants import update_participants
from bids_spectsynth.bids.roles import ASSUMED_STATE
from bids_spectsynth.errors import UsageError
from bids_spectsynth.reports.html import Section, Text
from bids_spectsynth.reports.pictures import reportlets
from bids_spectsynth.reports.subject import metrics as subject_metrics
from bids_spectsynth.reports.subject import page
from bids_spectsynth.reports.subject.page import subject_report

SECTIONS = ["At a glance", "Viewer", "Synthesis", "Metrics per slice", "Brain mask", "Registration to the T1w",
            "Registration to the template", "If a step is wrong", "What was used", "Methods", "About", "Rating",
            "Errors"]  # fmt: skip


@pytest.fixture(scope="module")
def report(full_tree):
    return subject_report(full_tree, "sub-01")


@pytest.fixture(scope="module")
def html(report):
    return report.read_text(encoding="utf-8")


def headings(html):
    return re.findall(r"<h2>([^<]*)</h2>", html)


def test_a_full_report_has_every_section_and_a_figure_for_each(report, html, full_tree, parse):
    assert report == full_tree / "sub-01.html"
    assert headings(html) == SECTIONS
    parsed = parse(html)
    figures = sorted(path.relative_to(full_tree).as_posix() for path in full_tree.glob("sub-01/figures/*"))
    assert figures == [
        "sub-01/figures/sub-01_space-T1w_desc-brainmask_T1w.webp",
        "sub-01/figures/sub-01_space-T1w_desc-template_T1w.webp",
        "sub-01/figures/sub-01_task-interictal_space-T1w_desc-pix2pixPetGlance_spect.webp",
        "sub-01/figures/sub-01_task-interictal_space-T1w_desc-pix2pixPet_metrics.svg",
        "sub-01/figures/sub-01_task-interictal_space-T1w_desc-pix2pixPet_spect.webp",
        "sub-01/figures/sub-01_task-interictal_trc-HMPAO_desc-coregistration_spect.webp",
        "sub-01/figures/sub-01_trc-FDG_desc-coregistration_pet.webp",
    ]
    assert len(parsed.sources) == len(figures)
    assert set(figures) <= set(parsed.links)
    assert "No errors to report." in parsed.text
    assert len(html) < 4e6


def test_the_figures_in_the_report_are_those_on_disk(html, full_tree, parse):
    sources = parse(html).sources
    shown = {
        unquote(one.removeprefix("data:image/svg+xml,")).encode() for one in sources if one.startswith("data:image/svg")
    }
    shown |= {
        b64decode(one.removeprefix("data:image/webp;base64,")) for one in sources if one.startswith("data:image/webp")
    }
    stored = {
        path.read_bytes().decode().encode("ascii", "xmlcharrefreplace") if path.suffix == ".svg" else path.read_bytes()
        for path in full_tree.glob("sub-01/figures/*")
    }
    assert shown == stored


def test_text_of_a_full_report(html, parse):
    text = parse(html).text
    assert "SYNTHETIC IMAGE — not a measurement" in text
    assert "bids_spectsynth 9.8.7" in text
    for words in ("pet/pet.nii.gz", "the only one", "SimpleITK 2.5.0", "Part in training test"):
        assert words in text
    assert "Overlap of the brains (Dice) 0.93; score 0.710 (Mattes mutual information; higher is better)" in text
    assert "Poor registration" not in text
    assert "each is divided by its own mean in the brain" in text
    # Methods: facts of the sidecars and the card.
    assert "64 x 64 x 48 voxels of 4 mm" in text
    assert "trained on 30 participants" in text
    assert "epoch 42 of 50" in text
    assert "loss weights adversarial 1, l1 100)" in text
    for doi in ("10.3389/fneur.2024.1383773", "10.1109/CVPR.2017.632", "10.1016/j.compbiomed.2024.108845"):
        assert doi in text
    assert "10.1002/hbm.10062" not in text, "BET was not used"
    assert "Ictal SPECT" in text


def test_the_table_of_means_and_its_best_value(html):
    row = re.search(r"Model \(pix2pix\)</td>(.*?)</tr>", html, re.S)
    assert row is not None
    cells = re.findall(r'<td class="number [^"]*">([^<]*)</td>', row.group(1))
    assert re.fullmatch(r"0\.(09|10)\d", cells[0])
    assert cells[-1] == "10"
    assert f'best">{cells[0]}</td>' in row.group(1)
    assert "Lower mean in-brain RMSE than every baseline in this participant (n = 1 participant, 10 slices: " in html
    assert "evaluation mode, without dropout" in html


@pytest.mark.usefixtures("quick")
def test_means_leave_out_infinite_psnr_and_slices_beyond_the_block(tree, monkeypatch, parse):
    path = tree / "sub-01/spect/sub-01_task-interictal_space-T1w_desc-pix2pixPet_metrics.tsv"
    frame = pd.read_csv(path, sep="\t", dtype={"in_block": str}, na_values=["n/a"])
    frame = frame[frame["method"] != "petCopy"]
    own = (frame["method"] == "pix2pix") & (frame["in_block"] == "true")
    expected = frame.loc[own, "psnr"].iloc[1:].mean()
    frame.loc[frame.index[own][0], "psnr"] = np.inf
    frame.to_csv(path, sep="\t", index=False)
    drawn = []
    monkeypatch.setattr(subject_metrics, "metric_lines", lambda panels, *_: drawn.append(panels) or "<svg/>")
    html = subject_report(tree, "01").read_text()
    row = re.search(r"Model \(pix2pix\)</td>(.*?)</tr>", html, re.S)
    cells = re.findall(r'<td class="number[^"]*">([^<]*)</td>', row.group(1))
    assert cells[-2:] == [f"{expected:.2f}", "10"]
    text = parse(html).text
    assert "Means over the slices of the block with the most brain" in text
    assert "Infinite PSNR is left out." in text
    assert "Not compared with: Copy of the PET." in text
    heights, _ = drawn[0]["RMSE, in brain"]["Model (pix2pix)"]
    assert len(heights) == 11, "curves show all slices"


@pytest.mark.usefixtures("quick")
def test_a_model_of_phantoms_on_patients_is_named(html, tree, write, parse):
    assert "Model of phantoms" in parse(html).text
    write.describe(tree, PhantomData=True)
    text = parse(subject_report(tree, "01").read_text()).text
    assert "Model of phantoms" not in text
    assert "not clinical numbers" in text


@pytest.mark.usefixtures("quick")
def test_an_image_of_a_head_that_the_network_is_not_used_to_says_so(tree, parse):
    path = tree / "sub-01/spect/sub-01_task-interictal_space-T1w_desc-pix2pixPet_spect.json"
    content = json.loads(path.read_text())
    assert "Large head" not in parse(subject_report(tree, "01").read_text()).text
    for said in ("the brain <b>does not fit", ["no text"], ""):
        path.write_text(json.dumps({**content, "SliceSizeWarning": said}))
        text = parse(subject_report(tree, "01").read_text()).text
        assert ("Large head" in text) is (isinstance(said, str) and bool(said))
    path.write_text(json.dumps({**content, "SliceSizeWarning": "the brain <b>does not fit"}))
    html = subject_report(tree, "01").read_text()
    assert "The brain &lt;b&gt;does not fit." in html


def test_a_skipped_participant_has_a_report_with_the_reason_escaped(full_tree, parse):
    html = subject_report(full_tree, "02").read_text(encoding="utf-8")
    assert "<script>alert" not in html
    parsed = parse(html)
    assert "no PET <script>alert(1)</script> & more" in parsed.text
    assert "Participant skipped" in parsed.text
    assert "find: skipped: no PET" in parsed.text, "its log"
    assert 'bids_dir = "<b>raw"' in parsed.text, "a place of this machine is not in it"
    assert parsed.sources == []


@pytest.mark.usefixtures("quick")
def test_a_poor_registration_is_flagged(tmp_path, write, parse):
    out = tmp_path / "out"
    write.case(out, "07", poor=True)
    text = parse(subject_report(out, "07").read_text()).text
    assert "Poor registration: Look at the registration of PET to T1w." in text
    assert text.count("Do not trust this registration without looking.") == 1
    assert "looks upside down" in text
    assert "SYNTHETIC IMAGE" not in text
    assert "Metrics per slice" not in text


@pytest.mark.usefixtures("quick")
def test_damaged_and_missing_images_cost_their_picture_only(tree, parse):
    (tree / "sub-01/pet/sub-01_trc-FDG_space-T1w_desc-preproc_pet.nii.gz").write_bytes(b"")
    (tree / "sub-01/spect/sub-01_task-interictal_trc-HMPAO_space-T1w_desc-preproc_spect.nii.gz").unlink()
    table = tree / "sub-01/spect/sub-01_task-interictal_space-T1w_desc-pix2pixPet_metrics.tsv"
    table.write_text("slice\tmethod\n1\tpix2pix\n")
    html = subject_report(tree, "01").read_text()
    parsed = parse(html)
    assert headings(html) == SECTIONS
    assert len(parsed.sources) == 2, "the brain mask and the template"
    errors = parsed.text[parsed.text.rindex("Errors") :]
    assert "cannot read the image" in errors
    assert "no prepared interictal image" in errors
    assert "has no column" in errors
    assert "No errors to report." not in errors


@pytest.mark.usefixtures("quick")
def test_a_damaged_mask_leaves_the_text(tree, parse):
    path = tree / "sub-01/anat/sub-01_space-T1w_desc-brain_mask.nii.gz"
    path.write_bytes(path.read_bytes()[:300])
    text = parse(subject_report(tree, "01").read_text()).text
    assert "What was used" in text
    assert "Overlap of the brains" in text
    assert "cannot be shown" in text


@pytest.mark.usefixtures("quick")
def test_an_image_on_another_grid_is_named(tree, parse):
    path = tree / "sub-01/spect/sub-01_task-interictal_space-T1w_desc-pix2pixPet_spect.nii.gz"
    small = nib.Nifti1Image(np.zeros((4, 4, 4), dtype=np.float32), np.eye(4))
    path.write_bytes(gzip.compress(small.to_bytes()))
    text = parse(subject_report(tree, "01").read_text()).text
    assert "the grid is 4 x 4 x 4, that of the brain mask 64 x 64 x 48" in text


@pytest.mark.usefixtures("quick")
def test_training_participants_and_better_baselines_are_named(tmp_path, write, parse):
    out = tmp_path / "out"
    write.case(out, "03")
    write.synthetic(out, "03", "pix2pixPet", "train", error=0.22)
    (out / "sub-03/pet/sub-03_trc-FDG_space-T1w_desc-preproc_pet.nii.gz").unlink()
    text = parse(subject_report(out, "03").read_text()).text
    assert "The model was trained on this participant" in text
    assert re.search(
        r"Lower mean in-brain RMSE than the model \(0\.2\d\d\) in this participant "
        r"\(n = 1 participant, 10 slices\): Constant in the brain",
        text,
    )


@pytest.mark.usefixtures("quick")
def test_a_spect_that_may_be_ictal_is_not_compared(tmp_path, write, parse):
    out = tmp_path / "out"
    write.case(out, "03")
    write.synthetic(out, "03", "pix2pixPet", "test")
    for path in out.glob("sub-03/spect/*_metrics.*"):
        path.unlink()
    assert "may be ictal" not in parse(subject_report(out, "03").read_text()).text
    path = next(out.glob("sub-03/spect/*_desc-preproc_spect.json"))
    path.write_text(json.dumps({**json.loads(path.read_text()), "SourceReason": f"{ASSUMED_STATE}; the only one"}))
    text = parse(subject_report(out, "03").read_text()).text
    assert "It is not compared with the synthetic image." in text
    assert "No model is rated on it: rename it with task-interictal or task-ictal" in text


@pytest.mark.usefixtures("quick")
def test_sessions_are_told_apart(tmp_path, write, parse):
    out = tmp_path / "out"
    for session in ("a", "b"):
        write.case(out, "04", session)
    html = subject_report(out, "04").read_text()
    text = parse(html).text
    assert "Sessions: a, b" in text
    for session in ("a", "b"):
        assert f"Images that were used, sub-04_ses-{session}" in text
        name = f"sub-04/ses-{session}/figures/sub-04_ses-{session}_space-T1w_desc-brainmask_T1w.webp"
        assert (out / name).is_file()
        assert name in html


@pytest.mark.usefixtures("quick")
def test_the_head_is_shown_where_the_caller_has_it(tree, tmp_path, monkeypatch, parse):
    drawn = []
    monkeypatch.setattr(reportlets, "mask_outline", lambda image, *_: drawn.append(image) or b"picture")
    # Another grid and orientation of the same world: columns run to the patient's left, and values name their place.
    affine = np.array([[-4.0, 0, 0, 130], [0, 4, 0, -130], [0, 0, 4, -98], [0, 0, 0, 1]])
    head = np.broadcast_to(130 - 4.0 * np.arange(66)[:, None, None], (66, 66, 50)).astype(np.float32)
    nib.save(nib.Nifti1Image(head, affine), tmp_path / "head.nii.gz")
    without = parse(subject_report(tree, "01").read_text()).text
    shown = parse(subject_report(tree, "01", {"sub-01": tmp_path / "head.nii.gz"}).read_text()).text
    assert "holds no image of the head" in without
    assert "with the head" in shown
    # Column i of the grid lies at x = 4 i - 126 mm.
    shown = np.flatnonzero(drawn[1][:, 30, 20])
    np.testing.assert_allclose(drawn[1][shown, 30, 20], 4.0 * shown - 126, atol=1e-3)
    # Around the brain, not beyond what the picture shows.
    assert 30 < len(shown) < 64


@pytest.mark.usefixtures("quick")
def test_the_report_repeats_exactly(tree):
    first = subject_report(tree, "01").read_bytes()
    assert subject_report(tree, "01").read_bytes() == first


@pytest.mark.parametrize("label", ["../evil", "a/b", "", "01 02", "<b>"])
def test_a_label_that_is_no_label_is_refused(tmp_path, label):
    with pytest.raises(UsageError, match="letters and digits"):
        subject_report(tmp_path, label)


def test_a_participants_table_that_is_none_is_an_error_in_the_report(tmp_path, parse):
    (tmp_path / "participants.tsv").write_text('a\tb\n"x\ty\tz\tw\n')
    text = parse(subject_report(tmp_path, "01").read_text()).text
    assert "participants.tsv" in text[text.rindex("Errors") :]


def test_a_failure_stands_among_the_errors(tmp_path, parse):
    update_participants(tmp_path, {"01": {"status": "failed", "reason": "T1w truncated; copy it again"}})
    text = parse(subject_report(tmp_path, "01").read_text()).text
    assert "T1w truncated; copy it again" in text[text.rindex("Errors") :]


def test_sections__one_more_stands_where_it_is_listed(tmp_path, monkeypatch):
    def further(context):
        return Section("further", f"Of {context.participant}", [Text("something new")])

    monkeypatch.setattr(page, "SECTIONS", (further, lambda context: None, *page.SECTIONS))
    update_participants(tmp_path, {"01": {"status": "ok", "reason": ""}})
    html = subject_report(tmp_path, "01").read_text(encoding="utf-8")
    assert headings(html)[:1] == ["Of 01"]
    assert headings(html)[-1] == "Errors"
    assert "something new" in html


def test_ictal_scans__each_has_its_row_and_its_picture(tree, write, quick, parse):
    scans = ((None, {}), (None, {"run": "2"}), ("x", {}))
    for session, own in scans:
        write.ictal(tree, "01", session, own, case=None if session is None else "sub-01")
    html = subject_report(tree, "01").read_text(encoding="utf-8")
    parsed = parse(html)
    for title in ("Ictal SPECT", "Ictal SPECT 2", "Ictal SPECT 3"):
        assert f"{title} to T1w" in parsed.text
        assert f'"{title} on the T1w"' in html
    assert "spect/sub-01_ses-x_task-ictal_space-T1w_desc-preproc_spect.nii.gz" in parsed.text
    assert {path.relative_to(tree).as_posix() for path in tree.glob("sub-01/**/figures/*task-ictal*")} == {
        "sub-01/figures/sub-01_task-ictal_desc-coregistration_spect.webp",
        "sub-01/figures/sub-01_task-ictal_run-2_desc-coregistration_spect.webp",
        "sub-01/ses-x/figures/sub-01_ses-x_task-ictal_desc-coregistration_spect.webp",
    }
    assert "No errors to report." in parsed.text


@pytest.mark.usefixtures("quick")
def test_the_page_has_a_form_to_rate_what_it_shows(tree, full_tree, parse):
    html = subject_report(tree, "01").read_text(encoding="utf-8")
    parse(html)
    assert 'data-participant="sub-01"' in html
    assert [f'data-section="{name}"' in html for name in ("brain-mask", "registration", "metrics")] == [
        True,
        True,
        False,
    ]
    # Nothing was prepared of a participant who was skipped.
    assert "data-section" not in subject_report(full_tree, "02").read_text(encoding="utf-8")
