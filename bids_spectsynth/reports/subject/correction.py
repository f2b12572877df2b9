"""What to do where a step of this head is wrong: which file to correct, where to put it, and what to run then."""

import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bids_spectsynth.bids.names import case_folder, file_name, parse_name
from bids_spectsynth.bids.output_files import description_file
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import T1W
from bids_spectsynth.bids.sidecars import read_object, sidecar, strings
from bids_spectsynth.logs import LOGS_FOLDER
from bids_spectsynth.options.declarations.derivatives import read_derivatives
from bids_spectsynth.options.settings import T1W_SPACE
from bids_spectsynth.reports.context import SubjectContext
from bids_spectsynth.reports.html import Block, Cell, Code, Column, Section, Table, Text

#: Name of the folder of corrections, beside the output folder.
CORRECTIONS = "corrections"
_RAW = "bids:raw:"
_HOW = (
    "A mask can be corrected in any editor of NIfTI images, and drawn on the T1w of the dataset as well. A transform "
    "may also come from another program, under the same name with its own extension."
)
_THEN = (
    "Then run this in the output folder. What does not rest on the corrected file is not done again, as long as the "
    "work folder is there; leave the option in whenever you run again."
)
_DATASET, _FOLDER = "DATASET", "FOLDER"
_FILL_IN = f"For {_DATASET} write the folder of the dataset, for {_FOLDER} that of the derivatives of this name."
_FORMATS = "or .mat of FLIRT or ITK, .lta, .h5; with the .json beside it, which says of which T1w it is"


def correction_section(context: SubjectContext) -> Section | None:
    """Files to correct by step, and the command that makes anew what rests on them; None where nothing is prepared."""
    native = [case for case in context.cases if case.space == T1W_SPACE]
    rows = [row for case in native for row in _rows(context, case)]
    if not rows:
        return None
    cells = [[Cell(text) for text in row] for row in rows]
    columns = [Column(name) for name in ("Where this is wrong", "copy this file and correct it", "to this place")]
    caption = f"Files are named from the output folder; {CORRECTIONS}/ lies beside it."
    blocks: list[Block] = [Text(_HOW), Table(columns, cells, caption, sortable=False)]
    command = rerun_command(context.output_dir, context.participant)
    if command is not None:
        hidden = {_DATASET, f"={_FOLDER}"}
        blocks.append(Text(f"{_THEN} {_FILL_IN}" if any(word in command for word in hidden) else _THEN))
        blocks.append(Code("Command", command))
    return Section("correction", "If a step is wrong", blocks)


def _rows(context: SubjectContext, case: PreparedCase) -> Iterator[tuple[str, str, str]]:
    mask = case.masks[T1W]
    yield ("Brain mask", *_places(context, mask, case.images[T1W]))
    for transform in context.transforms:
        image = case.images.get(transform.role)
        if transform.case_name == case.name and image is not None:
            source, target = _places(context, transform.path, image)
            yield transform.title, source, f"{target}\n({_FORMATS})"


def _places(context: SubjectContext, path: Path, image: Path) -> tuple[str, str]:
    """A file in the output folder and its place among corrections, both from the output folder's place.

    Derivatives of an image without session, or of another one, lie in the case's; a correction is the image's own.
    """
    entities, suffix, extension = parse_name(path.name)
    raw = next((uri for uri in strings(sidecar(image).get("Sources")) if uri.startswith(_RAW)), None)
    if raw is not None:
        own = parse_name(raw.rpartition("/")[2])[0]
        session = own.get("ses") or next((p[4:] for p in raw.split("/")[:-1] if p.startswith("ses-")), None)
        entities = {key: value for key, value in entities.items() if key != "ses"}
        entities |= {"ses": session} if session else {}
        if path.parent.name == "anat":
            # Of several T1w a correction says of which it is.
            entities |= {key: own[key] for key in ("acq", "run") if key in own}
    folder = case_folder(Path(f"../{CORRECTIONS}"), context.participant, entities.get("ses")) / path.parent.name
    name = file_name(entities, suffix, extension)
    return path.relative_to(context.output_dir).as_posix(), (folder / name).as_posix()


def rerun_command(output_dir: Path, participant: str) -> str | None:
    """The last run of the participant level again, for one participant and with corrections; None without a record.

    Parameters
    ----------
    output_dir : Path
    participant : str
        Label without ``sub-``.

    Returns
    -------
    str
        To be run in the output folder: no place of this machine stands in it. Where a folder lies elsewhere than beside
        or above the output folder, DATASET and FOLDER stand for it.
    """
    links = read_object(description_file(output_dir)).get("DatasetLinks")
    links = links if isinstance(links, dict) else {}
    found = _last_settings(output_dir)
    if found is None or not isinstance(links.get("raw"), str):
        return None
    run, settings = found
    try:
        names = [one.name for one in read_derivatives(settings.get("derivatives", []))]
    except (TypeError, ValueError):
        names = []
    # The first folder wins.
    others = [f"{name}={_place_of(links[name], _FOLDER)}" for name in names
              if name != CORRECTIONS and isinstance(links.get(name), str)]  # fmt: skip
    words = ["bids_spectsynth", _place_of(links["raw"], _DATASET), ".", "participant",
             "--config-file", f"{LOGS_FOLDER}/{run.name}/settings.toml", "--participant-label", participant,
             "--derivatives", f"{CORRECTIONS}=../{CORRECTIONS}", *others]  # fmt: skip
    return shlex.join(words)


def _place_of(link: str, placeholder: str) -> str:
    """A link as a page may have it: one beside or above the output folder, else no folder of this machine."""
    parts = link.rstrip("/").split("/")
    is_near = parts[0] == ".." and (len(parts) <= 2 or set(parts) == {".."})
    return link if is_near else placeholder


def _last_settings(output_dir: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest run that prepared images, and its settings."""
    for run in sorted((output_dir / LOGS_FOLDER).glob("*-participant-*"), reverse=True):
        try:
            settings = tomllib.loads((run / "settings.toml").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if not settings.get("reports_only") and settings.get("mode") != "train":
            return run, settings
    return None
