"""``--reports-only`` and ``--boilerplate-only``: pages and texts from what lies in the output folder."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from bids_spectsynth.app.reporting.selection import prepared_labels
from bids_spectsynth.bids.output_files import find_cases
from bids_spectsynth.bids.roles import T1W
from bids_spectsynth.bids.sidecars import sidecar, strings
from bids_spectsynth.bids.writing import write_text
from bids_spectsynth.errors import Outcome
from bids_spectsynth.logs import LOGGER_NAME, LOGS_FOLDER
from bids_spectsynth.options.settings import Settings

logger = logging.getLogger(f"{LOGGER_NAME}.run")

_RAW = "bids:raw:"


def write_pages(settings: Settings) -> list[Outcome]:
    """Make the pages of all prepared participants, or of the chosen ones, again.

    Parameters
    ----------
    settings : Settings
        ``output_dir``, ``participant_label``, and ``bids_dir``, of whose T1w images the brain masks are drawn on.

    Returns
    -------
    list of Outcome
        One for each participant whose page was made or failed; none of those behind a stop, whom the log names.

    Raises
    ------
    DatasetError
        Somebody chosen is not prepared.
    """
    from bids_spectsynth.reports.subject.all_pages import report_subjects

    labels = prepared_labels(settings.output_dir, settings.participant_label)
    heads = _heads(settings.output_dir, settings.bids_dir, labels)
    outcomes = list(report_subjects(settings.output_dir, heads, labels, stop=settings.stop_on_first_crash, again=True))
    seen = {one.participant for one in outcomes}
    behind = ", ".join(f"sub-{label}" for label in labels if label not in seen)
    if behind and settings.stop_on_first_crash:
        logger.warning("--stop-on-first-crash: stopped; no page was made of %s", behind)
    return outcomes


def _heads(output_dir: Path, bids_dir: Path, labels: Iterable[str]) -> dict[str, Path]:
    """T1w images of the dataset by name of the case, as the sidecars of the prepared ones name them."""
    heads = {}
    for label in labels:
        for case in find_cases(output_dir, label):
            sources = strings(sidecar(case.images[T1W]).get("Sources"))
            raw = [bids_dir / uri.removeprefix(_RAW) for uri in sources if uri.startswith(_RAW)]
            if raw and raw[0].exists():
                heads[case.name] = raw[0]
    return heads


def write_boilerplate(settings: Settings) -> Path:
    """Write the methods text of the prepared participants, or of the chosen ones, each text once.

    Parameters
    ----------
    settings : Settings
        ``output_dir`` and ``participant_label``.

    Returns
    -------
    Path
        ``logs/CITATION.md`` of the output folder.

    Raises
    ------
    DatasetError
        Somebody chosen is not prepared.
    """
    from bids_spectsynth.reports.subject.page import subject_methods

    texts: dict[str, list[str]] = {}
    references: dict[str, str] = {}
    for label in prepared_labels(settings.output_dir, settings.participant_label):
        paragraphs, cited = subject_methods(settings.output_dir, label)
        texts.setdefault("\n\n".join(paragraphs), []).append(f"sub-{label}")
        references |= dict(cited)
    path = settings.output_dir / LOGS_FOLDER / "CITATION.md"
    write_text(path, _markdown(texts, references))
    return path


def _markdown(texts: Mapping[str, list[str]], references: Mapping[str, str]) -> str:
    parts = ["# Methods", "This text may be copied into a manuscript."]
    for text, people in texts.items():
        parts += [f"## {', '.join(people)}", text or "Nothing is known of how these were made."]
    parts += ["## References", "\n".join(f"- {text} {link}".rstrip() for text, link in references.items())]
    return "\n\n".join(parts) + "\n"
