"""What lies in an output folder, and how it is found again: transforms, synthetic images, tables, logs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from bids_spectsynth.bids.names import case_folder, output_path, parse_name
from bids_spectsynth.bids.prepared import PreparedCase, find_prepared
from bids_spectsynth.bids.roles import role_name
from bids_spectsynth.bids.sidecars import as_number, read_object, sidecar, strings
from bids_spectsynth.options.settings import T1W_SPACE
from bids_spectsynth.options.spaces import option_of

#: Columns of tables that are names: one that consists of digits is no number.
_NAMES = (
    "participant_id", "session_id", "model", "configuration", "configuration_a", "configuration_b", "method",
    "method_a", "method_b", "inputs", "space", "scaling", "losses", "recipe", "training", "scale", "seed", "split",
    "subjects", "comparison", "metric", "test", "primary", "unit", "note", "template", "region", "hemisphere",
    "measure", "sampled_by", "bin",
)  # fmt: skip


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
    return read_object(output_dir / "dataset_description.json").get("PhantomData") is True


@dataclass(frozen=True)
class Transform:
    """A registration, from the sidecar of its transform.

    Parameters
    ----------
    path : Path
        The matrix file.
    case_name : str
        ``sub-01`` or ``sub-01_ses-x``.
    role : str
        What was registered: ``pet``, ``interictal``, ``ictal``, another MR suffix, or ``T1w`` (to a template).
    target : str
        ``T1w`` or the template.
    """

    path: Path
    case_name: str
    role: str
    target: str
    sidecar: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """``PET to T1w``."""
        return f"{role_name(self.role)} to {self.target}"

    @property
    def template(self) -> str:
        """The template that a T1w was registered to, as ``--output-spaces`` takes it, with its resolution if known."""
        return str(self.sidecar.get("Template") or option_of(self.target))

    @property
    def poor(self) -> bool:
        """Whether the result should not be trusted without looking."""
        return self.sidecar.get("Poor") is True

    @property
    def score(self) -> float:
        """Final value of the metric; not a number where unknown."""
        return as_number(self.sidecar.get("Score"))

    @property
    def overlap(self) -> float:
        """Dice coefficient of the two brains, 0 to 1; not a number where unknown."""
        return as_number(self.sidecar.get("Overlap"))

    @property
    def metric(self) -> str:
        """What the score is."""
        return str(self.sidecar.get("Metric", "n/a"))

    @property
    def notes(self) -> list[str]:
        """One line each: why it is poor, how it was found."""
        return strings(self.sidecar.get("Notes"))


def find_transforms(output_dir: Path, participant: str = "*") -> list[Transform]:
    """Registrations in the output folder, each once (towards its target), by participant, session and file name.

    Parameters
    ----------
    output_dir : Path
    participant : str
        Label without ``sub-``; ``*`` for all.
    """
    pattern = f"sub-{participant}"
    files = [*output_dir.glob(f"{pattern}/*/*_xfm.txt"), *output_dir.glob(f"{pattern}/ses-*/*/*_xfm.txt")]
    found = [_transform(path) for path in sorted(files)]
    return [transform for transform in found if transform is not None]


def _transform(path: Path) -> Transform | None:
    entities, _, _ = parse_name(path.name)
    source, target, content = entities.get("from", ""), entities.get("to", ""), sidecar(path)
    affine = content.get("Type") == "affine"
    # Both directions are stored: an affine one belongs to a template, a rigid one leads to the T1w.
    if target != T1W_SPACE if not affine else source != T1W_SPACE:
        return None
    role = entities.get("task", "interictal") if source == "spect" else source
    session = entities.get("ses")
    name = f"sub-{entities.get('sub', '')}" + (f"_ses-{session}" if session else "")
    return Transform(path, name, role, target, content)


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
        if facts.get("Synthetic") is not True or "StandardDeviationOf" in facts:
            continue
        entities, _, _ = parse_name(path.name)
        metrics = path.with_name(path.name.replace("_spect.nii.gz", "_metrics.tsv"))
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
    folders = sorted(path for path in (output_dir / "logs").glob("*") if path.is_dir())
    return folders[-1] if folders else None


def software_version(output_dir: Path) -> str:
    """Version of this package that wrote the output folder, as its dataset description says."""
    entries = read_object(output_dir / "dataset_description.json").get("GeneratedBy")
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and entry.get("Name") == "bids_spectsynth":
            return str(entry.get("Version", "unknown"))
    return "unknown"


# Tables that rate a synthetic image against the real one.

Rating = Literal["metrics", "regions", "volume", "calibration"]
RATINGS: tuple[Rating, ...] = ("metrics", "regions", "volume", "calibration")


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
    entities = {"task": "interictal", "space": prepared.space, "desc": label}
    return output_path(output_dir, prepared.participant, prepared.session, "spect", entities, rating, ".tsv")


def find_ratings(output_dir: Path, rating: Rating) -> list[Path]:
    """All tables of one kind in the output folder, sorted by path."""
    patterns = (f"sub-*/spect/*_{rating}.tsv", f"sub-*/ses-*/spect/*_{rating}.tsv")
    return sorted(path for pattern in patterns for path in output_dir.glob(pattern))


# Tables and figures of the group level.

GroupTable = Literal[
    "metrics", "summary", "ttests", "regions", "agreement", "volumes", "calibration",
    "table2", "table3", "table4", "comparisons",
]  # fmt: skip


def group_table_path(output_dir: Path, table: GroupTable) -> Path:
    """``group_<table>.tsv``; its data dictionary lies beside it."""
    return output_dir / f"group_{table}.tsv"


def group_figures(output_dir: Path) -> Path:
    """The folder of the group level's figures."""
    return output_dir / "figures"
