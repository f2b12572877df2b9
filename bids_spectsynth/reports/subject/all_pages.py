"""The reports of all subjects of a run: which of them have to be written, and the outcome where one fails."""

import logging
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path

from bids_spectsynth.bids.manifests import Product, is_younger, make_if_outdated, manifest_path
from bids_spectsynth.bids.names import bare_label, parse_name
from bids_spectsynth.bids.output_files import card_file, is_phantom, subject_page
from bids_spectsynth.bids.participants import read_participants
from bids_spectsynth.errors import Outcome, reason_of
from bids_spectsynth.reports.subject.page import subject_report

logger = logging.getLogger(__name__)


def report_subjects(
    output_dir: Path,
    heads: Mapping[str, Path],
    prepared: Collection[str],
    changed: Collection[str] = (),
    *,
    stop: bool = False,
    again: bool = False,
) -> Iterator[Outcome]:
    """Write the reports of prepared participants where something that they show has changed, or their status.

    A participant who could not be prepared gets none, but one from an earlier run would go on saying that all is well.

    Parameters
    ----------
    output_dir : Path
    heads : mapping of case name to Path
        T1w images of the dataset, which are drawn with the whole head.
    prepared : collection of str
        Labels of participants without ``sub-``.
    changed : collection of str
        Labels of participants whose status is another than before.
    stop : bool
        Whether to write no further report after one that failed.
    again : bool
        Whether to write also those in which nothing has changed.

    Yields
    ------
    Outcome
        Of each report of somebody prepared, once it is current, and of each that could not be written. Who is not
        prepared has an outcome already, which an earlier page that is written anew does not change.
    """
    outdated = {label for label in changed if subject_page(output_dir, label).exists()}
    table = read_participants(output_dir).set_index("participant_id")
    rows = {bare_label(str(name), "sub"): {str(k): str(v) for k, v in row.items()} for name, row in table.iterrows()}
    for label in sorted({*prepared, *outdated}):
        report = _report_product(output_dir, label, rows.get(label, {}), label in changed, again)
        try:
            if make_if_outdated(report, partial(subject_report, output_dir, label, heads)):
                logger.info("Report: %s", subject_page(output_dir, label))
        except Exception as error:
            logger.debug("report of sub-%s", label, exc_info=True)
            yield Outcome(label, None, "report", "failed", f"the report could not be written: {reason_of(error)}")
            if stop:
                return
            continue
        if label in prepared:
            yield Outcome(label, None, "report", "ok")


def _report_product(output_dir: Path, label: str, row: Mapping[str, str], changed: bool, again: bool) -> Product:
    """The report, and everything that it may show: the participant's files, cards of models, whether it is a phantom.

    Of the participant's row it matters what the page was made with: a run that was stopped has written another one
    since, but not the page, and all pages would be made again after every time limit. The settings of the last run are
    not looked at: they change with every run.
    """
    page, folder = subject_page(output_dir, label), output_dir / f"sub-{label}"
    files = sorted(path for path in folder.rglob("[!.]*") if path.is_file() and path.parent.name != "figures")
    synthetic = {parse_name(path.name)[0].get("desc", "") for path in files if path.name.endswith("_spect.nii.gz")}
    inputs = {path.relative_to(output_dir).as_posix(): path for path in files}
    for model in sorted(synthetic - {""}):
        first = card_file(output_dir, model)
        inputs |= {f"the card of {model}": first} if first.exists() else {}
        # Any of a cross-validation may be the one of this participant's fold.
        further = sorted({*first.parent.parent.glob("*/model.json")} - {first}) if first.parent.name != model else []
        inputs |= {f"the card of {model}, {path.parent.name}": path for path in further}
    return Product(
        name=f"report of sub-{label}",
        manifest=manifest_path(output_dir, page),
        inputs=inputs,
        outputs=(page,),
        is_current=lambda: not changed and is_younger((page,), tuple(inputs.values())),
        options={"whether the images were simulated": is_phantom(output_dir), "the row in participants.tsv": dict(row)},
        forced="it is asked for" if again else "",
    )
