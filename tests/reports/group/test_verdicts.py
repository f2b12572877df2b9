import pandas as pd
import pytest

from bids_spectsynth.reports.group.verdicts import verdicts

METHOD_RMSE = {"pix2pix": 0.1, "constant": 0.3, "regression": 0.2}


def verdict(n, p, *, means=METHOD_RMSE, split="test", tested="test"):
    keys = {"model": "m1", "configuration": "m", "split": split, "metric": "mask_rmse", "n_subjects": n}
    keys |= {"scale": "slice", "scaling": "slice"}
    summary = pd.DataFrame([{**keys, "method": name, "subject_mean": value} for name, value in means.items()])
    common = {"comparison": "baseline", "configuration_a": "m", "split": tested, "metric": "mask_rmse"}
    ttests = pd.DataFrame(
        [
            {**common, "method_b": name, "n_subjects": n, "mean_difference": means["pix2pix"] - value, **test}
            for name, value in means.items()
            if name != "pix2pix"
            # The article's test must not decide.
            for test in ({"test": "subject_t", "p_holm": p}, {"test": "slice_t", "p_holm": 1e-30})
        ]
    )
    (note,) = verdicts(summary, ttests)
    return note


def test_a_verdict_is_green_only_with_a_small_p():
    assert verdict(12, 0.004).level == "good"
    assert "n = 12 subjects, subject-wise Holm p at most 0.004)" in verdict(12, 0.004).text
    assert verdict(12, 0.02).level == "info"
    assert verdict(12, 0.02).text.endswith("0.020: not conclusive). Not compared with: Copy of the PET, "
                                           "Mean SPECT of the cohort, Mean SPECT × PET ratio.")  # fmt: skip
    few = verdict(2, float("nan"))
    assert few.level == "info"
    assert "lower mean in-brain RMSE than every baseline (n = 2 subjects" in few.text
    assert "too few to conclude" in few.text


def test_a_test_of_other_participants_is_no_evidence():
    note = verdict(12, 1e-6, tested="external+test")
    assert note.level == "info"
    assert "no subject-wise test" in note.text


@pytest.mark.parametrize(("p", "level"), [(0.004, "good"), (0.2, "info")])
def test_test_and_external_subjects_get_one_verdict_by_the_test_on_both(p, level):
    keys = {"model": "m", "configuration": "m", "metric": "mask_rmse", "scale": "slice", "scaling": "slice"}
    summary = pd.DataFrame(
        {**keys, "method": method, "split": split, "n_subjects": n, "subject_mean": mean}
        for split, n, means in (("test", 11, (0.1, 0.2)), ("external", 4, (0.3, 0.25)))
        for method, mean in zip(("pix2pix", "constant"), means, strict=True)
    )
    ttests = pd.DataFrame(
        [{"comparison": "baseline", "configuration_a": "m", "method_b": "constant", "split": "external+test",
          "metric": "mask_rmse", "test": "subject_t", "p_holm": p, "n_subjects": 15, "mean_difference": -0.06}]
    )  # fmt: skip
    (note,) = verdicts(summary, ttests)
    assert note.text.startswith("m (11 test + 4 external): lower mean in-brain RMSE than every baseline (n = 15 ")
    assert note.level == level
    (note,) = verdicts(summary, None)
    assert "no subject-wise test" in note.text
    assert note.text.startswith("m (11 test + 4 external): lower"), "11 x -0.1 outweighs 4 x 0.05"


def test_a_baseline_ahead_is_named_whatever_p():
    note = verdict(3, 0.5, means={**METHOD_RMSE, "regression": 0.05})
    assert note.level == "warning"
    assert "without a network: Regression from the inputs (n = 3 subjects, subject-wise Holm p 0.500)." in note.text
    assert "Constant in the brain" not in note.text


def test_the_verdict_on_a_configuration_is_on_the_mean_of_its_seeds_on_the_scale_of_its_training():
    keys = {"configuration": "m", "split": "test", "metric": "mask_rmse", "n_subjects": 12, "scaling": "slice"}
    rows = [
        {**keys, "model": model, "method": method, "scale": scale, "subject_mean": value}
        for model, method, scale, value in (
            ("m1", "pix2pix", "slice", 0.1), ("m2", "pix2pix", "slice", 0.28), ("m1", "pix2pix", "volume", 0.9),
            ("m1", "constant", "slice", 0.2), ("m2", "constant", "slice", 0.2),
        )
    ]  # fmt: skip
    (note,) = verdicts(pd.DataFrame(rows), None)
    assert note.text.startswith("m (12 test): lower mean in-brain RMSE than every baseline")
    rows[1]["subject_mean"] = 0.32
    (note,) = verdicts(pd.DataFrame(rows), None)
    assert note.level == "warning"
