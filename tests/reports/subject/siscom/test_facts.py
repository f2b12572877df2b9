import pytest

from bids_spectsynth.reports.subject.siscom.facts import (
    baseline_title,
    cautions,
    fact_rows,
    is_seen,
    is_synthetic,
    kind_of,
    level_disagreement,
)


def test_fact_rows__every_number_of_the_sidecar(sidecar_of):
    rows = dict(fact_rows(sidecar_of("real", "Real"), "Real"))
    assert rows["Baseline"] == "measured interictal SPECT (Real)"
    assert rows["Level (ictal over baseline)"].startswith("1.042, mode of the voxels' ratio (others: mean 1.061, ")
    assert "cerebellum" not in rows["Level (ictal over baseline)"], "it has none"
    assert rows["Resolution"] == (
        "ictal 9.1 mm, baseline 11.4 mm FWHM (estimated); made equal by Gaussians of 6.9 mm and 0.0 mm; "
        "both smoothed by 12.0 mm"
    )
    assert rows["Alignment of both scans"] == (
        "direct; the other way differs by 0.41 mm over the brain (largest 0.87 mm); residual 6.11 %, "
        "by the other way 6.52 %"
    )
    spread = rows["Standard deviation of the difference"]
    assert spread.startswith("4.9 %")
    assert "phantom, smoothed by 12 mm: 3.7 %" in spread
    assert rows["Threshold"] == "z 2, clusters of 1 mL or more"
    assert rows["Maps simulated without a seizure"].startswith("400; ")
    assert rows["Injection"] == "25 s after the onset of the seizure, when 31 % of it had passed"
    assert rows["Hemispheres"] == "index 0.12 (more decreases: left); 31 % of the change is hypoperfusion"
    assert "Synthetic" not in rows
    assert "Seen in training" not in rows


def test_fact_rows__synthetic_and_not_seen(sidecar_of):
    rows = dict(fact_rows(sidecar_of("synthetic", "M"), "M"))
    assert rows["Synthetic"] == "Synthetic baseline: computed by a network, no measurement, not for diagnosis."
    assert rows["Seen in training"].startswith("no: ")


@pytest.mark.parametrize(
    "facts", [{}, {"Baseline": 1, "Levels": "x", "Route": [], "Null": 2, "Threshold": None}], ids=str
)
def test_fact_rows__nothing_known_is_the_baseline_alone(facts):
    assert [name for name, _ in fact_rows(facts, "Real")] == ["Baseline"]


@pytest.mark.parametrize(
    ("label", "kind"),
    [("Real", "real"), ("Pet", "pet"), ("Cohort", "cohort"), ("Normals", "normals"), ("Pix2pixPet", "synthetic")],
)
def test_kind_of__by_label_without_a_sidecar(label, kind):
    assert kind_of({}, label) == kind
    assert is_synthetic({}, label) is (kind == "synthetic")
    assert label in baseline_title({}, label)


def test_is_synthetic__a_cohort_baseline_into_which_synthetic_images_went():
    assert is_synthetic({"Synthetic": True, "Baseline": {"Kind": "cohort"}}, "Cohort")
    assert not is_synthetic({"Synthetic": "true"}, "Cohort")
    assert not is_seen({"Baseline": {"SeenInTraining": "true"}})


def test_cautions__disagreement_of_levels_and_a_late_injection_once_each():
    facts = {"LevelUsed": "mode", "Levels": {"mode": 1.0, "mean": 1.07}, "InjectionLatency": 61}
    assert level_disagreement(facts) == pytest.approx(7)
    assert cautions(facts) == [
        "Estimates of the level differ by 7.0 %: a large part of the brain has changed.",
        "Injected 61 s after the onset: scans localise less often after 45 s.",
    ]
    notes = ["estimates of the level differ by 7.0 % (levels in the sidecar)", "injected 61 s after the onset of it."]
    assert cautions({**facts, "Notes": notes}) == [
        "Estimates of the level differ by 7.0 % (levels in the sidecar).",
        "Injected 61 s after the onset of it.",
    ]


def test_cautions__levels_that_agree_and_an_early_injection_need_none(sidecar_of):
    assert cautions(sidecar_of("real", "Real")) == []


def test_fact_rows__a_lesion_mask_has_its_volume(sidecar_of):
    rows = dict(fact_rows(sidecar_of("real", "Real", LesionVolume=12.345), "Real"))
    assert rows["Lesion mask, left out of all of this"] == "12.3 mL"
    small = dict(fact_rows(sidecar_of("real", "Real", LesionVolume=0.0412), "Real"))
    assert small["Lesion mask, left out of all of this"] == "0.04 mL"
    none = dict(fact_rows(sidecar_of("real", "Real", LesionVolume=0.0), "Real"))
    assert none["Lesion mask, left out of all of this"] == "nothing of it lies in the brain that both scans show"
    assert not any("Lesion" in name for name, _ in fact_rows(sidecar_of("real", "Real"), "Real"))


def test_fact_rows__what_shaped_the_deviations_of_the_cohort_map(sidecar_of):
    cohort = {"Participants": 24}
    assert dict(fact_rows(sidecar_of("real", "Real", Cohort=cohort), "Real"))["Cohort behind zcohort"] == (
        "24 held-out participants"
    )
    cohort["DeviationShape"] = "calibrated uncertainty of the synthetic SPECT"
    assert dict(fact_rows(sidecar_of("synthetic", "M", Cohort=cohort), "M"))["Cohort behind zcohort"] == (
        "24 held-out participants; standard deviations drawn to the shape of: calibrated uncertainty of the synthetic "
        "SPECT"
    )
