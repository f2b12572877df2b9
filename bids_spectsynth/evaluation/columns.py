"""What the columns of the evaluation's tables mean: their JSON data dictionaries."""

from typing import Any

#: Label of the network among the methods; the others are baselines.
NETWORK = "pix2pix"

#: Methods in the order in which tables and figures show them.
METHODS = {
    NETWORK: "The trained network.",
    "constant": "The training cohort's mean in-brain value at every brain voxel.",
    "petCopy": "The subject's PET, scaled as a SPECT is.",
    "regression": "Quadratic least-squares regression of the SPECT on the model's inputs, voxel by voxel.",
    "meanSpect": "The training cohort's mean SPECT, brought to the subject through the affine to the template.",
    "meanSpectPetRatio": "meanSpect times the ratio of the subject's PET to the training cohort's mean PET.",
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

_MODEL: Dictionary = {
    "model": {"Description": "Label of the model; baselines stand under the model whose training cohort they share."},
    "method": {"Description": "The network or one of its baselines.", "Levels": METHODS},
    "inputs": {"Description": "Images that the model takes, joined by +."},
    "space": {"Description": "Space of the images: T1w (native) or the name of a template."},
    "scaling": {
        "Description": "How images are brought to the range from -1 to 1.",
        "Levels": {
            "slice": "By each axial slice's own minimum and maximum.",
            "volume": "By zero and the 99.8th in-brain percentile of the volume.",
        },
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
    "n_infinite": {"Description": "Slices left out because their PSNR is infinite (both images identical)."},
}

TTEST_DICTIONARY: Dictionary = {
    "comparison": {
        "Description": "What is compared; two-tailed paired t-tests on held-out subjects. "
        f"{_IN_BLOCK} {_NOT_INDEPENDENT}",
        "Levels": {"models": "The networks of two models.", "baseline": "A model's network and one of its baselines."},
    },
    "model_a": {"Description": "Model of the first method."},
    "method_a": {"Description": "First method.", "Levels": METHODS},
    "model_b": {"Description": "Model of the second method."},
    "method_b": {"Description": "Second method.", "Levels": METHODS},
    "split": {"Description": "Parts of the cohort that the compared subjects belong to, joined by +."},
    "metric": {"Description": "Which metric; see group_metrics.json."},
    "unit": {
        "Description": "What is paired.",
        "Levels": {
            "slice": "The same slice of the same subject and session, as in the paper; far too sure about subjects.",
            "subject": "The mean over slices of each subject; the test to rely on.",
        },
    },
    "n_subjects": {"Description": "Subjects that both methods were rated on."},
    "n_slices": {"Description": "Slices behind the test."},
    "mean_a": {"Description": "Mean of the first method over the pairs."},
    "mean_b": {"Description": "Mean of the second method over the pairs."},
    "mean_difference": {"Description": "First minus second."},
    "t": {"Description": "t statistic of the paired t-test."},
    "df": {"Description": "Degrees of freedom: pairs minus 1."},
    "p": {"Description": "Two-tailed p, not corrected."},
    "p_holm": {"Description": "p corrected by Holm over the rows of the same comparison, metric and unit."},
    "cohens_dz": {"Description": "Mean difference over the standard deviation of the differences; subject-wise only."},
    "note": {"Description": "Why numbers are n/a, or what limits the comparison; n/a where nothing does."},
}
