"""A metric that is registered here, and nowhere else, arrives everywhere."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.app.group import write_group_level
from bids_spectsynth.bids.participants import update_participants
from bids_spectsynth.bids.prepared import find_prepared
from bids_spectsynth.bids.writing import write_json
from bids_spectsynth.evaluation.case.evaluate import evaluate_case
from bids_spectsynth.evaluation.case.metrics import METRICS, Metric, each_slice
from bids_spectsynth.evaluation.group.columns import family_sizes
from bids_spectsynth.options.settings import make_settings
from bids_spectsynth.reports.subject.page import subject_report
from bids_spectsynth.synthesis.baselines.fitting import fit_baselines
from bids_spectsynth.synthesis.models.card import CARD_FILE, ModelCard

LABEL = "pix2pixPet"
PARTICIPANTS = ("01", "02", "03", "04", "05")
TRAINED = 2


def normalised_mutual_information(real: np.ndarray, synthetic: np.ndarray, data_range: float) -> float:
    """(H(X) + H(Y)) / H(X, Y), 1 to 2, of a histogram of 16 x 16 bins; 1 where all values are the same (Studholme)."""
    edges = np.linspace(-data_range / 2, data_range / 2, 17)
    joint, _, _ = np.histogram2d(real.ravel(), synthetic.ravel(), bins=(edges, edges))
    joint /= joint.sum()
    x, y, both = (-np.sum(p[p > 0] * np.log(p[p > 0])) for p in (joint.sum(1), joint.sum(0), joint.ravel()))
    return float((x + y) / both) if both > 0 else 1.0


NMI = Metric(
    name="mask_nmi",
    title="NMI",
    full_title="Normalised mutual information",
    description="Normalised mutual information of both images in the evaluation mask.",
    unit="1",
    digits=3,
    lower_is_better=False,
    margin=0.02,
    values=each_slice(normalised_mutual_information, "brain"),
)


@pytest.fixture
def nmi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, NMI.name, NMI)


@pytest.fixture
def out(tmp_path: Path, nmi: None, model, images) -> Path:
    """A model that was trained on two participants, and the tables of three others."""
    images(tmp_path, model(LABEL, "pet", "T1w", "L1+BCE", participants=PARTICIPANTS))
    folder = tmp_path / "models" / LABEL
    folder.mkdir(parents=True)
    card = ModelCard(
        label=LABEL,
        inputs=("pet",),
        target="interictal",
        space="T1w",
        voxel_size=2.0,
        grid_shape=(24, 28, 20),
        scaling="slice",
        architecture={"levels": 8, "base_filters": 4, "input_channels": 1, "output_channels": 1},
        losses={"l1": 100.0, "adversarial": 1.0},
        training={},
        versions={},
        target_statistics={
            "mean_in_brain": 1.0,
            "units": "arbitrary",
            "heights": [0.0],
            "log_gain": [0.0],
            "log_step": [0.0],
        },
        validation={},
        config={"slices_per_subject": 8},
        salt="",
        participants=(),
        selection_participants=(),
        weights_sha256="0" * 64,
        created="",
    )
    write_json(folder / CARD_FILE, dataclasses.asdict(card))
    cases = find_prepared(tmp_path, "T1w")
    fit_baselines(cases[:TRAINED], card.inputs, card.scaling).save(folder)
    for case in cases[TRAINED:]:
        evaluate_case(case, folder, tmp_path, data_range=2.0, split="test")
    row = {"split": "test", "status": "ok", "reason": ""}
    update_participants(tmp_path, {case.participant: row for case in cases})
    required = {"bids_dir": ".", "output_dir": str(tmp_path), "analysis_level": "group", "bootstrap_samples": 0}
    write_group_level(make_settings(required))
    return tmp_path


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", na_values=["n/a"])


def test_added_metric__arrives_in_all_tables_with_their_dictionaries(out: Path) -> None:
    path = next(iter(out.glob("sub-03/spect/*_metrics.tsv")))
    for table in (path, out / "group_metrics.tsv"):
        assert read(table)[NMI.name].between(1, 2).all()
        assert json.loads(table.with_suffix(".json").read_text())[NMI.name]["Description"] == NMI.description
    assert list(read(path).columns)[-2:] == [NMI.name, "mask_voxels"]
    summary = read(out / "group_summary.tsv")
    assert summary.loc[summary["metric"] == NMI.name, "subject_mean"].between(1, 2).all()
    tests = read(out / "group_ttests.tsv")
    own = tests[tests["metric"] == NMI.name]
    assert set(own["test"]) == {"subject_t", "wilcoxon", "equivalence", "mixed", "slice_t"}
    assert set(own["margin"].dropna()) == {NMI.margin}
    whole, brain = family_sizes()
    assert f"{whole} whole-slice or the {brain} in-brain" in (out / "group_ttests.json").read_text()
    table_4 = read(out / "group_table4.tsv")
    assert list(table_4.loc[table_4["metric"] == "nmi", "region"]) == ["brain"]
    assert json.loads((out / "group_table4.json").read_text())["metric"]["Levels"]["nmi"] == f"{NMI.full_title}."
    assert NMI.name in read(out / "group_table2.tsv").columns


def test_added_metric__is_drawn_and_reported(out: Path) -> None:
    assert "NMI, in brain (no unit)" in (out / "figures" / "group_mask_nmi.svg").read_text()
    page = (out / "group.html").read_text()
    assert "Normalised mutual information (NMI) over slices." in page
    assert 'alt="NMI, in brain (no unit)"' in page
    assert f"the {family_sizes()[1]} metrics of a table" in page.replace("\n", " ")
    subject = subject_report(out, "03").read_text()
    assert "peak signal-to-noise ratio, and further NMI." in " ".join(subject.split())
    assert "NMI, in brain" in subject
    assert NMI.description in subject
    assert "cannot be shown" not in subject


def test_metric__takes_its_region_from_its_name() -> None:
    assert (NMI.region, NMI.measure, NMI.label) == ("brain", "nmi", "NMI, in brain")
    whole = dataclasses.replace(NMI, name="nmi")
    assert (whole.region, whole.axis_title) == ("whole", "NMI, whole slice (no unit)")
