import json
import re
import shutil

import pandas as pd
import pytest

from bids_spectsynth.bids.participants import update_participants
from bids_spectsynth.evaluation.figures.violins import violin
from bids_spectsynth.evaluation.group.tables import group_tables, write_group_tables
from bids_spectsynth.reports.group import page
from bids_spectsynth.reports.group.page import group_report
from bids_spectsynth.reports.html import Section, Text

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory, write):
    """Registrations and metrics of five participants, without images."""
    out = tmp_path_factory.mktemp("group") / "out"
    write.describe(out, PhantomData=True)
    for number, label in enumerate(("01", "02", "03", "04", "05")):
        entities = {"trc": "FDG", "from": "pet", "to": "T1w"}
        write.xfm(out, label, None, "pet", entities, poor=label == "03", overlap=0.95 - 0.01 * number)
        split = "test" if number < 4 else "train"
        # Only the first model is better than its baselines.
        for model, error in (("pix2pixPet", 0.1), ("pix2pixT1w", 0.23)):
            write.synthetic(out, label, model, split, error=error)
            (out / f"models/{model}").mkdir(parents=True, exist_ok=True)
            (out / f"models/{model}/model.json").write_text(json.dumps(write.card(model)))
        update_participants(out, {label: {"split": split, "status": "ok", "reason": ""}})
    update_participants(out, {"09": {"status": "skipped", "reason": f"no SPECT {EVIL}"}})
    tables = group_tables(out)
    write_group_tables(tables, out)
    (out / "figures").mkdir()
    (out / "figures/group_mask_rmse.svg").write_text(violin(tables.metrics, "mask_rmse"), encoding="utf-8")
    (out / "sub-03.html").write_text("<!DOCTYPE html>")
    return out


@pytest.fixture(scope="module")
def html(cohort):
    return group_report(cohort).read_text(encoding="utf-8")


def table_with(html, heading):
    tables = re.findall(r"<table>.*?</table>", html, re.S)
    found = [table for table in tables if heading in table]
    assert found, heading
    return [re.findall(r"<td[^>]*>(.*?)</td>", row, re.S) for row in re.findall(r"<tr>(.*?)</tr>", found[0], re.S)[1:]]


def test_sections_and_banner(html, parse):
    parsed = parse(html)
    names = re.findall(r"<h2>([^<]*)</h2>", html)
    assert names == ["Verdicts", "Participants", "Cohort", "Registration quality", "Models",
                     "Agreement with the real SPECT", "Statistical tests", "Distributions",
                     "How to read these numbers"]  # fmt: skip
    assert "not clinical numbers" in parsed.text
    assert len(parsed.sources) == 1


def test_cohort_counts_and_reasons_are_escaped(html, parse):
    assert EVIL not in html
    assert f"no SPECT {EVIL}" in parse(html).text
    rows = {row[0]: row[1:] for row in table_with(html, "Part in training</th>")}
    assert rows["test"] == ["4", "0", "4"]
    assert rows["all"] == ["5", "1", "6"]


def test_the_worst_registration_comes_first(html):
    rows = table_with(html, "Worst first")
    assert [re.sub("<[^>]*>", "", row[0]) for row in rows] == ["sub-03", "sub-05", "sub-04", "sub-02", "sub-01"]
    assert rows[0][2] == "POOR"
    assert [row[2] for row in rows[1:]] == ["accepted"] * 4
    assert '<a href="sub-03.html">' in rows[0][0]
    assert "href" not in rows[1][0], "there is no report of that subject"


def test_the_lead_table_sets_models_beside_their_baselines(html, parse):
    rows = table_with(html, "RMSE in the brain")
    assert [row[0] for row in rows] == ["pix2pixPet", "pix2pixT1w"]
    assert re.fullmatch(r"0\.(09|10)\d\n± 0\.\d{3}", rows[0][5])
    assert rows[0][-2:] == ["4", "40"], "held-out subjects and slices"
    text = parse(html).text
    assert re.search(
        r"pix2pixPet \(4 test\): lower mean in-brain RMSE than every baseline "
        r"\(n = 4 subjects, subject-wise Holm p at most [0-9e.−-]+\)\.",
        text,
    )
    assert re.search(
        r"pix2pixT1w \(4 test\): no lower mean in-brain RMSE than without a network: "
        r"Constant in the brain \(n = 4 subjects, subject-wise Holm p [^)]+\)\.",
        text,
    )


def test_slices_beyond_the_block_are_not_counted_and_that_is_said(cohort, html, parse):
    metrics = (cohort / "group_metrics.tsv").read_text()
    assert "\tfalse\t" in metrics
    text = parse(html).text
    assert text.count("Only the block of slices with the most brain is counted") == 3
    assert "1.9" not in "".join(cell for row in table_with(html, "(RMSE) over slices") for cell in row)


def test_the_models_table_shows_the_validation_of_a_card(html):
    rows = table_with(html, "Best epoch</th>")
    assert rows[0][-2:] == ["0.123", "0.988"]


def test_images_of_one_model_from_unlike_inputs_are_named(cohort, tmp_path, parse):
    out = tmp_path / "out"
    shutil.copytree(cohort, out)
    path = next(out.glob("sub-02/spect/*_desc-pix2pixPet_spect.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"HarmonisedFWHM": {"pet": 8.0}}))
    text = parse(group_report(out).read_text(encoding="utf-8")).text
    assert "model pix2pixPet: ratings of images of different resolution stand together" in text
    assert "model pix2pixT1w: ratings of images of different resolution" not in text


def test_labels_of_digits_stay_as_they_are(tmp_path, write, parse):
    write.describe(tmp_path)
    for label in ("01", "02", "03"):
        for model in ("007", "2024"):
            write.synthetic(tmp_path, label, model, "test")
    write_group_tables(group_tables(tmp_path), tmp_path)
    html = group_report(tmp_path).read_text(encoding="utf-8")
    assert [row[0] for row in table_with(html, "RMSE in the brain")] == ["007", "2024"]
    assert "007 (3 test): lower mean in-brain RMSE" in parse(html).text
    assert "no subject-wise test" not in parse(html).text


def test_summary_has_both_regions_with_definitions_as_tooltips(html, parse):
    rows = table_with(html, "(PSNR) over slices")
    assert len(rows) == 12, "two models, six methods each"
    assert len(rows[0]) == 13
    assert any("Table 4" in title for title in parse(html).titles)


def test_the_primary_test_comes_first_with_effect_and_equivalence(cohort, html, parse):
    text = parse(html).text
    assert text.index("Paired t-tests over subjects") < text.index("All tests")
    rows = table_with(html, "Inputs, slice scale. In the brain")
    assert [row[:3] for row in rows[:3]] == [
        ["pix2pixPet", "pix2pixT1w", name] for name in ("RMSE", "SSIM", "PSNR (dB)")
    ]
    ttests = pd.read_csv(cohort / "group_ttests.tsv", sep="\t").query(
        "comparison == 'inputs' and metric == 'mask_rmse'"
    )
    primary = ttests.set_index("test").loc["subject_t"]
    low, high = (f"{primary[name]:.4f}".replace("-", "−") for name in ("ci_low", "ci_high"))
    assert rows[0][3] == f"{primary['mean_difference']:.4f}".replace("-", "−") + f"\n[{low}, {high}]"
    assert re.fullmatch(r"−\d+\.\d\d(\n\[−\d+\.\d\d, −\d+\.\d\d\])?", rows[0][4])
    assert rows[0][7].startswith("not shown\nmargin 0.01\nHolm p ")
    assert rows[0][8:10] == ["4", "40"], "held-out subjects and slices"
    baselines = table_with(html, "Networks against their baselines, slice scale")
    assert [row[1] for row in baselines[: len(rows) + 1]] == ["Constant in the brain"] * len(rows) + ["Copy of the PET"]


def test_all_tests_are_folded_the_slice_wise_one_last_and_warned_of(html, parse):
    text = parse(html).text
    warning = text.index("slices of one head are not independent: p-values too small")
    folded = html.split("<details>")[1:]
    titles = [re.search(r"<summary>(.*?)</summary>", part).group(1) for part in folded]
    assert titles == ["All tests: Inputs", "All tests: Networks against their baselines"]
    assert warning < text.index("All tests: Inputs")
    headings = [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<th[^>]*>(.*?)</th>", folded[0], re.S)]
    tests = [name for name in headings if "over subjects" in name or "model" in name.lower() or "slices" in name]
    assert tests[1:] == ["t over subjects (primary)", "Wilcoxon over subjects", "Equivalence over subjects",
                         "Mixed model", "t over slices (the article&#39;s)"]  # fmt: skip
    (row, *_) = [re.findall(r"<td[^>]*>(.*?)</td>", part, re.S) for part in folded[0].split("<tr>")[2:]]
    assert row[:4] == ["pix2pixPet", "pix2pixT1w", "slice", "RMSE, in brain"]
    assert all(re.fullmatch(r"[^\n]+\nHolm [^\n]+\nBH [^\n]+", cell) or cell == "n/a" for cell in row[5:10])
    assert row[-2:] == ["4", "40"]
    assert "cannot give a p below 0.125" in folded[0].partition("</table>")[2]
    assert "this p is far too small" not in text, "said once, above"


def test_remarks_on_some_rows_stand_beside_them_and_remarks_on_all_below(cohort, tmp_path):
    out = shutil.copytree(cohort, tmp_path / "out")
    ttests = pd.read_csv(out / "group_ttests.tsv", sep="\t", keep_default_na=False)
    marked = (ttests["test"] == "subject_t") & (ttests["metric"] == "mask_ssim")
    ttests["note"] = "data ranges differ"
    ttests.loc[marked, "note"] += "; a: mean of 3 seeds"
    ttests.to_csv(out / "group_ttests.tsv", sep="\t", index=False)
    html = group_report(out).read_text()
    rows = table_with(html, "Inputs, slice scale. In the brain")
    assert [row[-1] for row in rows[:3]] == ["", "a: mean of 3 seeds", ""]
    assert "<dt>note</dt><dd>data ranges differ</dd>" in html


def test_definitions_of_a_dictionary_are_escaped(cohort, tmp_path, parse):
    out = shutil.copytree(cohort, tmp_path / "out")
    path = out / "group_summary.json"
    content = json.loads(path.read_text())
    content["mean"] = {"Description": f'"{EVIL}'}
    path.write_text(json.dumps(content))
    html = group_report(out).read_text()
    assert EVIL not in html
    assert f'"{EVIL}' in parse(html).titles


def test_after_preprocessing_alone_only_quality_is_shown(tmp_path, write, parse):
    write.xfm(tmp_path, "01", None, "pet", {"from": "pet", "to": "T1w"})
    update_participants(tmp_path, {"01": {"status": "ok"}})
    html = group_report(tmp_path).read_text()
    parse(html)
    names = ["Participants", "Cohort", "Registration quality", "How to read these numbers"]
    assert re.findall(r"<h2>([^<]*)</h2>", html) == names


def test_an_empty_folder_gives_a_report_too(tmp_path, parse):
    text = parse(group_report(tmp_path).read_text()).text
    assert "no participants.tsv" in text
    assert "no registrations" in text


def test_tables_without_rows_are_said_to_be_empty(tmp_path, parse):
    write_group_tables(group_tables(tmp_path), tmp_path)
    text = parse(group_report(tmp_path).read_text()).text
    assert "No held-out participant was evaluated" in text


def test_a_damaged_table_costs_its_section_only(tmp_path, write, parse):
    write.xfm(tmp_path, "01", None, "pet", {"from": "pet", "to": "T1w"})
    (tmp_path / "group_summary.tsv").write_text("something\telse\n1\t2\n")
    (tmp_path / "group_ttests.tsv").write_text("")
    text = parse(group_report(tmp_path).read_text()).text
    assert "Registration quality" in text
    errors = text[text.rindex("Errors") :]
    assert "summary section" in errors
    assert "group_ttests.tsv" in errors


def test_sections__one_more_stands_where_it_is_listed(cohort, tmp_path, monkeypatch):
    out = shutil.copytree(cohort, tmp_path / "out")
    first, *others = page.SECTIONS
    further = page._of_output(lambda folder: Section("further", f"Of {folder.name}", [Text("something new")]))
    monkeypatch.setattr(page, "SECTIONS", (first, further, lambda context: None, *others))
    html = group_report(out).read_text(encoding="utf-8")
    before, after = re.findall(r"<h2>([^<]*)</h2>", html)[:2]
    assert after == "Of out"
    assert "something new" in html.partition(f"<h2>{before}</h2>")[2]
    assert '<a href="#further">Of out</a>' in html


def test_summary__says_that_a_lesion_was_left_out(cohort, tmp_path, parse):
    out = tmp_path / "out"
    shutil.copytree(cohort, out)
    words = "the lesion was left out of these numbers (--lesion-mask all)"
    assert words not in parse(group_report(out).read_text(encoding="utf-8")).text
    table = pd.read_csv(out / "group_summary.tsv", sep="\t").assign(lesion="with", lesion_left_out="yes")
    table.to_csv(out / "group_lesions.tsv", sep="\t", index=False, na_rep="n/a")
    assert words in parse(group_report(out).read_text(encoding="utf-8")).text
