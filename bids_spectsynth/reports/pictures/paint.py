"""What pictures are painted with: colours of values, lines and text on pixels, and the file that they become.

Pixels are painted directly: a page has a dozen pictures of slices, and a drawing library spends most of its time on
what these do not have, axes and their layout.
"""

import io
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.colors import Colormap
from PIL import (
    Image,
    ImageDraw,
    ImageFont,
    WebPImagePlugin,  # noqa: F401  (else Pillow loads all its formats to find it)
)

from bids_spectsynth import __version__

Pixels = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]
Lines = Sequence[npt.NDArray[np.float64]]

#: In the pixels of every picture.
STAMP = f"Research use only · bids_spectsynth {__version__}"
#: Letters keep their edges from here on; the pictures of a page take a tenth of the room of their PNG.
_QUALITY = 84
#: Lines are drawn so many times as large and made smaller: their edges are smooth.
_FINER = 3
_LEVELS = 512


@cache
def font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The one font that is there wherever matplotlib is, in pixels."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    # The simple layout gives equal letters with every build of the library.
    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / name, size, layout_engine=_BASIC)


_BASIC = ImageFont.Layout.BASIC


def painted(
    values: npt.NDArray[np.float32],
    size: tuple[int, int],
    scale: tuple[float, float],
    cmap: str | Colormap,
    *,
    smooth: bool,
) -> tuple[Pixels, npt.NDArray[np.bool_] | None]:
    """A slice in colours, enlarged or made smaller.

    Parameters
    ----------
    values : array, shape (up, across)
        First row at the bottom.
    size : tuple of int
        Width and height in pixels.
    scale : tuple of float
        Values of the first and the last colour.
    cmap : str or Colormap
    smooth : bool
        Whether to interpolate between voxels.

    Returns
    -------
    array, shape (height, width, 3)
        First row at the top.
    array of bool, shape (height, width), or None
        Where there is a value; None for everywhere.
    """
    low, high = scale
    there = np.isfinite(values)
    complete = bool(there.all())
    levels = ((values if complete else np.where(there, values, low)) - low) * (1 / max(high - low, 1e-12))
    levels = np.clip(levels, 0, 1)[::-1].astype(np.float32)
    filtering = Image.Resampling.NEAREST
    if smooth:
        filtering = Image.Resampling.BOX if size[0] < values.shape[1] else Image.Resampling.BICUBIC
    enlarged = np.asarray(Image.fromarray(levels).resize(size, filtering))
    # Interpolation may go a little beyond the ends.
    places = np.clip(enlarged * (_LEVELS - 1) + 0.5, 0, _LEVELS - 1).astype(np.int16)
    colours = table(cmap)[places]
    if complete:
        return colours, None
    return colours, np.asarray(Image.fromarray(there[::-1]).resize(size, Image.Resampling.NEAREST)).astype(bool)


def lay(picture: Pixels, colours: Pixels, shown: npt.NDArray[np.bool_] | None) -> None:
    """Put what :func:`painted` gives onto a part of a picture, in place.

    Parameters
    ----------
    picture, colours : array, shape (height, width, 3)
    shown : array of bool, shape (height, width), or None
    """
    if shown is None:
        picture[:] = colours
    elif shown.any():
        np.copyto(picture, colours, where=shown[..., None])


def table(cmap: str | Colormap) -> Pixels:
    """The colours of a map from low to high, shape (512, 3)."""
    colours = mpl.colormaps.get_cmap(cmap)(np.linspace(0, 1, _LEVELS))
    return np.asarray(np.rint(255 * colours[:, :3]), dtype=np.uint8)


def draw_lines(image: Image.Image, lines: Lines, colour: str, width: float) -> None:
    """Draw smooth lines.

    Parameters
    ----------
    image : Image
        Is changed.
    lines : sequence of array, shape (n, 2)
        Points in pixels from the top left.
    colour : str
    width : float
        Pixels.
    """
    if not lines:
        return
    finer = Image.new("L", (image.width * _FINER, image.height * _FINER))
    draw = ImageDraw.Draw(finer)
    for line in lines:
        draw.line((line * _FINER).ravel().tolist(), fill=255, width=round(width * _FINER), joint="curve")
    image.paste(colour, mask=finer.reduce(_FINER))


def draw_text(
    draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, colour: str, *, size: int, anchor: str,
    bold: bool = False,
) -> None:  # fmt: skip
    """Write with a dark edge around the letters, which are read on whatever lies below.

    Parameters
    ----------
    draw : ImageDraw
    place : tuple of float
        Pixels from the top left.
    text : str
        One line or several.
    colour : str
    size : int
        Pixels.
    anchor : str
        Pillow's: horizontally l, m, r; vertically a, m, s (of several lines a and m).
    bold : bool
    """
    own = font(size, bold=bold)
    edge = max(2, size // 8)
    if "\n" not in text:
        draw.text(place, text, colour, own, anchor, stroke_width=edge, stroke_fill="black")
        return
    height = round(1.25 * size)
    lines = text.split("\n")
    top = place[1] - (height * len(lines) / 2 if anchor[1] == "m" else 0)
    for number, line in enumerate(lines):
        at = (place[0], top + number * height)
        draw.text(at, line, colour, own, f"{anchor[0]}a", stroke_width=edge, stroke_fill="black")


def fitted(text: str, width: float, *, size: int, bold: bool = False) -> str:
    """A text whose lines are no wider than some pixels: broken at spaces, else before capitals, else anywhere.

    Parameters
    ----------
    text : str
        One line or several.
    width : float
        Pixels.
    size : int
        Of the letters, pixels.
    bold : bool

    Examples
    --------
    >>> fitted("minus\\nPix2pixT1wPetBestSeed1", 110, size=18).split("\\n")
    ['minus', 'Pix2pixT1w', 'PetBest', 'Seed1']
    """
    own = font(size, bold=bold)
    lines: list[str] = []
    for line in text.split("\n"):
        lines.append("")
        for piece in re.findall(r" ?(?:[A-Z]+[a-z0-9]*|[^A-Z ]+|$)", line):
            for part in [piece] if own.getlength(piece) <= width else piece:
                if lines[-1] and own.getlength(lines[-1] + part) > width:
                    lines.append("")
                lines[-1] += part if lines[-1] else part.lstrip()
    return "\n".join(lines)


def as_webp(image: Image.Image) -> bytes:
    """The picture as a file; equal pixels give equal bytes."""
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=_QUALITY, method=1)
    return stream.getvalue()
