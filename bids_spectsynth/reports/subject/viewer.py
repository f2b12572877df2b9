"""The viewer in a subject's report: which of the images in the output folder it holds, and how they are first shown."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from bids_spectsynth.bids.output_files import Synthetic, software_version, standard_deviation_path
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import INTERICTAL, PET, T1W, ictal_names, is_ictal, reading_order, role_of
from bids_spectsynth.bids.writing import read_matrix
from bids_spectsynth.errors import ImageError, SpectSynthError
from bids_spectsynth.options.settings import T1W_SPACE
from bids_spectsynth.reports.context import SubjectContext, viewer_name
from bids_spectsynth.reports.html import Block, Code, Heading, Section, Text
from bids_spectsynth.reports.pictures.views import Array, Mask, percentile_in, values_in
from bids_spectsynth.reports.subject.viewer_maps import PERCENT, foci_of, map_layers, top_map
from bids_spectsynth.reports.viewer.layers import Kind, Layer, Viewer
from bids_spectsynth.reports.viewer.packing import COARSE, Affine, brain_box, coarsen, crop, pack
from bids_spectsynth.threads import Threads

_INTRO = (
    "All images of this participant, on the T1w. Click for another place, or press ? on the picture for its keys. PET "
    "and SPECT are in percent of their own mean in the brain. Research use only."
)
#: Characters of all images of a viewer: a page should stay below 10 MB.
_ROOM = 6_000_000
#: Below it, percent of the brain mean, an overlay of PET or SPECT lets the T1w through.
_SEEN = 50.0


#: Layers that are made at once.
_AT_ONCE = 2
#: What a layer is, and the function that makes it.
Job = tuple[str, Callable[[], Layer]]


@dataclass(eq=False)
class _Gathered:
    """Layers of a case as they are found; ``grid`` is that of the prepared images."""

    context: SubjectContext
    case: PreparedCase
    mask: Mask
    affine: Affine
    layers: list[Layer] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def add(self, jobs: Sequence[Job]) -> None:
        """Make layers as long as there is room; a line among the errors for each that fails."""
        with Threads(_AT_ONCE) as pool:
            for first in range(0, len(jobs), 2 * _AT_ONCE):
                part = jobs[first : first + 2 * _AT_ONCE]
                # Reading and packing leave the interpreter to others most of the time.
                made = pool.map(_made, [make for _, make in part]) if self._has_room() else [None] * len(part)
                for (what, _), layer in zip(part, made, strict=True):
                    self._take(what, layer)

    def _take(self, what: str, layer: Layer | SpectSynthError | None) -> None:
        if isinstance(layer, SpectSynthError):
            self.context.problem(f"{self.case.name}: {what} in the viewer", layer)
        elif layer is None or not self._has_room():
            self.left_out.append(what)
        else:
            self.layers.append(layer)

    def _has_room(self) -> bool:
        # What is stored once is counted once.
        return sum(map(len, {layer.volume.data for layer in self.layers})) <= _ROOM


def _made(make: Callable[[], Layer]) -> Layer | SpectSynthError:
    try:
        return make()
    except SpectSynthError as error:
        return error


def viewer_section(context: SubjectContext) -> Section | None:
    """A viewer for each case with a T1w; None without any."""
    blocks: list[Block] = []
    native = [case for case in context.cases if case.space == T1W_SPACE and T1W in case.images]
    for case in native:
        try:
            shown = _case_blocks(context, case)
        except SpectSynthError as error:
            shown = [context.problem(f"{case.name}: viewer", error)]
        several = len({other.session for other in context.cases}) > 1
        blocks += [Heading(f"Session {case.session or 'none'}"), *shown] if several else shown
    return Section("viewer", "Viewer", [Text(_INTRO), *blocks]) if blocks else None


def _case_blocks(context: SubjectContext, case: PreparedCase) -> list[Block]:
    mask, affine = context.brain(case)
    found = _Gathered(context, case, mask, affine)
    # The others are seen on the T1w: without it there is nothing to be shown.
    found.layers.append(_anatomy(found))
    jobs = [*_images(found)]
    for other, synthetic in context.synthetic:
        if other.name == case.name:
            jobs += _of_synthetic(found, other, synthetic)
    found.add([*jobs, *map_layers(context, case)])
    lost = found.left_out
    title = f"{len(lost)} further image{'s were' if len(lost) > 1 else ' was'} left out for the size of the page"
    return [_viewer(found), *([Code(title, "\n".join(lost))] if lost else [])]


def _anatomy(found: _Gathered) -> Layer:
    data = found.context.image(found.case, T1W)
    top = max(percentile_in(data, found.mask, 99.9), 1e-6)
    values, affine = crop(data, found.affine, brain_box(found.mask))
    volume = pack(values, affine, COARSE, highest=top)
    return Layer(
        T1W, "T1w", "", "anatomy", volume, (0.0, percentile_in(data, found.mask, 99.5)), (None, 0.01 * top), "grey"
    )


def _images(found: _Gathered) -> Iterator[Job]:
    case = found.case
    for role in reading_order(case.images):
        if not role_of(role).is_nuclear and not is_ictal(role):
            continue

        def make(role: str = role) -> Layer:
            data = _relative(found.context.image(case, role), found.mask)
            return _uptake(found, role, _title(case, role), data)

        yield role_of(role).title, make


def _title(case: PreparedCase, role: str) -> str:
    if role == INTERICTAL:
        return "SPECT, perhaps ictal" if case.is_state_assumed else "Real interictal SPECT"
    scans = {name: case.images[name].name.partition("_space-")[0].split("_") for name in ictal_names(case.images)}
    others = [parts for name, parts in scans.items() if name != role]
    own = [part for part in scans.get(role, ()) if others and not all(part in other for other in others)]
    return f"Ictal SPECT, {', '.join(own)}" if own else role_of(role).title


def _of_synthetic(found: _Gathered, case: PreparedCase, synthetic: Synthetic) -> Iterator[Job]:
    """A synthetic image, what the real one has more, and the standard deviation; those in a template's space alone."""
    context, native = found.context, case.space == T1W_SPACE
    where = "" if native else f", {case.space}"
    name = synthetic.model + ("" if native else f"-{case.space}")

    def image() -> Layer:
        estimated = _relative(context.cut(case, synthetic.path), mask)
        return _uptake(own, name, f"Synthetic SPECT, {synthetic.model}{where}", estimated, synthetic=True)

    def difference() -> Layer:
        estimated = _relative(context.cut(case, synthetic.path), mask)
        real = _relative(context.image(case, INTERICTAL), mask)
        values = np.where(mask, real - estimated, 0).astype(np.float32)
        limit = _rounded(percentile_in(np.abs(values), mask, 99), 10)
        return _coarse(
            own, f"{name}-difference", f"Real minus synthetic, {synthetic.model}", "signed", values, limit, True
        )

    def deviation() -> Layer:
        path = standard_deviation_path(context.output_dir, case, synthetic.model)
        level = _level(context.cut(case, synthetic.path), mask)
        values = np.where(mask, 100 * context.cut(case, path, keep=False) / level, 0).astype(np.float32)
        limit = _rounded(percentile_in(values, mask, 99.5), 5)
        return _coarse(own, f"{name}-sd", f"Uncertainty (one SD), {synthetic.model}", "sd", values, limit, True)

    try:
        mask, affine = context.brain(case)
        # The file leads from the template's world to the T1w's, where all images are shown.
        matrix = np.eye(4) if native else read_matrix(found.case.template_xfms[case.space])
    except (SpectSynthError, KeyError) as error:
        lost = ImageError("there is no transform to its space") if isinstance(error, KeyError) else error
        context.problem(f"{case.name}: {name} in the viewer", lost)
        return
    own = _Gathered(context, case, mask, matrix @ affine)
    yield f"synthetic SPECT, {name}", image
    if native and INTERICTAL in case.images and not case.is_state_assumed:
        yield f"real minus synthetic, {name}", difference
    if native and standard_deviation_path(context.output_dir, case, synthetic.model).exists():
        yield f"uncertainty of {name}", deviation


def _uptake(found: _Gathered, name: str, title: str, values: Array, *, synthetic: bool = False) -> Layer:
    limit = _rounded(percentile_in(values, found.mask, 99.8), 10)
    return _coarse(found, name, title, "uptake", values, limit, synthetic)


def _coarse(found: _Gathered, name: str, title: str, kind: Kind, values: Array, limit: float, synthetic: bool) -> Layer:
    box = brain_box(found.mask)
    cut, affine = crop(values, found.affine, box)
    volume = pack(*coarsen(cut, affine, found.mask[box]))
    window = (-limit, limit) if kind == "signed" else (0.0, limit)
    threshold = {"signed": (-limit / 4, limit / 4), "sd": (None, limit / 4)}.get(kind, (None, _SEEN))
    colours = {"signed": "blue-orange", "sd": "cividis"}.get(kind, "hot")
    return Layer(name, title, PERCENT, kind, volume, window, threshold, colours, synthetic)


def _viewer(found: _Gathered) -> Viewer:
    context, case = found.context, found.case
    names = [layer.name for layer in found.layers]
    shown = top_map(context, case)
    overlay = shown if shown in names else ""
    foci = [focus for focus in foci_of(context, case) if focus.layer in names]
    first = next((focus.at for focus in foci if focus.layer == overlay), None)
    made = [layer.name for layer in found.layers if layer.synthetic and layer.kind == "uptake"]
    measured = [name for name in (INTERICTAL, *ictal_names(case.images), PET) if name in names]
    base = T1W if overlay else next(iter([*made, *measured, T1W]))
    second = next((name for name in (*measured, *made, T1W) if name != base), base)
    matrix = None if case.template_xfm is None else np.asarray(np.linalg.inv(read_matrix(case.template_xfm)))
    return Viewer(
        viewer_name(case),
        f"Images of {case.name} in three planes",
        found.layers,
        foci,
        base,
        overlay,
        second,
        first,
        "" if matrix is None else case.template or "",
        matrix,
        f"{case.name} · research use only · bids_spectsynth {software_version(context.output_dir)}",
    )


def _level(data: Array, mask: Mask) -> float:
    mean = float(values_in(data, mask).mean()) if mask.any() else 0.0
    return mean if mean > 0 else 1.0


def _relative(data: Array, mask: Mask) -> Array:
    """Percent of the mean in the brain."""
    return np.asarray(data * (100 / _level(data, mask)), dtype=np.float32)


def _rounded(value: float, unit: float) -> float:
    """A limit of a scale: the next multiple of a unit, one at least."""
    return max(unit, float(np.ceil(value / unit) * unit))
