import re

import pandas as pd
import pytest

from bids_spectsynth.bids.writing import write_json, write_table, write_text
from bids_spectsynth.evaluation.paper.columns import comparisons_dictionary, examples_dictionary, table_4_dictionary
from bids_spectsynth.reports.group.paper import (
    paper_comparisons_section,
    paper_examples_section,
    paper_tables_section,
)
from bids_spectsynth.reports.html import Page, Picture, Table
from bids_spectsynth.reports.rendering import render

TEMPLATE = "MNI152NLin2009aSym"
METRICS = ("rmse", "ssim", "psnr")
COUNTS = {"n_subjects": 12, "n_slices": 600}
PEOPLE = {"n_test": 11, "n_external": 1, "subjects": "12345678", "training": "00000012"}
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
    "<dc:title>{title}</dc:title><dc:description>{caption}</dc:description></metadata></svg>"
)


def paper_sections(output):
    makers = (paper_tables_section, paper_comparisons_section, paper_examples_section)
    return [section for maker in makers if (section := maker(output)) is not None]


def summary_rows(**model):
    fixed = {"recipe": "fard2024", "scaling": "slice", "configuration": "m", "n_seeds": 1, "n_infinite": 0, "sd": 0.1}
    values = {"rmse": (0.1034, 38.456), "ssim": (0.82, 6.1), "psnr": (24.53, 11.01)}
    return [
        {
            **fixed,
            **COUNTS,
            **PEOPLE,
            **model,
            "region": region,
            "metric": metric,
            "mean": mean,
            "cv_percent": variation,
        }
        for region in ("whole", "brain")
        for metric, (mean, variation) in values.items()
    ]


def example_rows(number, **model):
    fixed = {"session_id": "n/a", "slice": 50, "z_mm": -4.0, "recipe": "fard2024", "scaling": "slice", "seed": 1}
    metrics = {"rmse": 0.1034, "ssim": 0.82, "psnr": 24.53, "mask_rmse": 0.2, "mask_ssim": 0.5, "mask_psnr": 20.0}
    who = {"example": number, "participant_id": f"sub-0{number}", "split": "test", "data_range": 2.0}
    return {**fixed, **who, **metrics, "configuration": model["model"], **model}


def comparison_rows():
    sides = {"inputs_a": "pet", "inputs_b": "pet", "space_a": "T1w", "space_b": TEMPLATE, "losses_a": "L1+BCE"}
    sides |= {"losses_b": "L1+BCE", "configuration_a": "a", "configuration_b": "b", "recipe": "fard2024"}
    numbers = {"mean_a": 0.1, "mean_b": 0.2, "mean_difference": -0.1, "p_subject": 0.001, "p_equivalence": 0.2}
    numbers |= {"p_slice": 1e-20, "p_subject_holm": 0.002, "p_equivalence_holm": 0.3}
    return [
        {"figure": 5, "comparison": "space", "region": region, "metric": metric, **sides, "scaling": "slice", **COUNTS,
         **numbers, **({"p_subject_holm": 0.2} if metric == "psnr" else {}), "better": "a"}
        for region in ("whole", "brain")
        for metric in METRICS
    ]  # fmt: skip


def write(out, name, rows, dictionary):
    write_table(out / f"group_{name}.tsv", pd.DataFrame(rows, columns=list(dictionary)), dictionary)


@pytest.fixture
def output(tmp_path):
    models = [
        {"inputs": inputs, "space": space, "losses": "L1+BCE"}
        for space in ("T1w", TEMPLATE)
        for inputs in ("T1w", "pet")
    ]
    write(tmp_path, "table4", [row for model in models for row in summary_rows(**model)], table_4_dictionary())
    for number, space in ((2, "T1w"), (3, TEMPLATE)):
        own = [model for model in models if model["space"] == space]
        rows = [example_rows(n, model=f"m{model['inputs']}", **model) for n in (1, 2) for model in own]
        write(tmp_path, f"table{number}", rows, examples_dictionary())
    write(tmp_path, "comparisons", comparison_rows(), comparisons_dictionary())
    for stem in ("paper_figure3", "paper_figure3_L1_BCE_SSIM", "paper_figure5", "paper_figure5_brain"):
        svg = SVG.format(title=f"title of {stem}", caption=f"caption of {stem} &lt;b&gt;")
        write_text(tmp_path / "figures" / f"{stem}.svg", svg)
    return tmp_path


def blocks(output, kind):
    return [block for section in paper_sections(output) for block in section.blocks if isinstance(block, kind)]


def cells(table):
    return [[cell.text for cell in row] for row in table.rows]


def test_the_report_holds_all_of_it(output, parse):
    sections = paper_sections(output)
    assert [section.name for section in sections] == ["paper-tables", "paper-comparisons", "paper-examples"]
    html = render(Page("x", "", sections))
    text = parse(html).text
    assert "caption of paper_figure5_brain <b>" in text
    assert len(parse(html).sources) == 4


def test_table_4_has_the_papers_cells_with_counts(output):
    whole, brain = (table for table in blocks(output, Table) if table.caption.startswith("Table 4"))
    assert [column.label for column in whole.columns] == ["Space / loss", "Metric", "MRI", "PET", "Subjects", "Slices"]
    assert cells(whole)[0] == [
        f"Template {TEMPLATE}, 1-norm + cross-entropy", "RMSE", "0.10 (38.46%)", "0.10 (38.46%)", "12", "600",
    ]  # fmt: skip
    assert cells(whole)[-1][:3] == ["Native, 1-norm + cross-entropy", "PSNR (dB)", "24.53 (11.01%)"]
    assert "in the brain" in brain.caption


def test_table_4_counts_both_parts_of_the_cohort_and_warns_of_different_subjects(output):
    table, _ = (table for table in blocks(output, Table) if table.caption.startswith("Table 4"))
    assert "held-out subjects (11 test + 1 external)" in table.caption
    assert "brought to the real SPECT's in-brain mean" in table.caption
    assert table.footnotes == []
    # As many, but others.
    rows = summary_rows(inputs="pet", space="T1w", losses="L1")
    rows += summary_rows(inputs="T1w", space="T1w", losses="L1", subjects="87654321", n_test=12, n_external=0)
    write(output, "table4", rows, table_4_dictionary())
    table, _ = (table for table in blocks(output, Table) if table.caption.startswith("Table 4"))
    assert cells(table)[0][2:4] == ["0.10 (38.46%), n = 12"] * 2
    assert "11 test + 1 external or 12 test" in table.caption
    assert "not all of these models were rated on the same subjects" in table.footnotes[0][1]


def test_models_that_no_column_tells_apart_are_named(output):
    rows = summary_rows(inputs="pet", space="T1w", losses="L1", configuration="a")
    rows += summary_rows(inputs="pet", space="T1w", losses="L1", configuration="b", n_seeds=3)
    write(output, "table4", rows, table_4_dictionary())
    table, _ = (table for table in blocks(output, Table) if table.caption.startswith("Table 4"))
    assert cells(table)[0][2] == "a: 0.10 (38.46%)\nb: 0.10 (38.46%), 3 seeds"


def test_examples_name_their_slices(output):
    native, in_template = (t for t in blocks(output, Table) if re.match(r"Table [23]\.", t.caption))
    assert cells(native) == [
        [f"sub-0{n}", "50", "−4.0", "0.10", "0.82", "24.53", "0.10", "0.82", "24.53"] for n in (1, 2)
    ]
    assert "2 held-out subjects" in native.caption
    assert in_template.caption.startswith("Table 3. Template")


def test_comparisons_are_marked_and_counted(output, parse):
    assert all(table.folded for table in blocks(output, Table))
    (table,) = (table for table in blocks(output, Table) if table.caption.startswith("Figure 5"))
    ((first, second, *shown, subjects, slices),) = cells(table)
    assert (first.splitlines()[1], second.splitlines()[1]) == ("native", f"template {TEMPLATE}")
    assert shown[0].splitlines()[:3] == ["−0.1000 * †", "first better", "slices p 1e-20"]
    assert "†" not in shown[2]
    assert (subjects, slices) == ("12", "600")
    text = parse(render(Page("x", "", paper_sections(output)))).text
    assert "of 3 comparisons the slice-wise test finds a difference in 3" in text
    assert "after Holm's correction in 2" in text


def test_phantoms_are_called_so_in_each_section(output):
    write_json(output / "dataset_description.json", {"PhantomData": True})
    assert all("simulated" in section.blocks[0].text for section in paper_sections(output))


def test_without_tables_and_figures_there_are_no_sections(tmp_path):
    assert paper_sections(tmp_path) == []
    write(tmp_path, "table4", [], table_4_dictionary())
    write(tmp_path, "comparisons", [], comparisons_dictionary())
    assert paper_sections(tmp_path) == []


@pytest.mark.parametrize(("width", "narrow"), [("295pt", True), ("510.2pt", False)])
def test_a_figure_of_few_columns_is_not_blown_up(output, width, narrow):
    path = output / "figures" / "paper_figure3.svg"
    path.write_text(path.read_text().replace("<svg ", f'<svg width="{width}" '))
    assert blocks(output, Picture)[2].narrow is narrow


def test_the_papers_loss_comes_first(output):
    titles = [picture.alt for picture in blocks(output, Picture)]
    assert titles.index("title of paper_figure3") < titles.index("title of paper_figure3_L1_BCE_SSIM")
