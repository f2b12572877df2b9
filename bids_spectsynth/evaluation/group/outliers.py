"""Who differs from the others: the rows of the table of quality beyond a robust z of 3.5, each in a sentence."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bids_spectsynth.bids.output_files import group_table_path
from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.evaluation.columns import Dictionary
from bids_spectsynth.evaluation.group.quality import Quantity, is_outlier, quality_dictionary, quantities
from bids_spectsynth.evaluation.statistics.robust import OUTLIER_Z

WORSE, BETTER, EITHER = "worse", "better", "either"


def outliers_dictionary() -> Dictionary:
    """Data dictionary of ``group_outliers.tsv``."""
    columns = quality_dictionary()
    columns["participant_id"] = {"Description": f"Participant with a robust z beyond {OUTLIER_Z:g} either way."}
    return {
        **columns,
        "side": {
            "Description": "Which side of the others the value lies on.",
            "Levels": {
                WORSE: "The side of poor quality.",
                BETTER: "The side of good quality: no fault.",
                EITHER: "Of this quantity neither side is better.",
            },
        },
        "note": {"Description": "The same in a sentence, and what to look at."},
    }


def group_outliers(quality: pd.DataFrame) -> pd.DataFrame:
    """The rows that are outliers, those that differ most first; on the side of good quality last.

    Parameters
    ----------
    quality : DataFrame
        ``group_quality.tsv``.
    """
    known = quantities()
    rows = []
    for row in quality[is_outlier(quality)].to_dict("records"):
        quantity = known[str(row["quantity"])]
        side = _side(quantity, float(row["z"]))
        rows.append({**row, "side": side, "note": _sentence(quantity, side, row)})
    table = pd.DataFrame(rows, columns=list(outliers_dictionary()))
    order = pd.DataFrame({"good": table["side"] == BETTER, "z": -table["z"].astype(float).abs()})
    return table.loc[order.sort_values(["good", "z"], kind="stable").index].reset_index(drop=True)


def write_group_outliers(table: pd.DataFrame, output_dir: Path) -> Path:
    """Write ``group_outliers.tsv`` with its data dictionary."""
    path = group_table_path(output_dir, "outliers")
    write_table(path, table, outliers_dictionary())
    return path


def _side(quantity: Quantity, z: float) -> str:
    if not quantity.better:
        return EITHER
    return BETTER if (z > 0) == (quantity.better == "high") else WORSE


def _sentence(quantity: Quantity, side: str, row: Mapping[Any, Any]) -> str:
    value, median, z = (float(row[name]) for name in ("value", "median", "z"))
    unit = "" if quantity.unit in ("1", "unit of the image") else f" {quantity.unit}"
    digits = quantity.digits
    text = (
        f"{quantity.title}, {row['of']}: {_short(value, digits)}{unit}, unusually {'high' if z > 0 else 'low'}; the "
        f"median of {row['n']} is {_short(median, digits)}{unit} (robust z {z:.1f})."
    )
    return f"{text} Better than usual." if side == BETTER else f"{text} {quantity.advice}"


def _short(value: float, digits: int) -> str:
    # Levels are counts of any size: what matters are their first digits.
    return f"{value:.{digits}f}" if abs(value) < 1000 else f"{value:.4g}" if abs(value) >= 1e6 else f"{value:.0f}"
