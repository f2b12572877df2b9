"""The stage that subtracts baselines from ictal scans; a scan whose files are current is left as it is."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bids_spectsynth.app.apply import split_of
from bids_spectsynth.app.freshness import prepared_files, transform_files
from bids_spectsynth.app.model_choice import AppliedModel
from bids_spectsynth.app.stages import Context
from bids_spectsynth.bids.dataset import add_descriptions
from bids_spectsynth.bids.manifests import Product, make_if_outdated, manifest_path
from bids_spectsynth.bids.names import parse_name
from bids_spectsynth.bids.output_files import find_synthetic
from bids_spectsynth.bids.prepared import PreparedCase, find_prepared
from bids_spectsynth.bids.roles import INTERICTAL, ictal_names, role_of
from bids_spectsynth.errors import ImageError, ModelError, Outcome, SpectSynthError
from bids_spectsynth.options.settings import T1W_SPACE, Settings
from bids_spectsynth.siscom.baselines.errors import Errors, baseline_errors
from bids_spectsynth.siscom.baselines.normals import find_normals
from bids_spectsynth.siscom.baselines.request import Request
from bids_spectsynth.siscom.case import residual_difference
from bids_spectsynth.siscom.foci.naming import naming_files
from bids_spectsynth.siscom.outputs.paths import siscom_files
from bids_spectsynth.siscom.participant import Work, choices_of, make_siscom
from bids_spectsynth.synthesis.baselines.files import baseline_files

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Shared:
    """What all ictal scans of a run share."""

    settings: Settings
    models: Sequence[AppliedModel]
    errors: Errors
    durations: Mapping[Path, Sequence[float]]

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
    settings, names = context.settings, context.unfailed
    everybody = find_prepared(settings.output_dir, T1W_SPACE)
    cases = [case for case in everybody if case.name in names and ictal_names(case.images)]
    if not cases:
        if any(ictal_names(case.images) for case in context.cases if case.name in names):
            logger.warning("SISCOM is made in the space of the T1w: add T1w to --output-spaces")
        return
    models = [model for model in context.models if model.card.space == T1W_SPACE]
    shared = _Shared(
        settings=settings,
        models=models,
        errors=_errors(everybody, models, settings),
        durations={
            image.path: image.frame_durations
            for case in context.cases
            for image in case.images.values()
            if image.frame_durations is not None
        },
    )
    for case in cases:
        yield _case_outcome(case, shared)


def _case_outcome(case: PreparedCase, shared: _Shared) -> Outcome:
    reasons: list[str] = []
    request = shared.request(case)
    for name in ictal_names(case.images):
        try:
            reasons += _make(replace(request, ictal=name), shared)
        except SpectSynthError as error:
            reasons.append(f"no SISCOM of the {role_of(name).sentence}: {error}")
        except Exception as error:
            logger.debug("%s, SISCOM", case.name, exc_info=error)
            reason = f"SISCOM of the {role_of(name).sentence}: {type(error).__name__}: {error}"
            return Outcome(case.participant, case.session, "siscom", "failed", reason)
    for reason in reasons:
        logger.warning("%s: %s", case.name, reason)
    return Outcome(case.participant, case.session, "siscom", "ok", "; ".join(reasons))


def _make(request: Request, shared: _Shared) -> list[str]:
    """Make the files of one ictal scan where they are not current; what was left out, and why."""
    work = Work(request=request, settings=shared.settings, errors=shared.errors, durations=shared.durations)
    lines: list[str] = []
    product = _product(work)
    if make_if_outdated(product, lambda: lines.extend(make_siscom(work))):
        # Which baselines there are is known only now.
        made = replace(product, outputs=tuple(siscom_files(work.ictal)))
        make_if_outdated(made, lambda: None)
        _describe(work)
    return lines


def _product(work: Work) -> Product:
    settings, case, request = work.settings, work.case, work.request
    inputs: dict[str, Path] = {**prepared_files(case), **transform_files(case)}
    inputs |= {f"the image of {one.model}": one.path for one in find_synthetic(settings.output_dir, case)}
    for folder in request.models:
        inputs |= {f"{path.name} of {folder.name}": path for path in baseline_files(folder)}
    inputs |= {f"the errors of {label}": path for label, path in work.errors.files.items()}
    inputs |= naming_files(case, settings.derivatives)
    if settings.normals is not None:
        normals = find_normals(settings.normals)
        inputs |= {f"the mean of {one.template}": one.mean for one in normals}
        inputs |= {
            f"the deviation of {one.template}": one.standard_deviation for one in normals if one.standard_deviation
        }
    existing = tuple(siscom_files(work.ictal))
    options: dict[str, Any] = {
        "how scans are compared": asdict(work.choices),
        "the baselines": list(settings.siscom_baselines),
        "the sides of the splits": dict(sorted(request.splits.items())),
    }
    return Product(
        name=f"{case.name}: SISCOM of the {role_of(request.ictal).sentence}",
        manifest=manifest_path(settings.output_dir, _manifest_of(work.ictal)),
        inputs=inputs,
        options=options,
        outputs=existing,
        is_current=lambda: False,
    )


def _manifest_of(ictal: Path) -> Path:
    return ictal.with_name(ictal.name.partition("_desc-")[0] + "_desc-siscom.json")


def _request(case: PreparedCase, models: Sequence[AppliedModel], settings: Settings) -> Request:
    splits = {}
    for model in models:
        members = model.members_for(case.participant)
        splits[model.label] = split_of([member.card for member in members], model.folder, case, settings)
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
            requests,
            {model.label: model.folder for model in models},
            settings.siscom_fwhm,
            f"{choices.level}, gain {settings.siscom_gain}",
            residual_difference(choices),
        )
    except (ImageError, ModelError) as error:
        logger.warning("no map against the cohort: %s", error)
        return Errors()


def _describe(work: Work) -> None:
    labels = {parse_name(path.name)[0]["desc"] for path in siscom_files(work.ictal)}
    texts = {desc: f"SISCOM: ictal SPECT minus {desc.removeprefix('siscom') or 'its baselines'}." for desc in labels}
    add_descriptions(work.settings.output_dir, dict(sorted(texts.items())))
