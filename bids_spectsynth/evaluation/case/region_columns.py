"""What the columns of the regional and volume tables mean: their JSON data dictionaries."""

from bids_spectsynth.evaluation.case.regions import BLOCK_MM, MIN_VOLUME_ML
from bids_spectsynth.evaluation.case.slice_columns import SLICE_COLUMNS
from bids_spectsynth.evaluation.case.volume_measures import BASELINE_SD, VOLUME_MEASURES
from bids_spectsynth.evaluation.columns import MODEL_COLUMNS, OF_MEASURE, Dictionary, counted, unitless

_RELATIVE = "in-brain mean = 1"
_UPTAKE = "relative uptake (each image divided by its mean over the evaluation mask)"
_INDEX = "200 (L - R) / (L + R), above 0 where the left side takes up more"
_RATED_METHODS = (
    "Baselines of slice-scaled models are not rated: their slices have no common scale, so they make no volume."
)

#: Columns that say whose and what a row is.
IDENTITY: Dictionary = {
    name: SLICE_COLUMNS[name]
    for name in ("participant_id", "session_id", "model", "configuration", "seed", "method", "inputs", "space",
                 "scaling", "losses", "recipe", "split")
}  # fmt: skip
IDENTITY["method"] = {
    **IDENTITY["method"],
    "Description": f"{IDENTITY['method']['Description']} {_RATED_METHODS}",
}

_REGION: Dictionary = {
    "region": {
        "Description": f"Block of a lattice of {BLOCK_MM:g} mm in the template's world, named by the distance of its "
        "centre from the midline (x) and its y and z in mm, or hemisphere. Blocks are no anatomical regions. A block "
        f"counts if the participant has at least {MIN_VOLUME_ML:g} mL of the evaluation mask in it on each side."
    },
    "hemisphere": {
        "Description": "Side of the template's midline (x = 0), or of the brain's middle where template is n/a.",
        "Levels": {"L": "Left.", "R": "Right."},
    },
}

REGIONS_DICTIONARY: Dictionary = {
    **IDENTITY,
    "template": {"Description": "Template whose world the blocks lie in; n/a without a transform to one."},
    **_REGION,
    "x_mm": {"Description": "Centre of the block in the template's world (RAS+); n/a for hemispheres.", "Units": "mm"},
    "y_mm": {"Description": "As x_mm.", "Units": "mm"},
    "z_mm": {"Description": "As x_mm.", "Units": "mm"},
    "real": {"Description": f"Mean over the region of the real SPECT, {_UPTAKE}.", "Units": _RELATIVE},
    "synthetic": {"Description": f"The same of the synthetic SPECT, {_UPTAKE}.", "Units": _RELATIVE},
    "voxels": counted("Voxels of the region in the evaluation mask: in the brain and where the SPECT was measured."),
    "volume_ml": {
        "Description": "Their volume: in the participant's own head if space is T1w, else in the template's world, to "
        "whose size all heads were brought.",
        "Units": "mL",
    },
    "asymmetry_real": {
        "Description": f"Asymmetry index of the real SPECT, {_INDEX}; the same in the rows of both sides.",
        "Units": "percent",
    },
    "asymmetry_synthetic": {"Description": "Asymmetry index of the synthetic SPECT.", "Units": "percent"},
    "baseline_variance_share": {
        "Description": "The region's share of the variance behind baseline_sd_percent (see *_volume.json): sum of the "
        "squared deviations of the smoothed residual from its mean, over that of the whole evaluation mask without its "
        "edge. Both hemispheres have 100 together; blocks lack what lies in none of them.",
        "Units": "percent",
    },
    "baseline_residual_percent": {
        "Description": "Mean smoothed residual of the region, real minus synthetic: above 0 where the synthetic SPECT "
        "as the baseline of a SISCOM would make hyperperfusion that is none, below 0 hypoperfusion. n/a where all of "
        "the region lies at the edge of the evaluation mask.",
        "Units": BASELINE_SD.unit,
    },
}

VOLUME_DICTIONARY: Dictionary = {
    **IDENTITY,
    "training": MODEL_COLUMNS["training"],
    "volume_rmse": {
        "Description": f"Root mean square difference of both images over the evaluation mask, {_UPTAKE}.",
        "Units": _RELATIVE,
    },
    "volume_correlation": {"Description": "Pearson's r of both images over the evaluation mask.", "Units": "1"},
    "volume_nmi": {
        "Description": "Normalised mutual information of both images over the evaluation mask (Studholme 1999, "
        "64 x 64 bins): sum of their entropies over the joint one; 1 where they are independent, at most 2.",
        "Units": "1",
    },
    "sharpness_ratio": {
        "Description": "Standard deviation of the Laplacian in the evaluation mask, synthetic over real: below 1 the "
        "synthetic volume is blurred, or lacks the noise of the real one, above 1 it has detail that the real one has "
        "not.",
        "Units": "1",
    },
    "through_slice_ratio": {
        "Description": "Mean absolute difference between neighbouring axial slices, over voxels that are in the "
        "evaluation mask in both slices: synthetic over real, both as relative uptake; 1 is ideal, above 1 the "
        "synthetic volume has steps, below 1 it is smoother than the real one.",
        "Units": "1",
    },
    "asymmetry_error": {
        "Description": "Mean over the pairs of blocks of |asymmetry index of the synthetic - of the real SPECT|.",
        "Units": "percentage points",
    },
    "n_pairs": counted("Pairs of blocks behind asymmetry_error."),
    "hemisphere_asymmetry_real": {
        "Description": f"Asymmetry index of the two hemispheres, {_INDEX}, real SPECT.",
        "Units": "percent",
    },
    "hemisphere_asymmetry_synthetic": {"Description": "The same of the synthetic SPECT.", "Units": "percent"},
    **{name: {"Description": one.description, "Units": one.unit} for name, one in VOLUME_MEASURES.items()},
    "rated_voxels": counted("Voxels of the evaluation mask: in the brain and where the SPECT was measured."),
    "rated_slices": counted("Axial slices that hold them."),
}

_LIMITS = "for differences of a further participant and region: bias -/+ 1.96 sd_total"  # Bland & Altman 1999
_INTERVAL = (
    "95 % confidence interval over participants (Zou 2013; the spread within participants is given the degrees of "
    "freedom that its variation between participants shows, because regions of one head are not independent)"
)

#: Units of what the table of agreement compares, by ``measure``.
MEASURE_UNITS = {"uptake": _RELATIVE, "asymmetry": "percent"}


def _in_measure_unit(description: str) -> dict[str, str]:
    return {"Description": description, "Units": OF_MEASURE}


#: Columns of the residual by region, of which the table of agreement has the means over participants.
RESIDUAL_COLUMNS = ("baseline_variance_share", "baseline_residual_percent")

AGREEMENT_DICTIONARY: Dictionary = {
    **{name: entry for name, entry in IDENTITY.items() if name not in ("participant_id", "session_id")},
    "measure": {
        "Description": "What agrees or not. Held-out participants only.",
        "Levels": {
            "uptake": f"Regional means, {_UPTAKE}; unit: {MEASURE_UNITS['uptake']}.",
            "asymmetry": f"Asymmetry indices of pairs of regions, {_INDEX}; unit: {MEASURE_UNITS['asymmetry']}.",
        },
    },
    "measure_unit": {"Description": "Unit of the measure in this row: of bias, spreads, limits and their intervals."},
    "region": {
        **_REGION["region"],
        "Description": "all: every block of every participant together (hemispheres not counted again); else "
        + _REGION["region"]["Description"],
    },
    "hemisphere": {
        "Description": "Side of the region; n/a for all and for asymmetry, which is of both.",
        "Levels": {"L": "Left.", "R": "Right."},
    },
    "n_subjects": counted("Participants behind the numbers."),
    "n_regions": counted("Different regions (for asymmetry: pairs of regions) behind the numbers."),
    "n_values": counted(
        "Pairs of a real and a synthetic value behind the numbers: one for each region (for asymmetry: "
        "pair of regions) of each session of each participant. What is counted are blocks or hemispheres, not slices "
        "or voxels; rated_slices and rated_voxels in group_volumes.tsv tell what they were taken from."
    ),
    "bias": _in_measure_unit("Mean over participants of each one's mean difference, synthetic minus real."),
    "bias_low": _in_measure_unit("Lower end of its 95 % confidence interval over participants (t)."),
    "bias_high": _in_measure_unit("Upper end."),
    "sd_between": _in_measure_unit(
        "Standard deviation between participants of a single difference (variance component; 0 where "
        "participants differ no more than chance would have it)."
    ),
    "sd_within": _in_measure_unit("Standard deviation within participants (root of the within mean square)."),
    "sd_total": _in_measure_unit(
        "Standard deviation of the difference in a random region of a random participant: root of the "
        "variance of the participants' means plus the mean over participants of the variance around their mean. For "
        "repeated measures, as Bland and Altman 2007 with a true value that varies."
    ),
    "loa_lower": _in_measure_unit(f"Lower limit of agreement, {_LIMITS}."),
    "loa_lower_low": _in_measure_unit(f"Lower end of its {_INTERVAL}."),
    "loa_lower_high": _in_measure_unit("Upper end."),
    "loa_upper": _in_measure_unit(f"Upper limit of agreement, {_LIMITS}."),
    "loa_upper_low": _in_measure_unit(f"Lower end of its {_INTERVAL}."),
    "loa_upper_high": _in_measure_unit("Upper end."),
    "mean_absolute": _in_measure_unit("Mean over participants of each one's mean |synthetic - real|."),
    "r_within": unitless(
        "Pearson's r within participants: pooled over their deviations from their own means "
        "(repeated-measures correlation, Bland and Altman 1995). High wherever the common pattern of uptake is met."
    ),
    "r_within_mean": unitless(
        "Mean over participants (Fisher's z) of each one's r over its regions; needs four regions."
    ),
    "r_within_low": unitless("Lower end of its 95 % confidence interval over participants (t of Fisher's z)."),
    "r_within_high": unitless("Upper end."),
    "r_individual": unitless(
        "Pearson's r of the deviations from each region's mean over the held-out participants, real "
        "and synthetic: whether the method tells who takes up more where. About 0, or n/a, for a method that "
        "gives everybody the same image."
    ),
    "ccc": unitless(
        "Concordance correlation coefficient (Lin 1989) of all values together; 1 only where both are equal."
    ),
    "ccc_low": unitless(
        "Lower end of its 95 % confidence interval over participants (jackknife that leaves out one "
        "participant at a time, Fisher's z)."
    ),
    "ccc_high": unitless("Upper end."),
    **{
        name: {
            "Description": f"Uptake in one region only: mean over participants of {name}; see group_regions.json.",
            "Units": REGIONS_DICTIONARY[name]["Units"],
        }
        for name in RESIDUAL_COLUMNS
    },
    "n_marked": counted("Asymmetry only: values with |asymmetry index| of the real SPECT above 5 percent."),
    "sign_agreement": {
        "Description": "Asymmetry only: share of these whose synthetic asymmetry index has the same sign.",
        "Units": "1",
    },
}
