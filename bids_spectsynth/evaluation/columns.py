"""What several tables of the evaluation say in the same columns: of the model behind a row, and of scales."""

from typing import Any

from bids_spectsynth.synthesis.baselines.registry import BASELINES
from bids_spectsynth.synthesis.network.losses import LOSSES

#: What the JSON file of a table of ratings says where a lesion was left out of them.
LESION_KEY = "LesionLeftOut"
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

#: A table's JSON data dictionary: its columns in order, each with what it means.
Dictionary = dict[str, dict[str, Any]]

#: Units of numbers that have none, and of numbers of slices, voxels, participants.
NO_UNIT, COUNT = "1", "count"
#: Units where one column holds values of several metrics; the table has :data:`METRIC_UNIT`.
OF_METRIC = "unit of the metric in this row, see metric_unit"
#: The same of the measures of the table of agreement.
OF_MEASURE = "unit of the measure in this row, see measure_unit"


def unitless(description: str) -> dict[str, str]:
    """Entry of a column of ratios, correlations, statistics or p."""
    return {"Description": description, "Units": NO_UNIT}


def counted(description: str) -> dict[str, str]:
    """Entry of a column of counts."""
    return {"Description": description, "Units": COUNT}


def in_metric_unit(description: str) -> dict[str, str]:
    """Entry of a column whose values are in the unit of the metric in their row."""
    return {"Description": description, "Units": OF_METRIC}


#: Column of tables with one metric a row.
METRIC_UNIT: Dictionary = {
    "metric_unit": {"Description": "Unit of the metric in this row, of its values, differences and limits; 1 for none."}
}

#: How both images are brought to one scale.
SCALES = {
    "slice": "By each axial slice's own minimum and maximum.",
    "volume": "By zero and the 99.8th in-brain percentile of the volume.",
}

#: Scale of the measures of whole volumes, on which every method is rated that makes a volume.
UPTAKE_SCALE = "uptake"
#: The scales that rows of summaries and tests can have.
GROUP_SCALES = {**SCALES, UPTAKE_SCALE: "Volumes as relative uptake, at one level: of the measures of whole volumes."}

#: What the scale of a row means for networks.
TWO_WAYS = (
    "On the scale of its training, a network's output stands as it is against the real SPECT scaled so. On the other "
    "scale, its synthetic volume was brought to the real SPECT's mean over the evaluation mask, and both were scaled "
    "with the real SPECT's coefficients: there the level of the volume is no part of the error."
)

#: Losses without an option of their own, each with the weight that is not named.
_FURTHER_LOSSES = "".join(
    f" {loss.title}: the loss {name}, usual weight {loss.default_weight:g}."
    for name, loss in LOSSES.items()
    if not loss.option
)

#: Columns that tell the model behind a row.
MODEL_COLUMNS: Dictionary = {
    "model": {"Description": "Label of the model; baselines stand under the model whose training cohort they share."},
    "configuration": {"Description": "The model's label without its seed: models that share it differ by seed alone."},
    "seed": {"Description": "Seed of initial weights, order and dropout of the model's training; -1 if unknown."},
    "method": {"Description": "The network or one of its baselines.", "Levels": METHODS},
    "inputs": {"Description": "Images that the model takes, joined by +."},
    "space": {"Description": "Space of the images: T1w (native) or the name of a template."},
    "scaling": {
        "Description": "How the model's images were brought to the range from -1 to 1 in training.",
        "Levels": SCALES,
    },
    "losses": {
        "Description": "Terms of the network's loss with a weight above 0, joined by +: L1 (mean absolute error), "
        "BCE or LSGAN (adversarial: cross-entropy or least squares), SSIM; a weight in brackets where it is not 100, 1 "
        f"and 1; n/a if unknown.{_FURTHER_LOSSES}"
    },
    "recipe": {
        "Description": "Recipe that the model was trained by, inputs and loss weights aside.",
        "Levels": {
            "fard2024": "The article's.",
            "best": "The preset of that name; see docs/method.md.",
            "custom": "Another one.",
        },
    },
    "training": {
        "Description": "Fingerprint (t and 8 hexadecimal digits) of all other options of the training and of "
        "the numbers of networks and folds: inputs, space, seed and losses aside, models that share it were trained "
        "alike."
    },
    "scale": {
        "Description": "How both images were brought to the range from -1 to 1 for these numbers. Every network is "
        "rated on the scale of its training, beside its baselines, and alone on the other one, so that models of "
        f"different scaling can be compared on one scale. {TWO_WAYS} Rows of different scales are not to be compared.",
        "Levels": SCALES,
    },
    "split": {"Description": "Part of the cohort that the participant belongs to for this model.", "Levels": SPLITS},
    "data_range": {"Description": "Range of values that SSIM and PSNR assume.", "Units": "scaled intensity"},
}
