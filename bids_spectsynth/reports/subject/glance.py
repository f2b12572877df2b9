"""The first section of a subject's report: what was made from what, how good, what to distrust, and what decides."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from bids_spectsynth.bids.output_files import Synthetic, rating_path, read_table, regional_intervals_path
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import T1W, role_of
from bids_spectsynth.bids.sidecars import sidecar, strings
from bids_spectsynth.errors import SpectSynthError
from bids_spectsynth.evaluation.case.metrics import LEADING
from bids_spectsynth.evaluation.case.regions import HEMISPHERE
from bids_spectsynth.evaluation.columns import NETWORK
from bids_spectsynth.options.settings import T1W_SPACE
from bids_spectsynth.reports.context import Figure, SubjectContext, participant_row, viewer_name
from bids_spectsynth.reports.html import Block, Glance, Jump, Section, Verdict, number, p_value
from bids_spectsynth.reports.pictures import reportlets
from bids_spectsynth.reports.pictures.mosaic import Title
from bids_spectsynth.reports.plain_table import read_plain
from bids_spectsynth.reports.subject.images import SIDES, SYNTHETIC_WARNING, input_roles, lesion_text, real_image
from bids_spectsynth.reports.subject.metrics import read_metrics
from bids_spectsynth.reports.subject.scanners import outside_training
from bids_spectsynth.reports.subject.siscom.foci import place_of, planes_of
from bids_spectsynth.reports.subject.siscom.results import Result, case_of, chosen, layer_name, results_of, scan_title
from bids_spectsynth.reports.subject.siscom.section import at_text, map_caption
from bids_spectsynth.reports.subject.siscom.table import peak_of, value_of
from bids_spectsynth.reports.wording import method_name
from bids_spectsynth.siscom.concordance import ALIKE
from bids_spectsynth.siscom.foci.clusters import LESION
from bids_spectsynth.siscom.group.results import SIGNIFICANT
from bids_spectsynth.siscom.outputs.paths import concordance_path

_ROLES = {
    "test": "held out",
    "external": "held out",
    "cross-validated": "held out",
    "train": "SEEN: trained on this participant",
    "validation": "SEEN: the best epoch was chosen on this participant",
}
_SEEN = ("train", "validation")
#: Models that have lines of their own; the metrics and the tables have all.
_MOST_MODELS = 3


def glance_section(context: SubjectContext) -> Section | None:
    """Verdicts, and the SISCOM or else the synthetic image beside its inputs; None where nothing was prepared."""
    if not any(case.space == T1W_SPACE for case in context.cases):
        return None
    verdicts = [
        *_models(context),
        *_scanners(context),
        *_siscom(context),
        *_asymmetries(context),
        *_registration(context),
        *_masks(context),
    ]
    picture = _siscom_picture(context) or _synthesis_picture(context)
    return Section("glance", "At a glance", [Glance(verdicts, [picture] if picture else [])])


def _shown(context: SubjectContext) -> list[tuple[PreparedCase, Synthetic]]:
    return context.synthetic[:_MOST_MODELS]


def _models(context: SubjectContext) -> Iterator[Verdict]:
    for case, synthetic in _shown(context):
        try:
            sources = ", ".join(role_of(role).title for role in input_roles(case, synthetic.path))
        except SpectSynthError:
            sources = "images that are no longer there"
        rated = _rated(synthetic)
        split = str(rated["split"].iloc[0]) if rated is not None and "split" in rated and len(rated) else ""
        split = split or context.once(participant_row).get("split", "")
        role = _ROLES.get(split, "its part in the training is not known")
        where = "" if case.space == T1W_SPACE else f" in {case.space}"
        text = f"synthetic interictal SPECT{where} from {sources}; {role}"
        compared, ahead = ("", None) if rated is None else _compared(rated)
        text += f". {compared}" if compared else ""
        if split in _SEEN:
            yield Verdict(synthetic.model, text, "danger", "seen", "#synthesis")
        elif ahead is False:
            yield Verdict(synthetic.model, text, "warning", "baseline ahead", "#metrics")
        else:
            yield Verdict(synthetic.model, text, "good" if split in _ROLES else "info", "", "#synthesis")
    rest = len(context.synthetic) - _MOST_MODELS
    if rest > 0:
        yield Verdict("Further images", f"{rest} more synthetic images", href="#synthesis")


def _scanners(context: SubjectContext) -> Iterator[Verdict]:
    """Of each model whose training had no such scans."""
    for _, synthetic in _shown(context):
        found = outside_training(sidecar(synthetic.path))
        if found:
            text = "; ".join(found)
            yield Verdict(f"Scans, {synthetic.model}", text, "warning", "unlike the training", "#synthesis")


def _rated(synthetic: Synthetic) -> pd.DataFrame | None:
    # A damaged table is named by the section on metrics.
    try:
        return None if synthetic.metrics is None else read_metrics(synthetic.metrics)
    except (OSError, ValueError):
        return None


def _compared(rated: pd.DataFrame) -> tuple[str, bool | None]:
    """The model beside its best baseline, and whether it is ahead of it; None without a baseline."""
    block = rated[rated["in_block"] == "true"]
    means = block.groupby("method")[LEADING].mean()
    if NETWORK not in means.index or not math.isfinite(float(means[NETWORK])):
        return "", None
    own, others = float(means[NETWORK]), means.drop(NETWORK).dropna()
    text = f"RMSE in the brain {number(own)}"
    if others.empty:
        return f"{text}; there is no baseline to compare with", None
    best, value = method_name(str(others.idxmin())), float(others.min())
    of = f"best of {len(others)} baselines" if len(others) > 1 else "its baseline"
    return f"{text}, {of} {number(value)} ({best}); one participant is no proof", own < value


def _siscom(context: SubjectContext) -> Iterator[Verdict]:
    scans = context.once(results_of)
    for scan in scans:
        several = f", {scan_title(scan[0].found)}" if len(scans) > 1 else ""
        for one in scan:
            yield _top_focus(one, several)
        yield from _concordance(scan[0], several)


def _top_focus(result: Result, several: str) -> Verdict:
    label = result.found.label + (" (SYNTHETIC)" if result.synthetic else "")
    about = f"Top focus, baseline {label}{several}"
    if result.foci is None:
        return Verdict(about, "the table of foci cannot be read", "warning", "lost", "#siscom")
    row = result.top
    if row is None:
        return Verdict(about, f"none beyond z {result.threshold:g}", href="#siscom")
    p = value_of(row, "p_corrected")
    sign = "" if row["sign"] == "hyper" else "only hypoperfusion: "
    text = (
        f"{sign}{place_of(row)}; {number(value_of(row, 'volume_ml'), 1)} mL, z {number(value_of(row, 'z_max'), 1)}, "
        f"corrected p {p_value(p)}"
    )
    near_lesion = LESION in row.get("flags", "").split(",")
    text += "; in the lesion mask or near it" if near_lesion else ""
    if result.seen:
        return Verdict(about, f"{text}; the model has learned from this participant", "danger", "seen", "#foci")
    if not p < SIGNIFICANT:
        return Verdict(about, text, "warning", "may be chance", "#foci")
    if near_lesion:
        return Verdict(about, text, "warning", "lesion", "#foci")
    return Verdict(about, text, "good", "", "#foci")


def _concordance(result: Result, several: str) -> Iterator[Verdict]:
    try:
        table = read_plain(concordance_path(result.found.clusters))
    except SpectSynthError:
        return
    if table.empty or not {"baseline_a", "baseline_b", "verdict"} <= set(table):
        return
    # Of all pairs those with the baseline that is shown first.
    own = table[(table["baseline_a"] == result.found.label) | (table["baseline_b"] == result.found.label)]
    pairs = []
    for row in own.to_dict("records"):
        other = row["baseline_b"] if row["baseline_a"] == result.found.label else row["baseline_a"]
        apart = value_of({str(key): str(value) for key, value in row.items()}, "distance_mm")
        far = f", {apart:.0f} mm apart" if math.isfinite(apart) else ""
        pairs.append(f"{other}: {row['verdict']}{far}")
    if pairs:
        alike = [row["verdict"] in ALIKE for row in own.to_dict("records")]
        level, badge = ("good", "agree") if all(alike) else ("warning", "differ" if not any(alike) else "partly agree")
        yield Verdict(f"Top foci against {result.found.label}{several}", "; ".join(pairs), level, badge, "#siscom")  # type: ignore[arg-type]


def _asymmetries(context: SubjectContext) -> Iterator[Verdict]:
    for case, synthetic in context.synthetic[:1]:
        try:
            found = _asymmetry(context, case, synthetic)
        except (OSError, ValueError, KeyError):
            # The section on asymmetry says what is wrong with the table.
            continue
        if found:
            yield Verdict(f"Largest asymmetry, {synthetic.model}", found, href="#synthesis")


def _asymmetry(context: SubjectContext, case: PreparedCase, synthetic: Synthetic) -> str:
    """The pair of blocks with the largest asymmetry of the synthetic image, and of the real one where there is one."""
    rated = rating_path(context.output_dir, case, synthetic.model, "regions")
    intervals = regional_intervals_path(context.output_dir, case, synthetic.model)
    if rated.exists():
        table, own = read_table(rated), "asymmetry_synthetic"
        table = table[table["method"] == NETWORK]
    elif intervals.exists():
        table, own = read_table(intervals), "asymmetry"
    else:
        return ""
    pairs = table[(table["hemisphere"] == "L") & (table["region"] != HEMISPHERE)]
    named = [("synthetic", own), ("real", "asymmetry_real")]
    return "; ".join(text for name, column in named if (text := _largest(pairs, name, column)))


def _largest(pairs: pd.DataFrame, name: str, column: str) -> str:
    values = pairs[column].to_numpy(dtype=np.float64) if column in pairs else np.array([])
    if not np.isfinite(values).any():
        return ""
    row = int(np.nanargmax(np.abs(values)))
    side = "left" if values[row] > 0 else "right"
    return f"{name}: {side} higher by {number(abs(float(values[row])), 1)} %, block {pairs['region'].iloc[row]}"


def _registration(context: SubjectContext) -> Iterator[Verdict]:
    found = [one for one in context.transforms if one.role != T1W]
    if not found:
        return
    texts = [f"{role_of(one.role).title} {number(one.overlap, 2)}" for one in found]
    poor = [one.title for one in context.transforms if one.poor]
    text = f"overlap of the brains (Dice): {', '.join(texts)}"
    if poor:
        yield Verdict("Registration", f"{text}; do not trust {', '.join(poor)}", "danger", "poor", "#registration")
    else:
        yield Verdict("Registration", f"{text}; none is flagged", "good", "", "#registration")


def _masks(context: SubjectContext) -> Iterator[Verdict]:
    native = [case for case in context.cases if case.space == T1W_SPACE]
    for case in native:
        about = "Brain mask" + (f", ses-{case.session}" if len(native) > 1 and case.session else "")
        try:
            mask, affine = context.brain(case)
        except SpectSynthError:
            yield Verdict(about, "cannot be read", "danger", "lost", "#errors")
            continue
        litres = float(mask.sum()) * abs(float(np.linalg.det(affine[:3, :3]))) / 1e6
        count = sum(len(strings(sidecar(path).get("Notes"))) for path in case.images.values())
        notes = f"; {count} note{'s' if count > 1 else ''} on its images" if count else ""
        href = "#summary" if count else "#brain-mask"
        yield Verdict(
            about, f"{number(litres, 2)} l{notes}", "warning" if count else "good", "notes" if count else "", href
        )
        if case.lesion is not None:
            yield Verdict(
                about.replace("Brain", "Lesion"), lesion_text(case.lesion), "warning", "lesion", "#brain-mask"
            )


def _siscom_picture(context: SubjectContext) -> Block | None:
    """The SISCOM of the first ictal scan: of its first baseline, and of the first synthetic one at the same place."""
    for scan in context.once(results_of):
        case = case_of(context.cases, scan[0].found)
        shown = [one for one in chosen(scan) if "z" in one.found.maps]
        if case is None or not shown:
            continue
        return context.picture(case, _siscom_figure(context, case, shown))
    return None


def _siscom_figure(context: SubjectContext, case: PreparedCase, shown: Sequence[Result]) -> Figure:
    first = shown[0]
    peak = peak_of(first.top) if first.top else None
    where = "the middle of the brain" if first.top is None else f"focus {first.top['rank']}, {place_of(first.top)}"

    def draw() -> tuple[bytes, str]:
        title = f"{case.name}: SISCOM through {where}"
        return planes_of(context, case, shown, peak, title), f"{map_caption(first.threshold)} {SIDES}"

    jump = Jump(at_text(first), layer_name(first.found, "z"), viewer_name(case)) if peak else None
    entities = {"ses": first.found.session or "", "task": "ictal", "space": case.space, "desc": "siscom"}
    return Figure(entities, "statmap", f"SISCOM in three planes through {where}", draw, jump)


def _synthesis_picture(context: SubjectContext) -> Block | None:
    """The first synthetic image beside its inputs and the real one."""
    if not context.synthetic:
        return None
    case, synthetic = context.synthetic[0]

    def draw() -> tuple[bytes, str]:
        mask, affine = context.brain(case)
        inputs = {role: context.image(case, role) for role in input_roles(case, synthetic.path)}
        real, estimated = real_image(context, case), context.cut(case, synthetic.path)
        title = Title(f"{case.name}: {synthetic.model}", SYNTHETIC_WARNING)
        picture = reportlets.synthesis_at_a_glance(inputs, real, estimated, mask, affine, title)
        return picture, f"Real and synthetic SPECT are each divided by their mean in the brain. {SIDES}"

    entities = {"task": "interictal", "space": synthetic.space, "desc": f"{synthetic.model}Glance"}
    return context.picture(
        case, Figure(entities, "spect", f"Inputs, real and synthetic SPECT at a glance, {synthetic.model}", draw)
    )
