"""Settings of one run: a frozen record that is passed as an argument."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bids_spectsynth.options import checks
from bids_spectsynth.options.choices import AdversarialLoss as AdversarialLoss
from bids_spectsynth.options.choices import AnalysisLevel as AnalysisLevel
from bids_spectsynth.options.choices import Augmentation as Augmentation
from bids_spectsynth.options.choices import BackendChoice as BackendChoice
from bids_spectsynth.options.choices import CohortPrior as CohortPrior
from bids_spectsynth.options.choices import Compile as Compile
from bids_spectsynth.options.choices import CoregInit as CoregInit
from bids_spectsynth.options.choices import Crop as Crop
from bids_spectsynth.options.choices import Device as Device
from bids_spectsynth.options.choices import DicomClass as DicomClass
from bids_spectsynth.options.choices import Export as Export
from bids_spectsynth.options.choices import FlirtCost as FlirtCost
from bids_spectsynth.options.choices import FlirtSpect as FlirtSpect
from bids_spectsynth.options.choices import Freeze as Freeze
from bids_spectsynth.options.choices import FslRunner as FslRunner
from bids_spectsynth.options.choices import Harmonise as Harmonise
from bids_spectsynth.options.choices import LesionUse as LesionUse
from bids_spectsynth.options.choices import MemoryFormat as MemoryFormat
from bids_spectsynth.options.choices import Mode as Mode
from bids_spectsynth.options.choices import Orientations as Orientations
from bids_spectsynth.options.choices import Precision as Precision
from bids_spectsynth.options.choices import Scaling as Scaling
from bids_spectsynth.options.choices import Schedule as Schedule
from bids_spectsynth.options.choices import SiscomBaseline as SiscomBaseline
from bids_spectsynth.options.choices import SiscomLevel as SiscomLevel
from bids_spectsynth.options.choices import SliceStorage as SliceStorage
from bids_spectsynth.options.choices import Switch as Switch
from bids_spectsynth.options.choices import TemplateAffine as TemplateAffine
from bids_spectsynth.options.coerce import coerce
from bids_spectsynth.options.declarations.cohort import BY_SITE as BY_SITE
from bids_spectsynth.options.declarations.cohort import CALIBRATED as CALIBRATED
from bids_spectsynth.options.declarations.cohort import CohortOptions, EvaluationOptions
from bids_spectsynth.options.declarations.dicom import DicomOptions
from bids_spectsynth.options.declarations.execution import Arguments, DataOptions, ExecutionOptions, StorageOptions
from bids_spectsynth.options.declarations.model import ModelOptions
from bids_spectsynth.options.declarations.preparation import PreparationOptions
from bids_spectsynth.options.declarations.siscom import SiscomOptions
from bids_spectsynth.options.declarations.training import TrainingOptions
from bids_spectsynth.options.declare import declared, suggested_value
from bids_spectsynth.options.declare import option_names as names_of_options
from bids_spectsynth.options.losses import fold_losses
from bids_spectsynth.options.spaces import T1W_SPACE as T1W_SPACE
from bids_spectsynth.options.toml import read_toml
from bids_spectsynth.options.toml import to_toml as to_toml

#: The field of view of every prepared image in millimetres (x, y, z), 256 x 256 x 192 at 1 mm (article, section 2.2).
FIELD_OF_VIEW_MM = (256, 256, 192)
#: Slices that the article takes from each subject, counted at 1 mm.
PAPER_SLICES_PER_SUBJECT = 100


# A dataclass takes the fields of its last base first.
@dataclass(frozen=True, kw_only=True)
class Settings(
    DicomOptions,
    SiscomOptions,
    EvaluationOptions,
    CohortOptions,
    StorageOptions,
    TrainingOptions,
    ModelOptions,
    PreparationOptions,
    ExecutionOptions,
    DataOptions,
    Arguments,
):
    """Everything that a run depends on, besides its input data.

    Names equal the long command line options with underscores. Paths are absolute.
    ``inputs`` holds one tuple of image roles per model to train (``("T1w", "pet")``, ``("pet",)``);
    ``output_spaces`` holds ``T1w`` or TemplateFlow templates as ``NAME[:cohort-X][:res-Y]``. ``study`` is the name of
    a study or the path of its TOML file. ``hold_out`` holds ``COLUMN=VALUE`` of ``participants.tsv``. ``loss`` holds
    name and weight of the terms of the loss that have no option of their own. ``equivalence_margins`` holds
    name and margin of metrics.
    """

    @property
    def work_folder(self) -> Path:
        """Where intermediate results lie: ``work_dir``, or ``work`` in the output folder."""
        return self.work_dir if self.work_dir is not None else self.output_dir / "work"

    @property
    def n_slices(self) -> int:
        """Slices a subject gives to training: the option, or the article's 100 at 1 mm scaled to the voxel size."""
        if self.slices_per_subject is not None:
            return self.slices_per_subject
        return round(PAPER_SLICES_PER_SUBJECT / self.voxel_size)

    @property
    def is_calibrated(self) -> bool:
        """Whether errors of synthetic images are told from those of held-out participants."""
        return self.uncertainty == CALIBRATED

    @property
    def samples(self) -> int:
        """Outputs behind a standard deviation of disagreement; 0 for none."""
        return 0 if self.uncertainty == CALIBRATED else int(self.uncertainty)


SettingsT = TypeVar("SettingsT", bound=Settings)


def option_names() -> tuple[str, ...]:
    """Names that a configuration file may set, in the order of the record."""
    return names_of_options(Settings)


def read_config(path: Path) -> dict[str, Any]:
    """Option values from a TOML file, see :func:`bids_spectsynth.options.toml.read_toml`.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict
        Values by settings name, of the types that TOML has; :func:`make_settings` coerces them.

    Raises
    ------
    UsageError
        The file cannot be read or parsed, or holds a key that is no option.
    """
    return read_toml(path, Settings)


def make_settings(values: Mapping[str, Any], given: Collection[str] = ()) -> Settings:
    """Build settings from plain values (strings, numbers, lists), checking choices, ranges and combinations.

    Parameters
    ----------
    values : mapping of str to object
        By name; None counts as not given.
    given : collection of str
        Names of those that were asked for one by one, which are refused where they have no effect beside a model, even
        if they are as by default. Others may come of a file that a run has recorded.

    Raises
    ------
    UsageError
        A value is of the wrong type, no allowed choice, or out of range, or two options do not go together.
    """
    return settings_of(Settings, values, given)


def settings_of(options: type[SettingsT], values: Mapping[str, Any], given: Collection[str] = ()) -> SettingsT:
    """As :func:`make_settings`, with the options that a subclass of :class:`Settings` declares besides.

    Parameters
    ----------
    options : type
        :class:`Settings` or a subclass.
    values : mapping of str to object
    given : collection of str

    Raises
    ------
    UsageError
        See :func:`make_settings`.
    """
    every = declared(options)
    folded = {name: value for name, value in fold_losses(values, options).items() if value is not None}
    requested = folded
    for name, one in every.items():
        # What is given one by one wins over what a shorthand stands for.
        meant = one.option.shorthands.get(str(requested.get(name)), {})
        requested = {**meant, **requested, **({name: meant[name]} if meant else {})}
    preset: str = coerce(every["preset"], requested.get("preset", every["preset"].default))
    coerced = {name: coerce(every[name], value) for name, value in requested.items()}
    for name, one in every.items():
        if name not in coerced and one.option.group is not None:
            coerced[name] = suggested_value(one, preset, coerced)
    settings = options(**coerced)
    _check(settings, folded, given)
    return settings


def _check(settings: Settings, values: Mapping[str, Any], given: Collection[str]) -> None:
    checks.check_training(settings, settings.intensity_scaling)
    checks.check_start(settings, settings)
    checks.check_warmup(settings, given)
    checks.check_split(settings)
    checks.check_quality(settings)
    checks.check_backend(settings)
    checks.check_model(settings, _of_training(settings, values, given))
    checks.check_level(settings.analysis_level, settings)
    checks.check_harmonising(settings.analysis_level, settings.mode, settings.harmonise, given)
    checks.check_selection(settings.analysis_level, settings, settings)
    checks.check_database(settings.analysis_level, settings, settings)
    checks.check_again(settings.analysis_level, settings, settings, _one_by_one(settings, given))
    checks.check_lesions(settings.analysis_level, settings, settings, given)
    checks.check_siscom(settings.analysis_level, settings)
    checks.check_dicom(settings.analysis_level, settings, settings)


def _one_by_one(settings: Settings, given: Collection[str]) -> list[str]:
    """Options that are asked for one by one, without the arguments that every run has."""
    return [name for name in names_of_options(type(settings)) if name in given]


def _of_training(settings: Settings, values: Mapping[str, Any], given: Collection[str]) -> list[str]:
    """Options of training that are given, or whose value is not what it is without; a record of a run has them all."""
    every = {name: one for name, one in declared(type(settings)).items() if one.of_training}
    own = {name: getattr(settings, name) for name in declared(type(settings))}
    return [
        name
        for name, one in every.items()
        if name in given
        or (name in values and (str(values[name]) in one.option.shorthands))
        # The preset that a run has recorded says only where the other values come from.
        or (name in values and name != "preset" and own[name] != suggested_value(one, settings.preset, own))
    ]
