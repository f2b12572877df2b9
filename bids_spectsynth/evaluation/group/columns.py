"""What the columns of the group's tables mean: their JSON data dictionaries."""

from bids_spectsynth.evaluation.case.metrics import metrics_in
from bids_spectsynth.evaluation.case.volume_measures import VOLUME_MEASURES
from bids_spectsynth.evaluation.columns import (
    GROUP_SCALES,
    METHODS,
    METRIC_UNIT,
    MODEL_COLUMNS,
    TWO_WAYS,
    UPTAKE_SCALE,
    Dictionary,
    counted,
    in_metric_unit,
    unitless,
)

_NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}
_IN_BLOCK = (
    "Only slices with in_block true (see group_metrics.json) are counted: those that training takes from a participant."
)
_NOT_INDEPENDENT = (
    "Slices of one head are not independent of each other: numbers that treat them as if they were "
    "(sd and cv_percent over slices, slice-wise p) describe slices, not patients."
)

_OF_VOLUMES = (
    f"{' and '.join(VOLUME_MEASURES)} (see group_volumes.json) is of whole volumes, scale {UPTAKE_SCALE}: one value "
    "for each session of a subject, where others have one for each slice."
)

SUMMARY_DICTIONARY: Dictionary = {
    **MODEL_COLUMNS,
    "scale": {**MODEL_COLUMNS["scale"], "Levels": GROUP_SCALES},
    "metric": {"Description": f"Which metric; see group_metrics.json. {_IN_BLOCK} {_NOT_INDEPENDENT} {_OF_VOLUMES}"},
    **METRIC_UNIT,
    "mean": in_metric_unit("Mean over the slices in the block of all subjects."),
    "sd": in_metric_unit("Sample standard deviation over slices."),
    "cv_percent": {"Description": "100 sd / |mean|, as the article's Table 4 gives it.", "Units": "percent"},
    "subject_mean": in_metric_unit("Mean over subjects of each subject's mean over slices."),
    "subject_sd": in_metric_unit("Sample standard deviation over subjects of each subject's mean over slices."),
    "subject_low": in_metric_unit("Lower end of the 95 % confidence interval of subject_mean over subjects (t)."),
    "subject_high": in_metric_unit("Upper end."),
    "n_subjects": counted("Subjects behind the numbers."),
    "n_slices": counted("Slices behind the numbers; of whole volumes their rated slices."),
    "subjects": {
        "Description": "Fingerprint of the participants behind the numbers: rows that share it rest on the same ones."
    },
    "n_infinite": counted(
        "Slices left out because their PSNR is infinite (both images identical), or volumes that have no value."
    ),
}

#: Tests in the order in which tables show them, the one to conclude from first.
TESTS = {
    "subject_t": "Paired t-test over subjects (each subject's mean over slices). The primary test.",
    "wilcoxon": "Signed-rank test over subjects (Wilcoxon 1945), exact or approximate as scipy chooses.",
    "equivalence": "Two one-sided paired t-tests over subjects (Schuirmann 1987): a small p shows that the mean "
    "difference lies within the margin.",
    "mixed": "Linear mixed model of the differences of slices, with a random intercept per subject (REML); t with "
    "subjects minus 1 degrees of freedom.",
    "slice_t": "Paired t-test over slices, the article's. Slices of one head are not independent: p is far too small.",
}

#: The test to conclude from.
PRIMARY = "subject_t"
#: Remark on every t-test over slices.
NOT_INDEPENDENT = "slices of one head are not independent: this p is far too small"

#: What is compared in a comparison of each kind.
COMPARISONS = {
    "space": "Two networks, of native and of template space, that differ in space alone.",
    "loss": "Two networks that differ in their losses alone.",
    "inputs": "Two networks that differ in their inputs alone.",
    "recipe": "Two networks of the same inputs and space that differ in recipe, scaling or other options of training "
    "(whatever their losses).",
    "baseline": "A network and one of its baselines, on the scale of the network's training.",
}

_INTERVAL = "of the 95 % confidence interval over subjects"
_STUDENTISED = "(studentised bootstrap, Efron 1982); subject_t only."
_BCA = "(bootstrap, BCa, Efron 1987); subject_t only."

_TTEST_COLUMNS: Dictionary = {
    "comparison": {
        "Description": f"What is compared, on held-out subjects. {_IN_BLOCK} {_NOT_INDEPENDENT} {_OF_VOLUMES}",
        "Levels": COMPARISONS,
    },
    "configuration_a": {"Description": "Configuration of the first method; its seeds are averaged slice by slice."},
    "method_a": {"Description": "First method.", "Levels": METHODS},
    "configuration_b": {"Description": "Configuration of the second method; its seeds are averaged slice by slice."},
    "method_b": {"Description": "Second method.", "Levels": METHODS},
    "scale": {
        "Description": f"Scale on which both methods were rated; see group_metrics.json. {TWO_WAYS}",
        "Levels": GROUP_SCALES,
    },
    "split": {"Description": "Parts of the cohort that the compared subjects belong to, joined by +."},
    "metric": {"Description": "Which metric; see group_metrics.json."},
    **METRIC_UNIT,
    "test": {"Description": "Which test; two-tailed but for equivalence.", "Levels": TESTS},
    "primary": {
        "Description": "Whether this is the test to conclude from.",
        "Levels": {"true": "It is.", "false": "It is not."},
    },
    "unit": {
        "Description": "What is paired.",
        "Levels": {
            "slice": "The same slice of the same subject and session; in two spaces the slice at the same position "
            "within the block.",
            "subject": "The mean over slices (of whole volumes: over sessions) of each subject.",
        },
    },
    "n_subjects": counted("Subjects that both methods were rated on."),
    "n_slices": counted("Slices behind the test; of whole volumes their rated slices."),
    "mean_a": in_metric_unit("Mean of the first method over the pairs."),
    "mean_b": in_metric_unit("Mean of the second method over the pairs."),
    "mean_difference": in_metric_unit("First minus second; of the mixed model its estimate."),
    "ci_low": in_metric_unit(f"mean_difference: lower limit {_INTERVAL} {_STUDENTISED}"),
    "ci_high": in_metric_unit(f"mean_difference: upper limit {_INTERVAL} {_STUDENTISED}"),
    "statistic": unitless("t; of wilcoxon the smaller sum of ranks; of equivalence the t with the larger one-sided p."),
    "df": unitless("Degrees of freedom: pairs minus 1, of the mixed model subjects minus 1."),
    "p": unitless("p, not corrected; of equivalence the larger of both one-sided ones."),
    # Filled in by ttest_dictionary.
    "p_holm": {},
    "p_bh": unitless("p corrected by Benjamini and Hochberg (1995) over the same family."),
    "cohens_dz": unitless("Mean difference over the standard deviation of the differences; subject_t only."),
    "hedges_g": unitless("cohens_dz without its bias in small samples (Hedges 1981); subject_t only."),
    "g_low": unitless(f"hedges_g: lower limit {_INTERVAL} {_BCA}"),
    "g_high": unitless(f"hedges_g: upper limit {_INTERVAL} {_BCA}"),
    "margin": in_metric_unit("The largest mean difference that counts as none."),
    "note": {
        "Description": "Why numbers are n/a, what limits the comparison, or whether equivalence was shown (corrected "
        "by Holm, at alpha 0.01); n/a where there is nothing to say."
    },
}


def family_sizes() -> tuple[str, str]:
    """How many metrics of the whole slice and in the brain there are, in words."""
    whole, brain = (_NUMBERS.get(n, str(n)) for n in (len(metrics_in("whole")), len(metrics_in("brain"))))
    return whole, brain


def ttest_dictionary() -> Dictionary:
    """Data dictionary of ``group_ttests.tsv`` for the registered metrics."""
    whole, brain = family_sizes()
    return {
        **_TTEST_COLUMNS,
        "p_holm": unitless(
            "p corrected by Holm (1979) over its family: the rows of the same comparison, test and "
            f"scale, of all pairs and of the {whole} whole-slice or the {brain} in-brain metrics, or of the "
            "measures of whole volumes."
        ),
    }
