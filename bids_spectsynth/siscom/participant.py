"""Everything that is written for one ictal scan: maps, foci and concordance of all its baselines."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

import nibabel as nib
import numpy as np

from bids_spectsynth.bids.names import source_uri
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import T1W, role_of
from bids_spectsynth.bids.sidecars import sidecar, strings
from bids_spectsynth.bids.writing import read_matrix, write_image, write_table
from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.images.reading import load_image
from bids_spectsynth.options.declarations.siscom import ALL_BASELINES
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.siscom.baselines.errors import Errors
from bids_spectsynth.siscom.baselines.normals import normals_error
from bids_spectsynth.siscom.baselines.registry import SOURCES, in_order, unavailable
from bids_spectsynth.siscom.baselines.request import Request
from bids_spectsynth.siscom.baselines.residuals import error_on_head, too_few
from bids_spectsynth.siscom.baselines.synthetic import expected_deviation
from bids_spectsynth.siscom.case import Siscom, subtract
from bids_spectsynth.siscom.comparable import METHOD_VERSION, Choices, residual_difference
from bids_spectsynth.siscom.concordance import CONCORDANCE_DICTIONARY, Findings, concordance_table
from bids_spectsynth.siscom.foci.hemispheres import hemispheric_index
from bids_spectsynth.siscom.foci.injection import injection_context
from bids_spectsynth.siscom.foci.naming import Labeller, find_labeller
from bids_spectsynth.siscom.outputs.columns import CLUSTERS_DICTIONARY, clusters_table, with_names
from bids_spectsynth.siscom.outputs.paths import STATISTICS, clusters_path, concordance_path, map_path, siscom_files
from bids_spectsynth.siscom.outputs.sidecars import map_sidecar
from bids_spectsynth.siscom.records import BaselineImage, CohortError, Float32
from bids_spectsynth.siscom.subtraction.route import IctalScan

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Work:
    """What one ictal scan is compared with, and how.

    Parameters
    ----------
    request : Request
        For the baselines.
    settings : Settings
    errors : Errors
        Of the baselines, by label.
    durations : mapping of Path to sequence of float
        Seconds per frame of the source images that have several.
    stop : Event
        Set where the run ends: no further baseline is begun.
    """

    request: Request
    settings: Settings
    errors: Errors
    durations: Mapping[Path, Sequence[float]]
    stop: Event = field(default_factory=Event)

    @property
    def case(self) -> PreparedCase:
        """The prepared case."""
        return self.request.case

    @property
    def ictal(self) -> Path:
        """The prepared ictal scan."""
        return self.case.images[self.request.ictal]

    @property
    def choices(self) -> Choices:
        """How scans are compared."""
        return choices_of(self.settings)


def choices_of(settings: Settings) -> Choices:
    """How scans are compared, by the options."""
    return Choices(
        fwhm=settings.siscom_fwhm,
        threshold=settings.siscom_threshold,
        level=settings.siscom_level,
        least_ml=settings.siscom_extent,
        gain=settings.siscom_gain == "on",
        trend=settings.siscom_trend == "on",
    )


def level_and_gain(choices: Choices) -> str:
    """How two scans are brought to one level, as the errors of baselines record it.

    Examples
    --------
    >>> level_and_gain(Choices())
    'mode, gain on, trend on, method 2'
    """
    gain, trend = ("on" if chosen else "off" for chosen in (choices.gain, choices.trend))
    return f"{choices.level}, gain {gain}, trend {trend}, method {METHOD_VERSION}"


def make_siscom(work: Work) -> list[str]:
    """Write the maps, foci and concordance of one ictal scan.

    Parameters
    ----------
    work : Work

    Returns
    -------
    list of str
        Baselines that there are not, or that could not be used, and why; one line each.

    Raises
    ------
    ImageError
        The ictal scan or the T1w cannot be read, or no baseline could be used.
    """
    request = work.request
    for path in siscom_files(work.ictal):
        path.unlink()
    scan = _ictal_scan(work)
    t1w = request.image(T1W)
    missing = [f"{SOURCES[name].title}: {why}" for name, why in unavailable(request, _wanted(work)).items()]
    lines: list[str] = []
    if tuple(work.settings.siscom_baselines) != ALL_BASELINES:
        # Who names baselines is told which there are not; by default those are taken that there are.
        lines += missing
    labeller = find_labeller(work.case, work.settings.derivative_folders, request.brain, request.affine)
    common = _common(work, labeller)
    results: list[Siscom] = []
    for kind in in_order(_wanted(work)):
        try:
            baselines = [] if SOURCES[kind].available(request) else SOURCES[kind].make(request)
            for baseline in baselines:
                if work.stop.is_set():
                    raise CancelledError("the run ends")
                results.append(_one(work, scan, baseline, t1w, labeller))
        except (ImageError, ValueError) as error:
            lines.append(f"{SOURCES[kind].title} left out: {error}")
    if not results:
        raise ImageError(f"{work.ictal.name}: no baseline to subtract ({'; '.join([*missing, *lines])})")
    for result in results:
        _write(work, result, labeller, common)
    findings = [Findings(label=one.baseline.label, maps=one.maps, foci=one.foci) for one in results]
    if len(findings) > 1:
        table = concordance_table(findings, work.choices.threshold)
        synthetic = _synthetic(any(one.baseline.synthetic for one in results))
        write_table(concordance_path(work.ictal), table, CONCORDANCE_DICTIONARY, synthetic)
    logger.info("%s: %s minus %s", work.case.name, role_of(request.ictal).sentence, ", ".join(_titles(results)))
    return lines


def _wanted(work: Work) -> Sequence[str]:
    return work.settings.siscom_baselines


def _titles(results: Sequence[Siscom]) -> list[str]:
    return [one.baseline.model if one.baseline.kind == "synthetic" else one.baseline.kind for one in results]


def _ictal_scan(work: Work) -> IctalScan:
    """The ictal scan on its own voxels; the prepared one where the source is not there any more."""
    role, brain = work.request.ictal, work.request.brain
    mask = brain
    if role in work.case.masks:
        mask = brain & (work.request.read(work.case.masks[role]) > 0)
    raw, transform = _sources(work)
    if raw is not None and transform is not None:
        image, _ = load_image(raw, work.durations.get(raw))
        return IctalScan(image=image, matrix=read_matrix(transform), mask=mask)
    logger.warning("%s: the source image is not there; the prepared one is interpolated once more", work.ictal.name)
    return IctalScan(image=load_image(work.ictal)[0], matrix=np.eye(4), mask=mask)


def _sources(work: Work) -> tuple[Path | None, Path | None]:
    """The source image and its transform, as the sidecar of the prepared scan names them."""
    raw = transform = None
    for uri in strings(sidecar(work.ictal).get("Sources")):
        if uri.startswith("bids:raw:"):
            path = work.settings.bids_dir / uri.removeprefix("bids:raw:")
            raw = path if path.is_file() else None
        elif uri.endswith("_xfm.txt"):
            path = work.settings.output_dir / uri.removeprefix("bids::")
            transform = path if path.is_file() else None
    return raw, transform


def _one(work: Work, scan: IctalScan, baseline: BaselineImage, t1w: Float32, labeller: Labeller) -> Siscom:
    request = work.request
    error, note = _error(work, baseline)
    notes = (*baseline.notes, *((note,) if note else ()))
    found = subtract(
        scan,
        replace(baseline, notes=notes),
        t1w,
        request.brain,
        request.affine,
        work.choices,
        error=error,
        cerebellum=labeller.mask_of("cerebellum"),
        to_template=request.to_template,
        lesion=request.lesion,
    )
    names = labeller.name([focus.peak_mm for focus in found.foci]) if found.foci else []
    return replace(found, foci=with_names(found.foci, names))


def _error(work: Work, baseline: BaselineImage) -> tuple[CohortError | None, str | None]:
    if baseline.kind == "normals":
        return normals_error(work.request)
    errors, how = work.errors, level_and_gain(work.choices)
    stored = errors.stored.get(baseline.label)
    if stored is None:
        n_participants = errors.too_few.get(baseline.label)
        return None, None if n_participants is None else too_few(n_participants)
    if stored.sums.fwhm != work.settings.siscom_fwhm:
        return None, f"No map against the cohort: its errors are those of maps of {stored.sums.fwhm:g} mm."
    if stored.how != how:
        return None, (
            f"No map against the cohort: its errors are those of maps by {stored.how or 'an unknown level and gain'}, "
            f"not {how}."
        )
    expected, lost = _expected(work, baseline)
    error, note = error_on_head(
        stored,
        work.request,
        residual_difference(work.choices),
        errors.own.get(work.case.participant, ()),
        foreign=baseline.label in errors.foreign,
        expected=expected,
    )
    return error, lost if error is not None and lost else note


def _expected(work: Work, baseline: BaselineImage) -> tuple[Float32 | None, str | None]:
    """The shape of the deviations that is expected; one that cannot be read costs the shape alone."""
    try:
        return expected_deviation(work.request, baseline), None
    except ImageError as error:
        logger.warning("%s: %s", work.case.name, error)
        return (
            None,
            "The calibrated deviations of the synthetic image cannot be read: the cohort's have no shape of theirs.",
        )


def _common(work: Work, labeller: Labeller) -> dict[str, Any]:
    settings, prepared = work.settings, sidecar(work.ictal)
    injection = injection_context(prepared)
    files = [work.ictal, *([work.case.lesion] if work.case.lesion else [])]
    return {
        "Sources": [source_uri(path, settings.bids_dir, settings.output_dir) for path in files],
        "SpatialReference": prepared.get("SpatialReference", "orig"),
        "Resolution": prepared.get("Resolution", "n/a"),
        "SkullStripped": True,
        "RegionNames": labeller.source,
        "RegionNotes": list(labeller.notes),
        "InjectionNotes": list(injection.notes),
        **injection.as_sidecar(),
    }


def _write(work: Work, result: Siscom, labeller: Labeller, common: Mapping[str, Any]) -> None:
    settings, affine = work.settings, work.request.affine
    label, maps = result.baseline.label, result.maps
    voxel_ml = float(abs(np.linalg.det(affine[:3, :3]))) / 1000
    # A hemisphere is wider than what a trend leaves.
    whole = maps.difference if maps.trend is None else maps.difference + maps.trend
    limit = max(work.choices.threshold * float(whole[maps.reference].std(dtype=np.float64)), 1e-6)
    halves = hemispheric_index(whole, maps.reference, labeller.side_map(), limit, voxel_ml)
    own = {
        **common,
        "Sources": [
            *common["Sources"],
            *(source_uri_or_name(path, settings) for path in result.baseline.sources if path != work.ictal),
        ],
        **halves.as_sidecar(),
        **({"HemisphericText": halves.text} if halves.text else {}),
    }
    images = {"difference": maps.difference, "z": maps.z, "znull": maps.znull, "zcohort": maps.zcohort}
    for statistic in STATISTICS:
        values = images[statistic]
        if values is not None:
            facts = map_sidecar(result, statistic, work.choices, own)
            image: nib.Nifti1Image = new_image(values, affine)
            write_image(map_path(work.ictal, label, statistic), image, facts)
    typical = float(np.median(result.null.extents))
    foci = clusters_table(result.foci, typical)
    write_table(clusters_path(work.ictal, label), foci, CLUSTERS_DICTIONARY, _synthetic(result.baseline.synthetic))


def _synthetic(applies: bool) -> dict[str, bool]:
    """What is said of files into which a synthetic image went."""
    return {"Synthetic": True} if applies else {}


def source_uri_or_name(path: Path, settings: Settings) -> str:
    """``bids:`` URI of a file; of one in neither folder, which others cannot follow, its name."""
    try:
        return source_uri(path, settings.bids_dir, settings.output_dir)
    except ValueError:
        return path.name
