import dataclasses
import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.bids.output_files import synthetic_path
from bids_spectsynth.evaluation.uncertainty.calibration_fit import fit_calibration
from bids_spectsynth.evaluation.uncertainty.regional_table import REGIONAL_DICTIONARY, write_regional_intervals


@pytest.fixture
def written(make_head, residuals, tmp_path):
    head = make_head(tmp_path, "01", 1)

    def write(values=None, case=None):
        image = head.prediction.values if values is None else values
        path = synthetic_path(tmp_path, head.case, "m")
        nib.Nifti1Image(image, head.prediction.affine).to_filename(path)
        table = write_regional_intervals(tmp_path, case or head.case, "m", fit_calibration(residuals, "01"))
        return pd.read_csv(table, sep="\t", na_values="n/a", keep_default_na=False), table

    return head, write


def test_intervals__hold_the_estimates_and_mostly_the_truth(written):
    table, path = written[1]()
    assert list(table) == list(REGIONAL_DICTIONARY)
    for measure in ("uptake", "asymmetry"):
        assert (table[f"{measure}_low"] <= table[measure]).all()
        assert (table[measure] <= table[f"{measure}_high"]).all()
    inside = table["real"].between(table["uptake_low"], table["uptake_high"])
    assert inside.mean() > 0.7
    assert (table["real_flag"] == np.where(inside, "no", "yes")).all()
    assert json.loads(path.with_suffix(".json").read_text())["Synthetic"] is True
    # The synthetic image is symmetric: no asymmetry lies beyond what errors explain.
    assert set(table["asymmetry_flag"]) == {"no"}


def test_asymmetry__beyond_the_errors_is_flagged_on_the_right_side(written):
    head, write = written
    values = head.prediction.values.copy()
    values[: values.shape[0] // 2] *= 1.5
    table, _ = write(values)
    whole = table[table["region"] == "hemisphere"]
    assert (whole["asymmetry_flag"] == "yes").all()
    assert (whole["asymmetry_low"] > 0).all()


def test_without_a_measured_scan_its_columns_are_empty(written):
    head, write = written
    alone = dataclasses.replace(head.case, images={"T1w": head.case.images["T1w"]})
    table, _ = write(case=alone)
    assert table[["real", "asymmetry_real", "real_flag", "asymmetry_real_flag"]].isna().all(axis=None)
