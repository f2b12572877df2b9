"""Thumbnails of the participants, small files beside the group's page: the SISCOM where there is one, else SPECT."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bids_spectsynth import __version__
from bids_spectsynth.bids.manifests import Product, make_if_outdated, manifest_path
from bids_spectsynth.bids.output_files import find_synthetic, group_figures
from bids_spectsynth.bids.prepared import PreparedCase, find_prepared
from bids_spectsynth.bids.sidecars import as_number
from bids_spectsynth.bids.writing import atomic_file
from bids_spectsynth.errors import ImageError
from bids_spectsynth.options.settings import T1W_SPACE
from bids_spectsynth.reports.pictures.thumbnail import Label, Point, map_thumbnail, uptake_thumbnail
from bids_spectsynth.reports.reading import read_mask, read_on_grid
from bids_spectsynth.siscom.group.results import Result

logger = logging.getLogger(__name__)

#: Below the folder of the group's figures.
FOLDER = "participants"
#: Threshold of a map whose sidecar is lost: the usual one.
_THRESHOLD = 2.0


@dataclass(frozen=True)
class Thumbnail:
    """A picture by its address relative to the page, and what it shows."""

    href: str
    alt: str


def write_thumbnails(output_dir: Path, results: Mapping[str, Result], model: str) -> dict[str, Thumbnail]:
    """Draw everybody's thumbnail into ``figures/participants/`` and remove those of people who have none any more.

    One whose images, facts and version are those that it was drawn from stays as it is.

    Parameters
    ----------
    output_dir : Path
    results : mapping of participant to Result
        The SISCOM to show of those who have one, by ``sub-01``.
    model : str
        Whose synthetic image is shown of the others; the first by name where it made none.

    Returns
    -------
    dict of str to Thumbnail
        By participant. One whose images cannot be read has none, and the log says why.
    """
    folder = group_figures(output_dir) / FOLDER
    cases: dict[str, PreparedCase] = {}
    for case in find_prepared(output_dir, T1W_SPACE):
        cases.setdefault(f"sub-{case.participant}", case)
    made = {}
    for participant, case in cases.items():
        drawing = _drawing(output_dir, case, results.get(participant), model)
        if drawing is None:
            continue
        path = folder / f"{participant}.webp"
        try:
            make_if_outdated(_product(output_dir, path, drawing), partial(_write, path, drawing.draw))
        except (ImageError, ValueError) as error:
            logger.warning("%s: no thumbnail (%s)", participant, " ".join(str(error).split()))
            continue
        made[participant] = Thumbnail(path.relative_to(output_dir).as_posix(), drawing.alt)
    for path in folder.glob("sub-*.*"):
        # Those of earlier versions were PNG.
        if path.suffix != ".webp" or path.stem not in made:
            path.unlink()
            manifest_path(output_dir, path).unlink(missing_ok=True)
    return made


@dataclass(frozen=True)
class _Drawing:
    """How a thumbnail is drawn: what it shows, the files and facts that it is made of, and the function that draws."""

    alt: str
    inputs: Mapping[str, Path]
    options: Mapping[str, Any]
    draw: Callable[[], bytes]


def _write(path: Path, draw: Callable[[], bytes]) -> None:
    picture = draw()
    with atomic_file(path) as file:
        file.write(picture)


def _product(output_dir: Path, path: Path, drawing: _Drawing) -> Product:
    return Product(
        name=f"thumbnail of {path.stem}",
        manifest=manifest_path(output_dir, path),
        inputs=drawing.inputs,
        outputs=(path,),
        # Without a manifest nobody knows what it was drawn from.
        is_current=lambda: False,
        # The version stands in the picture.
        options={**drawing.options, "what it shows": drawing.alt, "the version": __version__},
    )


def _drawing(output_dir: Path, case: PreparedCase, result: Result | None, model: str) -> _Drawing | None:
    mask = {"the brain mask": case.masks["T1w"]}
    if result is not None and "z" in result.found.maps:
        alt = f"{case.name}: SISCOM, baseline {result.label}"
        threshold = as_number(result.facts.get("Threshold"))
        threshold = threshold if math.isfinite(threshold) and threshold > 0 else _THRESHOLD
        peak = None if result.top is None else list(result.top.peak_mm)
        options = {"the threshold": threshold, "the peak": peak, "a synthetic baseline": result.synthetic}
        inputs = {**mask, "the T1w": case.images["T1w"], "the z map": result.found.maps["z"]}
        return _Drawing(alt, inputs, options, partial(_siscom, case, result, threshold))
    found = {one.model: one for one in find_synthetic(output_dir, case)}
    if not found:
        return None
    chosen = found.get(model) or found[min(found)]
    alt = f"{case.name}: synthetic SPECT by {chosen.model}"
    return _Drawing(alt, {**mask, "the synthetic SPECT": chosen.path}, {}, partial(_uptake, case, chosen.path))


def _uptake(case: PreparedCase, path: Path) -> bytes:
    mask, affine = read_mask(case.masks["T1w"])
    return uptake_thumbnail(read_on_grid(path, mask.shape), mask, affine, Label("", synthetic=True))


def _siscom(case: PreparedCase, result: Result, threshold: float) -> bytes:
    mask, affine = read_mask(case.masks["T1w"])
    t1w = read_on_grid(case.images["T1w"], mask.shape)
    values = read_on_grid(result.found.maps["z"], mask.shape)
    at: Point | None = None
    if result.top is not None:
        voxel = np.rint(np.linalg.solve(affine, [*result.top.peak_mm, 1.0])[:3]).astype(int)
        i, j, k = (int(np.clip(one, 0, size - 1)) for one, size in zip(voxel, mask.shape, strict=True))
        at = (i, j, k)
    label = Label(f"SISCOM {'' if result.synthetic else result.kind}".strip(), synthetic=result.synthetic)
    return map_thumbnail(t1w, values, mask, affine, threshold=threshold, at=at, label=label)
