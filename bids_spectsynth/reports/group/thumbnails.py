"""Thumbnails of the participants, small files beside the group's page: the SISCOM where there is one, else SPECT."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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
        try:
            drawn = _drawn(output_dir, case, results.get(participant), model)
        except (ImageError, ValueError) as error:
            logger.warning("%s: no thumbnail (%s)", participant, " ".join(str(error).split()))
            continue
        if drawn is not None:
            picture, alt = drawn
            path = folder / f"{participant}.png"
            with atomic_file(path) as file:
                file.write(picture)
            made[participant] = Thumbnail(path.relative_to(output_dir).as_posix(), alt)
    for path in folder.glob("sub-*.png"):
        if path.stem not in made:
            path.unlink()
    return made


def _drawn(output_dir: Path, case: PreparedCase, result: Result | None, model: str) -> tuple[bytes, str] | None:
    if result is not None and "z" in result.found.maps:
        return _siscom(case, result), f"{case.name}: SISCOM, baseline {result.label}"
    found = {one.model: one for one in find_synthetic(output_dir, case)}
    if not found:
        return None
    chosen = found.get(model) or found[min(found)]
    mask, affine = read_mask(case.masks["T1w"])
    image = read_on_grid(chosen.path, mask.shape)
    alt = f"{case.name}: synthetic SPECT by {chosen.model}"
    return uptake_thumbnail(image, mask, affine, Label("", synthetic=True)), alt


def _siscom(case: PreparedCase, result: Result) -> bytes:
    mask, affine = read_mask(case.masks["T1w"])
    t1w = read_on_grid(case.images["T1w"], mask.shape)
    values = read_on_grid(result.found.maps["z"], mask.shape)
    at: Point | None = None
    if result.top is not None:
        voxel = np.rint(np.linalg.solve(affine, [*result.top.peak_mm, 1.0])[:3]).astype(int)
        i, j, k = (int(np.clip(one, 0, size - 1)) for one, size in zip(voxel, mask.shape, strict=True))
        at = (i, j, k)
    threshold = as_number(result.facts.get("Threshold"))
    threshold = threshold if math.isfinite(threshold) and threshold > 0 else _THRESHOLD
    label = Label(f"SISCOM {'' if result.synthetic else result.kind}".strip(), synthetic=result.synthetic)
    return map_thumbnail(t1w, values, mask, affine, threshold=threshold, at=at, label=label)
