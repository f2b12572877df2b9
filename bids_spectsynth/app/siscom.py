"""The stage that subtracts baselines from ictal scans; a scan whose files are current is left as it is."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

from bids_spectsynth.app.apply import split_of
from bids_spectsynth.app.freshness import is_output_of, prepared_files, transform_files
from bids_spectsynth.app.model_choice import AppliedModel, load_models
from bids_spectsynth.app.stages import Context
from bids_spectsynth.bids.dataset import add_descriptions
from bids_spectsynth.bids.manifests import (
    Product,
    file_record,
    make_if_outdated,
    manifest_path,
    read_manifest,
    write_manifest,
)
from bids_spectsynth.bids.names import parse_name
from bids_spectsynth.bids.output_files import find_synthetic, synthetic_path
from bids_spectsynth.bids.prepared import PreparedCase, find_prepared
from bids_spectsynth.bids.roles import INTERICTAL, ictal_names, role_of
from bids_spectsynth.bids.sidecars import sidecar_path
from bids_spectsynth.errors import DatasetError, ImageError, ModelError, Outcome, SpectSynthError, reason_of
from bids_spectsynth.options.declarations.siscom import ALL_BASELINES
from bids_spectsynth.options.settings import T1W_SPACE, Settings
from bids_spectsynth.siscom.baselines.errors import Errors, baseline_errors
from bids_spectsynth.siscom.baselines.normals import NORMALS, find_normals
from bids_spectsynth.siscom.baselines.request import Request
from bids_spectsynth.siscom.baselines.synthetic import calibrated_path, left_out, usable_synthetic
from bids_spectsynth.siscom.comparable import METHOD_VERSION, residual_difference
from bids_spectsynth.siscom.foci.naming import naming_files
from bids_spectsynth.siscom.outputs.paths import siscom_files
from bids_spectsynth.siscom.participant import Work, choices_of, level_and_gain, make_siscom
from bids_spectsynth.synthesis.baselines.files import baseline_files
from bids_spectsynth.synthesis.models.ensemble import find_models
from bids_spectsynth.threads import Threads

logger = logging.getLogger(__name__)

#: Without these there is nothing to subtract from; a model that failed costs its own baseline alone.
_NEEDED_STAGES = ("find", "preprocess")

#: Participants at the same time, and what each takes at 1 mm.
_MAX_THREADS, _MEGABYTES = 4, 800


@dataclass(frozen=True, kw_only=True, eq=False)
class _Shared:
    """What all ictal scans of a run share."""

    settings: Settings
    models: Sequence[AppliedModel]
    errors: Errors
    durations: Mapping[Path, Sequence[float]]
    stop: Event = field(default_factory=Event)

    def request(self, case: PreparedCase) -> Request:
        return _request(case, self.models, self.settings)


def siscom_outcomes(context: Context) -> Iterable[Outcome]:
    """Subtract the baselines from every ictal scan of the run's cases.

    Parameters
    ----------
    context : Context

    Returns
    -------
    iterable of Outcome
        Of each case with an ictal scan. What cannot be subtracted costs nothing else: the reason says it.
    """
    settings, names = context.settings, context.unfailed_in(_NEEDED_STAGES)
    everybody = find_prepared(settings.output_dir, T1W_SPACE)
    if settings.lesion_mask == "none":
        # Masks of participants whom this run does not prepare.
        everybody = [replace(case, lesion=None) for case in everybody]
    cases = [case for case in everybody if case.name in names and ictal_names(case.images)]
    if not cases:
        if any(ictal_names(case.images) for case in context.cases if case.name in names):
            logger.warning("SISCOM is made in the space of the T1w: add T1w to --output-spaces")
        return
    models = _known_models(context)
    shared = _Shared(
        settings=settings,
        models=models,
        errors=_errors([case for case in everybody if case.name not in context.left_out], models, settings),
        durations={
            image.path: image.frame_durations
            for case in context.cases
            for image in case.images.values()
            if image.frame_durations is not None
        },
    )
    with Threads(_threads(settings)) as pool:
        try:
            yield from pool.map(lambda case: _case_outcome(case, shared), cases)
        finally:
            # Also after a signal, when the pool waits for what is being worked on.
            shared.stop.set()


def _threads(settings: Settings) -> int:
    fitting = _MAX_THREADS if settings.mem_mb is None else settings.mem_mb // _MEGABYTES
    return max(1, min(settings.nprocs, _MAX_THREADS, fitting))


def _known_models(context: Context) -> list[AppliedModel]:
    """The models of the run and of the output folder: of them it is known who has seen whom, in every mode."""
    known = {model.label: model for model in context.models}
    for folder in find_models(context.settings.output_dir):
        try:
            for model in load_models([folder]):
                known.setdefault(model.label, model)
        except ModelError as error:
            logger.warning("model %s left out of the SISCOM: %s", folder.name, error)
    return [model for model in known.values() if model.card.space == T1W_SPACE]


def _case_outcome(case: PreparedCase, shared: _Shared) -> Outcome:
    reasons: list[str] = []
    failures: list[str] = []
    for name in ictal_names(case.images):
        try:
            reasons += _make(replace(shared.request(case), ictal=name), shared)
        except SpectSynthError as error:
            reasons.append(f"no SISCOM of the {role_of(name).sentence}: {error}")
        except Exception as error:
            logger.debug("%s, SISCOM", case.name, exc_info=error)
            failures.append(f"SISCOM of the {role_of(name).sentence}: {reason_of(error)}")
    if failures:
        return Outcome(case.participant, case.session, "siscom", "failed", "; ".join([*failures, *reasons]))
    for reason in reasons:
        logger.warning("%s: %s", case.name, reason)
    return Outcome(case.participant, case.session, "siscom", "ok", "; ".join(reasons))


def _make(request: Request, shared: _Shared) -> list[str]:
    """Make the files of one ictal scan where they are not current; what was left out, and why."""
    work = Work(
        request=request,
        settings=shared.settings,
        errors=shared.errors,
        durations=shared.durations,
        stop=shared.stop,
    )
    lines = _left_out(work)
    product = _product(work)

    def make() -> None:
        # What goes now must not count as made, should the program be stopped or the scan be of no use.
        product.manifest.unlink(missing_ok=True)
        lines.extend(make_siscom(work))

    if make_if_outdated(product, make):
        # Which baselines there are is known only now.
        made = read_manifest(product.manifest)
        if made is not None:
            outputs = {path.name: file_record(path) for path in siscom_files(work.ictal)}
            write_manifest(product.manifest, replace(made, outputs=outputs))
        _describe(work)
    return lines


def _left_out(work: Work) -> list[str]:
    """What lies there but cannot serve as a baseline; that there is none at all is said to whoever named it."""
    settings = work.settings
    lines = left_out(work.request) if "synthetic" in settings.siscom_baselines else []
    if settings.normals is not None and tuple(settings.siscom_baselines) == ALL_BASELINES:
        try:
            find_normals(settings.normals)
        except DatasetError as error:
            lines.append(f"{NORMALS.title} left out: {error}")
    return lines


def _product(work: Work) -> Product:
    settings, case, request = work.settings, work.case, work.request
    inputs: dict[str, Path] = {**prepared_files(case), **transform_files(case)}
    inputs |= {} if case.lesion is None else {"the lesion mask": case.lesion}
    inputs |= {f"the transform to {template}": path for template, path in case.template_xfms.items()}
    inputs |= {f"the image of {one.model}": one.path for one in find_synthetic(settings.output_dir, case)}
    shaped = usable_synthetic(request) if "synthetic" in settings.siscom_baselines else []
    deviations = {one.model: calibrated_path(settings.output_dir, case, one.model) for one in shaped}
    inputs |= {f"the deviation of {model}": path for model, path in deviations.items() if path is not None}
    for folder in request.models:
        for member in request.members[folder]:
            name = member.folder.relative_to(folder.parent).as_posix()
            inputs |= {f"{path.name} of {name}": path for path in baseline_files(member.folder)}
    inputs |= {f"the errors of {label}": path for label, path in work.errors.files.items()}
    inputs |= naming_files(case, settings.derivative_folders)
    inputs |= _normals_files(settings)
    # Latency, tracer, what a state was taken from, which model an image is of.
    inputs |= {f"the sidecar of {name}": sidecar_path(path) for name, path in inputs.items() if _is_image(path)}
    manifest = manifest_path(settings.output_dir, _manifest_of(work.ictal))
    options: dict[str, Any] = {
        "how scans are compared": {**asdict(work.choices), "method": METHOD_VERSION},
        "the baselines": list(settings.siscom_baselines),
        "the sides of the splits": dict(sorted(request.splits.items())),
    }
    return Product(
        name=f"{case.name}: SISCOM of the {role_of(request.ictal).sentence}",
        manifest=manifest,
        inputs=inputs,
        options=options,
        outputs=_outputs(work, manifest),
        is_current=lambda: False,
    )


def _outputs(work: Work, manifest: Path) -> tuple[Path, ...]:
    """The files that there are, and those that an earlier run has made, wherever they are now."""
    earlier = read_manifest(manifest)
    records = earlier.outputs if earlier else {}
    made = {work.ictal.with_name(name) for name, record in records.items() if record.size >= 0}
    return tuple(sorted({*siscom_files(work.ictal), *made}))


def _normals_files(settings: Settings) -> dict[str, Path]:
    try:
        normals = [] if settings.normals is None else find_normals(settings.normals)
    except DatasetError:
        return {}
    means = {f"the mean of {one.template}": one.mean for one in normals}
    deviations = {f"the deviation of {one.template}": one.standard_deviation for one in normals}
    return means | {name: path for name, path in deviations.items() if path is not None}


def _is_image(path: Path) -> bool:
    return path.name.endswith((".nii", ".nii.gz"))


def _manifest_of(ictal: Path) -> Path:
    return ictal.with_name(ictal.name.partition("_desc-")[0] + "_desc-siscom.json")


def _request(case: PreparedCase, models: Sequence[AppliedModel], settings: Settings) -> Request:
    splits = {}
    for model in models:
        cards = [member.card for member in model.members_for(case.participant)]
        # An image of an earlier training has seen others than the networks that lie there now.
        if is_output_of(synthetic_path(settings.output_dir, case, model.label), cards):
            splits[model.label] = split_of(cards, model.folder, case, settings)
    return Request(
        case=case,
        output_dir=settings.output_dir,
        fwhm=settings.siscom_fwhm,
        splits=splits,
        models=tuple(model.folder for model in models),
        members={model.folder: model.members for model in models},
        normals=settings.normals,
    )


def _errors(everybody: Sequence[PreparedCase], models: Sequence[AppliedModel], settings: Settings) -> Errors:
    """What the baselines get wrong on scans without a seizure, of all participants of the output folder."""
    choices = choices_of(settings)
    requests = [_request(case, models, settings) for case in everybody if INTERICTAL in case.images]
    try:
        return baseline_errors(
            settings.output_dir,
            requests,
            {model.label: model.folder for model in models},
            settings.siscom_fwhm,
            level_and_gain(choices),
            residual_difference(choices),
            _threads(settings),
        )
    except (ImageError, ModelError) as error:
        logger.warning("no map against the cohort: %s", error)
        return Errors()


def _describe(work: Work) -> None:
    labels = {parse_name(path.name)[0]["desc"] for path in siscom_files(work.ictal)}
    texts = {desc: f"SISCOM: ictal SPECT minus {desc.removeprefix('siscom') or 'its baselines'}." for desc in labels}
    add_descriptions(work.settings.output_dir, dict(sorted(texts.items())))
