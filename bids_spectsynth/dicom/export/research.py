"""Objects for research viewers and planning: a map as parametric map, foci as segmentation, both by highdicom."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import highdicom as hd
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from bids_spectsynth import __version__
from bids_spectsynth.bids.dataset import CODE_NAME
from bids_spectsynth.dicom.export.headers import Series, Subject, add_provenance, uid_of
from bids_spectsynth.dicom.export.nuclear import Image
from bids_spectsynth.dicom.export.pixels import unit_code
from bids_spectsynth.dicom.export.slices import magnetic_files
from bids_spectsynth.dicom.geometry import affine_of
from bids_spectsynth.siscom.records import Sign

_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
#: What a segment shows: there is no code for hyper- or hypoperfusion of the brain among those for segments.
_TYPES: Mapping[Sign, Code] = {
    "hyper": Code("HYPER", "99SPECTSYNTH", "Hyperperfusion"),
    "hypo": Code("HYPO", "99SPECTSYNTH", "Hypoperfusion"),
}


@dataclass(frozen=True, eq=False)
class Shown:
    """The exported volume of a map, which further objects of it refer to.

    Parameters
    ----------
    image : Image
    series : Series
    nuclear : Dataset or None
        Where it was exported as one multi-frame image; None where as single slices of MR.
    """

    image: Image
    series: Series
    nuclear: Dataset | None


def parametric_map(shown: Shown, subject: Subject, series: Series) -> Dataset:
    """A map as numbers of 32 bits with their unit.

    Parameters
    ----------
    shown : Shown
    subject : Subject
    series : Series
    """
    image = shown.image
    low, high = float(image.frames.min()), float(image.frames.max())
    mapping = hd.pm.RealWorldValueMapping(
        lut_label="VALUES",
        lut_explanation=series.title[:64],
        unit=hd.sr.CodedConcept.from_code(unit_code(image.units)),
        value_range=(low, max(high, low + 1e-6)),
        slope=1,
        intercept=0,
    )
    window = hd.VOILUTTransformation(
        window_center=sum(image.window) / 2, window_width=image.window[1] - image.window[0]
    )
    # Names of a donor need not be as highdicom would have them.
    with warnings.catch_warnings(action="ignore"):
        made = hd.pm.ParametricMap(
            pixel_array=_volume(image, image.frames.astype(np.float32), subject),
            contains_recognizable_visual_features=False,
            real_world_value_mappings=[mapping],
            voi_lut_transformations=[window],
            content_label="SISCOM",
            **_common(shown, subject, series),
        )
    return _finished(made, shown, series)


def segmentation(
    shown: Shown, labels: npt.NDArray[np.uint8], foci: Sequence[tuple[Sign, str]], subject: Subject, series: Series
) -> Dataset:
    """Foci as segments.

    Parameters
    ----------
    shown : Shown
    labels : array of uint8, shape (k, rows, columns)
        Number of the focus, from 1, on the grid of the map.
    foci : sequence of (str, str)
        Sign and label of each.
    subject : Subject
    series : Series
    """
    algorithm = hd.AlgorithmIdentificationSequence(
        name=CODE_NAME, family=codes.DCM.ClusterAnalysis, version=__version__
    )
    segments = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=label[:64],
            segmented_property_category=codes.SCT.Function,
            segmented_property_type=_TYPES[sign],
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
        )
        for number, (sign, label) in enumerate(foci, start=1)
    ]
    with warnings.catch_warnings(action="ignore"):
        made = hd.seg.Segmentation(
            pixel_array=_volume(shown.image, labels, subject),
            segmentation_type="BINARY",
            segment_descriptions=segments,
            content_label="FOCI",
            **_common(shown, subject, series),
        )
    return _finished(made, shown, series)


def _common(shown: Shown, subject: Subject, series: Series) -> dict[str, Any]:
    # As MR they are the exported files themselves; as NM they stand in for it, because highdicom takes no NM.
    return {
        "source_images": list(magnetic_files(shown.image, subject, shown.series)),
        "series_instance_uid": series.uid,
        "series_number": series.number,
        "sop_instance_uid": uid_of("instance", series.key, "1"),
        "instance_number": 1,
        "manufacturer": CODE_NAME,
        "manufacturer_model_name": CODE_NAME,
        "software_versions": __version__,
        "device_serial_number": "n/a",
        "series_description": series.description,
    }


def _volume(image: Image, array: npt.NDArray[Any], subject: Subject) -> hd.Volume:
    """With the affine that highdicom wants: from (k, row, column) to LPS+ mm."""
    matrix = _LPS @ affine_of(image.placement)
    return hd.Volume(array, matrix[:, [2, 1, 0, 3]], "PATIENT", frame_of_reference_uid=subject.frame_of_reference)


def _finished(made: Dataset, shown: Shown, series: Series) -> Dataset:
    """With provenance, and with references to files that there are."""
    add_provenance(made, series)
    made.BodyPartExamined = "BRAIN"
    if shown.nuclear is not None:
        count = len(shown.image.frames)
        frames = {uid_of("instance", shown.series.key, str(n)): n for n in range(1, count + 1)}
        for group in made.PerFrameFunctionalGroupsSequence:
            for derivation in group.get("DerivationImageSequence") or []:
                for source in derivation.SourceImageSequence:
                    source.ReferencedFrameNumber = frames[source.ReferencedSOPInstanceUID]
                    _refer(source, shown.nuclear)
        for items in (made.ReferencedSeriesSequence[0].ReferencedInstanceSequence, made.SourceImageSequence):
            del items[1:]
            _refer(items[0], shown.nuclear)
    return made


def _refer(item: Dataset, file: Dataset) -> None:
    item.ReferencedSOPClassUID = file.SOPClassUID
    item.ReferencedSOPInstanceUID = file.SOPInstanceUID
