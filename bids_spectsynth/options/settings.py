"""Settings of one run: a frozen record that is passed as an argument, and its TOML form."""

import dataclasses
import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.checks import check_settings
from bids_spectsynth.options.presets import PRESETS, VOXEL_SIZES, Preset, crop_of
from bids_spectsynth.options.spaces import T1W_SPACE as T1W_SPACE
from bids_spectsynth.options.spaces import parse_space, parse_spaces

AnalysisLevel = Literal["participant", "group"]
Mode = Literal["auto", "preprocess", "train", "apply"]
BackendChoice = Literal["auto", "fsl", "embedded"]
Scaling = Literal["slice", "volume"]
Device = Literal["auto", "cpu", "cuda"]
FslRunner = Literal["local", "docker", "singularity"]
CoregInit = Literal["auto", "header", "identity"]
AdversarialLoss = Literal["bce", "lsgan"]
CohortPrior = Literal["none", "channel", "residual"]
Augmentation = Literal["flip", "affine", "elastic", "intensity"]
Orientations = Literal["axial", "three"]
Switch = Literal["off", "on"]
Precision = Literal["auto", "float32", "bfloat16"]
MemoryFormat = Literal["auto", "contiguous", "channels_last"]
Compile = Literal["auto", "on", "off"]
SliceStorage = Literal["auto", "memory", "disk"]
Crop = Literal["none", "brain"]

#: The field of view of every prepared image in millimetres (x, y, z), 256 x 256 x 192 at 1 mm (paper, section 2.2).
FIELD_OF_VIEW_MM = (256, 256, 192)
#: Slices that the paper takes from each subject, counted at 1 mm.
PAPER_SLICES_PER_SUBJECT = 100


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that a run depends on, besides its input data.

    Names equal the long command line options with underscores. Paths are absolute.
    ``inputs`` holds one tuple of image roles per model to train (``("T1w", "pet")``, ``("pet",)``);
    ``output_spaces`` holds ``T1w`` or TemplateFlow templates as ``NAME[:cohort-X][:res-Y]``. ``study`` is the name of
    a study or the path of its TOML file. ``hold_out`` holds ``COLUMN=VALUE`` of ``participants.tsv``.
    ``equivalence_margins`` are those of RMSE, SSIM and PSNR.
    """

    bids_dir: Path
    output_dir: Path
    analysis_level: AnalysisLevel
    participant_label: tuple[str, ...] = ()
    session_label: tuple[str, ...] = ()
    bids_filter_file: Path | None = None
    work_dir: Path | None = None
    clean_workdir: bool = False
    nprocs: int = 1
    omp_nthreads: int = 1
    mem_mb: int | None = None
    use_plugin: Path | None = None
    skip_bids_validation: bool = False
    stop_on_first_crash: bool = False
    random_seed: int = 1234
    device: Device = "auto"
    precision: Precision = "auto"
    memory_format: MemoryFormat = "auto"
    compile: Compile = "auto"
    slice_storage: SliceStorage = "auto"
    dry_run: bool = False
    verbose: int = 0
    mode: Mode = "auto"
    model: Path | None = None
    model_label: str | None = None
    inputs: tuple[tuple[str, ...], ...] = (("T1w", "pet"),)
    output_spaces: tuple[str, ...] = (T1W_SPACE,)
    backend: BackendChoice = "auto"
    bet_fractional_intensity: float = 0.5
    bet_robust: Switch = "on"
    fsl_runner: FslRunner = "local"
    fsl_image: str | None = None
    coreg_init: CoregInit = "auto"
    preset: Preset = "fard2024"
    study: str | None = None
    intensity_scaling: Scaling = "slice"
    adversarial_weight: float = 1.0
    adversarial_loss: AdversarialLoss = "bce"
    l1_weight: float = 100.0
    ssim_weight: float = 0.0
    epochs: int = 1000
    batch_size: int = 8
    learning_rate: float = 1e-4
    learning_rate_decay_epochs: int = 0
    base_filters: int = 64
    checkpoint_every: int = 10
    neighbour_slices: int = 0
    cohort_prior: CohortPrior = "none"
    augmentation: tuple[str, ...] = ()
    ema_decay: float = 0.0
    flip_average: Switch = "off"
    orientations: Orientations = "axial"
    crop: Crop = "none"
    ensemble_members: int = 1
    uncertainty: int = 0
    voxel_size: float = 1.0
    slices_per_subject: int | None = None
    split: tuple[float, float, float] = field(default=(30.0, 6.0, 12.0))
    split_counts: tuple[int, int, int] | None = None
    split_file: Path | None = None
    hold_out: tuple[str, ...] = ()
    cross_validate: int = 0
    data_range: float = 2.0
    bootstrap_samples: int = 10000
    equivalence_margins: tuple[float, float, float] = (0.01, 0.01, 0.5)

    @property
    def work_folder(self) -> Path:
        """Where intermediate results lie: ``work_dir``, or ``work`` in the output folder."""
        return self.work_dir if self.work_dir is not None else self.output_dir / "work"

    @property
    def n_slices(self) -> int:
        """Slices a subject gives to training: the option, or the paper's 100 at 1 mm scaled to the voxel size."""
        if self.slices_per_subject is not None:
            return self.slices_per_subject
        return round(PAPER_SLICES_PER_SUBJECT / self.voxel_size)

    @property
    def spaces(self) -> tuple[str, ...]:
        """The output spaces by the labels that file names, models and tables bear."""
        return tuple(parse_space(space).label for space in self.output_spaces)

    @property
    def templates(self) -> tuple[str, ...]:
        """The output spaces that are templates, as they are asked for."""
        return tuple(space for space in self.output_spaces if space != T1W_SPACE)

    @property
    def fsl_options(self) -> tuple[str, ...]:
        """Options of FSL, as the command line spells them, whose value is not the default."""
        names = ("bet_fractional_intensity", "bet_robust", "fsl_runner", "fsl_image")
        changed = (f for f in dataclasses.fields(self) if f.name in names and getattr(self, f.name) != f.default)
        return tuple("--" + f.name.replace("_", "-") for f in changed)


_NAMES = tuple(f.name for f in dataclasses.fields(Settings))
#: Suffixes as BIDS spells them; a role in another case would be looked for in vain.
_ROLE_SPELLINGS = {name.lower(): name for name in ("T1w", "pet", "T2w", "FLAIR", "PDw", "T2starw")}
_POSITIONAL = ("bids_dir", "output_dir", "analysis_level")


def option_names() -> tuple[str, ...]:
    """Names that a configuration file may set, in the order of the record."""
    return tuple(name for name in _NAMES if name not in _POSITIONAL)


def read_config(path: Path) -> dict[str, Any]:
    """Read option values from a TOML file.

    Parameters
    ----------
    path : Path
        A TOML file whose keys are long option names, with hyphens or underscores; also the ``settings.toml`` that
        every run leaves in its log folder.

    Returns
    -------
    dict
        Values by settings name, of the types that TOML has; :func:`make_settings` coerces them.

    Raises
    ------
    UsageError
        The file cannot be read or parsed, or holds a key that is no option.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot read the configuration file ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML ({error})") from error
    values = {key.replace("-", "_"): value for key, value in content.items()}
    for name in _POSITIONAL:
        # Present in the settings that a run records; the command line always gives them.
        values.pop(name, None)
    unknown = sorted(set(values) - set(option_names()))
    if unknown:
        raise UsageError(f"{path}: unknown option {', '.join(unknown)}; known: {', '.join(option_names())}")
    return values


def make_settings(values: Mapping[str, Any]) -> Settings:
    """Build settings from plain values (strings, numbers, lists), checking choices and ranges.

    Raises
    ------
    UsageError
        A value is of the wrong type, no allowed choice, or out of range.
    """
    hints = get_type_hints(Settings)
    preset: Preset = _coerce("preset", values.get("preset") or "fard2024", hints["preset"])
    given = {name: value for name, value in values.items() if value is not None}
    values = {"voxel_size": VOXEL_SIZES[preset], **PRESETS[preset], **given}
    coerced = {name: _coerce(name, value, hints[name]) for name, value in values.items()}
    settings = Settings(**{"crop": crop_of(preset, coerced["voxel_size"]), **coerced})
    check_settings(settings)
    return settings


def _coerce(name: str, value: Any, hint: Any) -> Any:
    option = "--" + name.replace("_", "-")
    try:
        if name == "inputs":
            return _input_sets(value)
        if name == "output_spaces":
            return parse_spaces([value] if isinstance(value, str) else value)
        if name in ("split", "split_counts", "equivalence_margins"):
            return _three_numbers(value, whole=name == "split_counts")
        if name == "augmentation":
            return _augmentation(value)
        if Path in get_args(hint) or hint is Path:
            return Path(value).expanduser().absolute()
        if hint == tuple[str, ...]:
            return (value,) if isinstance(value, str) else tuple(dict.fromkeys(str(v) for v in value))
        choices = get_args(hint)
        if choices and all(isinstance(choice, str) for choice in choices):
            if value not in choices:
                raise ValueError(f"choose from {', '.join(choices)}")
            return value
        plain = next((t for t in (bool, int, float, str) if t is hint or t in choices), str)
        if plain is bool and not isinstance(value, bool):
            raise ValueError("true or false needed")
        if plain in (int, float) and (isinstance(value, bool) or not math.isfinite(float(value))):
            raise ValueError("number needed")
        if plain is int and float(value) != int(value):
            raise ValueError("whole number needed")
        return plain(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"{option}: {value!r} is not usable ({error})") from error


def _three_numbers(value: Any, *, whole: bool) -> tuple[float, ...]:
    parts = tuple(float(v) for v in value)
    if len(parts) != 3 or not all(map(math.isfinite, parts)):
        raise ValueError("three numbers needed")
    if whole and any(part != int(part) for part in parts):
        raise ValueError("whole numbers needed")
    return tuple(int(part) for part in parts) if whole else parts


def _augmentation(value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else [str(v) for v in value]
    if names == ["none"]:
        return ()
    known = get_args(Augmentation)
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"{unknown[0]!r}: choose from none, {', '.join(known)}")
    # One order, so that one set has one meaning.
    return tuple(name for name in known if name in names)


def _input_sets(value: Any) -> tuple[tuple[str, ...], ...]:
    sets = [[value]] if isinstance(value, str) else [value] if value and isinstance(value[0], str) else value
    out = []
    for one in sets:
        unique = tuple(dict.fromkeys(str(role) for role in one))
        if not unique or not all(role.isascii() and role.isalnum() for role in unique):
            raise ValueError("BIDS suffixes needed, e.g. T1w pet")
        unique = tuple(dict.fromkeys(_ROLE_SPELLINGS.get(role.lower(), role) for role in unique))
        if {"spect", "interictal", "ictal"} & {role.lower() for role in unique}:
            raise ValueError("SPECT is what is synthesised, not an input")
        # T1w first, PET last: one order, so that one set of inputs has one name.
        out.append(tuple(sorted(unique, key=lambda role: (role != "T1w", role == "pet", role))))
    if not out:
        raise ValueError("at least one set of inputs needed")
    return tuple(dict.fromkeys(out))


def to_toml(settings: Settings) -> str:
    """TOML text of the settings; reading it back with the three positional values gives equal settings."""
    lines = []
    for name in _NAMES:
        value = getattr(settings, name)
        if value is not None:
            lines.append(f"{name} = {_toml_value(value)}")
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case tuple():
            return "[" + ", ".join(_toml_value(v) for v in value) + "]"
        case _:
            # JSON's escapes are TOML's, but for DEL, which JSON leaves as it is.
            return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
