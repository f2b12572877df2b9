import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.baselines.files import has_baselines
from bids_spectsynth.synthesis.baselines.fitted import Baselines
from bids_spectsynth.synthesis.baselines.fitting import fit_baselines
from bids_spectsynth.synthesis.baselines.predict import predict


def test_saved_baselines_predict_the_same(cohort: list[PreparedCase], fitted: Baselines, tmp_path: Path) -> None:
    assert not has_baselines(tmp_path)
    fitted.save(tmp_path)
    assert has_baselines(tmp_path)
    before, after = predict(fitted, cohort[3]), predict(Baselines.load(tmp_path), cohort[3])
    assert list(before) == list(after)
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])
    text = (tmp_path / "baselines.json").read_text()
    assert not any(str(path) in text for path in cohort[0].images.values())


def test_saved_without_means(cohort: list[PreparedCase], tmp_path: Path) -> None:
    fit_baselines([replace(cohort[0], template=None)], ("pet",), "slice").save(tmp_path)
    loaded = Baselines.load(tmp_path)
    assert "mean_spect" not in loaded.arrays
    assert set(loaded.left_out) == {"meanSpect", "meanSpectPetRatio"}


def test_damaged_files_are_named(fitted: Baselines, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        Baselines.load(tmp_path)
    fitted.save(tmp_path)
    card = json.loads((tmp_path / "baselines.json").read_text())
    (tmp_path / "baselines.json").write_text(json.dumps({**card, "FormatVersion": 99}))
    with pytest.raises(ModelError, match="newer version"):
        Baselines.load(tmp_path)
    (tmp_path / "baselines.json").write_text(json.dumps(card))
    (tmp_path / "baselines.safetensors").write_bytes(b"damaged")
    with pytest.raises(ModelError, match="cannot be read"):
        Baselines.load(tmp_path)
