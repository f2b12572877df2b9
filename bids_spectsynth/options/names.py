"""Names that options take from elsewhere, suffixes of BIDS and templates of TemplateFlow, and what a typo may mean."""

import difflib
import json
import os
import zipfile
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.spaces import BUILT_IN_TEMPLATE, T1W_SPACE, parse_space

#: Suffixes of single images that BIDS 1.10 has for ``anat``, and ``pet``: what a model can see.
IMAGE_SUFFIXES = (
    "T1w", "T2w", "PDw", "T2starw", "FLAIR", "inplaneT1", "inplaneT2", "PDT2", "angio", "T2star", "FLASH", "PD",
    "T1map", "T2map", "T2starmap", "R1map", "R2map", "R2starmap", "PDmap", "MTRmap", "MTsat", "UNIT1", "T1rho",
    "MWFmap", "MTVmap", "Chimap", "S0map", "M0map", "pet",
)  # fmt: skip
#: Templates that fMRIPrep's users know as surfaces; one of them has a volume too, which is not what its name promises.
SURFACES = ("fsaverage", "fsaverage5", "fsaverage6", "fsnative", "fsLR", "onavg")
_HUMAN = "Homo sapiens"
#: A folder of TemplateFlow's client, with the names of all that it can download.
_LISTING = "conf/templateflow-skel.zip"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The known word that is nearest to one that is not, as the end of a message; empty where none is near.

    Parameters
    ----------
    word : str
    known : iterable of str

    Examples
    --------
    >>> did_you_mean("--epoch", ["--epochs", "--device"])
    '; did you mean --epochs?'
    """
    plain = {_plain(one): one for one in known}
    near = difflib.get_close_matches(_plain(word), plain, n=1, cutoff=0.7)
    return f"; did you mean {plain[near[0]]}?" if near else ""


def _plain(word: str) -> str:
    return word.casefold().lstrip("-").replace("_", "-")


def suffix_of(word: str) -> str:
    """A suffix as BIDS spells it; a file in another case would be looked for in vain.

    Raises
    ------
    ValueError
        BIDS has no such image.
    """
    spellings = {suffix.lower(): suffix for suffix in IMAGE_SUFFIXES}
    if word.lower() not in spellings:
        near = did_you_mean(word, IMAGE_SUFFIXES)
        raise ValueError(f"{word} is no suffix of BIDS for an MR image, and not pet{near}")
    return spellings[word.lower()]


def templateflow_home() -> Path:
    """The folder of stored templates: ``TEMPLATEFLOW_HOME``, else TemplateFlow's cache folder of this user."""
    stored = os.environ.get("TEMPLATEFLOW_HOME")
    if stored:
        return Path(stored).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "templateflow"


def known_templates() -> dict[str, str]:
    """Species of every template that is stored, built in, or listed by TemplateFlow's client; nothing is downloaded.

    Returns
    -------
    dict of str to str
        By the template's name; empty where the species is not said. No template at all where the client has no list.
    """
    listed = _listed_templates()
    if not listed:
        return {}
    known = {BUILT_IN_TEMPLATE: _HUMAN, **listed}
    try:
        folders = [path for path in templateflow_home().iterdir() if path.name.startswith("tpl-")]
    except OSError:
        folders = []
    return {**{path.name.removeprefix("tpl-"): "" for path in folders}, **known}


def _listed_templates() -> dict[str, str]:
    package = find_spec("templateflow")
    if package is None or package.origin is None:
        return {}
    try:
        with zipfile.ZipFile(Path(package.origin).parent / _LISTING) as listing:
            names = {name.split("/")[0] for name in listing.namelist() if name.startswith("tpl-")}
            return {name.removeprefix("tpl-"): _species(listing, name) for name in names}
    # Another version may keep it elsewhere.
    except (OSError, zipfile.BadZipFile):
        return {}


def _species(listing: zipfile.ZipFile, folder: str) -> str:
    try:
        species = json.loads(listing.read(f"{folder}/template_description.json"))["Species"]
    except (KeyError, ValueError, TypeError):
        return ""
    return " and ".join(map(str, species)) if isinstance(species, list) else str(species)


def surface_message(space: object) -> str:
    """Why a template that is a surface is refused."""
    return f"--output-spaces: {space}: a surface; images are written as volumes, e.g. in MNI305"


def check_template_names(spaces: Iterable[str], known: Mapping[str, str] | None = None) -> None:
    """Refuse templates that there are not, surfaces, and those of animals, before anything is looked for or written.

    Parameters
    ----------
    spaces : iterable of str
        As ``--output-spaces`` takes them.
    known : mapping of str to str, optional
        Species by name; by default :func:`known_templates`. Where it is empty, names are left to the preparation.

    Raises
    ------
    UsageError
        The template is neither stored, nor built in, nor listed by TemplateFlow's client; or is not of human heads.
    """
    names = {parse_space(space).name: space for space in spaces}
    if set(names) <= {T1W_SPACE, BUILT_IN_TEMPLATE}:
        return
    known = known_templates() if known is None else known
    human = sorted(name for name, species in known.items() if species in ("", _HUMAN) and name not in SURFACES)
    for name, space in names.items():
        if name in SURFACES:
            raise UsageError(surface_message(space))
        if known and name != T1W_SPACE and name not in known:
            near = did_you_mean(name, [*human, T1W_SPACE])
            more = near or f"; there are {', '.join(human)}, and those stored in TEMPLATEFLOW_HOME"
            raise UsageError(f"--output-spaces: {space}: unknown template{more}")
        if known.get(name, "") not in ("", _HUMAN):
            raise UsageError(f"--output-spaces: {space}: a template of {known[name]}, not of human heads")
