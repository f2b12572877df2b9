"""What the sections of one subject's report share: where things lie, images that were read, errors that were met."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from bids_spectsynth.bids.names import case_folder, file_name
from bids_spectsynth.bids.output_files import Synthetic
from bids_spectsynth.bids.participants import read_participants
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import T1W
from bids_spectsynth.bids.transforms import Transform
from bids_spectsynth.bids.writing import atomic_file
from bids_spectsynth.errors import ImageError, SpectSynthError, reason_of
from bids_spectsynth.reports.html import Block, Jump, Note, Picture
from bids_spectsynth.reports.pictures.views import Array, Mask, frame_of, shown_part
from bids_spectsynth.reports.reading import read_mask, read_on_grid

T = TypeVar("T")
Affine = npt.NDArray[np.float64]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Figure:
    """A picture to be drawn: its file's entities and suffix, what it shows, and the function that draws it.

    Among the entities, ``ses`` stands where it may not be the case's; empty for none. ``draw`` returns the picture (SVG
    text, or bytes of a WebP) and a caption. ``jump`` leads to the same in the viewer.
    """

    entities: Mapping[str, str]
    suffix: str
    alt: str
    draw: Callable[[], tuple[str | bytes, str]]
    jump: Jump | None = None


def viewer_name(case: PreparedCase) -> str:
    """Name of the viewer of a case, once in a page."""
    return f"viewer-{case.name}"


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
    written : set of Path
        Files of pictures that were drawn.
    """

    output_dir: Path
    participant: str
    cases: list[PreparedCase]
    transforms: list[Transform]
    synthetic: list[tuple[PreparedCase, Synthetic]]
    heads: Mapping[str, Path]
    errors: list[str] = field(default_factory=list)
    written: set[Path] = field(default_factory=set)
    _made: dict[Callable[["SubjectContext"], Any], Any] = field(default_factory=dict, repr=False)
    _making: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _images: dict[Path, Array] = field(default_factory=dict, repr=False)
    _masks: dict[Path, tuple[Mask, Affine]] = field(default_factory=dict, repr=False)
    _parts: dict[Path, tuple[Mask, Affine]] = field(default_factory=dict, repr=False)

    def once(self, make: Callable[["SubjectContext"], T]) -> T:
        """What a function makes of this subject's output, made when it is first asked for; others wait meanwhile."""
        with self._making:
            if make not in self._made:
                self._made[make] = make(self)
            made: T = self._made[make]
        return made

    def whole_brain(self, case: PreparedCase) -> tuple[Mask, Affine]:
        """The brain mask of a case's grid and the grid's affine; read once.

        Raises
        ------
        ImageError
            The mask cannot be read.
        """
        path = case.masks[T1W]
        if path not in self._masks:
            self._masks[path] = read_mask(path)
        return self._masks[path]

    def brain(self, case: PreparedCase) -> tuple[Mask, Affine]:
        """The part of the brain mask that pictures show (the brain with its margin), and its affine; cut once.

        Raises
        ------
        ImageError
            The mask cannot be read.
        """
        path = case.masks[T1W]
        if path not in self._parts:
            mask, affine = self.whole_brain(case)
            frame, part, _ = shown_part(mask, affine, [])
            self._parts[path] = np.array(part, order="F"), frame.affine
        return self._parts[path]

    def cut(self, case: PreparedCase, path: Path, *, keep: bool = True) -> Array:
        """The same part of an image on the case's grid, float32.

        Parameters
        ----------
        case : PreparedCase
        path : Path
        keep : bool
            Whether it will be asked for again.

        Raises
        ------
        ImageError
            The image cannot be read, or lies on another grid than the mask.
        """
        if path in self._images:
            return self._images[path]
        mask, affine = self.whole_brain(case)
        # Copied, so that the rest of the image is given back; in the order that the files have.
        image = np.array(read_on_grid(path, mask.shape)[frame_of(mask, affine).box], order="F")
        if keep:
            self._images[path] = image
        return image

    def image(self, case: PreparedCase, role: str) -> Array:
        """The part of a prepared image that pictures show; read once. Errors as :meth:`cut`."""
        return self.cut(case, self._prepared(case, role))

    def whole_image(self, case: PreparedCase, role: str) -> Array:
        """A prepared image on its grid, shape (i, j, k), float32. Errors as :meth:`cut`."""
        return read_on_grid(self._prepared(case, role), self.whole_brain(case)[0].shape)

    def _prepared(self, case: PreparedCase, role: str) -> Path:
        path = case.images.get(role)
        if path is None:
            raise ImageError(f"{case.name}: no prepared {role} image in {case.space} space")
        return path

    def picture(self, case: PreparedCase, figure: Figure) -> Block:
        """Draw a figure and write its file; a note in its place where that fails."""
        # Whatever goes wrong with one picture, the others and the text must not be lost.
        try:
            content, caption = figure.draw()
            session = figure.entities.get("ses", case.session)
            entities = {**figure.entities, "ses": session or "", "sub": case.participant}
            own = {key: value for key, value in entities.items() if key != "ses" or value}
            folder = case_folder(self.output_dir, case.participant, session) / "figures"
            path = folder / file_name(own, figure.suffix, ".svg" if isinstance(content, str) else ".webp")
            with atomic_file(path) as file:
                file.write(content.encode() if isinstance(content, str) else content)
            self.written.add(path)
        except Exception as error:
            logger.debug("%s: %s", case.name, figure.alt, exc_info=True)
            return self.problem(f"{case.name}: {figure.alt}", error)
        href = path.relative_to(self.output_dir).as_posix()
        return Picture(content, figure.alt, caption, href, jump=figure.jump)

    def problem(self, what: str, error: Exception) -> Note:
        """Remember that something could not be shown, and say so in its place."""
        message = reason_of(error)
        self.errors.append(f"{what} – {message}")
        return Note(f"{what} cannot be shown: {message}", "warning", "Missing")


def participant_row(context: SubjectContext) -> Mapping[str, str]:
    """The subject's row of ``participants.tsv``; empty without one."""
    try:
        table = read_participants(context.output_dir)
    except SpectSynthError as error:
        context.errors.append(str(error))
        return {}
    rows = table[table["participant_id"] == f"sub-{context.participant}"].to_dict("records")
    return {str(key): str(value) for key, value in rows[0].items()} if rows else {}
