"""The top-level files that make the output folder a BIDS derivative dataset."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

import bids_spectsynth
from bids_spectsynth.bids.manifests import FOLDER as MANIFESTS
from bids_spectsynth.bids.names import BIDS_VERSION
from bids_spectsynth.bids.output_files import description_file, descriptions_file
from bids_spectsynth.bids.participants import read_rows
from bids_spectsynth.bids.public import is_doi, is_public_text
from bids_spectsynth.bids.sidecars import read_object
from bids_spectsynth.bids.writing import LOCK_FILE, folder_lock, write_json, write_table, write_text
from bids_spectsynth.errors import DatasetError
from bids_spectsynth.options.settings import Settings

CODE_NAME = "bids_spectsynth"
#: How the simulated cohort names itself in the ``GeneratedBy`` of its dataset description.
PHANTOM_NAME = "bids_spectsynth-phantom"

#: What the standard's own schema does not know, for validators without the SPECT extension.
NOT_IN_STANDARD = ("**/spect", "**/*_xfm.*", "**/pet/*_mask.*")
#: What is no BIDS data in any reading: reports, logs, models, group tables, and hidden files, which not every
#: validator passes over.
NOT_BIDS = (
    "**/figures",
    "**/dicom",
    "logs",
    "models",
    "siscom",
    "normals",
    "work",
    "*.html",
    "group_*",
    "*_qc.json",
    "CITATION.md",
    MANIFESTS,
    LOCK_FILE,
)

DESCRIPTIONS = {
    "preproc": "Brain-extracted image on the common grid of the space that the file name gives.",
    "brain": "Mask of the brain (1 inside, 0 outside).",
}

CITATION = """\
# What to cite

The method: Fard AS, Reutens DC, Ramsay SC, Goodman SJ, Ghosh S, Vegh V. Image synthesis of interictal SPECT from MRI
and PET using machine learning. Frontiers in Neurology 2024;15:1383773, https://doi.org/10.3389/fneur.2024.1383773

The network: Isola P, Zhu J-Y, Zhou T, Efros AA. Image-to-image translation with conditional adversarial networks.
CVPR 2017, https://doi.org/10.1109/CVPR.2017.632

The data standard: Gorgolewski KJ, et al. The brain imaging data structure. Scientific Data 2016;3:160044,
https://doi.org/10.1038/sdata.2016.44

The workflow engine: Gorgolewski K, et al. Nipype. Frontiers in Neuroinformatics 2011;5:13,
https://doi.org/10.3389/fninf.2011.00013

Images in this folder whose sidecar says `"Synthetic": true` were computed by a network. They show no measurement and
are not for diagnosis.
"""

#: First line of the README that is written; one with another is its owner's.
_README_TITLE = "# Interictal SPECT synthesised from MRI and PET"
README = f"""\
{_README_TITLE}

Derivatives of the BIDS app {CODE_NAME}, whose version and tools `dataset_description.json` names. **Images whose
sidecar says `"Synthetic": true` were computed by a network. They show no measurement and are not for diagnosis.**

- `sub-*.html`: a page for each participant. Look at the contours of the registrations first.
- `group.html`, `group_*.tsv`, `figures/`: tables, tests and figures of the whole folder, once the group level has run.
- `participants.tsv`: who was trained on, who was held out, and why somebody was skipped or failed.
- `sub-*/`: prepared and synthetic images, masks, transforms, and tables of the evaluation. `descriptions.tsv` explains
  the values of `desc-`; every table has a data dictionary, the JSON file of its name.
- `models/`: a folder for each model with its weights and its card, `model.json`.
- `logs/`: a folder for each run with its settings and messages.
- `work/`: intermediate results, where they lie here; may be removed when all runs have ended.
- `CITATION.md`: what to cite.
"""


def write_dataset_files(settings: Settings, tools: Mapping[str, str]) -> None:
    """Write ``dataset_description.json``, ``.bidsignore``, ``descriptions.tsv``, ``CITATION.md`` and ``README.md``.

    A README that somebody else has written is left alone.

    Descriptions and tools that earlier runs recorded are kept, so that stages may run one by one on several machines.

    Parameters
    ----------
    settings : Settings
        Gives the folders and the model label.
    tools : mapping of tool name to version
        What was used besides this package; may be empty.
    """
    folder = settings.output_dir
    with folder_lock(folder):
        write_json(description_file(folder), dataset_description(settings, tools))
    write_text(folder / ".bidsignore", "\n".join((*NOT_IN_STANDARD, *NOT_BIDS)) + "\n")
    write_text(folder / "CITATION.md", CITATION)
    if all(_is_own_readme(path) for path in folder.glob("README*")):
        write_text(folder / "README.md", README)
    add_descriptions(folder, DESCRIPTIONS)


def _is_own_readme(path: Path) -> bool:
    try:
        return path.name == "README.md" and path.read_bytes().startswith(_README_TITLE.encode())
    except OSError:
        return False


def dataset_description(settings: Settings, tools: Mapping[str, str]) -> dict[str, Any]:
    """Content of ``dataset_description.json``; see :func:`write_dataset_files`.

    The input is given by a relative path (``DatasetLinks``), which names no user and no machine.
    """
    recorded = read_object(description_file(settings.output_dir))
    has_input = (description_file(settings.bids_dir)).is_file()
    link = _relative_link(settings.bids_dir, settings.output_dir)
    earlier = _earlier_tools(settings.output_dir)
    used = {"Name": CODE_NAME, "Version": bids_spectsynth.__version__}
    others = [{"Name": name, "Version": version} for name, version in sorted({**earlier, **tools}.items())]
    source = _source_dataset(settings.bids_dir)
    origin: dict[str, Any] = {
        "License": source.pop("License", "Same as the source dataset"),
        "SourceDatasets": [{"URL": link, **source}],
        "DatasetLinks": {"raw": link},
    }
    folders = {one.name: _relative_link(one.path, settings.output_dir) for one in settings.derivatives}
    if not has_input:
        # A stage that needs no input dataset must not forget where the images came from.
        origin |= {key: recorded[key] for key in origin if key in recorded}
    # Sidecars of earlier runs may name folders that this one has not been given.
    origin["DatasetLinks"] = {**_links(recorded), **origin["DatasetLinks"], **folders}
    simulated = {"PhantomData": True} if has_phantom_data(settings) else {}
    return {
        "Name": "Interictal SPECT synthesised from MRI and PET",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "HowToAcknowledge": "See CITATION.md",
        "GeneratedBy": [used, *others],
        **origin,
        **simulated,
    }


def _links(recorded: Mapping[str, Any]) -> dict[str, str]:
    links = recorded.get("DatasetLinks")
    return {str(name): str(link) for name, link in links.items()} if isinstance(links, dict) else {}


def has_phantom_data(settings: Settings) -> bool:
    """Whether the input, or what the output folder was made from, is a simulated cohort of this package."""
    earlier = read_object(description_file(settings.output_dir)).get("PhantomData")
    return is_simulated(settings.bids_dir) or earlier is True


def is_simulated(bids_dir: Path) -> bool:
    """Whether a raw dataset is a simulated cohort of this package, as its description says."""
    makers = read_object(description_file(bids_dir)).get("GeneratedBy", [])
    names = [maker.get("Name") for maker in makers if isinstance(maker, dict)] if isinstance(makers, list) else []
    return PHANTOM_NAME in names


def _relative_link(bids_dir: Path, output_dir: Path) -> str:
    try:
        return Path(os.path.relpath(bids_dir.resolve(), output_dir.resolve())).as_posix()
    except ValueError:  # another drive: there is no relative path
        return bids_dir.resolve().as_uri()


def _source_dataset(bids_dir: Path) -> dict[str, str]:
    """DOI and licence of the input, as far as they can leave."""
    content = read_object(description_file(bids_dir))
    doi, licence = content.get("DatasetDOI"), content.get("License")
    found = {"DOI": doi} if isinstance(doi, str) and is_doi(doi) else {}
    return {**found, "License": licence} if isinstance(licence, str) and is_public_text(licence) else found


def _earlier_tools(output_dir: Path) -> dict[str, str]:
    entries = read_object(description_file(output_dir)).get("GeneratedBy", [])
    pairs = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return {str(e["Name"]): str(e.get("Version", "")) for e in pairs if e.get("Name") not in (None, CODE_NAME)}


def add_descriptions(output_dir: Path, descriptions: Mapping[str, str]) -> None:
    """Add rows to ``descriptions.tsv``, which explains the values of ``desc-`` in this folder.

    Parameters
    ----------
    output_dir : Path
    descriptions : mapping of ``desc-`` value to text
        E.g. a model label and what the model is. A value that is described already is replaced.

    Raises
    ------
    DatasetError
        The file that exists is not such a table.
    """
    with folder_lock(output_dir):
        _merge_descriptions(descriptions_file(output_dir), descriptions)


def _merge_descriptions(path: Path, descriptions: Mapping[str, str]) -> None:
    known: dict[str, str] = {}
    if path.exists():
        try:
            _, rows = read_rows(path)
            known = {row["desc_id"].removeprefix("desc-"): row["description"] for row in rows}
        except (ValueError, KeyError) as error:
            raise DatasetError(
                f"{path}: not a table of descriptions ({error}); remove the file and run again"
            ) from error
    merged = {**known, **descriptions}
    table = pd.DataFrame({"desc_id": [f"desc-{key}" for key in merged], "description": list(merged.values())})
    dictionary = {
        "desc_id": {"Description": "Value of the desc entity in file names."},
        "description": {"Description": "What files with this value hold."},
    }
    write_table(path, table, dictionary)
