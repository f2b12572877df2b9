import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bids_spectsynth.siscom.case import Siscom
from bids_spectsynth.siscom.comparable import Choices
from bids_spectsynth.siscom.outputs.paths import STATISTICS
from bids_spectsynth.siscom.outputs.sidecars import SYNTHETIC_NOTE, map_sidecar
from bids_spectsynth.siscom.records import BaselineImage, CohortError, Maps
from bids_spectsynth.siscom.significance.null import Null
from bids_spectsynth.siscom.significance.variability import Variability
from bids_spectsynth.siscom.subtraction.resolution import Matching
from bids_spectsynth.siscom.subtraction.route import Route

ONE = np.ones((2, 2, 2), dtype=np.float32)
NULL = Null(
    mask=ONE > 0,
    affine=np.eye(4),
    standard_deviation=3 * ONE,
    parts={"noise": 2 * ONE, "registration": ONE},
    extents=np.array([1.0, 4, 6]),
    masses=np.linspace(0, 10, 101),
    variability=Variability((0.0,) * 8),
)
ROUTE = Route(
    name="direct",
    matrix=np.eye(4),
    mean_mm=0.41234,
    largest_mm=0.9,
    residual_percent=8.1,
    other_residual_percent=8.5,
)


def result(baseline: dict[str, Any] | None = None, **options: Any) -> Siscom:
    image: dict[str, Any] = {"kind": "real", "label": "Real", "values": ONE, "mask": ONE > 0}
    plain = {
        "baseline": BaselineImage(**{**image, **(baseline or {})}),
        "route": ROUTE,
        "fwhm_ictal": 9.123,
        "fwhm_baseline": 8.0,
        "matching": Matching(0.0, 4.386),
        "levels": {"mode": 1.0123456, "mean": 1.05, "median": 1.02, "unchanged": 1.01, "cerebellum": float("nan")},
        "level_used": "mode",
        "maps": Maps(mask=ONE > 0, difference=ONE, z=ONE, znull=ONE, zcohort=None, sd_percent=3.76543),
        "null": NULL,
        "error": None,
        "foci": [],
        "notes": ("A large part has changed.",),
    }
    return Siscom(**{**plain, **options})


COMMON = {"Sources": ["bids::a.nii.gz"], "SpatialReference": "orig"}
SYNTHETIC = {"kind": "synthetic", "label": "Best", "synthetic": True, "model": "best", "seen": True}


def test_map_sidecar__says_how_the_map_was_made() -> None:
    found = map_sidecar(result(), "difference", Choices(fwhm=10, threshold=2.5, least_ml=2), COMMON)
    assert found["Sources"] == COMMON["Sources"]
    assert found["Baseline"]["Kind"] == "real"
    assert found["Baseline"]["Model"] is None
    assert not found["Baseline"]["SeenInTraining"]
    assert (found["SmoothingFWHM"], found["Threshold"], found["MinimumVolume"]) == (10, 2.5, 2)
    assert found["StandardDeviationPercent"] == 3.7654
    assert found["LevelUsed"] == "mode"
    assert list(found["Levels"]) == ["mode", "mean", "median", "unchanged", "cerebellum"]
    assert found["Levels"]["mode"] == 1.01235
    assert found["ResolutionFWHM"] == {"Ictal": 9.12, "Baseline": 8.0}
    assert found["MatchingFWHM"] == {"Ictal": 0.0, "Baseline": 4.39}
    route = found["Route"]
    assert (route["Name"], route["MeanMillimetres"], route["LargestMillimetres"]) == ("direct", 0.412, 0.9)
    assert (route["ResidualPercent"], route["OtherResidualPercent"]) == (8.1, 8.5)
    null = found["Null"]
    assert (null["Simulations"], null["MedianLargestClusterVolume"], null["CriticalMass"]) == (3, 4, 9.5)
    assert null["Parts"] == {"noise": 2.0, "registration": 1.0}
    assert found["Notes"] == ["A large part has changed."]
    # What is no number in Python is none in JSON either.
    json.dumps({**found, "Levels": None}, allow_nan=False)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_map_sidecar__synthetic_only_where_a_network_had_a_part(statistic: Any) -> None:
    real = map_sidecar(result(), statistic, Choices(), COMMON)
    assert "Synthetic" not in real
    assert SYNTHETIC_NOTE not in real["Notes"]
    synthetic = map_sidecar(result(SYNTHETIC), statistic, Choices(), COMMON)
    assert synthetic["Synthetic"] is True
    assert synthetic["Notes"] == [SYNTHETIC_NOTE, "A large part has changed."]
    assert synthetic["Baseline"]["Model"] == "best"
    assert synthetic["Baseline"]["SeenInTraining"] is True


def test_map_sidecar__each_statistic_has_its_words_and_unit() -> None:
    found = {one: map_sidecar(result(), one, Choices(), COMMON) for one in STATISTICS}
    assert len({one["Description"] for one in found.values()}) == len(STATISTICS)
    assert [one["Units"] for one in found.values()] == ["percent", "1", "1", "1"]


def test_map_sidecar__the_level_is_that_which_was_used() -> None:
    found = map_sidecar(result(), "z", Choices(level="cerebellum"), COMMON)
    assert found["LevelUsed"] == "mode"
    assert map_sidecar(result(level_used="mean"), "z", Choices(level="mean"), COMMON)["LevelUsed"] == "mean"


def test_map_sidecar__cohort_only_where_there_was_one() -> None:
    assert "Cohort" not in map_sidecar(result(), "z", Choices(), COMMON)
    error = CohortError(mean=ONE, standard_deviation=ONE, n_participants=12)
    found = map_sidecar(result(error=error), "zcohort", Choices(), COMMON)
    assert found["Cohort"] == {"Participants": 12}


def test_map_sidecar__the_route_is_that_of_the_result() -> None:
    through = replace(ROUTE, name="through the T1w", note="poor")
    assert map_sidecar(result(route=through), "z", Choices(), COMMON)["Route"]["Name"] == "through the T1w"


def test_map_sidecar__volume_of_the_lesion_that_was_left_out() -> None:
    for volume in (12.34567, 0.0):
        facts = map_sidecar(result(lesion_ml=volume), "z", Choices(), COMMON)
        assert facts["LesionVolume"] == round(volume, 3)
    assert "LesionVolume" not in map_sidecar(result(), "z", Choices(), COMMON)
