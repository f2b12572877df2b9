"""Templates that are not stored yet: TemplateFlow's client downloads them, or a command is named that does so."""

import shlex
import socket
from typing import Any
from urllib.request import getproxies

from bids_spectsynth.bids.names import parse_name
from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.names import templateflow_home
from bids_spectsynth.options.spaces import Space
from bids_spectsynth.preprocess.templates.store import NotListedError, TemplateFiles, find_files

_HOST, _PORT = "templateflow.s3.amazonaws.com", 443
_REACHED_WITHIN_S = 5.0


def check_server() -> None:
    """Find out in seconds that there is no network: TemplateFlow's client takes a minute for it.

    Behind a proxy the client alone can tell.

    Raises
    ------
    OSError
        TemplateFlow's server cannot be reached.
    """
    if "https" not in getproxies():
        socket.create_connection((_HOST, _PORT), timeout=_REACHED_WITHIN_S).close()


def download(space: Space, why: str) -> TemplateFiles:
    """Store a template's T1w and brain mask in TemplateFlow's folder.

    Parameters
    ----------
    space : Space
    why : str
        What is wrong with what is stored, for the message if the download fails.

    Raises
    ------
    UsageError
        TemplateFlow has no such files, or they cannot be downloaded; the message names the command that does it
        elsewhere.
    """
    try:
        check_server()
        # Importing the client fills an empty folder with placeholders, so it is done only for a download.
        from templateflow import api, conf

        try:
            files = find_files(space)
        except NotListedError:
            list_all(conf)
            files = find_files(space)
        for query in _queries(files):
            api.get(space.name, raise_empty=True, **query)
    except UsageError:
        raise
    # The client passes on whatever its HTTP library, file system or index raises.
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UsageError(f"{why}, and cannot be downloaded ({reason}); {advice(space)}") from error
    if not files.are_stored:
        raise UsageError(f"{why}, and the download left them so; {advice(space)}")
    return files


def advice(space: Space) -> str:
    """The command that stores a template where there is network."""
    try:
        queries = _queries(find_files(space))
    except UsageError:
        # Without the names of the files, the resolution is left open if it was.
        known = {"cohort": space.cohort, "resolution": space.resolution}
        entities = {key: _number(value) for key, value in known.items() if value is not None}
        queries = [{**entities, "suffix": "T1w", "desc": None}, {**entities, "suffix": "mask", "desc": "brain"}]
    calls = [f"get({', '.join([repr(space.name), *(f'{key}={value!r}' for key, value in query.items())])})"
             for query in queries]  # fmt: skip
    code = "from templateflow import conf; conf.update(local=True, overwrite=False, silent=True); "
    code += "from templateflow.api import get; " + "; ".join(calls)
    home = shlex.quote(str(templateflow_home()))
    return f'run once where there is network: TEMPLATEFLOW_HOME={home} python -c "{code}"; then use that folder here'


def list_all(conf: Any) -> None:
    """Have placeholders for all that TemplateFlow has, beside what is stored; links of DataLad are left alone."""
    if not (templateflow_home() / ".datalad").exists():
        conf.update(local=True, overwrite=False, silent=True)


def _queries(files: TemplateFiles) -> list[dict[str, Any]]:
    """What the client is to be asked for each of the two files, and for nothing else."""
    space = files.space
    queries = []
    for file in (files.image, files.mask):
        entities, suffix, extension = parse_name(file.name)
        query = {"resolution": _number(space.resolution), "suffix": suffix, "desc": entities.get("desc")}
        query |= {"label": entities["label"]} if "label" in entities else {}
        query |= {"cohort": _number(space.cohort)} if space.cohort is not None else {}
        queries.append({**query, "extension": extension})
    return queries


def _number(value: str | None) -> int | str | None:
    return int(value) if value is not None and value.isdecimal() else value
