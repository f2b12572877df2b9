"""What the sections of one subject's report share: where things lie, images that were read, errors that were met."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bids_spectsynth.bids.names import case_folder, file_name
from bids_spectsynth.bids.output_files import Synthetic
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.transforms import Transform
from bids_spectsynth.bids.writing import write_text
from bids_spectsynth.errors import ImageError, reason_of
from bids_spectsynth.reports.html import Block, Note, Picture
from bids_spectsynth.reports.pictures.views import Array, Mask
from bids_spectsynth.reports.reading import read_mask, read_on_grid

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Figure:
    """A picture to be drawn: its file's entities and suffix, what it shows, and the function that draws it.

    Among the entities, ``ses`` stands where it may not be the case's; empty for none. ``draw`` returns SVG text and a
    caption.
    """

    entities: Mapping[str, str]
    suffix: str
    alt: str
    draw: Callable[[], tuple[str, str]]


@dataclass(eq=False)
class SubjectContext:
    """One subject's output.

    Parameters
    ----------
    output_dir : Path
    participant : str
        Label without ``sub-``.
    cases : list of PreparedCase
        One for each session and space; those in T1w space first.
    transforms : list of Transform
    synthetic : list of (PreparedCase, Synthetic)
    heads : mapping of case name to Path
        Images with the whole head to draw the brain mask on, where the caller has them.
    errors : list of str
        One line for each thing that could not be shown; sections add to it.
    """

    output_dir: Path
    participant: str
    cases: list[PreparedCase]
    transforms: list[Transform]
    synthetic: list[tuple[PreparedCase, Synthetic]]
    heads: Mapping[str, Path]
    errors: list[str] = field(default_factory=list)
    _images: dict[Path, Array] = field(default_factory=dict, repr=False)
    _masks: dict[Path, tuple[Mask, npt.NDArray[np.float64]]] = field(default_factory=dict, repr=False)

    def brain(self, case: PreparedCase) -> tuple[Mask, npt.NDArray[np.float64]]:
        """The brain mask of a case's grid and the grid's affine; read once.

        Raises
        ------
        ImageError
            The mask cannot be read.
        """
        path = case.masks["T1w"]
        if path not in self._masks:
            self._masks[path] = read_mask(path)
        return self._masks[path]

    def image(self, case: PreparedCase, role: str) -> Array:
        """A prepared image, shape (i, j, k), float32; read once.

        Raises
        ------
        ImageError
            The case has no such image, or it cannot be read, or lies on another grid than the mask.
        """
        path = case.images.get(role)
        if path is None:
            raise ImageError(f"{case.name}: no prepared {role} image in {case.space} space")
        if path not in self._images:
            mask, _ = self.brain(case)
            self._images[path] = read_on_grid(path, mask.shape)
        return self._images[path]

    def picture(self, case: PreparedCase, figure: Figure) -> Block:
        """Draw a figure and write its file; a note in its place where that fails."""
        # Whatever goes wrong with one picture, the others and the text must not be lost.
        try:
            svg, caption = figure.draw()
            session = figure.entities.get("ses", case.session)
            entities = {**figure.entities, "ses": session or "", "sub": case.participant}
            own = {key: value for key, value in entities.items() if key != "ses" or value}
            folder = case_folder(self.output_dir, case.participant, session) / "figures"
            path = folder / file_name(own, figure.suffix, ".svg")
            write_text(path, svg)
        except Exception as error:
            logger.debug("%s: %s", case.name, figure.alt, exc_info=True)
            return self.problem(f"{case.name}: {figure.alt}", error)
        return Picture(svg, figure.alt, caption, path.relative_to(self.output_dir).as_posix())

    def problem(self, what: str, error: Exception) -> Note:
        """Remember that something could not be shown, and say so in its place."""
        message = reason_of(error)
        self.errors.append(f"{what} – {message}")
        return Note(f"{what} cannot be shown: {message}", "warning", "Missing")
