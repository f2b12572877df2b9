from pathlib import Path
from typing import Any

import pytest

from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.settings import make_settings
from bids_spectsynth.options.study_grid import study_grid
from bids_spectsynth.synthesis.network.losses import LOSSES, Loss
from bids_spectsynth.synthesis.study import planned_models


def _options(path: Path, losses: str) -> Any:
    path.write_text(f"losses = [{losses}]\n")
    return make_settings(
        {"bids_dir": "/data", "output_dir": "/out", "analysis_level": "participant", "study": str(path)}
    )


def test_study_grid__losses_may_name_any_term(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edge = Loss(name="edge", title="Edge", default_weight=1.0, value=lambda batch: batch.fake.mean())
    monkeypatch.setitem(LOSSES, "edge", edge)
    settings = _options(tmp_path / "s.toml", '{name = "A", loss = ["l1=50", "edge=2"]}, {name = "B"}')
    grid = study_grid(settings)
    assert grid is not None
    assert grid.losses == ({"name": "A", "l1_weight": 50.0, "loss": (("edge", 2.0),)}, {"name": "B"})
    first, second = (model.settings for model in planned_models(settings))
    assert (first.l1_weight, first.loss, first.ssim_weight) == (50, (("edge", 2.0),), 0)
    assert (second.l1_weight, second.loss) == (100, ())


@pytest.mark.parametrize("entry", ['loss = ["l1"]', 'loss = ["l1=50"], l1_weight = 60'])
def test_study_grid__a_loss_that_cannot_be_read_is_refused_with_the_file(entry: str, tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    with pytest.raises(UsageError, match=r"s\.toml: --loss: "):
        study_grid(_options(path, "{" + entry + "}"))
