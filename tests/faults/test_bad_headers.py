"""Mutated NIfTI headers: an image that can be worked with, or the error that becomes one line; no hang, no memory.

A failing case is named by its seed: ``python tests/faults/bad_headers.py SEED FOLDER`` writes its file.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_headers import bomb, write_case
from limits import TooSlowError, at_most, memory

from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.nifti import READ_ERRORS, opened_image, stored_shape
from bids_spectsynth.images.reading import load_image
from bids_spectsynth.quality.files import _read
from bids_spectsynth.siscom.foci.volumes import read_labels
from bids_spectsynth.synthesis.models.fit import _shape

#: Of one block of cases.
CASES = 500
#: The image itself has some kilobytes.
MEMORY_MB = 200


def _image(path: Path) -> None:
    image, notes = load_image(path)
    data = np.asarray(image.dataobj)
    assert data.dtype == np.float32, data.dtype
    assert data.ndim == 3, data.shape
    assert np.isfinite(data).all()
    assert data.min() < data.max()
    assert np.isfinite(image.affine).all()
    sizes = np.linalg.norm(image.affine[:3, :3], axis=0)
    assert (sizes > 0).all()
    assert (sizes <= 30).all(), sizes
    assert abs(np.linalg.det(image.affine[:3, :3])) > 0
    assert all(note and "\n" not in note for note in notes), notes


def _opened(path: Path) -> None:
    try:
        with opened_image(path) as image:
            np.asarray(image.dataobj)
    except READ_ERRORS as error:
        raise ImageError(str(error) or "damaged") from error


def _header(path: Path) -> None:
    try:
        shape = stored_shape(path)
    except READ_ERRORS as error:
        raise ImageError(str(error) or "damaged") from error
    assert all(n >= 0 for n in shape)


#: Of whatever reads images that are not the program's own, or no longer.
READERS: dict[str, Callable[[Path], Any]] = {
    "input": _image, "opened": _opened, "header": _header, "prepared": _read, "labels": read_labels, "shape": _shape
}  # fmt: skip


def _try(seed: int, folder: Path) -> tuple[str, list[str]]:
    """What became of a case with the reader of inputs, and faults of all readers."""
    path, faults, became = write_case(seed, folder), [], ""
    for name, read in READERS.items():
        outcome = "image"
        try:
            with at_most(5), np.errstate(all="ignore"):
                read(path)
        except ImageError as error:
            outcome = "refused"
            if "\n" in str(error) or not str(error):
                faults.append(f"seed {seed}, {name}: not one line: {error!r}")
            if isinstance(error.__cause__, MemoryError):
                faults.append(f"seed {seed}, {name}: asked for memory: {error}")
        except (Exception, TooSlowError) as error:
            faults.append(f"seed {seed}, {name}: {type(error).__name__}: {error}")
        became = outcome if name == "input" else became
    return became, faults


def _block(seeds: range, folder: Path, record: Callable[[str, object], None]) -> None:
    record("tried", "mutated NIfTI-1 and NIfTI-2 headers, extensions, ends and packing, with six reading functions")
    record("number", len(seeds))
    found, faults = Counter[str](), []
    with memory(MEMORY_MB):
        for seed in seeds:
            outcome, more = _try(seed, folder)
            found[outcome] += 1
            faults += more
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults[:20])
    # Neither all refused nor all taken: the mutations are of both kinds.
    assert min(found["image"], found["refused"]) > len(seeds) / 20, found
    record("seen", f"a sound image, or one line; none took 5 s or {MEMORY_MB} MB")


@pytest.mark.filterwarnings("ignore")
def test_read__mutated_headers(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    _block(range(300), tmp_path, record_property)


@pytest.mark.faults
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("block", range(1, 21))
def test_read__many_mutated_headers(tmp_path: Path, record_property: Callable[[str, object], None], block: int) -> None:
    _block(range(block * CASES, (block + 1) * CASES), tmp_path, record_property)


@pytest.mark.parametrize("claimed", [True, False])
def test_read__a_small_file_that_unpacks_without_end_is_refused(
    tmp_path: Path, record_property: Callable[[str, object], None], claimed: bool
) -> None:
    record_property(
        "tried", "compressed images of 2 MB that unpack to 1.6 GB by their header, or go on for 100 MB behind it"
    )
    path = bomb(tmp_path, claimed=claimed)
    with memory(MEMORY_MB), at_most(20), pytest.raises(ImageError) as caught:
        load_image(path)
    assert path.name in str(caught.value)
    assert not isinstance(caught.value.__cause__, MemoryError)
    record_property("seen", "one line, before memory is asked for")
