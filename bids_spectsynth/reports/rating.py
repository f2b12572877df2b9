"""The form on a page by which a reader rates its sections, saved by download and read by ``group --ratings``."""

import re
from collections.abc import Sequence

from bids_spectsynth.evaluation.group.page_ratings import SECTION_NAME
from bids_spectsynth.reports.html import Rating, Section


def rating_section(participant: str, sections: Sequence[Section], version: str, session: str | None = None) -> Section:
    """A section with the form for other sections of the page.

    Parameters
    ----------
    participant : str
        Label with or without ``sub-``.
    sections : sequence of Section
        What is rated, by name and title.
    version : str
        Of the software that writes the page.
    session : str, optional
        Label with or without ``ses-``, of a page of one session alone.

    Raises
    ------
    ValueError
        The name of a section is none that files of ratings may have.
    """
    for one in sections:
        if not re.fullmatch(SECTION_NAME, one.name):
            raise ValueError(f"{one.name}: a section that is rated has a name of small letters, digits and hyphens")
    block = Rating(
        participant_id=f"sub-{participant.removeprefix('sub-')}",
        session_id=f"ses-{session.removeprefix('ses-')}" if session else "",
        sections=tuple((one.name, one.title) for one in sections),
        version=version,
    )
    return Section("rating", "Rating", [block])
