"""The atlas CerebrA from TemplateFlow's folder, downloaded there if it is missing.

CerebrA names 51 regions on each side of MNI152NLin2009cSym (Manera et al. 2020, Scientific Data 7:237). It is not
shipped with this program.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path

from bids_spectsynth.bids.names import parse_name
from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.names import templateflow_home
from bids_spectsynth.preprocess.templates import download

#: The template that the atlas lies on.
CEREBRA_TEMPLATE = "MNI152NLin2009cSym"
#: How the entity is spelt: the second in TemplateFlow's table of names.
_ATLAS = ("CerebrA", "CerebA")
_QUERIES = ({"atlas": "CerebrA", "suffix": "dseg", "extension": ".nii.gz"}, {"suffix": "dseg", "extension": ".tsv"})


@dataclass(frozen=True)
class AtlasFiles:
    """A labelled volume in a template's world, and the table of its labels."""

    image: Path
    table: Path


def fetch_cerebra() -> AtlasFiles:
    """Where CerebrA is stored; downloaded with TemplateFlow's client if it is not.

    Raises
    ------
    UsageError
        It is neither stored nor can it be downloaded; the message names the command that stores it elsewhere.
    """
    stored = stored_cerebra()
    if stored is not None:
        return stored
    try:
        download.check_server()
        # Importing the client fills an empty folder with placeholders, so it is done only for a download.
        from templateflow import api, conf

        if not any(_folder().glob("*_atlas-CerebrA_dseg.nii.gz")):
            download.list_all(conf)
        for query in _QUERIES:
            api.get(CEREBRA_TEMPLATE, raise_empty=True, **query)
    # The client passes on whatever its HTTP library, file system or index raises.
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UsageError(f"the atlas CerebrA is not stored and cannot be downloaded ({reason}); {_advice()}") from error
    stored = stored_cerebra()
    if stored is None:
        raise UsageError(f"the atlas CerebrA is not stored, and the download left it so; {_advice()}")
    return stored


def _folder() -> Path:
    return templateflow_home() / f"tpl-{CEREBRA_TEMPLATE}"


def stored_cerebra() -> AtlasFiles | None:
    """Where CerebrA is stored; None where it is not, or as placeholders, which have 0 bytes."""
    found: dict[str, Path] = {}
    try:
        for path in sorted(_folder().glob("*_dseg.*")):
            entities, _, extension = parse_name(path.name)
            if entities.get("atlas") in _ATLAS and path.is_file() and path.stat().st_size > 0:
                found.setdefault(extension, path)
    except OSError:
        return None
    return AtlasFiles(found[".nii.gz"], found[".tsv"]) if {".nii.gz", ".tsv"} <= found.keys() else None


def _advice() -> str:
    calls = [
        f"get({', '.join([repr(CEREBRA_TEMPLATE), *(f'{key}={value!r}' for key, value in query.items())])})"
        for query in _QUERIES
    ]
    code = "from templateflow import conf; conf.update(local=True, overwrite=False, silent=True); "
    code += f"from templateflow.api import get; {'; '.join(calls)}"
    home = shlex.quote(str(templateflow_home()))
    return f'run once where there is network: TEMPLATEFLOW_HOME={home} python -c "{code}"; then use that folder here'
