"""Options of which data a run takes and how it runs."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bids_spectsynth.options.choices import AnalysisLevel, Device, LesionUse, SliceStorage
from bids_spectsynth.options.declarations.derivatives import NamedFolder, read_derivatives, write_derivatives
from bids_spectsynth.options.declarations.groups import COMPUTATION, DATA, EXECUTION
from bids_spectsynth.options.declare import option
from bids_spectsynth.options.ranges import not_negative, positive

_MEMORY = re.compile(r"(-?[0-9]*\.?[0-9]+) *(?:([kmgt])i?b?)?", re.IGNORECASE)
_MEGABYTES = {"k": 1 / 1024, "m": 1, "g": 1024, "t": 1024**2}


def _read_memory(value: Any) -> int:
    """Megabytes of ``8000``, ``8G``, ``8 GB``; a thousand and twenty-four of each unit make the next."""
    if isinstance(value, bool) or (isinstance(value, float) and value != int(value)):
        raise ValueError("whole number needed")
    match = _MEMORY.fullmatch(str(int(value) if isinstance(value, float) else value).strip())
    if match is None:
        raise ValueError("MB needed, or a number with a unit, e.g. 8G")
    return round(float(match[1]) * _MEGABYTES[(match[2] or "m").lower()])


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The three positional arguments of every BIDS-App."""

    bids_dir: Path = field(metadata=option(None, "root folder of the BIDS dataset"))
    output_dir: Path = field(metadata=option(None, "folder for the derivatives, created if absent"))
    analysis_level: AnalysisLevel = field(metadata=option(None, "level of the analysis"))


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Which data a run takes."""

    participant_label: tuple[str, ...] = field(
        default=(),
        metadata=option(
            DATA,
            "participants to process, with or without sub-",
            "participants, with or without `sub-`; at the group level tables, tests and page are of these alone [all]",
            metavar="LABEL",
            action="extend",
        ),
    )
    session_label: tuple[str, ...] = field(
        default=(),
        metadata=option(
            DATA,
            "sessions to use, with or without ses- (default: all)",
            "sessions, with or without `ses-`; the group level is of all that the output folder holds [all]",
            flags=("--session-label", "--session-id"),
            metavar="LABEL",
            action="extend",
        ),
    )
    bids_filter_file: Path | None = field(
        default=None,
        metadata=option(
            DATA,
            "PyBIDS queries by role: t1w, pet, interictal, ictal, ...",
            "PyBIDS queries by image ([example](../examples/bids_filter.json))",
            metavar="JSON",
        ),
    )
    bids_database_dir: Path | None = field(
        default=None,
        metadata=option(
            DATA,
            "keep PyBIDS' index of the dataset in this folder and use it again; made anew where files have changed",
            "keep PyBIDS' index of the whole dataset in this folder, so that later runs and jobs begin at once; it is "
            "made anew, with a line, where images were added, removed or renamed",
            metavar="FOLDER",
        ),
    )
    derivatives: tuple[NamedFolder, ...] = field(
        default=(),
        metadata=option(
            DATA,
            "folders made elsewhere or by hand, also NAME=FOLDER: brain masks and transforms in place of our own, "
            "segmentations for the names of regions",
            "folders made elsewhere or by hand (fMRIPrep, PETPrep, FreeSurfer, ...), also `NAME=FOLDER`: [brain masks "
            "and transforms](correction.md#what-is-taken-from-derivatives) in place of our own steps, and "
            "[segmentations](#segmentations-for-the-names-of-foci) for the names of regions",
            metavar="[NAME=]FOLDER",
            read=read_derivatives,
            write=write_derivatives,
        ),
    )
    lesion_mask: LesionUse = field(
        default="siscom",
        metadata=option(
            DATA,
            "what a lesion mask among --derivatives is kept out of: nothing, the level, fits and null of SISCOM, the "
            "metrics too ({default})",
            "what a [lesion mask](correction.md#lesion-masks) among `--derivatives` is kept out of: nothing; the "
            "level, the fits and the null of SISCOM; or (`all`) the metrics too [`{default}`]",
        ),
    )
    skip_bids_validation: bool = field(
        default=False, metadata=option(DATA, "do not validate the input dataset", "do not validate the dataset")
    )

    @property
    def derivative_folders(self) -> tuple[Path, ...]:
        """The folders of derivatives without their names."""
        return tuple(one.path for one in self.derivatives)


@dataclass(frozen=True, kw_only=True)
class ExecutionOptions:
    """How a run is executed."""

    work_dir: Path | None = field(
        default=None,
        metadata=option(
            EXECUTION,
            "intermediate results (default: OUTPUT_DIR/work)",
            "intermediate results; keep them to resume [`OUTPUT_DIR/work`]",
            flags=("-w", "--work-dir"),
        ),
    )
    clean_workdir: bool = field(
        default=False,
        metadata=option(
            EXECUTION,
            "remove the intermediate results of participants that are prepared; other jobs' are left alone",
            "remove the intermediate results of every participant that is prepared, at the end of the preparation. "
            "Records of what was prepared stay, so that it is not done again. Only this run's participants are "
            "touched, so that jobs beside it are safe",
            flags=("--clean-workdir", "--clean-work-dir"),
        ),
    )
    nprocs: int = field(
        default=1,
        metadata=option(
            EXECUTION,
            "processes at once, and threads of the network (all CPUs)",
            flags=("--nprocs", "--nthreads", "--n-cpus"),
            metavar="N",
            check=positive,
        ),
    )
    omp_nthreads: int = field(
        default=1,
        metadata=option(
            EXECUTION,
            "threads of one process; changes the last digits ({default})",
            "threads of one process, and what the built-in brain extraction counts as; another number changes the "
            "last digits [{default}]",
            metavar="N",
            check=positive,
        ),
    )
    mem_mb: int | None = field(
        default=None,
        metadata=option(
            EXECUTION,
            "upper bound of memory in MB, or with a unit: 8G; --mem-gb: in GB",
            "upper bound of memory for what runs at once: in MB, or with a unit (`8G`); `--mem-gb` takes GB",
            flags=("--mem", "--mem-mb"),
            metavar="SIZE",
            read=_read_memory,
            check=positive,
            units={"--mem-gb": "G"},
        ),
    )
    use_plugin: Path | None = field(
        default=None,
        metadata=option(
            EXECUTION,
            "Nipype plugin and arguments (YAML)",
            "Nipype plugin and its arguments, YAML ([examples](hpc.md#nipype-plugins))",
            flags=("--use-plugin", "--nipype-plugin-file"),
            metavar="FILE",
        ),
    )
    stop_on_first_crash: bool = field(
        default=False,
        metadata=option(
            EXECUTION,
            "stop when the first participant fails",
            "stop when the first participant fails [the others go on]",
        ),
    )
    strict: bool = field(
        default=False,
        metadata=option(
            EXECUTION,
            "whoever has doubtful prepared images (quality flags) has failed",
            "whoever has doubtful prepared images ([quality flags](outputs.md#quality-flags)) has failed "
            "[is synthesised, but not trained on or rated]",
        ),
    )
    include_flagged: bool = field(
        default=False,
        metadata=option(
            EXECUTION,
            "train on and rate participants with quality flags, too",
            "train on and rate participants with [quality flags](outputs.md#quality-flags), too [they are left out]",
        ),
    )
    random_seed: int = field(
        default=1234,
        metadata=option(
            EXECUTION,
            "seed of everything random ({default})",
            "seed of the split, the weights, dropout, augmentation and the order of slices [{default}]",
            metavar="N",
            check=not_negative,
            flags=("--random-seed", "--seed"),
            config_name="seed",
            of_training=True,
        ),
    )
    reports_only: bool = field(
        default=False,
        metadata=option(
            EXECUTION,
            "make the pages again from the output folder; nothing is prepared or computed",
            "make the participants' pages, or `group.html`, again from the output folder; nothing is prepared, trained "
            "or computed",
        ),
    )
    boilerplate_only: bool = field(
        default=False,
        metadata=option(
            EXECUTION,
            "write the methods text of what the output folder holds to logs/CITATION.md, and nothing else",
            "write the methods text of what the output folder holds to `logs/CITATION.md`, and nothing else",
        ),
    )
    dry_run: bool = field(default=False, metadata=option(EXECUTION, "say what would be done, and do nothing"))
    verbose: int = field(
        default=0,
        metadata=option(EXECUTION, "say more; twice: debug", flags=("-v", "--verbose"), action="count"),
    )
    device: Device = field(
        default="auto",
        metadata=option(
            COMPUTATION,
            "where the network runs (auto: a GPU if there is one)",
            "where the network runs [a GPU if there is one]",
        ),
    )


@dataclass(frozen=True, kw_only=True)
class StorageOptions:
    """Where the slices lie that a network learns from."""

    slice_storage: SliceStorage = field(
        default="auto",
        metadata=option(
            COMPUTATION,
            "training slices in memory or in files in the work folder that are mapped into it (auto: files where "
            "several processes train, or where half of the free memory would not do)",
            "training slices in memory, or in files in the work folder that are mapped into it and removed at the end "
            "[files where several processes train or half of the free memory would not do]",
            of_training=True,
        ),
    )
