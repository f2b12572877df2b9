"""The export of a case: every image, map, page, segment and summary as a series in a folder of its own."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from bids_spectsynth import __version__
from bids_spectsynth.bids.manifests import file_record
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import T1W
from bids_spectsynth.bids.sidecars import sidecar_path
from bids_spectsynth.dicom.export.contents import (
    Comparison,
    Content,
    comparisons,
    source_files,
    uptake_images,
)
from bids_spectsynth.dicom.export.donor import Owner
from bids_spectsynth.dicom.export.foci import Scene, focus_labels, pages, read_scene, summary_pdf
from bids_spectsynth.dicom.export.headers import Series
from bids_spectsynth.dicom.export.nuclear import Image, nuclear_file
from bids_spectsynth.dicom.export.pictures import document_file, picture_file
from bids_spectsynth.dicom.export.research import Shown, parametric_map, segmentation
from bids_spectsynth.dicom.export.series_table import Row, write_series_table
from bids_spectsynth.dicom.export.slices import magnetic_files
from bids_spectsynth.dicom.geometry import affine_of, axial, frames_of, placement_of
from bids_spectsynth.errors import SpectSynthError
from bids_spectsynth.images.grid import Grid, new_image
from bids_spectsynth.images.resampling import resample_image
from bids_spectsynth.reports.pictures.views import frame_of
from bids_spectsynth.reports.reading import read_mask, read_volume
from bids_spectsynth.synthesis.prediction.reading import original_grid

Pixels = npt.NDArray[np.uint8]
DicomClass = Literal["NM", "MR"]
#: Number of the first series: above those of scanners.
_FIRST_SERIES = 9001
#: An image of uptake is shown up to this percentile of its voxels above 0.
_BRIGHT = 99.5
#: What spoils one series alone: libraries refuse values of a donor with errors of their own.
_FAILURES = (SpectSynthError, ValueError, TypeError)


@dataclass(eq=False)
class _Writer:
    """Writes series into a folder and counts them.

    ``box`` is the part of the grid that NM images have, ``made_of`` a digest of all that the series are made of.
    """

    folder: Path
    owner: Owner
    dicom_class: DicomClass
    output_dir: Path
    box: tuple[slice, slice, slice]
    made_of: str
    rows: list[Row] = field(default_factory=list)

    def series(self, name: str, title: str, content: Content | Comparison, **more: bool) -> Series:
        """The words of the next series."""
        derivation = content.derivation if isinstance(content, Content) else f"{content.title}."
        number = _FIRST_SERIES + len(self.rows)
        words = (title, derivation, str(content.synthetic), str(number))
        key = "\0".join((name, self.dicom_class, __version__, self.made_of, *words))
        return Series(title=title, synthetic=content.synthetic, derivation=derivation, number=number, key=key, **more)

    def write(self, name: str, files: Iterable[Dataset], series: Series, source: Path) -> None:
        """Write the files of a series."""
        place = self.folder / name
        place.mkdir(parents=True)
        count, title = 0, ""
        try:
            for count, file in enumerate(files, start=1):
                file.save_as(place / f"{name}_{count:04d}.dcm", enforce_file_format=True)
                title = file.SOPClassUID.name
        except _FAILURES:
            shutil.rmtree(place)
            raise
        origin = source.relative_to(self.output_dir).as_posix()
        yes = "YES" if series.synthetic else "NO"
        self.rows.append(Row(name, series.number, series.description, title, count, yes, origin))


def series_files(folder: Path, names: Iterable[str]) -> list[Path]:
    """Where files lie that :func:`write_case` has written, from their names."""
    return [folder / name.rpartition("_")[0] / name for name in names if name.endswith(".dcm")]


def write_case(
    case: PreparedCase, folder: Path, output_dir: Path, owner: Owner, dicom_class: DicomClass
) -> tuple[list[Path], list[str]]:
    """Write all series of a case; the folder appears when they are complete, in place of an earlier one.

    Parameters
    ----------
    case : PreparedCase
        In T1w space.
    folder, output_dir : Path
    owner : Owner
    dicom_class : {'NM', 'MR'}
        Of images and maps: one multi-frame file each, or single slices on the voxels of the T1w.

    Returns
    -------
    files : list of Path
    problems : list of str
        One line for each series that could not be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".dicom-") as place:
        # A folder of its own rights: those of a temporary one are its owner's alone.
        new = Path(place) / "dicom"
        new.mkdir()
        mask, affine = read_mask(case.masks[T1W])
        # A quarter of the grid is left, and every voxel stays in its place. Beyond the T1w's brain only an image with
        # a mask of its own has values.
        box, made_of = frame_of(mask, affine).box, _made_of(case, output_dir, owner)
        writer = _Writer(new, owner, dicom_class, output_dir, box, made_of)
        problems = list(_write_all(case, writer))
        write_series_table(new, writer.rows)
        if folder.exists():
            shutil.rmtree(folder)
        new.rename(folder)
    return sorted(folder.glob("*/*.dcm")), problems


def _made_of(case: PreparedCase, output_dir: Path, owner: Owner) -> str:
    """A digest of images, tables and sidecars, of the patient, and of where the donor's voxels lie."""
    digest = hashlib.sha256()
    for path in source_files(case, output_dir):
        for one in (path, sidecar_path(path)):
            digest.update(f"{one.name}\0{file_record(one).sha256}\0".encode())
    subject = owner.subject
    digest.update("\0".join((str(subject.patient), subject.frame_of_reference, str(subject.sources))).encode())
    if owner.t1w is not None:
        digest.update(str((owner.t1w.values.shape, owner.t1w.affine.tolist())).encode())
    return digest.hexdigest()


def _tried(title: str, make: Callable[[], object]) -> Iterator[str]:
    """Write something; gives a line where that fails."""
    try:
        make()
    except _FAILURES as error:
        yield f"{title}: {' '.join(str(error).split())}"


def _write_all(case: PreparedCase, writer: _Writer) -> Iterator[str]:
    """Write what can be written; gives a line for all else."""
    for content in uptake_images(case, writer.output_dir):
        yield from _tried(content.title, partial(_write_volume, content, case, writer))
    for comparison in comparisons(case, writer.output_dir):
        yield from _write_comparison(comparison, case, writer)


def _write_volume(content: Content, case: PreparedCase, writer: _Writer) -> Shown:
    image = _image(content, case, writer)
    series = writer.series(content.name, content.title, content)
    if writer.dicom_class == "NM":
        file = nuclear_file(image, writer.owner.subject, series)
        writer.write(content.name, [file], series, content.path)
        return Shown(image, series, file)
    writer.write(content.name, magnetic_files(image, writer.owner.subject, series), series, content.path)
    return Shown(image, series, None)


def _image(content: Content, case: PreparedCase, writer: _Writer) -> Image:
    values, affine = read_volume(content.path)
    uptake = values[values > 0]
    bright = float(np.percentile(uptake, _BRIGHT)) if uptake.size else 1.0
    window = content.window or (0.0, bright)
    if writer.dicom_class == "NM":
        frames, placement = axial(values[writer.box], _at_box(affine, writer.box))
        return Image(frames, placement, content.units, window)
    grid = _t1w_grid(case, writer.owner)
    on_t1w = _resampled(values, affine, grid, order=1)
    return Image(frames_of(on_t1w), placement_of(grid.affine), content.units, window)


def _at_box(affine: npt.NDArray[np.float64], box: tuple[slice, slice, slice]) -> npt.NDArray[np.float64]:
    """The affine of a part of a grid."""
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ [part.start for part in box]
    return moved


def _resampled(
    values: npt.NDArray[np.float32], affine: npt.NDArray[np.float64], grid: Grid, order: int
) -> npt.NDArray[np.float32]:
    made = resample_image(new_image(values, affine), grid, np.eye(4), order)
    return np.asarray(made.dataobj, dtype=np.float32)


def _t1w_grid(case: PreparedCase, owner: Owner) -> Grid:
    """The voxels of the T1w as its DICOM files have them, or as its NIfTI file has them."""
    if owner.t1w is not None:
        i, j, k = owner.t1w.values.shape
        return Grid((i, j, k), owner.t1w.affine)
    shape, affine = original_grid(case.images[T1W])
    return Grid(shape, affine)


def _write_comparison(comparison: Comparison, case: PreparedCase, writer: _Writer) -> Iterator[str]:
    written: dict[str, Shown] = {}

    def volume(statistic: str, content: Content) -> None:
        written[statistic] = _write_volume(content, case, writer)

    for statistic, content in comparison.maps.items():
        yield from _tried(content.title, partial(volume, statistic, content))
    if "z" in written:
        try:
            scene = read_scene(case, comparison)
            drawn = pages(case, comparison, scene)
        except _FAILURES as error:
            yield f"{comparison.title}: {error}"
            return
        shown = written["z"]
        yield from _tried(f"{comparison.short} foci on T1w", partial(_write_pages, comparison, drawn, writer))
        yield from _tried(f"{comparison.short} parametric map", partial(_write_parametric, comparison, shown, writer))
        yield from _tried(f"{comparison.short} segments", partial(_write_segments, comparison, scene, shown, writer))
        yield from _tried(f"{comparison.short} summary", partial(_write_summary, comparison, case, drawn, writer))


def _write_pages(comparison: Comparison, drawn: list[Pixels], writer: _Writer) -> None:
    name, subject = f"{comparison.name}_pages", writer.owner.subject
    series = writer.series(name, f"{comparison.short} foci on T1w", comparison, burned_in=True)
    files = (picture_file(pixels, subject, series, number) for number, pixels in enumerate(drawn, start=1))
    writer.write(name, files, series, comparison.maps["z"].path)


def _write_parametric(comparison: Comparison, shown: Shown, writer: _Writer) -> None:
    name = f"{comparison.name}_parametric"
    series = writer.series(name, f"{comparison.short} parametric map", comparison)
    files = [parametric_map(shown, writer.owner.subject, series)]
    writer.write(name, files, series, comparison.maps["z"].path)


def _write_summary(comparison: Comparison, case: PreparedCase, drawn: list[Pixels], writer: _Writer) -> None:
    name = f"{comparison.name}_summary"
    series = writer.series(name, f"{comparison.short} summary", comparison, burned_in=True)
    pdf = summary_pdf(case, comparison, drawn)
    files = [document_file(pdf, writer.owner.subject, series, series.description)]
    writer.write(name, files, series, comparison.maps["z"].path)


def _write_segments(comparison: Comparison, scene: Scene, shown: Shown, writer: _Writer) -> None:
    labels, foci = focus_labels(scene)
    path = comparison.maps["z"].path
    if writer.dicom_class == "NM":
        frames, _ = axial(labels[writer.box], _at_box(scene.affine, writer.box))
    else:
        shape = shown.image.frames.shape
        grid = Grid((shape[2], shape[1], shape[0]), affine_of(shown.image.placement))
        frames = frames_of(_resampled(labels.astype(np.float32), scene.affine, grid, order=0).astype(np.uint8))
    # What is smaller than a voxel of the T1w's would be an empty segment.
    present = [number for number in range(1, len(foci) + 1) if (frames == number).any()]
    if not present:
        return
    renumbered = np.zeros_like(frames)
    for new, old in enumerate(present, start=1):
        renumbered[frames == old] = new
    name = f"{comparison.name}_segments"
    series = writer.series(name, f"{comparison.short} segments", comparison)
    words = [(foci[number - 1].sign, foci[number - 1].label) for number in present]
    writer.write(name, [segmentation(shown, renumbered, words, writer.owner.subject, series)], series, path)
