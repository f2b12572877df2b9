"""What the columns of the tables in the article's own layout mean: their JSON data dictionaries."""

from bids_spectsynth.evaluation.case.metrics import METRICS, by_measure
from bids_spectsynth.evaluation.case.slice_columns import SLICE_COLUMNS, metric_column
from bids_spectsynth.evaluation.columns import METRIC_UNIT, Dictionary, counted, in_metric_unit, unitless
from bids_spectsynth.evaluation.group.columns import SUMMARY_DICTIONARY

#: What the article's scale means for models of either scaling.
ON_PAPER_SCALE = (
    "Of slice-scaled models the network's output is rated as it is; the volume of any other model was brought to the "
    "real SPECT's in-brain mean and then scaled with the real SPECT's coefficients."
)
_ON_SLICE_SCALE = (
    "Networks on held-out participants, on slice scale (each axial slice of the real SPECT by its own minimum and "
    f"maximum), in the block of slices with the most brain. {ON_PAPER_SCALE}"
)


def _of_models(*names: str) -> Dictionary:
    return {name: SLICE_COLUMNS[name] for name in names}


def _region_and_metric() -> Dictionary:
    metrics = {measure: next(iter(found.values())) for measure, found in by_measure().items()}
    *others, last = metrics
    units = {measure: "" if metric.unit == "1" else f" ({metric.unit})" for measure, metric in metrics.items()}
    return {
        "region": {
            "Description": "Where the metric is taken.",
            "Levels": {
                "whole": "Over the whole slice, background included, as in the article.",
                "brain": "In the brain where the SPECT was measured.",
            },
        },
        "metric": {
            "Description": f"{', '.join(others)} or {last} on slice scale; see group_metrics.json.",
            "Levels": {measure: f"{metric.full_title}{units[measure]}." for measure, metric in metrics.items()},
        },
        **METRIC_UNIT,
    }


_TABLE_4_COLUMNS: Dictionary = {
    **_of_models("space", "losses", "recipe", "training", "scaling", "inputs", "configuration"),
    "n_seeds": counted(f"Models that differ by their seed alone; averaged slice by slice first. {_ON_SLICE_SCALE}"),
    "mean": in_metric_unit("Mean over the slices in the block of all held-out subjects, as in the article's Table 4."),
    "sd": in_metric_unit("Sample standard deviation over slices."),
    "cv_percent": {"Description": "Coefficient of variation over slices, 100 sd / |mean|.", "Units": "percent"},
    "n_subjects": counted("Held-out subjects behind the numbers."),
    "n_test": counted("Of these, the subjects of the split test."),
    "n_external": counted("The others: subjects of another cohort than the model's."),
    "subjects": SUMMARY_DICTIONARY["subjects"],
    "n_slices": counted("Slices behind the numbers."),
    "n_infinite": counted("Slices left out because their PSNR is infinite (both images identical)."),
}

_EXAMPLE_COLUMNS: Dictionary = {
    "example": {
        "Description": "Number of the example, as in the figure: the first held-out participants by label, then one of "
        "another cohort where there is one; all of other cohorts where nobody else was held out. One slice of each: "
        "the middle of its block, whatever its metrics."
    },
    **_of_models("participant_id", "session_id", "split", "slice", "z_mm"),
    **_of_models("space", "inputs", "losses", "recipe", "scaling", "configuration"),
    "model": {"Description": "The model whose image is rated: of a configuration the one with the lowest seed."},
    **_of_models("seed", "data_range"),
}

_COMPARED_COLUMNS: Dictionary = {
    "figure": {"Description": f"Figure of the article that the comparison belongs to. {_ON_SLICE_SCALE}"},
    "comparison": {
        "Description": "What the two sides differ in; everything else is equal.",
        "Levels": {
            "space": "Native against template space (Figure 5).",
            "loss": "Terms of the loss (Figure 6).",
            "inputs": "Images that the model takes (Figure 7).",
        },
    },
}

_COMPARISON_COLUMNS: Dictionary = {
    **{f"{name}_a": {"Description": f"First side: {name}."} for name in ("inputs", "space", "losses", "configuration")},
    **{
        f"{name}_b": {"Description": f"Second side: {name}."} for name in ("inputs", "space", "losses", "configuration")
    },
    **_of_models("recipe", "scaling"),
    "n_subjects": counted("Subjects that both sides were rated on."),
    "n_slices": counted("Pairs of slices behind the slice-wise test."),
    "mean_a": in_metric_unit("Mean of the first side over subjects' means."),
    "mean_b": in_metric_unit("Mean of the second side over subjects' means."),
    "mean_difference": in_metric_unit("First minus second, over subjects' means."),
    "p_slice": unitless(
        "Two-tailed paired t-test over slices, the article's, not corrected. Slices of one head are not "
        "independent: far too small where the question is about subjects."
    ),
    "p_subject": unitless("Two-tailed paired t-test over the subjects' means, not corrected."),
    "p_subject_holm": unitless(
        "p_subject corrected by Holm over all comparisons of the kind, with the three metrics together, "
        "whole slice and in-brain separately; the one to rely on."
    ),
    "p_equivalence": unitless(
        "Two one-sided t-tests over the subjects' means, not corrected: small where the mean difference "
        "lies within the margin that group_ttests.tsv states."
    ),
    "p_equivalence_holm": unitless("p_equivalence corrected by Holm over the same family as p_subject_holm."),
    "better": {
        "Description": "Side with the better mean, whether or not the difference is significant.",
        "Levels": {"a": "The first.", "b": "The second.", "equal": "Neither.", "n/a": "Not compared."},
    },
}


def table_4_dictionary() -> Dictionary:
    """Data dictionary of ``group_table4.tsv`` for the registered metrics."""
    return {**_region_and_metric(), **_TABLE_4_COLUMNS}


def examples_dictionary() -> Dictionary:
    """Data dictionary of ``group_table2.tsv`` and ``group_table3.tsv`` for the registered metrics."""
    return {**_EXAMPLE_COLUMNS, **{name: metric_column(metric) for name, metric in METRICS.items()}}


def comparisons_dictionary() -> Dictionary:
    """Data dictionary of ``group_comparisons.tsv`` for the registered metrics."""
    return {**_COMPARED_COLUMNS, **_region_and_metric(), **_COMPARISON_COLUMNS}
