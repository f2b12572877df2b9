"""All regional and volume tables of the cases as one each."""

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from bids_spectsynth.evaluation.case.region_columns import IDENTITY, REGIONS_DICTIONARY, VOLUME_DICTIONARY
from bids_spectsynth.evaluation.case.tables import in_order, parse_table, read_case_tables
from bids_spectsynth.evaluation.columns import Dictionary
from bids_spectsynth.evaluation.group.usable import usable_ratings

_TEXT = {*IDENTITY, "training", "template", "region", "hemisphere"} - {"seed"}


def gather_regions(output_dir: Path) -> pd.DataFrame:
    """All tables of regions of the output folder, ordered by space, model, method and participant.

    Raises
    ------
    DatasetError
        A table is damaged.
    """
    return _gather(usable_ratings(output_dir, "regions"), REGIONS_DICTIONARY, "table of regions")


def gather_volumes(output_dir: Path) -> pd.DataFrame:
    """All tables of volume measures; order and errors as of :func:`gather_regions`."""
    return _gather(usable_ratings(output_dir, "volume"), VOLUME_DICTIONARY, "table of volume measures")


def _gather(paths: Sequence[Path], dictionary: Dictionary, what: str) -> pd.DataFrame:
    frames = read_case_tables(paths, partial(_parse, columns=list(dictionary)), what)
    frames = [frame for frame in frames if len(frame)]
    if not frames:
        return pd.DataFrame(columns=list(dictionary))
    return in_order(pd.concat(frames, ignore_index=True), ["participant_id", "session_id"])


def _parse(source: Path | io.BytesIO, columns: Sequence[str]) -> pd.DataFrame:
    return parse_table(source, columns, [name for name in columns if name not in _TEXT])
