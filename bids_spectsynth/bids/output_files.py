"""Every file that the program writes beside the prepared ones: its name, and how it is found again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

import pandas as pd

from bids_spectsynth.bids.names import case_folder, output_path, parse_name
from bids_spectsynth.bids.prepared import PreparedCase, find_prepared
from bids_spectsynth.bids.roles import INTERICTAL, T1W, role_of
from bids_spectsynth.bids.sidecars import as_number, read_object, sidecar
from bids_spectsynth.logs import LOGS_FOLDER
from bids_spectsynth.options.settings import T1W_SPACE

#: Columns of tables that are names: one that consists of digits is no number.
_NAMES = (
    "participant_id", "session_id", "model", "configuration", "configuration_a", "configuration_b", "method",
    "method_a", "method_b", "inputs", "space", "scaling", "losses", "recipe", "training", "scale", "seed", "split",
    "subjects", "comparison", "metric", "test", "primary", "unit", "note", "template", "region", "hemisphere",
    "measure", "sampled_by", "bin", "metric_unit", "measure_unit", "ictal", "baseline", "baseline_a", "baseline_b",
    "other", "reader", "other_reader", "case", "modality", "quantity", "of", "side", "rater", "section", "verdict",
    "comment", "version", "asymmetry_flag", "real_flag", "asymmetry_real_flag",
    "lesion", "lesion_left_out",
)  # fmt: skip

#: Tables that rate a synthetic image against the real one; the last one rates its standard-deviation map.
Rating = Literal["metrics", "regions", "volume", "calibration"]
RATINGS: tuple[Rating, ...] = ("metrics", "regions", "volume", "calibration")
#: What the sidecar of a lesion mask has: mL of the mask as it was drawn, and of what lies in the brain.
LESION_KEYS = ("Volume", "VolumeInBrain")
#: Label of the participant's own T1w as a space.
ORIGINAL_SPACE = "orig"
#: What a standard deviation rests on (``SampledBy``) that comes of a calibration, not of samples.
CALIBRATION = "calibration"


def description_file(folder: Path) -> Path:
    """``dataset_description.json`` of a dataset or an output folder."""
    return folder / "dataset_description.json"


def descriptions_file(output_dir: Path) -> Path:
    """The table that explains the values of ``desc-``."""
    return output_dir / "descriptions.tsv"


def participants_file(folder: Path) -> Path:
    """``participants.tsv`` of a dataset or an output folder."""
    return folder / "participants.tsv"


def models_folder(output_dir: Path) -> Path:
    """Where models lie, one folder each."""
    return output_dir / "models"


def card_file(output_dir: Path, label: str) -> Path:
    """The card that stands for a model, whether or not there is one.

    Parameters
    ----------
    output_dir : Path
    label : str
        Of the model. The networks of an ensemble share all but seed, fold and orientation, so it is the first one's.
    """
    folder = models_folder(output_dir) / label
    return min(folder.glob("*/model.json"), default=folder / "model.json")


def image_cards(output_dir: Path, label: str, facts: Mapping[str, Any]) -> list[Path]:
    """The cards of the networks that made an image; of a cross-validation those of its participant's fold alone.

    Parameters
    ----------
    output_dir : Path
    label : str
        Of the model.
    facts : mapping
        Sidecar of the image: ``ModelURI``, which may have been edited.

    Returns
    -------
    list of Path
        :func:`card_file` where the sidecar names no card of the model in the output folder.
    """
    named = facts.get("ModelURI")
    prefix, folder = f"bids::models/{label}/", models_folder(output_dir) / label
    uris = [one for one in (named if isinstance(named, list) else [named]) if isinstance(one, str)]
    parts = [PurePosixPath(uri.removeprefix(prefix)) for uri in uris if uri.startswith(prefix)]
    found = [folder / part for part in parts if ".." not in part.parts and not part.is_absolute()]
    return found if found and all(path.is_file() for path in found) else [card_file(output_dir, label)]


def group_page(output_dir: Path) -> Path:
    """The page of the whole output folder."""
    return output_dir / "group.html"


def selection_file(output_dir: Path) -> Path:
    """Names whom the group level was restricted to; there is none where it is of everybody."""
    return output_dir / "group_selection.json"


def subject_page(output_dir: Path, participant: str) -> Path:
    """The page of a participant, by the label without ``sub-``."""
    return output_dir / f"sub-{participant}.html"


def _spect_path(
    output_dir: Path, prepared: PreparedCase, label: str, suffix: str, extension: str, space: str | None = None
) -> Path:
    entities = {"task": INTERICTAL, "space": space or prepared.space, "desc": label}
    datatype = role_of(INTERICTAL).datatype
    return output_path(output_dir, prepared.participant, prepared.session, datatype, entities, suffix, extension)


def lesion_path(output_dir: Path, prepared: PreparedCase) -> Path:
    """The prepared lesion mask of a case, whether or not it has one."""
    entities = {"space": prepared.space, "label": "lesion"}
    folder = role_of(T1W).datatype
    return output_path(output_dir, prepared.participant, prepared.session, folder, entities, "mask", ".nii.gz")


def find_lesions(output_dir: Path) -> list[Path]:
    """All prepared lesion masks in the output folder, sorted by path."""
    patterns = ("sub-*/anat/*_label-lesion_mask.nii.gz", "sub-*/ses-*/anat/*_label-lesion_mask.nii.gz")
    return sorted(path for pattern in patterns for path in output_dir.glob(pattern))


def lesion_volumes(path: Path) -> tuple[float, float]:
    """Volume of a prepared lesion mask as it was drawn, and of what lies in the brain, mL; NaN if unknown."""
    facts = sidecar(path)
    drawn, inside = (as_number(facts.get(key)) for key in LESION_KEYS)
    return drawn, inside


def volume_text(ml: float) -> str:
    """A volume for reading, to a tenth of a mL; what is less has one digit, so that a lesion of a voxel is one.

    Examples
    --------
    >>> volume_text(12.34), volume_text(0.0271), volume_text(0.0), volume_text(float("nan"))
    ('12.3', '0.03', '0', 'n/a')
    """
    if ml != ml:
        return "n/a"
    return f"{ml:.1f}" if ml >= 0.1 else f"{ml:.1g}"


def synthetic_path(output_dir: Path, prepared: PreparedCase, label: str, *, space: str | None = None) -> Path:
    """The synthetic SPECT of a case by a model.

    Parameters
    ----------
    output_dir : Path
    prepared : PreparedCase
    label : str
        Of the model.
    space : str, optional
        Another space than the case's: :data:`ORIGINAL_SPACE`.
    """
    return _spect_path(output_dir, prepared, label, role_of(INTERICTAL).suffix, ".nii.gz", space)


def standard_deviation_path(output_dir: Path, prepared: PreparedCase, label: str) -> Path:
    """The standard-deviation map of a model's synthetic SPECT.

    Parameters
    ----------
    output_dir, prepared, label
        As :func:`synthetic_path` takes them.
    """
    return synthetic_path(output_dir, prepared, f"{label}Sd")


def interval_paths(output_dir: Path, prepared: PreparedCase, label: str) -> tuple[Path, Path]:
    """Lower and upper end of the interval of a model's synthetic SPECT.

    Parameters
    ----------
    output_dir, prepared, label
        As :func:`synthetic_path` takes them.
    """
    lower, upper = (synthetic_path(output_dir, prepared, f"{label}{end}") for end in ("Lower", "Upper"))
    return lower, upper


def regional_intervals_path(output_dir: Path, prepared: PreparedCase, label: str) -> Path:
    """The table of regional uptake and asymmetry of a model's synthetic SPECT, with intervals.

    Parameters
    ----------
    output_dir, prepared, label
        As :func:`synthetic_path` takes them.
    """
    return _spect_path(output_dir, prepared, label, "uptake", ".tsv")


def rating_path(output_dir: Path, prepared: PreparedCase, label: str, rating: Rating) -> Path:
    """Where a table that rates the synthetic image of a case lies.

    Parameters
    ----------
    output_dir : Path
    prepared : PreparedCase
    label : str
        Of the model.
    rating : {'metrics', 'regions', 'volume', 'calibration'}

    Returns
    -------
    Path
        ``sub-<label>[/ses-<label>]/spect/..._task-interictal_space-<space>_desc-<model>_<rating>.tsv``.
    """
    return _spect_path(output_dir, prepared, label, rating, ".tsv")


def find_ratings(output_dir: Path, rating: Rating) -> list[Path]:
    """All tables of one kind in the output folder, sorted by path."""
    patterns = (f"sub-*/spect/*_{rating}.tsv", f"sub-*/ses-*/spect/*_{rating}.tsv")
    return sorted(path for pattern in patterns for path in output_dir.glob(pattern))


def ratings_of(output_dir: Path, prepared: PreparedCase) -> list[Path]:
    """All tables that rate synthetic images of a case, of whatever model, which exist, sorted by path."""
    folder = rating_path(output_dir, prepared, "x", "metrics").parent
    found = [path for rating in RATINGS for path in folder.glob(f"*_{rating}.tsv")]
    return sorted(path for path in found if parse_name(path.name)[0].get("space") == prepared.space)


def rating_tables(output_dir: Path, prepared: PreparedCase, label: str) -> list[Path]:
    """All tables that rate a synthetic image (:data:`RATINGS`), whether they exist or not.

    Parameters
    ----------
    output_dir, prepared, label
        As :func:`synthetic_path` takes them.
    """
    return [rating_path(output_dir, prepared, label, rating) for rating in RATINGS]


def case_tables(output_dir: Path, prepared: PreparedCase, label: str) -> list[Path]:
    """Those of :func:`rating_tables` that rate the image itself.

    Parameters
    ----------
    output_dir, prepared, label
        As :func:`synthetic_path` takes them.
    """
    return rating_tables(output_dir, prepared, label)[:-1]


def read_table(path: Path) -> pd.DataFrame:
    """A table of the group level: names as text, all else as numbers; NaN for ``n/a``.

    Raises
    ------
    OSError, ValueError
        It cannot be read.
    """
    return pd.read_csv(path, sep="\t", na_values=["n/a"], keep_default_na=False, dtype=dict.fromkeys(_NAMES, str))


def is_phantom(output_dir: Path) -> bool:
    """Whether the dataset description says that the images were simulated (``PhantomData``)."""
    return read_object(description_file(output_dir)).get("PhantomData") is True


@dataclass(frozen=True)
class Synthetic:
    """A synthetic image: which model made it, in which space, and its metrics where it was evaluated."""

    path: Path
    model: str
    space: str
    metrics: Path | None


def find_synthetic(output_dir: Path, case: PreparedCase) -> list[Synthetic]:
    """Synthetic images of a case on its prepared grid, by model name."""
    folder = case_folder(output_dir, case.participant, case.session) / "spect"
    found = []
    for path in sorted(folder.glob(f"*_space-{case.space}_desc-*_spect.nii.gz")):
        facts = sidecar(path)
        if facts.get("Synthetic") is not True or "StandardDeviationOf" in facts or "IntervalOf" in facts:
            continue
        entities, _, _ = parse_name(path.name)
        metrics = rating_path(output_dir, case, entities["desc"], "metrics")
        found.append(Synthetic(path, entities["desc"], case.space, metrics if metrics.exists() else None))
    return found


def find_cases(output_dir: Path, participant: str) -> list[PreparedCase]:
    """Prepared cases of a participant in every space that was written, T1w space first."""
    folder = output_dir / f"sub-{participant}"
    masks = [*folder.glob("anat/*_space-*_mask.nii.gz"), *folder.glob("ses-*/anat/*_space-*_mask.nii.gz")]
    spaces = {parse_name(path.name)[0]["space"] for path in masks}
    ordered = sorted(spaces, key=lambda space: (space != T1W_SPACE, space))
    return [case for space in ordered for case in find_prepared(output_dir, space, (participant,))]


def latest_run(output_dir: Path) -> Path | None:
    """The newest folder of logs, whose names begin with their time."""
    folders = sorted(path for path in (output_dir / LOGS_FOLDER).glob("*") if path.is_dir())
    return folders[-1] if folders else None


def software_version(output_dir: Path) -> str:
    """Version of this package that wrote the output folder, as its dataset description says."""
    entries = read_object(description_file(output_dir)).get("GeneratedBy")
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and entry.get("Name") == "bids_spectsynth":
            return str(entry.get("Version", "unknown"))
    return "unknown"


GroupTable = Literal[
    "metrics", "summary", "ttests", "regions", "agreement", "volumes", "calibration",
    "table2", "table3", "table4", "comparisons",
    "siscom", "siscom_concordance", "siscom_localisation", "siscom_readers", "siscom_jafroc",
    "quality", "outliers", "ratings", "lesions",
]  # fmt: skip


def group_table_path(output_dir: Path, table: GroupTable) -> Path:
    """``group_<table>.tsv``; its data dictionary lies beside it."""
    return output_dir / f"group_{table}.tsv"


def group_files() -> frozenset[str]:
    """Names of all that the group level writes at the top of an output folder; others there are not its own."""
    tables = {f"group_{table}{suffix}" for table in get_args(GroupTable) for suffix in (".tsv", ".json")}
    return frozenset({*tables, group_page(Path()).name, selection_file(Path()).name})


def group_figures(output_dir: Path) -> Path:
    """The folder of the group level's figures."""
    return output_dir / "figures"
