"""The residual of every method in the tables of a case, and why there is none."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.evaluation.case.region_columns import VOLUME_DICTIONARY
from bids_spectsynth.evaluation.case.region_tables import rate_residual, write_case_tables
from bids_spectsynth.evaluation.case.regions import HEMISPHERE, regions_of
from bids_spectsynth.evaluation.case.residual import residual, residual_sampling

SHAPE = (28, 36, 28)
AFFINE = np.diag([6.0, 6.0, 6.0, 1.0])
AFFINE[:3, 3] = (-81, -120, -75)
X, Y, Z = np.indices(SHAPE) * 6.0 + AFFINE[:3, 3][:, None, None, None]
BRAIN = (X / 68) ** 2 + ((Y + 17) / 84) ** 2 + ((Z - 2) / 66) ** 2 < 1


def write(out: Path, volumes: dict[str, np.ndarray], real: np.ndarray, mask: np.ndarray) -> list[pd.DataFrame]:
    identity = dict.fromkeys(VOLUME_DICTIONARY, "x") | {"seed": 1, "split": "test"}
    identity = {name: identity[name] for name in list(VOLUME_DICTIONARY)[:13] if name != "method"}
    case = PreparedCase("01", None, "MNI", {}, {}, None, "MNI")
    paths = write_case_tables(out, case, "m", identity, volumes, real, mask, AFFINE)
    return [pd.read_csv(path, sep="\t", na_values=["n/a"]) for path in paths]


def images() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    real = (40 + np.sin(X / 15) + np.cos(Y / 20)).astype(np.float32)
    right = np.where(X > 30, real / 1.1, real)
    return real, {"pix2pix": right.astype(np.float32), "constant": np.full(SHAPE, 3, dtype=np.float32)}


def test_write_case_tables__residual_of_every_method(tmp_path: Path) -> None:
    real, volumes = images()
    regions, volume = write(tmp_path, volumes, real, BRAIN)
    sampling = residual_sampling(BRAIN, (6, 6, 6))
    found = volume.set_index("method")["baseline_sd_percent"]
    for method, image in volumes.items():
        assert found[method] == pytest.approx(residual(real, image, sampling).std(), rel=1e-3)
    own = regions[(regions["method"] == "pix2pix") & (regions["region"] == HEMISPHERE)].set_index("hemisphere")
    assert own["baseline_variance_share"].sum() == pytest.approx(100)
    assert own.loc["R", "baseline_residual_percent"] > 2
    assert abs(own.loc["L", "baseline_residual_percent"]) < 0.5


def test_write_case_tables__no_residual_in_a_tiny_mask_and_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tiny = np.zeros(SHAPE, dtype=bool)
    tiny[14, 18, 14] = True
    real, volumes = images()
    regions, volume = write(tmp_path, volumes, real, tiny)
    assert len(volume) == 2
    assert volume["baseline_sd_percent"].isna().all()
    assert volume["volume_rmse"].notna().all()
    columns = ["baseline_variance_share", "baseline_residual_percent"]
    assert regions[columns].isna().all(axis=None)
    assert "sub-01: no baseline_sd_percent: the evaluation mask is nowhere thick enough" in caplog.text


def test_rate_residual__an_image_without_signal_has_none_and_why(caplog: pytest.LogCaptureFixture) -> None:
    real, _ = images()
    regions = regions_of(np.stack([X[BRAIN], Y[BRAIN], Z[BRAIN]]), 0.216)
    sampling = residual_sampling(BRAIN, (6, 6, 6))
    deviation, columns = rate_residual(real, -real, sampling, regions, "sub-01: petCopy")
    assert np.isnan(deviation)
    assert all(np.isnan(values).all() and len(values) == len(regions.table) for values in columns.values())
    assert "sub-01: petCopy: no baseline_sd_percent: an image has no signal" in caplog.text
