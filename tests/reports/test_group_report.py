import json
import re
import shutil

import pandas as pd
import pytest

from bids_spectsynth.bids.derivatives import update_participants
from bids_spectsynth.evaluation.figures import violin
from bids_spectsynth.evaluation.tables import group_tables, write_group_tables
from bids_spectsynth.reports.group import group_report
from bids_spectsynth.reports.verdicts import verdicts

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
    assert names == ["Cohort", "Registration quality", "Models", "Agreement with the real SPECT", "Statistical tests",
                     "Distributions", "Subject reports", "How to read these numbers"]  # fmt: skip
    assert "not clinical numbers" in parsed.text
    assert len(parsed.sources) == 1


def test_cohort_counts_and_reasons_are_escaped(html, parse):
    assert "<script" not in html
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
    assert re.fullmatch(r"0\.(09|10)\d\n± 0\.\d{3}", rows[0][4])
    assert rows[0][-2:] == ["4", "40"], "held-out subjects and slices"
    text = parse(html).text
    assert re.search(
        r"pix2pixPet \(test\): lower mean in-brain RMSE than every baseline "
        r"\(n = 4 subjects, subject-wise Holm p at most [0-9e.−-]+\)\.",
        text,
    )
    assert re.search(
        r"pix2pixT1w \(test\): no lower mean in-brain RMSE than without a network: "
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


METHOD_RMSE = {"pix2pix": 0.1, "constant": 0.3, "regression": 0.2}


def verdict(n, p, *, means=METHOD_RMSE, split="test", tested="test"):
    keys = {"model": "m", "split": split, "metric": "mask_rmse", "n_subjects": n}
    summary = pd.DataFrame([{**keys, "method": name, "subject_mean": value} for name, value in means.items()])
    common = {"comparison": "baseline", "model_a": "m", "split": tested, "metric": "mask_rmse", "unit": "subject"}
    ttests = pd.DataFrame(
        [
            {**common, "method_b": name, "n_subjects": n, "mean_difference": means["pix2pix"] - value, "p_holm": p}
            for name, value in means.items()
            if name != "pix2pix"
        ]
    )
    (note,) = verdicts(summary, ttests)
    return note


def test_a_verdict_is_green_only_with_a_small_p():
    assert verdict(12, 0.004).level == "good"
    assert "n = 12 subjects, subject-wise Holm p at most 0.004)" in verdict(12, 0.004).text
    assert verdict(12, 0.02).level == "info"
    assert verdict(12, 0.02).text.endswith("0.020: not conclusive). Not compared with: Copy of the PET, "
                                           "Mean SPECT of the cohort, Mean SPECT × PET ratio.")  # fmt: skip
    few = verdict(2, float("nan"))
    assert few.level == "info"
    assert "lower mean in-brain RMSE than every baseline (n = 2 subjects" in few.text
    assert "too few to conclude" in few.text


def test_a_test_of_other_participants_is_no_evidence():
    note = verdict(12, 1e-6, tested="external+test")
    assert note.level == "info"
    assert "no subject-wise test" in note.text


def test_a_baseline_ahead_is_named_whatever_p():
    note = verdict(3, 0.5, means={**METHOD_RMSE, "regression": 0.05})
    assert note.level == "warning"
    assert "without a network: Regression from the inputs (n = 3 subjects, subject-wise Holm p 0.500)." in note.text
    assert "Constant in the brain" not in note.text


def test_summary_has_both_regions_with_definitions_as_tooltips(html, parse):
    rows = table_with(html, "(PSNR) over slices")
    assert len(rows) == 12, "two models, six methods each"
    assert len(rows[0]) == 12
    assert any("Table 4" in title for title in parse(html).titles)


def test_subject_wise_tests_come_first_and_slice_wise_ones_are_warned_of(html, parse):
    text = parse(html).text
    subject, slice_wise = text.index("Subject-wise"), text.index("Slice-wise")
    assert subject < slice_wise < text.index("slices of one head are not independent: p-values too small")
    rows = table_with(html, "Between models")
    assert rows[0][:2] == ["pix2pixPet", "pix2pixT1w"]
    assert rows[0][2].startswith("−0.1")
    assert rows[0][-2:] == ["4", "40"]


def test_definitions_of_a_dictionary_are_escaped(cohort, tmp_path, parse):
    out = shutil.copytree(cohort, tmp_path / "out")
    path = out / "group_summary.json"
    content = json.loads(path.read_text())
    content["mean"] = {"Description": f'"{EVIL}'}
    path.write_text(json.dumps(content))
    html = group_report(out).read_text()
    assert "<script" not in html
    assert f'"{EVIL}' in parse(html).titles


def test_after_preprocessing_alone_only_quality_is_shown(tmp_path, write, parse):
    write.xfm(tmp_path, "01", None, "pet", {"from": "pet", "to": "T1w"})
    update_participants(tmp_path, {"01": {"status": "ok"}})
    html = group_report(tmp_path).read_text()
    parse(html)
    assert re.findall(r"<h2>([^<]*)</h2>", html) == ["Cohort", "Registration quality", "How to read these numbers"]


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
