from bids_spectsynth.reports.subject.siscom.methods import siscom_paragraph


def dois(references):
    return [link.rpartition("/")[2] for _, link in references]


def test_siscom_paragraph__numbers_of_the_sidecars(sidecar_of):
    results = [
        ("Real", sidecar_of("real", "Real")),
        ("M", sidecar_of("synthetic", "M", StandardDeviationPercent=6.2, Cohort={"Participants": 24})),
    ]
    text, references = siscom_paragraph(results)
    for words in (
        "measured interictal SPECT (Real), synthetic interictal SPECT (M)",
        "registered rigidly to the baseline itself.",
        "estimated FWHM: ictal 9.1 mm, baseline 11.4 mm",
        "Gaussian of 12 mm FWHM",
        "the mode of the voxels' ratio",
        "(4.9 to 6.2 %)",
        "(n = 400)",
        "held out from training (n = 24)",
        "Clusters of at least 1 mL with z beyond 2 or −2",
        "it is no measurement and not for diagnosis",
        "injected 25 s after the onset",
    ):
        assert words in text
    assert dois(references) == ["s00259-024-06656-3"]
    assert "Boussion" not in text
    assert "Perissinotti" not in text


def test_siscom_paragraph__what_shaped_the_cohort_s_deviations_is_said(sidecar_of):
    cohort = {"Participants": 24, "DeviationShape": "calibrated uncertainty of the synthetic SPECT"}
    text, _ = siscom_paragraph([("M", sidecar_of("synthetic", "M", Cohort=cohort))])
    assert "(n = 24), drawn to the shape of the calibrated standard deviations" in text
    assert "drawn to" not in siscom_paragraph([("M", sidecar_of("synthetic", "M", Cohort={"Participants": 24}))])[0]


def test_siscom_paragraph__works_are_cited_where_their_method_was_used(sidecar_of):
    text, references = siscom_paragraph([("Pet", sidecar_of("pet", "Pet", LevelUsed="unchanged"))])
    assert "voxels that do not differ (Boussion 2002)" in text
    assert "Perissinotti 2018" in text
    assert dois(references) == ["s00259-024-06656-3", "s00259-018-4080-6", "1419"]


def test_siscom_paragraph__route_that_was_taken_and_a_model_that_had_seen(sidecar_of):
    baseline = {"Kind": "synthetic", "Model": "m <b>", "SeenInTraining": True}
    text, _ = siscom_paragraph(
        [("M", sidecar_of("synthetic", "M", Route={"Name": "through the T1w"}, Baseline=baseline))]
    )
    assert "brought to the baseline through the T1w image." in text
    assert "Of this participant the model had learned (m <b>)." in text


def test_siscom_paragraph__nothing_known_makes_whole_sentences():
    text, _ = siscom_paragraph([("Real", {})])
    assert "nan" not in text
    assert "None" not in text
    assert "()" not in text
    assert text.endswith(".")


def test_siscom_paragraph__a_lesion_mask_is_said(sidecar_of):
    facts = sidecar_of("real", "Real", LesionVolume=12.345)
    text, _ = siscom_paragraph([("Real", facts)])
    assert "A lesion mask of 12.3 mL, counted where the scans show the brain, was left out of alignment, level" in text
    # Each baseline shows its own part of the brain.
    text, _ = siscom_paragraph([("Real", facts), ("M", sidecar_of("synthetic", "M", LesionVolume=15))])
    assert "A lesion mask of 12.3 to 15 mL" in text
    text, _ = siscom_paragraph([("Real", sidecar_of("real", "Real", LesionVolume=0.0))])
    assert "nothing lies in the brain that the scans show" in text
    assert "left out of alignment" not in text
    # Less than a tenth of a mL is left out all the same.
    small = [
        ("Real", sidecar_of("real", "Real", LesionVolume=0.0412)),
        ("M", sidecar_of("synthetic", "M", LesionVolume=0)),
    ]
    assert "A lesion mask of 0.04 mL, counted" in siscom_paragraph(small[:1])[0]
    assert "A lesion mask of 0 to 0.04 mL, counted" in siscom_paragraph(small)[0]
    assert "lesion" not in siscom_paragraph([("Real", sidecar_of("real", "Real"))])[0]
