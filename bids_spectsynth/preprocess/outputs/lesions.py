"""The prepared lesion mask of a case, with its sidecar."""

from pathlib import Path

import numpy as np

from bids_spectsynth.bids.finding.external import External
from bids_spectsynth.bids.output_files import LESION_KEYS
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import T1W
from bids_spectsynth.bids.sidecars import sidecar, strings
from bids_spectsynth.bids.writing import read_matrix, write_image
from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.grid import Grid, grid_of, new_image
from bids_spectsynth.images.reading import load_image
from bids_spectsynth.options.settings import T1W_SPACE
from bids_spectsynth.preprocess.external.lesions import Lesion, lesion_on_grid


def write_lesion(path: Path, case: PreparedCase, source: External, t1w: Grid) -> Lesion:
    """Bring a lesion mask to the grid of a case's prepared images and write it.

    Parameters
    ----------
    path : Path
        Where it is written.
    case : PreparedCase
        With its brain mask and, in a template's space, the transform.
    source : External
        The mask on the T1w.
    t1w : Grid
        Of the T1w that it was drawn on.

    Returns
    -------
    Lesion

    Raises
    ------
    ImageError
        See :func:`~bids_spectsynth.preprocess.external.lesions.lesion_on_grid`; the brain mask or the transform cannot
        be read.
    """
    image, _ = load_image(case.masks[T1W])
    brain = np.asanyarray(image.dataobj) > 0
    to_t1w = np.eye(4)
    if case.space != T1W_SPACE:
        if case.template_xfm is None:
            raise ImageError(
                f"{case.name}: no transform to {case.space}; prepare the participant again with it in --output-spaces"
            )
        to_t1w = read_matrix(case.template_xfm)
    found = lesion_on_grid(source.path, t1w, grid_of(image), to_t1w, brain)
    known = sidecar(case.masks[T1W])
    own = [uri for uri in strings(known.get("Sources")) if uri != known.get("ExternalSource")]
    content = {
        "Type": "Lesion",
        "Description": "Lesion mask of the T1w, as it was given, on the common grid of this space.",
        "SpatialReference": known.get("SpatialReference", "orig"),
        "Interpolation": "once from the source voxels; every voxel that they reach into",
        "Sources": [*own, source.uri],
        "ExternalSource": source.uri,
        **{key: round(ml, 3) or ml for key, ml in zip(LESION_KEYS, (found.volume_ml, found.brain_ml), strict=True)},
        "Notes": [*found.notes, *source.notes],
    }
    write_image(path, new_image(found.mask.astype(np.uint8), image.affine), content)
    return found
