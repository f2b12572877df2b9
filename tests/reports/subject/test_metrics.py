"""A participant's numbers are those of the table, on one scale."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.bids.sidecars import sidecar
from bids_spectsynth.bids.writing import write_json
from bids_spectsynth.evaluation.case.metrics import METRICS
from bids_spectsynth.evaluation.case.slice_columns import slice_dictionary
from bids_spectsynth.evaluation.columns import LESION_KEY
from bids_spectsynth.reports.subject import metrics as subject_metrics
from bids_spectsynth.reports.subject.metrics import read_metrics
from bids_spectsynth.reports.subject.page import subject_report

#: In-brain RMSE of the network on the two scales, and of a baseline between them: on the mean of both the baseline is
#: ahead, on the scale of the training it is not.
OWN, OTHER, BASELINE = 0.10, 0.40, 0.20


def table(path: Path, scaling: str) -> Path:
    """Rows of three slices as :func:`evaluate_case` writes them: the network on both scales, a baseline on its own."""
    other = {"slice": "volume", "volume": "slice"}[scaling]
    rows = []
    for method, scale, value in (("pix2pix", scaling, OWN), ("pix2pix", other, OTHER), ("petCopy", scaling, BASELINE)):
        for k in range(3):
            metrics = dict.fromkeys(METRICS, value + 0.01 * k)
            place = {"slice": k, "z_mm": 4.0 * k, "in_block": "true", "data_range": 2.0, "split": "test"}
            rows.append({"method": method, "scaling": scaling, "scale": scale, **place, **metrics})
    frame = pd.DataFrame(rows).reindex(columns=list(slice_dictionary()))
    frame.to_csv(path, sep="\t", index=False, na_rep="n/a")
    return path


@pytest.mark.parametrize("scaling", ["slice", "volume"])
def test_read_metrics__one_row_for_each_slice_and_method(tmp_path: Path, scaling: str) -> None:
    frame = read_metrics(table(tmp_path / "m.tsv", scaling))
    assert not frame.duplicated(["method", "slice"]).any()
    assert set(frame["scale"]) == {scaling}
    means = frame.groupby("method")["mask_rmse"].mean()
    np.testing.assert_allclose(means[["pix2pix", "petCopy"]], [OWN + 0.01, BASELINE + 0.01])


def test_read_metrics__a_table_with_doubled_rows_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "m.tsv", "slice")
    frame = pd.read_csv(path, sep="\t")
    pd.concat([frame, frame]).to_csv(path, sep="\t", index=False)
    with pytest.raises(ValueError, match="several rows for one slice and method"):
        read_metrics(path)


@pytest.mark.usefixtures("quick")
def test_metrics_section__two_scales_give_the_numbers_and_the_verdict_of_one(tree, monkeypatch, parse):
    path = tree / "sub-01/spect/sub-01_task-interictal_space-T1w_desc-pix2pixPet_metrics.tsv"
    drawn = []
    monkeypatch.setattr(subject_metrics, "metric_lines", lambda panels, *_: drawn.append(panels) or "<svg/>")
    table(path, "slice")
    text = parse(subject_report(tree, "01").read_text()).text
    assert "Lower mean in-brain RMSE than every baseline in this participant" in text
    heights, values = drawn[0]["RMSE, in brain"]["Model (pix2pix)"]
    np.testing.assert_allclose(heights, [0, 4, 8])
    np.testing.assert_allclose(values, [OWN, OWN + 0.01, OWN + 0.02])


@pytest.mark.usefixtures("quick")
def test_metrics_section__a_lesion_left_out_flatters_metrics_of_the_whole_slice_and_it_is_said(tree, parse):
    path = tree / "sub-01/spect/sub-01_task-interictal_space-T1w_desc-pix2pixPet_metrics.tsv"
    words = "which metrics of the whole slice take for agreement"
    assert words not in parse(subject_report(tree, "01").read_text()).text
    write_json(path.with_suffix(".json"), {**sidecar(path), LESION_KEY: True})
    assert words in parse(subject_report(tree, "01").read_text()).text
