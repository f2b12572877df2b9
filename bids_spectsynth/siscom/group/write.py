"""All that the group level writes of SISCOM, from the tables and sidecars of the output folder."""

import logging
from pathlib import Path

import pandas as pd

from bids_spectsynth.bids.output_files import GroupTable, group_table_path
from bids_spectsynth.bids.sidecars import sidecar_path
from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.siscom.group.agreement import GROUP_CONCORDANCE_DICTIONARY, group_concordance
from bids_spectsynth.siscom.group.figures import write_siscom_figures
from bids_spectsynth.siscom.group.localisation import LOCALISATION_DICTIONARY, localisation_table
from bids_spectsynth.siscom.group.readers import JAFROC_DICTIONARY, READERS_DICTIONARY, jafroc_table, readers_table
from bids_spectsynth.siscom.group.readings import read_readings
from bids_spectsynth.siscom.group.results import read_concordance, read_results
from bids_spectsynth.siscom.group.scans import SCANS_DICTIONARY, Dictionary, counted, scans_table
from bids_spectsynth.siscom.group.study import check_empty, write_study
from bids_spectsynth.siscom.group.truth import Knowledge

logger = logging.getLogger(__name__)


def write_group_siscom(settings: Settings) -> list[Path]:
    """Write the group tables and figures of SISCOM, and a reader study or its results where that is asked for.

    A table without rows is not written, and one of an earlier output is removed; those of readers stay until they are
    written anew.

    Parameters
    ----------
    settings : Settings
        ``output_dir``, ``bids_dir`` (where foci are known), ``reader_study``, ``reader_results``, ``random_seed``.

    Returns
    -------
    list of Path
        Tables that were written.

    Raises
    ------
    UsageError
        The folder of a new reader study is not empty, there is nothing to read in it, or its results cannot be read.
    """
    if settings.reader_study is not None and settings.reader_results is None:
        check_empty(settings.reader_study)
    results = read_results(settings.output_dir)
    knowledge = Knowledge(settings.bids_dir)
    tables: dict[GroupTable, tuple[pd.DataFrame, Dictionary]] = {
        "siscom": (scans_table(results), SCANS_DICTIONARY),
        "siscom_concordance": (group_concordance(read_concordance(results)), GROUP_CONCORDANCE_DICTIONARY),
        "siscom_localisation": (
            localisation_table(results, [knowledge.of(result.found) for result in results]),
            LOCALISATION_DICTIONARY,
        ),
    }
    written = []
    for name, (table, dictionary) in tables.items():
        path = group_table_path(settings.output_dir, name)
        if table.empty:
            for stale in (path, sidecar_path(path)):
                stale.unlink(missing_ok=True)
            continue
        write_table(path, table, counted(dictionary, results))
        written.append(path)
    write_siscom_figures(tables["siscom_concordance"][0], tables["siscom_localisation"][0], settings.output_dir)
    if results:
        logger.info("SISCOM: %d results of ictal scans with a baseline", len(results))
    if settings.reader_results is not None:
        return [*written, *_write_readers(settings.output_dir, settings.reader_results, settings.reader_study)]
    if settings.reader_study is not None:
        folder, seed = settings.reader_study, settings.random_seed
        written += write_study(results, knowledge, settings.output_dir, folder, seed)
    return written


def _write_readers(output_dir: Path, form: Path, study: Path | None) -> list[Path]:
    readings = read_readings(form, study)
    if not readings:
        logger.warning("%s: no row is filled in", form)
    readers = {reading.reader for reading in readings}
    people = {reading.case.participant for reading in readings}
    counts = f"{len(readings)} readings of {len(people)} participants by {len(readers)} readers"
    logger.info("Reader study: %s", counts)
    tables: dict[GroupTable, tuple[pd.DataFrame, Dictionary]] = {
        "siscom_readers": (readers_table(readings), READERS_DICTIONARY),
        "siscom_jafroc": (jafroc_table(readings), JAFROC_DICTIONARY),
    }
    written = []
    for name, (table, dictionary) in tables.items():
        path = group_table_path(output_dir, name)
        first, *_ = dictionary
        text = f"{dictionary[first]['Description']} {counts}."
        write_table(path, table, {**dictionary, first: {**dictionary[first], "Description": text}})
        written.append(path)
    return written
