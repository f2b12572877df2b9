"""Everything that the group level writes, from the output folder alone: tables, tests, figures, and the report."""

import logging
from pathlib import Path

from bids_spectsynth.bids.output_files import selection_file
from bids_spectsynth.bids.participants import rating_advice, to_be_rated
from bids_spectsynth.evaluation.figures.bland_altman import write_agreement_figures
from bids_spectsynth.evaluation.figures.paper import write_paper_figures
from bids_spectsynth.evaluation.figures.violins import write_figures
from bids_spectsynth.evaluation.group.bland_altman import group_agreement, write_agreement_tables
from bids_spectsynth.evaluation.group.calibration import write_group_calibration
from bids_spectsynth.evaluation.group.comparisons import StatisticsOptions
from bids_spectsynth.evaluation.group.lesions import group_lesions, write_group_lesions
from bids_spectsynth.evaluation.group.mixed_inputs import mixed_harmonising
from bids_spectsynth.evaluation.group.outliers import group_outliers, write_group_outliers
from bids_spectsynth.evaluation.group.page_ratings import write_page_ratings
from bids_spectsynth.evaluation.group.quality import group_quality, write_group_quality
from bids_spectsynth.evaluation.group.tables import group_tables, write_group_tables
from bids_spectsynth.evaluation.group.usable import left_out_of_statistics
from bids_spectsynth.evaluation.paper.tables import write_paper_tables
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.reports.group.page import group_report
from bids_spectsynth.siscom.baselines.make_normals import make_normals
from bids_spectsynth.siscom.group.write import write_group_siscom

logger = logging.getLogger(__name__)


def write_group_level(settings: Settings, *, of_everybody: bool = True) -> Path:
    """Write all group tables, figures and ``group.html``; returns the path of the report.

    Parameters
    ----------
    settings : Settings
    of_everybody : bool
        Whether an earlier restriction to some participants ends with it.

    Raises
    ------
    DatasetError
        A case's table is damaged, or there are too few for normals.
    UsageError
        A reader study cannot be written, its results cannot be read, or the folder of ratings cannot.
    """
    output_dir = settings.output_dir
    if settings.make_normals is not None:
        logger.info("Normals: %s", make_normals(settings))
    # First, so that what is refused leaves everything as it was.
    if settings.ratings is not None:
        write_page_ratings(settings.ratings, output_dir)
    write_group_siscom(settings)
    for line in [*left_out_of_statistics(output_dir), *mixed_harmonising(output_dir)]:
        logger.warning("%s", line)
    waiting = to_be_rated(output_dir)
    if waiting:
        logger.warning("%s", rating_advice(waiting))
    tables = group_tables(output_dir, StatisticsOptions.of(settings))
    write_group_tables(tables, output_dir)
    write_paper_tables(tables, output_dir)
    agreement = group_agreement(output_dir)
    write_agreement_tables(agreement, output_dir)
    write_group_lesions(group_lesions(output_dir, tables.metrics, agreement.volumes), output_dir)
    write_group_calibration(output_dir)
    quality = group_quality(output_dir, tables.metrics, agreement.volumes)
    write_group_quality(quality, output_dir)
    write_group_outliers(group_outliers(quality), output_dir)
    logger.info("Tables and tests: %d rated slices, %d tests", len(tables.metrics), len(tables.ttests))
    write_figures(tables, output_dir)
    write_paper_figures(tables, output_dir)
    write_agreement_figures(agreement, output_dir)
    if of_everybody:
        # Not before: a run that fails leaves tables of some participants alone, and the page is to go on saying so.
        selection_file(output_dir).unlink(missing_ok=True)
    return group_report(output_dir)
