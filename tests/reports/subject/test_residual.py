"""A participant's page shows what is left of the real SPECT, and where."""

from pathlib import Path

import pandas as pd
import pytest

from bids_spectsynth.bids.writing import write_json
from bids_spectsynth.evaluation.columns import LESION_KEY
from bids_spectsynth.reports.subject.page import subject_report

STEM = "sub-01/spect/sub-01_task-interictal_space-T1w_desc-pix2pixPet_{}.tsv"


def write(tree: Path, *, split: str = "test", columns: bool = True) -> None:
    volume = pd.DataFrame(
        {"method": ["pix2pix", "petCopy"], "split": split, "volume_rmse": 0.1, "baseline_sd_percent": [5.21, 7.84]}
    )
    regions = pd.DataFrame(
        {
            "method": ["pix2pix"] * 3 + ["petCopy"],
            "region": ["x12_y12_z12", "x36_y12_z12", "hemisphere", "x60_y12_z12"],
            "hemisphere": "L",
            "baseline_variance_share": [20.0, 31.4, 50.0, 99.0],
            "baseline_residual_percent": [-3.0, 12.3, 1.0, 2.0],
        }
    )
    for name, table in (("volume", volume), ("regions", regions)):
        shown = table if columns else table[[one for one in table if not one.startswith("baseline")]]
        shown.to_csv(tree / STEM.format(name), sep="\t", index=False, na_rep="n/a")


@pytest.mark.usefixtures("quick")
def test_residual_section__methods_and_the_blocks_of_the_network(tree, parse):
    write(tree)
    text = parse(subject_report(tree, "01").read_text()).text
    section = text[text.index("As the baseline of a SISCOM") :]
    assert "5.21" in section
    assert "7.84" in section
    assert section.index("x36_y12_z12") < section.index("x12_y12_z12")
    assert "12.3" in section
    assert "x60_y12_z12" not in section
    assert "has learned from this participant" not in section


@pytest.mark.usefixtures("quick")
def test_residual_section__of_a_participant_that_was_learned_from(tree, parse):
    write(tree, split="train")
    assert "has learned from this participant" in parse(subject_report(tree, "01").read_text()).text


@pytest.mark.usefixtures("quick")
def test_residual_section__tables_of_an_earlier_version_or_none(tree, parse):
    assert "As the baseline of a SISCOM" not in parse(subject_report(tree, "01").read_text()).text
    write(tree, columns=False)
    text = parse(subject_report(tree, "01").read_text()).text
    assert "As the baseline of a SISCOM" not in text
    assert "cannot be shown" not in text


@pytest.mark.usefixtures("quick")
def test_residual_section__a_lesion_that_was_left_out_is_said(tree, parse):
    write(tree)
    words = "what is left in it is in none of them"
    assert words not in parse(subject_report(tree, "01").read_text()).text
    write_json(tree / STEM.format("volume").replace(".tsv", ".json"), {LESION_KEY: True})
    assert words in parse(subject_report(tree, "01").read_text()).text
