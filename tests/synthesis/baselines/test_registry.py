import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import PET
from bids_spectsynth.bids.writing import write_json
from bids_spectsynth.evaluation.case.evaluate import evaluate_case
from bids_spectsynth.evaluation.case.metrics import METRICS
from bids_spectsynth.reports.html import Table
from bids_spectsynth.reports.subject.metrics import _means_table, left_out_text, method_order, read_metrics
from bids_spectsynth.synthesis.baselines.base import (
    TEMPLATE,
    Baseline,
    CaseImages,
    Gathered,
    Stored,
    TrainingCase,
    TrainingCohort,
    in_brain,
)
from bids_spectsynth.synthesis.baselines.fitted import Baselines
from bids_spectsynth.synthesis.baselines.fitting import fit_baselines
from bids_spectsynth.synthesis.baselines.predict import predict
from bids_spectsynth.synthesis.baselines.registry import BASELINES, left_out_of
from bids_spectsynth.synthesis.data.slices import load_case
from bids_spectsynth.synthesis.models.card import CARD_FILE
from tests.evaluation.case.test_evaluate import CARD, prepare, write_synthetic


class Values:
    """All values of the evaluation masks: the median needs them at once."""

    def __init__(self, cohort: TrainingCohort) -> None:
        self.parts: list[np.ndarray] = []

    def add(self, case: TrainingCase) -> None:
        self.parts.append(case.target[case.evaluation_mask])


def fit(gathered: Gathered) -> Stored:
    values = np.concatenate(gathered[Values].parts)
    return Stored({"Median": float(np.median(values))}, {"quartiles": np.quantile(values, [0.25, 0.75])})


def prediction(fitted: Baselines, case: CaseImages) -> np.ndarray:
    return in_brain(fitted.numbers["Median"], case.mask)


MEDIAN = Baseline(
    name="median",
    title="Median in the brain",
    description="The training cohort's median in-brain value at every brain voxel.",
    gathers=(Values,),
    fit=fit,
    keeps=("Median", "quartiles"),
    predict=prediction,
)


@pytest.fixture
def _median(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BASELINES, "median", MEDIAN)


@pytest.fixture
def cases(tmp_path: Path) -> list[PreparedCase]:
    return [prepare(tmp_path, name) for name in ("01", "02", "03")]


@pytest.mark.usefixtures("_median")
def test_new_baseline__is_fitted_stored_loaded_and_predicted(tmp_path: Path, cases: list[PreparedCase]) -> None:
    fit_baselines(cases[:2], CARD.inputs, CARD.scaling).save(tmp_path)
    arrays = [load_case(case, ("T1w",), CARD.scaling) for case in cases[:2]]
    wanted = np.median(np.concatenate([one.target[one.evaluation_mask] for one in arrays]))
    assert json.loads((tmp_path / "baselines.json").read_text())["Median"] == pytest.approx(wanted)
    fitted = Baselines.load(tmp_path)
    assert fitted.arrays["quartiles"][0] < wanted < fitted.arrays["quartiles"][1]
    images = predict(fitted, cases[2])
    assert list(images) == list(BASELINES)
    assert set(np.unique(images["median"])) == {np.float32(-1), np.float32(wanted)}


@pytest.mark.usefixtures("_median")
def test_new_baseline__is_rated_and_named_in_the_report(tmp_path: Path, cases: list[PreparedCase]) -> None:
    folder = tmp_path / "models" / "m"
    folder.mkdir(parents=True)
    write_json(folder / CARD_FILE, dataclasses.asdict(CARD))
    fit_baselines(cases[:2], CARD.inputs, CARD.scaling).save(folder)
    write_synthetic(cases[2], tmp_path)
    table = read_metrics(evaluate_case(cases[2], folder, tmp_path, 2.0, "test"))
    assert table["method"].unique().tolist() == ["pix2pix", *BASELINES]
    assert method_order(table["method"])[-1] == "median"
    own = table[table["scale"] == CARD.scaling]
    means = own.groupby("method")[list(METRICS)].mean()
    shown = _means_table(own, means, {})
    assert isinstance(shown, Table)
    assert [row[0].text for row in shown.rows][-1] == "Median in the brain"
    assert "Median in the brain" in left_out_text(["pix2pix"])


def test_new_baseline__a_model_that_was_trained_before_it_goes_without(
    tmp_path: Path, cases: list[PreparedCase], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fitted = fit_baselines(cases[:2], CARD.inputs, CARD.scaling)
    before = list(BASELINES)
    monkeypatch.setitem(BASELINES, "median", MEDIAN)
    with caplog.at_level("INFO"):
        assert list(predict(fitted, cases[2])) == before
    assert "baseline median left out: not fitted with the model" in caplog.text


def test_new_baseline__stands_in_the_data_dictionaries_without_torch() -> None:
    code = """
import sys
from bids_spectsynth.synthesis.baselines.registry import BASELINES, Baseline
BASELINES["median"] = Baseline(name="median", title="Median", description="The median.", predict=lambda b, c: None)
from bids_spectsynth.evaluation.case.slice_columns import slice_dictionary
from bids_spectsynth.evaluation.columns import METHODS
assert METHODS["median"] == slice_dictionary()["method"]["Levels"]["median"] == "The median."
assert list(METHODS)[0] == "pix2pix" and list(METHODS)[1:] == list(BASELINES)
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_baselines__every_entry_stands_under_its_name_and_is_described() -> None:
    for name, baseline in BASELINES.items():
        assert (name, name.isalnum()) == (baseline.name, True)
        assert baseline.title
        assert baseline.description.endswith(".")
        assert {*baseline.needs} <= {PET, TEMPLATE}


def test_left_out_of__names_the_ones_in_need(cases: list[PreparedCase]) -> None:
    bare = dataclasses.replace(cases[0], images={}, template=None)
    assert list(left_out_of([bare])) == ["petCopy", "meanSpectPetRatio", "meanSpect"]
