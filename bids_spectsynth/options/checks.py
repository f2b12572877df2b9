"""Which options go together; what single values are usable, each option says itself."""

from collections.abc import Collection, Sequence

from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.choices import AnalysisLevel, Harmonise, Mode, Scaling
from bids_spectsynth.options.declarations.cohort import BY_SITE, CohortOptions, EvaluationOptions
from bids_spectsynth.options.declarations.dicom import DicomOptions
from bids_spectsynth.options.declarations.execution import DataOptions, ExecutionOptions
from bids_spectsynth.options.declarations.model import ModelOptions
from bids_spectsynth.options.declarations.preparation import PreparationOptions
from bids_spectsynth.options.declarations.siscom import SiscomOptions
from bids_spectsynth.options.declarations.training import TrainingOptions
from bids_spectsynth.options.declare import flag
from bids_spectsynth.options.losses import SCALE


def check_level(level: AnalysisLevel, evaluation: EvaluationOptions) -> None:
    """Refuse ratings before the group level.

    Parameters
    ----------
    level : {'participant', 'group'}
    evaluation : EvaluationOptions

    Raises
    ------
    UsageError
        A folder of ratings at the participant level.
    """
    if level == "participant" and evaluation.ratings is not None:
        raise UsageError("--ratings: is of the group level; leave it out, or run the group level")


def check_harmonising(level: AnalysisLevel, mode: Mode, harmonise: Harmonise, given: Collection[str]) -> None:
    """Refuse to harmonise where no synthetic image is made: at the group level, and where all is but prepared.

    Parameters
    ----------
    level : {'participant', 'group'}
    mode : {'auto', 'preprocess', 'train', 'apply'}
    harmonise : {'none', 'resolution'}
    given : collection of str
        Names of the options that are asked for one by one; those of a file may be what a run has recorded.

    Raises
    ------
    UsageError
        It is asked for.
    """
    if harmonise == "none" or "harmonise" not in given:
        return
    if level == "group":
        raise UsageError("--harmonise: the group level makes no images; leave it out, or run the participant level")
    if mode == "preprocess":
        raise UsageError("--harmonise: --mode preprocess trains and applies no model; leave one of the two options out")


def check_selection(level: AnalysisLevel, data: DataOptions, siscom: SiscomOptions) -> None:
    """Refuse participants at the group level beside what makes its own choice of them.

    Parameters
    ----------
    level : {'participant', 'group'}
    data : DataOptions
    siscom : SiscomOptions

    Raises
    ------
    UsageError
        Normals or a reader study, which are of everybody that their options say.
    """
    if level == "group" and data.participant_label:
        for name in ("make_normals", "reader_study", "reader_results"):
            if getattr(siscom, name) is not None:
                raise UsageError(f"--participant-label: {flag(name)} is of the whole output folder; leave one out")


def check_database(level: AnalysisLevel, data: DataOptions, model: ModelOptions) -> None:
    """Refuse an index of the dataset where the dataset is not read.

    Parameters
    ----------
    level : {'participant', 'group'}
    data : DataOptions
    model : ModelOptions

    Raises
    ------
    UsageError
        At the group level, and in a training alone.
    """
    if data.bids_database_dir is not None and (level == "group" or model.mode == "train"):
        what = "the group level" if level == "group" else "--mode train"
        raise UsageError(f"--bids-database-dir: {what} reads the output folder; leave it out")


def check_lesions(level: AnalysisLevel, data: DataOptions, model: ModelOptions, given: Collection[str]) -> None:
    """Refuse to say what lesion masks are kept out of where there are none to keep.

    Parameters
    ----------
    level : {'participant', 'group'}
    data : DataOptions
    model : ModelOptions
    given : collection of str
        Names of the options that are asked for one by one; a record of a run has them all.

    Raises
    ------
    UsageError
        It is asked for at the group level, in a training alone, without folders that could hold a mask, or for metrics
        in a preparation alone.
    """
    if "lesion_mask" not in given:
        return
    if level == "group":
        raise UsageError("--lesion-mask: is of the participant level; the group level reads its tables; leave it out")
    if model.mode == "train":
        raise UsageError("--lesion-mask: --mode train looks at no lesion mask; leave one of the two options out")
    if data.lesion_mask == "all" and model.mode == "preprocess":
        raise UsageError("--lesion-mask all: --mode preprocess makes no metrics; leave one of the two options out")
    if data.lesion_mask != "none" and not data.derivatives:
        raise UsageError(
            f"--lesion-mask {data.lesion_mask}: masks are taken from --derivatives; add that, or leave it out"
        )


#: Options that have their effect where nothing is computed, or whose bound is kept all the same.
_OF_PAGES = {
    "participant_label", "work_dir", "nprocs", "omp_nthreads", "mem_mb", "reports_only", "boilerplate_only", "dry_run",
    "verbose",
}  # fmt: skip


def check_again(level: AnalysisLevel, execution: ExecutionOptions, data: DataOptions, given: Sequence[str]) -> None:
    """Refuse to compute and to write pages or texts alone.

    Parameters
    ----------
    level : {'participant', 'group'}
    execution : ExecutionOptions
    data : DataOptions
    given : sequence of str
        Names of the options that are asked for one by one; those of a file may be what a run has recorded.

    Raises
    ------
    UsageError
        Both are requested, or an option beside them that would have no effect.
    """
    alone = [name for name in ("reports_only", "boilerplate_only") if getattr(execution, name)]
    if not alone:
        return
    if len(alone) > 1:
        raise UsageError("--reports-only: --boilerplate-only writes no pages; leave one of the two options out")
    name = flag(alone[0])
    if level == "group" and (execution.boilerplate_only or data.participant_label):
        what = "--participant-label" if data.participant_label else name
        raise UsageError(f"{what}: has no effect on group.html, which shows the tables that lie there; leave it out")
    one_by_one = {"stop_on_first_crash"} if execution.reports_only and level == "participant" else set()
    others = [other for other in given if other not in _OF_PAGES | one_by_one]
    if others:
        raise UsageError(f"{', '.join(map(flag, others))}: {name} computes nothing; leave that or the option out")


def check_model(model: ModelOptions, of_training: Sequence[str]) -> None:
    """Refuse options beside ``--model`` that are of training.

    Parameters
    ----------
    model : ModelOptions
    of_training : sequence of str
        Names of the options of training that are given.

    Raises
    ------
    UsageError
        A model is given to a mode that applies none, or options of training beside it.
    """
    if model.model is None:
        return
    if model.mode in ("train", "preprocess"):
        raise UsageError(f"--model: --mode {model.mode} applies no model; leave one of the two options out")
    if of_training:
        names = ", ".join(map(flag, of_training))
        raise UsageError(f"{names}: --model applies a model as it was trained; leave them or --model out")


def check_siscom(level: AnalysisLevel, siscom: SiscomOptions) -> None:
    """Refuse options of the group level beside participants, and a comparison with nothing.

    Raises
    ------
    UsageError
        An option of the group level is given at the participant level.
    """
    names = ("make_normals", "reader_study", "reader_results")
    given = [name for name in names if getattr(siscom, name) is not None]
    if level == "participant" and given:
        raise UsageError(f"{flag(given[0])}: is of the group level; leave it out, or run the group level")


def check_dicom(level: AnalysisLevel, model: ModelOptions, dicom: DicomOptions) -> None:
    """Refuse options of the export where nothing is exported.

    Parameters
    ----------
    level : {'participant', 'group'}
    model : ModelOptions
    dicom : DicomOptions

    Raises
    ------
    UsageError
        An export at the group level or beside a training alone, options of it without one, or ``--force`` alone.
    """
    if not dicom.export:
        given = [name for name in ("dicom_donor", "force") if getattr(dicom, name)]
        given += ["dicom_class"] if dicom.dicom_class != "NM" else []
        if given:
            raise UsageError(f"{flag(given[0])}: is of the export; add --export dicom, or leave it out")
        return
    if level == "group":
        raise UsageError("--export: is of the participant level; leave it out, or use bids_spectsynth-dicom")
    if model.mode == "train":
        raise UsageError("--export: --mode train makes no participant's images; leave one of the two options out")
    if dicom.force and dicom.dicom_donor is None:
        raise UsageError("--force: is for a donor; add --dicom-donor, or leave it out")


def check_quality(execution: ExecutionOptions) -> None:
    """Refuse that what is flagged fails and is taken.

    Raises
    ------
    UsageError
        Both are requested.
    """
    if execution.strict and execution.include_flagged:
        raise UsageError("--include-flagged: with --strict whoever is flagged has failed; leave one of the two out")


def check_training(training: TrainingOptions, scaling: Scaling) -> None:
    """Refuse a loss without terms, and orientations whose images could not be averaged.

    Raises
    ------
    UsageError
        Every weight is zero, or each slice of three orientations would be scaled on its own.
    """
    further = [weight for name, weight in training.loss if name != SCALE]
    weights = [training.adversarial_weight, training.l1_weight, training.ssim_weight, *further]
    if sum(weights) == 0:
        raise UsageError("--adversarial-weight, --l1-weight, --ssim-weight: at least one must be above zero")
    if training.orientations == "three" and scaling == "slice":
        raise UsageError(
            "--orientations three: needs --intensity-scaling volume; slices of different orientations that are each "
            "scaled on their own cannot be averaged"
        )


def check_start(training: TrainingOptions, model: ModelOptions) -> None:
    """Refuse what needs a model to start from where there is none, and two ways in which the learning rate falls.

    Raises
    ------
    UsageError
        Frozen weights or a rate of 0 without an initial model, or a cosine beside a linear decay.
    """
    if model.initial_model is None and training.freeze != "none":
        raise UsageError("--freeze: random weights would stay as they are; add --initial-model, or leave it out")
    if model.initial_model is None and training.learning_rate == 0:
        raise UsageError("--learning-rate: 0 is not above zero; without --initial-model nothing would be learned")
    if training.learning_rate_schedule == "cosine" and training.learning_rate_decay_epochs:
        raise UsageError(
            "--learning-rate-decay-epochs: with --learning-rate-schedule cosine the rate falls already; leave one of "
            "the two options out"
        )


def check_warmup(training: TrainingOptions, given: Collection[str]) -> None:
    """Refuse a learning rate that would rise all the time and never be what was asked for.

    Parameters
    ----------
    training : TrainingOptions
    given : collection of str
        Names of the options that were asked for; the number that an initial model suggests is no mistake.

    Raises
    ------
    UsageError
        The rate rises over all epochs.
    """
    if "warmup_epochs" in given and training.warmup_epochs >= training.epochs:
        raise UsageError(
            f"--warmup-epochs: {training.warmup_epochs} of {training.epochs} epochs leave none at the learning rate; "
            "give fewer, or more --epochs"
        )


def check_split(cohort: CohortOptions) -> None:
    """Refuse two ways to split one cohort.

    Raises
    ------
    UsageError
        Cross-validation beside a split, a split file beside counts or conditions, or a column of sites without them.
    """
    if cohort.site_column != "site" and cohort.cross_validate != BY_SITE:
        raise UsageError("--site-column: names the sites of --cross-validate site; add that, or leave it out")
    others = [name for name in ("split_counts", "split_file") if getattr(cohort, name) is not None]
    if cohort.cross_validate and others:
        raise UsageError(f"--cross-validate: makes its own splits; leave {flag(others[0])} out")
    if len(others) > 1:
        raise UsageError("--split-counts: the split file says who is in which part; leave one of the two options out")
    if cohort.hold_out and cohort.split_file is not None:
        raise UsageError("--hold-out: the split file says who is in which part; leave one of the two options out")


def check_backend(preparation: PreparationOptions) -> None:
    """Refuse options of FSL beside the backend that does not use it.

    Raises
    ------
    UsageError
        One of them is not the default.
    """
    changed = preparation.fsl_options
    if changed and preparation.backend == "embedded":
        raise UsageError(f"{changed[0]}: --backend embedded does not use FSL; leave one of the two options out")
