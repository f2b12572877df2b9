"""What the columns of the table of slices mean: their JSON data dictionary."""

from bids_spectsynth.evaluation.case.metrics import IN_EVALUATION_MASK, METRICS, Metric
from bids_spectsynth.evaluation.columns import MODEL_COLUMNS, Dictionary, counted

#: Columns that say whose and what a row is, and where its slice lies.
SLICE_COLUMNS: Dictionary = {
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
    **MODEL_COLUMNS,
}


def slice_dictionary() -> Dictionary:
    """Data dictionary of ``*_metrics.tsv`` and ``group_metrics.tsv`` for the registered metrics."""
    return {
        **SLICE_COLUMNS,
        **{name: metric_column(metric) for name, metric in METRICS.items()},
        "mask_voxels": counted(
            f"Voxels of the slice that the mask_ metrics are taken over: {IN_EVALUATION_MASK}; "
            "slices without any are not listed."
        ),
    }


def metric_column(metric: Metric) -> dict[str, str]:
    """Entry of a metric's column in a data dictionary."""
    return {"Description": metric.description, "Units": metric.unit}
