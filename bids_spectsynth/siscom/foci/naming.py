"""Names of places in a head: from its own segmentation, else from an atlas, else the side alone."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bids_spectsynth.bids.names import parse_name
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import T1W
from bids_spectsynth.bids.sidecars import sidecar, strings
from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import Grid, apply_affine
from bids_spectsynth.logs import ONCE
from bids_spectsynth.preprocess.templates.atlas import stored_cerebra
from bids_spectsynth.siscom.foci.atlas import cerebra, is_of_atlas, nearest_template
from bids_spectsynth.siscom.foci.midplane import Midplane, labelled_midplane, mask_midplane, template_midplane
from bids_spectsynth.siscom.foci.segmentations import (
    find_label_table,
    find_segmentations,
    holds_segmentations,
    read_segmentation,
)
from bids_spectsynth.siscom.foci.volumes import LabelVolume, misfit
from bids_spectsynth.siscom.records import Names
from bids_spectsynth.synthesis.baselines.template import template_matrix, template_of

logger = logging.getLogger(__name__)

Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
_NO_LABELS = "no labels: sides and coordinates alone"


@dataclass(frozen=True, kw_only=True, eq=False)
class Labeller:
    """What tells where points of one head lie; made by :func:`find_labeller`.

    Parameters
    ----------
    brain_mask : array of bool, shape (I, J, K)
    grid : Grid
        Of the mask, in the world of the T1w.
    midplane : Midplane
        Between the halves of this brain.
    template : str or None
        The template whose coordinates are given.
    to_template : array, shape (4, 4), or None
        World of the T1w to that of the template.
    volumes : tuple of LabelVolume
        In the world of the T1w; the first names points, the others serve what it lacks.
    source : str
        What names points, one line for sidecars.
    notes : tuple of str
        What readers must know of the names, one sentence each.
    """

    brain_mask: Mask
    grid: Grid
    midplane: Midplane
    template: str | None = None
    to_template: Float64 | None = None
    volumes: tuple[LabelVolume, ...] = ()
    source: str = _NO_LABELS
    notes: tuple[str, ...] = field(default=())

    def name(self, points: npt.ArrayLike) -> list[Names]:
        """Name points.

        The region is that of the nearest label within 10 mm. The side is ``M`` within 2 mm of the plane between the
        halves; else that of the label, where it has one; else that of the plane.

        Parameters
        ----------
        points : array, shape (n, 3)
            World of the T1w, RAS+ mm.
        """
        at = np.asarray(points, dtype=np.float64).reshape(-1, 3)
        in_template = None if self.to_template is None else apply_affine(self.to_template, at)
        names = []
        for index, (point, side) in enumerate(zip(at, self.midplane.sides(at), strict=True)):
            label, distance = self.volumes[0].nearest(point) if self.volumes else (None, float("nan"))
            names.append(
                Names(
                    side=label.side if label is not None and side != "M" and label.side != "n/a" else side,
                    lobe="n/a" if label is None else label.lobe,
                    region="n/a" if label is None else label.region,
                    distance_mm=distance,
                    template_mm=None if in_template is None else _triple(in_template[index]),
                )
            )
        return names

    def mask_of(self, lobe: str) -> Mask | None:
        """Voxels of the brain mask that lie in a lobe, on the case's grid; None where nothing tells.

        Parameters
        ----------
        lobe : str
            As :class:`~bids_spectsynth.siscom.records.Names` has it, such as ``cerebellum``.

        Returns
        -------
        array of bool, shape (I, J, K), or None
        """
        # The head's own comes last where an atlas names its points.
        for volume in reversed(self.volumes):
            found = volume.mask(lambda label: label.lobe == lobe, self.brain_mask, self.grid.affine)
            if found.any():
                return found
        return None

    def side_map(self, grid: Grid | None = None) -> npt.NDArray[np.int8]:
        """-1 left, 1 right, 0 within 2 mm of the plane between the halves.

        Parameters
        ----------
        grid : Grid, optional
            In the world of the T1w; by default the case's.

        Returns
        -------
        array, shape of the grid, int8
        """
        return self.midplane.side_map(grid or self.grid)


def find_labeller(
    prepared: PreparedCase, derivatives: Sequence[Path], brain_mask: Mask, affine: npt.ArrayLike
) -> Labeller:
    """Find what can name the places of a head; whatever is missing or damaged costs names and never fails.

    Parameters
    ----------
    prepared : PreparedCase
        In the space of the T1w.
    derivatives : sequence of Path
        Folders with segmentations, tried in this order (``--derivatives``).
    brain_mask : array of bool, shape (I, J, K)
        Of the T1w, not empty.
    affine : array, shape (4, 4)
        Of the mask, to world RAS+ mm.

    Returns
    -------
    Labeller
        With the participant's segmentation where it parts the cortex; else with CerebrA; else with a segmentation that
        does not.
    """
    grid = Grid(_shape(brain_mask), np.asarray(affine, dtype=np.float64))
    template, from_template, notes = _template(prepared)
    plane = mask_midplane(brain_mask, grid.affine) if from_template is None else template_midplane(from_template)
    to_template: Float64 | None = None if from_template is None else np.linalg.inv(from_template).astype(np.float64)
    own, more = _own_segmentations(prepared, derivatives, brain_mask, grid, plane)
    notes += more
    if from_template is None:
        labelled = _between_labels(own)
        plane = labelled or plane
        notes += [] if labelled else ["sides by the middle of the brain, which is wrong where the head is tilted"]
    volumes = list(own)
    if not any(volume.has_lobes for volume in own):
        atlas, more = _atlas(template, from_template)
        volumes = [*atlas, *own]
        notes += more
    return Labeller(
        brain_mask=brain_mask,
        grid=grid,
        midplane=plane,
        template=template,
        to_template=to_template,
        volumes=tuple(volumes),
        source=volumes[0].source if volumes else _NO_LABELS,
        notes=tuple(notes),
    )


def naming_files(prepared: PreparedCase, derivatives: Sequence[Path]) -> dict[str, Path]:
    """Files that decide the names of a head's places, beside its own images: for what was made from what.

    Parameters
    ----------
    prepared : PreparedCase
    derivatives : sequence of Path
        As for :func:`find_labeller`.

    Returns
    -------
    dict of str to Path
        By what they are: segmentations that may be used, their tables, and the atlas where it is stored.
    """
    files = {}
    for candidate in find_segmentations(derivatives, prepared.participant, t1w_session(prepared))[0]:
        table = find_label_table(candidate)
        for path in (candidate.path, *([table] if table else [])):
            name = path.relative_to(candidate.folder).as_posix()
            files[f"{name} of --derivatives {1 + list(derivatives).index(candidate.folder)}"] = path
    atlas = stored_cerebra()
    return files | ({"the atlas CerebrA": atlas.image, "the table of CerebrA": atlas.table} if atlas else {})


def _template(prepared: PreparedCase) -> tuple[str | None, Float64 | None, list[str]]:
    """The template whose coordinates serve, the matrix from its world to the T1w's, and notes."""
    case = prepared.through(nearest_template(prepared.template_xfms) or prepared.template)
    template = template_of(case)
    if template is None:
        return None, None, ["no transform to a template: no template coordinates"]
    try:
        matrix = template_matrix(case)
    except ImageError as error:
        logger.warning("%s: %s", prepared.name, error)
        return None, None, ["the transform to the template cannot be read: no template coordinates"]
    poor = case.template_xfm is not None and sidecar(case.template_xfm).get("Poor") is True
    notes = [
        f"the registration to {template} is poor: template coordinates, and sides and regions by them, may be wrong"
    ]
    return template, matrix, notes if poor else []


def _own_segmentations(
    prepared: PreparedCase, folders: Sequence[Path], brain_mask: Mask, grid: Grid, plane: Midplane
) -> tuple[list[LabelVolume], list[str]]:
    """The first segmentation that parts the cortex; else the first that fits at all; none where none does."""
    if not folders:
        return [], []
    session = t1w_session(prepared)
    candidates, warnings = find_segmentations(folders, prepared.participant, session)
    coarse: list[LabelVolume] = []
    found: list[LabelVolume] = []
    notes = []
    for candidate in candidates:
        try:
            volume = read_segmentation(candidate)
            problem = misfit(volume, brain_mask, grid, plane)
        except ImageError as error:
            warnings.append(str(error))
            continue
        if problem is not None:
            warnings.append(f"{candidate.path}: {problem}; not used")
        elif volume.has_lobes:
            alike = [one for one in candidates if one.is_like(candidate)]
            if len(alike) > 1:
                notes.append(f"{len(alike)} segmentations alike: the first by name is used, {candidate.path.name}")
            found = [volume]
            break
        else:
            coarse = coarse or [volume]
    for line in warnings:
        logger.warning("%s: %s", prepared.name, line)
    if not candidates and not warnings and any(map(holds_segmentations, folders)):
        warnings.append(
            f"--derivatives: no segmentation of sub-{prepared.participant} in {', '.join(map(str, folders))}"
        )
        # Each ictal scan comes here.
        logger.warning("%s", warnings[-1], extra=ONCE)
    return found or coarse, [*notes, *(_without_folders(line, folders) for line in warnings)]


def _without_folders(line: str, folders: Sequence[Path]) -> str:
    """A line for sidecars, in which no path of a machine stands."""
    for folder in filter(Path.is_absolute, folders):
        line = line.replace(f"{folder}/", "").replace(str(folder), folder.name)
    return line


def _atlas(template: str | None, from_template: Float64 | None) -> tuple[list[LabelVolume], list[str]]:
    """CerebrA in the world of the T1w, and notes; nothing where it cannot be had."""
    if template is None or from_template is None:
        return [], []
    if nearest_template([template]) is None:
        return [], [f"regions have no names: CerebrA lies on MNI152, {template} does not"]
    atlas = cerebra()
    if atlas is None:
        return [], ["regions have no names: the atlas CerebrA is not stored; the log has the command that stores it"]
    near = f"CerebrA was read at coordinates of {template}, which lie within some mm of its own template's"
    return [atlas.moved(from_template)], [] if is_of_atlas(template) else [near]


def _between_labels(own: Sequence[LabelVolume]) -> Midplane | None:
    """The plane between the labels of left and right; None where no segmentation has both."""
    for volume in own:
        points, sides = volume.sides()
        if min(np.sum(sides < 0), np.sum(sides > 0)) > 0:
            return labelled_midplane(points, sides)
    return None


def t1w_session(prepared: PreparedCase) -> str | None:
    """The session of the T1w that a case was prepared with, by its sidecar; else that of the case."""
    content: Mapping[str, object] = sidecar(prepared.images[T1W]) if T1W in prepared.images else {}
    for source in strings(content.get("Sources")):
        entities, suffix, _ = parse_name(source.rpartition("/")[2])
        if suffix == T1W:
            return entities.get("ses")
    return prepared.session


def _triple(point: Float64) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in point)
    return x, y, z


def _shape(mask: Mask) -> tuple[int, int, int]:
    i, j, k = mask.shape
    return i, j, k
