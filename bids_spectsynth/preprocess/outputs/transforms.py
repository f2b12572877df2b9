"""The transforms of a case's images to its T1w, and of the T1w to templates, with what is known of them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from bids_spectsynth.bids.names import source_uri
from bids_spectsynth.bids.roles import T1W, is_ictal
from bids_spectsynth.bids.writing import write_matrix
from bids_spectsynth.preprocess.backends.base import Backend
from bids_spectsynth.preprocess.outputs.files import (
    backend_fields,
    case_field,
    external_fields,
    remove_other_scans,
    remove_superseded,
    transform_ends,
    transform_path,
    with_sidecar,
)
from bids_spectsynth.preprocess.outputs.inputs import CaseRecords
from bids_spectsynth.preprocess.records import Written

CONVENTION = (
    "4 x 4 matrix for points: world coordinates (RAS+, mm) of the target space (to-) to those of the source space "
    "(from-), as ITK does. To resample an image of the source space, apply it to the target's coordinates."
)


def write_transforms(inputs: CaseRecords, backend: Backend, names: Iterable[str]) -> Written:
    """Write both directions of the transforms of roles to the T1w, and of the T1w to templates.

    Parameters
    ----------
    inputs : CaseRecords
    backend : Backend
        What the sidecars say of the tools.
    names : iterable of str
        Roles and labels of templates.

    Returns
    -------
    Written
        The matrices and their sidecars.
    """
    names = tuple(names)
    written = tuple(path for name in names for path in _write_pair(inputs, backend, name))
    if all(name in inputs.case.images for name in names):  # else of templates
        remove_other_scans(inputs, written, None)
    return Written(written)


def _write_pair(inputs: CaseRecords, backend: Backend, name: str) -> list[Path]:
    """Both directions of the transform of a role to the T1w, or of the T1w to a template."""
    found = inputs.registration(name)
    rigid, template = name in inputs.case.images, inputs.records[name].template
    external = inputs.records[name].external
    moving = name if rigid else T1W
    sidecar = {
        "Type": "rigid" if rigid else "affine",
        "Units": "mm",
        "Convention": CONVENTION,
        **(external_fields() if external else backend_fields(backend)),
        "Metric": found.metric,
        "Score": found.score,
        "Overlap": found.overlap,
        "Poor": found.poor,
        "Notes": [*found.notes],
        **({"Template": template} if template else {}),
        "Sources": [
            source_uri(inputs.case.images[role].path, inputs.bids_dir, inputs.output_dir)
            for role in dict.fromkeys((moving, T1W))
        ]
        + ([external] if external else []),
        **({"ExternalSource": external} if external else {}),
        **case_field(inputs, name),
    }
    written: list[Path] = []
    for inverse, matrix in ((False, found.matrix), (True, np.linalg.inv(found.matrix))):
        path = transform_path(inputs, name, inverse=inverse)
        start, end = transform_ends(inputs, name, inverse=inverse)
        write_matrix(path, matrix, {"Description": f"Transform from {start} to {end}.", **sidecar})
        if not is_ictal(name):
            remove_superseded(path)
        written += with_sidecar(path)
    return written
