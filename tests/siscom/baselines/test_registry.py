from dataclasses import replace

import pytest

from bids_spectsynth.options.declarations.siscom import ALL_BASELINES
from bids_spectsynth.siscom.baselines import registry
from bids_spectsynth.siscom.baselines.registry import SOURCES, in_order, unavailable
from bids_spectsynth.siscom.baselines.request import Request
from tests.conftest import App
from tests.siscom.baselines.test_cohort import request_of


def test_registry__every_option_in_the_order_of_readers() -> None:
    assert tuple(SOURCES) == ALL_BASELINES
    assert in_order(["pet", "real", "pet"]) == ["real", "pet"]
    assert all(name == source.name and source.title and source.description for name, source in SOURCES.items())


def test_unavailable__reasons_for_what_is_wanted_alone(finished: App) -> None:
    request = request_of(finished, "07", "ictal", splits={"pix2pixT1w": "external"})
    reasons = unavailable(request, ALL_BASELINES)
    assert set(reasons) == {"real", "normals"}
    assert set(unavailable(request, ["real", "pet"])) == {"real"}
    assert "T1w" in str(unavailable(replace(request, output_dir=request.output_dir / "no"), ["synthetic"]))


def test_registry__a_further_baseline_is_one_entry(finished: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(request: Request) -> str:
        return "never"

    further = replace(SOURCES["real"], available=none)
    monkeypatch.setitem(registry.SOURCES, "further", further)
    assert unavailable(request_of(finished, "07", "ictal"), ["further"]) == {"further": "never"}


def test_make__every_baseline_that_there_is_lies_on_the_grid_of_the_head(finished: App) -> None:
    splits = {"pix2pixT1w": "external", "pix2pixT1wPet": "external"}
    request = request_of(finished, "07", "ictal", splits=splits)
    made = [one for name in ("synthetic", "pet", "cohort") for one in SOURCES[name].make(request)]
    assert sorted(one.label for one in made) == ["Cohort", "Pet", "Pix2pixT1w", "Pix2pixT1wPet"]
    for one in made:
        assert one.values.shape == one.mask.shape == request.brain.shape
        assert one.values.dtype == "float32"
        assert one.values.min() >= 0
        assert not one.values[~one.mask].any()
