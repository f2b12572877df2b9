"""What the columns of the evaluation's tables mean: their JSON data dictionaries."""

from typing import Any

from bids_spectsynth.synthesis.baselines.registry import BASELINES

#: Label of the network among the methods; the others are baselines.
NETWORK = "pix2pix"

#: Methods in the order in which tables and figures show them.
METHODS = {
    NETWORK: "The trained network.",
    **{name: baseline.description for name, baseline in BASELINES.items()},
}

#: Parts of a cohort that a model was neither fitted to nor selected on.
HELD_OUT = ("test", "external")

SPLITS = {
    "train": "The network and the baselines were fitted to this participant.",
    "validation": "The epoch of the network was chosen on this participant.",
    "test": "Held out.",
    "external": "Of another cohort than the model's.",
}

_WHOLE = "over the whole slice, background included"
_BRAIN = "in the brain where the SPECT was measured (brain mask of the T1w and the real SPECT's own mask)"
_IN_BLOCK = (
    "Only slices with in_block true (see group_metrics.json) are counted: those that training takes from a participant."
)
_SSIM = "Structural similarity (Gaussian window 11 x 11, sigma 1.5, K1 0.01, K2 0.03), mean"
_PSNR = "Peak signal-to-noise ratio, 10 log10(data_range^2 / mean squared error); inf where both images are identical,"

Dictionary = dict[str, dict[str, Any]]

METRIC_DICTIONARY: Dictionary = {
    "rmse": {"Description": f"Root mean square error {_WHOLE}.", "Units": "scaled intensity, -1 to 1"},
    "ssim": {"Description": f"{_SSIM} {_WHOLE} (without a border of 5 pixels).", "Units": "1"},
    "psnr": {"Description": f"{_PSNR} {_WHOLE}.", "Units": "dB"},
    "mask_rmse": {"Description": f"Root mean square error {_BRAIN}.", "Units": "scaled intensity, -1 to 1"},
    "mask_ssim": {"Description": f"{_SSIM} {_BRAIN}.", "Units": "1"},
    "mask_psnr": {"Description": f"{_PSNR} {_BRAIN}.", "Units": "dB"},
}

#: Short names for axes and headings.
METRIC_TITLES = {
    "rmse": "RMSE, whole slice (scaled intensity, -1 to 1)",
    "ssim": "SSIM, whole slice (no unit)",
    "psnr": "PSNR, whole slice (dB)",
    "mask_rmse": "RMSE, in brain (scaled intensity, -1 to 1)",
    "mask_ssim": "SSIM, in brain (no unit)",
    "mask_psnr": "PSNR, in brain (dB)",
}

_SCALES = {
    "slice": "By each axial slice's own minimum and maximum.",
    "volume": "By zero and the 99.8th in-brain percentile of the volume.",
}

_TWO_WAYS = (
    "On the scale of its training, a network's output stands as it is against the real SPECT scaled so. On the other "
    "scale, its synthetic volume was brought to the real SPECT's mean over the rated voxels, and both were scaled with "
    "the real SPECT's coefficients: there the level of the volume is no part of the error."
)

_MODEL: Dictionary = {
    "model": {"Description": "Label of the model; baselines stand under the model whose training cohort they share."},
    "configuration": {"Description": "The model's label without its seed: models that share it differ by seed alone."},
    "seed": {"Description": "Seed of initial weights, order and dropout of the model's training; -1 if unknown."},
    "method": {"Description": "The network or one of its baselines.", "Levels": METHODS},
    "inputs": {"Description": "Images that the model takes, joined by +."},
    "space": {"Description": "Space of the images: T1w (native) or the name of a template."},
    "scaling": {
        "Description": "How the model's images were brought to the range from -1 to 1 in training.",
        "Levels": _SCALES,
    },
    "losses": {
        "Description": "Terms of the network's loss with a weight above 0, joined by +: L1 (mean absolute error), "
        "BCE or LSGAN (adversarial: cross-entropy or least squares), SSIM; a weight in brackets where it is not 100, 1 "
        "and 1; n/a if unknown."
    },
    "recipe": {
        "Description": "Recipe that the model was trained by, inputs and loss weights aside.",
        "Levels": {
            "fard2024": "The paper's.",
            "best": "The preset of that name; see docs/method.md.",
            "custom": "Another one.",
        },
    },
    "training": {
        "Description": "Fingerprint (8 hexadecimal digits of a SHA-256) of all other options of the training and of "
        "the numbers of networks and folds: inputs, space, seed and losses aside, models that share it were trained "
        "alike."
    },
    "scale": {
        "Description": "How both images were brought to the range from -1 to 1 for these numbers. Every network is "
        "rated on the scale of its training, beside its baselines, and alone on the other one, so that models of "
        f"different scaling can be compared on one scale. {_TWO_WAYS} Rows of different scales are not to be compared.",
        "Levels": _SCALES,
    },
    "split": {"Description": "Part of the cohort that the participant belongs to for this model.", "Levels": SPLITS},
    "data_range": {"Description": "Range of values that SSIM and PSNR assume.", "Units": "scaled intensity"},
}

METRICS_DICTIONARY: Dictionary = {
    "participant_id": {"Description": "Participant, with sub-."},
    "session_id": {"Description": "Session, with ses-; n/a where the dataset has none."},
    "slice": {"Description": "Index of the axial slice on the common grid, from 0 at the bottom."},
    "z_mm": {"Description": "World coordinate (RAS+) of the slice's centre.", "Units": "mm"},
    "in_block": {
        "Description": "Whether the slice is in the block of neighbouring slices with the most brain, as many as "
        "training takes from a participant. Summaries, tests and violins use these slices alone, as the article does.",
        "Levels": {"true": "In the block.", "false": "Above or below it."},
    },
    "block_position": {
        "Description": "Position of the slice in that block, from 0 for the block's first slice, rated or not; n/a "
        "outside of it. Slices of two spaces are paired by it."
    },
    **_MODEL,
    **METRIC_DICTIONARY,
    "mask_voxels": {
        "Description": f"Voxels of the slice that the mask_ metrics are taken over: {_BRAIN}; "
        "slices without any are not listed."
    },
}

_NOT_INDEPENDENT = (
    "Slices of one head are not independent of each other: numbers that treat them as if they were "
    "(sd and cv_percent over slices, slice-wise p) describe slices, not patients."
)

SUMMARY_DICTIONARY: Dictionary = {
    **_MODEL,
    "metric": {"Description": f"Which metric; see group_metrics.json. {_IN_BLOCK} {_NOT_INDEPENDENT}"},
    "mean": {"Description": "Mean over the slices in the block of all subjects."},
    "sd": {"Description": "Sample standard deviation over slices."},
    "cv_percent": {"Description": "100 sd / |mean|, as the paper's Table 4 gives it.", "Units": "percent"},
    "subject_mean": {"Description": "Mean over subjects of each subject's mean over slices."},
    "subject_sd": {"Description": "Sample standard deviation over subjects of each subject's mean over slices."},
    "n_subjects": {"Description": "Subjects behind the numbers."},
    "n_slices": {"Description": "Slices behind the numbers."},
    "subjects": {
        "Description": "Fingerprint of the participants behind the numbers: rows that share it rest on the same ones."
    },
    "n_infinite": {"Description": "Slices left out because their PSNR is infinite (both images identical)."},
}

#: Tests in the order in which tables show them, the one to conclude from first.
TESTS = {
    "subject_t": "Paired t-test over subjects (each subject's mean over slices). The primary test.",
    "wilcoxon": "Signed-rank test over subjects (Wilcoxon 1945), exact or approximate as scipy chooses.",
    "equivalence": "Two one-sided paired t-tests over subjects (Schuirmann 1987): a small p shows that the mean "
    "difference lies within the margin.",
    "mixed": "Linear mixed model of the differences of slices, with a random intercept per subject (REML); t with "
    "subjects minus 1 degrees of freedom.",
    "slice_t": "Paired t-test over slices, the paper's. Slices of one head are not independent: p is far too small.",
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

TTEST_DICTIONARY: Dictionary = {
    "comparison": {
        "Description": f"What is compared, on held-out subjects. {_IN_BLOCK} {_NOT_INDEPENDENT}",
        "Levels": COMPARISONS,
    },
    "configuration_a": {"Description": "Configuration of the first method; its seeds are averaged slice by slice."},
    "method_a": {"Description": "First method.", "Levels": METHODS},
    "configuration_b": {"Description": "Configuration of the second method; its seeds are averaged slice by slice."},
    "method_b": {"Description": "Second method.", "Levels": METHODS},
    "scale": {
        "Description": f"Scale on which both methods were rated; see group_metrics.json. {_TWO_WAYS}",
        "Levels": _SCALES,
    },
    "split": {"Description": "Parts of the cohort that the compared subjects belong to, joined by +."},
    "metric": {"Description": "Which metric; see group_metrics.json."},
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
            "subject": "The mean over slices of each subject.",
        },
    },
    "n_subjects": {"Description": "Subjects that both methods were rated on."},
    "n_slices": {"Description": "Slices behind the test."},
    "mean_a": {"Description": "Mean of the first method over the pairs."},
    "mean_b": {"Description": "Mean of the second method over the pairs."},
    "mean_difference": {"Description": "First minus second; of the mixed model its estimate."},
    "ci_low": {"Description": f"mean_difference: lower limit {_INTERVAL} {_STUDENTISED}"},
    "ci_high": {"Description": f"mean_difference: upper limit {_INTERVAL} {_STUDENTISED}"},
    "statistic": {
        "Description": "t; of wilcoxon the smaller sum of ranks; of equivalence the t with the larger one-sided p."
    },
    "df": {"Description": "Degrees of freedom: pairs minus 1, of the mixed model subjects minus 1."},
    "p": {"Description": "p, not corrected; of equivalence the larger of both one-sided ones."},
    "p_holm": {
        "Description": "p corrected by Holm (1979) over its family: the rows of the same comparison, test and scale, "
        "of all pairs and of the three whole-slice or the three in-brain metrics."
    },
    "p_bh": {"Description": "p corrected by Benjamini and Hochberg (1995) over the same family."},
    "cohens_dz": {"Description": "Mean difference over the standard deviation of the differences; subject_t only."},
    "hedges_g": {"Description": "cohens_dz without its bias in small samples (Hedges 1981); subject_t only."},
    "g_low": {"Description": f"hedges_g: lower limit {_INTERVAL} {_BCA}"},
    "g_high": {"Description": f"hedges_g: upper limit {_INTERVAL} {_BCA}"},
    "margin": {"Description": "The largest mean difference that counts as none, in the unit of the metric."},
    "note": {
        "Description": "Why numbers are n/a, what limits the comparison, or whether equivalence was shown (corrected "
        "by Holm, at alpha 0.01); n/a where there is nothing to say."
    },
}
