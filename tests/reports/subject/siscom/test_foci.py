"""The parts of a participant's page on foci."""

import re

import pandas as pd
import pytest

from bids_spectsynth.bids.output_files import find_cases
from bids_spectsynth.reports.context import SubjectContext
from bids_spectsynth.reports.html import Note, Part, Picture, Table
from bids_spectsynth.reports.subject.page import subject_report
from bids_spectsynth.reports.subject.siscom.foci import foci_section, place_of
from bids_spectsynth.reports.subject.siscom.results import results_of
from bids_spectsynth.siscom.outputs.paths import clusters_path


def context_of(tree):
    return SubjectContext(tree, "01", find_cases(tree, "01"), [], [], {})


def parts(tree):
    section = foci_section(context_of(tree))
    assert section is not None
    return [block for block in section.blocks if isinstance(block, Part)]


def change(path, **columns):
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    table.assign(**columns).to_csv(path, sep="\t", index=False)


def test_foci_section__without_a_siscom_there_is_none(tree):
    assert foci_section(context_of(tree)) is None


def test_foci_section__overview_and_a_part_for_the_first_focus(siscom):
    section = foci_section(context_of(siscom.tree))
    assert section is not None
    _, overview, *found = section.blocks
    assert isinstance(overview, Table)
    # The second one of both baselines is no more than chance.
    assert [row[0].text for row in overview.rows] == ["Focus 1, Real"]
    assert [cell.text for cell in overview.rows[0][-2:]] == ["1", "1"], "ranks with both baselines"
    assert [part.name for part in found] == ["focus-1-1"]
    assert overview.rows[0][0].href == "#focus-1-1"


def test_foci_section__a_part_says_where_how_large_and_how_sure(siscom):
    (part,) = parts(siscom.tree)
    assert part.title == "Focus 1: right temporal, Amygdala <b> – hyperperfusion, measured interictal SPECT (Real)"
    picture, facts, *rest = part.blocks
    assert isinstance(picture, Picture)
    assert picture.jump is not None
    assert picture.jump.at == "42,2,-18"
    values = {row[0].text: row[1].text for row in facts.rows}
    assert values["Side"] == "right"
    assert values["Region"] == "Amygdala <b> (2 mm off)"
    assert values["Height of the peak"] == "z 5.4, znull 6.5"
    assert values["Corrected p"] == "0.003"
    budget, elsewhere = rest
    assert [row[0].text for row in budget.rows][:2] == ["Registration of both scans", "Noise"]
    assert [cell.text for cell in elsewhere.rows[0][:3]] == ["Pix2pixPet (SYNTHETIC)", "focus 1", "0"]


def test_foci_section__chance_and_flags_are_said(siscom):
    change(clusters_path(siscom.ictal, "Real"), p_corrected="0.3", flags="edge,within-null,odd")
    (part,) = parts(siscom.tree)
    notes = [block for block in part.blocks if isinstance(block, Note)]
    assert [note.badge for note in notes] == ["May be chance", "edge", "odd"]
    assert notes[1].text == "The peak lies within 8 mm of the brain's edge."


def test_foci_section__a_focus_of_another_baseline_elsewhere_has_its_part(siscom):
    change(clusters_path(siscom.ictal, "Pix2pixPet"), x_mm="-40")
    first, other = parts(siscom.tree)
    assert "(Real)" in first.title
    assert "(Pix2pixPet)" in other.title
    assert "Synthetic baseline" in [block.badge for block in other.blocks if isinstance(block, Note)]
    change(clusters_path(siscom.ictal, "Pix2pixPet"), p_corrected="0.2")
    assert len(parts(siscom.tree)) == 1, "no more than chance"


@pytest.mark.usefixtures("quick")
def test_subject_report__foci_are_links_and_old_pictures_go(siscom, parse):
    old = siscom.tree / "sub-01/ses-2/figures/sub-01_ses-2_task-ictal_space-T1w_desc-siscomRealFocus19_statmap.webp"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old")
    html = subject_report(siscom.tree, "01").read_text(encoding="utf-8")
    parsed = parse(html)
    assert "#focus-1-1" in parsed.links
    assert "<b>" not in html
    assert not old.exists()
    assert re.search(r'id="focus-1-1".*?data-focus="42,2,-18"', html, re.DOTALL)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"side": "L", "lobe": "temporal", "region": "Amygdala"}, "left temporal, Amygdala"),
        ({"side": "M", "lobe": "n/a", "region": "n/a"}, "midline"),
        ({"side": "n/a"}, "place unknown"),
    ],
)
def test_place_of__what_is_known(row, text):
    assert place_of(row) == text


def test_results_of__by_scan_and_the_measured_baseline_first(siscom):
    ((real, synthetic),) = context_of(siscom.tree).once(results_of)
    assert (real.found.label, synthetic.found.label) == ("Real", "Pix2pixPet")
    assert (real.synthetic, synthetic.synthetic) == (False, True)
    assert real.top is not None
    assert real.top["rank"] == "1"
