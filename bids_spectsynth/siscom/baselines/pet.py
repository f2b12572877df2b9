"""PISCOM: the participant's PET in place of the interictal SPECT.

After Perissinotti et al. 2018 (https://doi.org/10.1007/s00259-018-4080-6), who reprocessed the PET "to assimilate SPECT
features"; how, the abstract does not say. What is done here is our own.
"""

import numpy as np

from bids_spectsynth.bids.roles import PET as PET_ROLE
from bids_spectsynth.bids.roles import T1W
from bids_spectsynth.errors import ImageError
from bids_spectsynth.images.reading import load_image
from bids_spectsynth.images.resolution import AnatomicalBlur
from bids_spectsynth.siscom.baselines.piscom import pet_as_spect
from bids_spectsynth.siscom.baselines.request import BaselineSource, Request
from bids_spectsynth.siscom.baselines.tissue import white_matter
from bids_spectsynth.siscom.records import BaselineImage, Float32, Mask
from bids_spectsynth.siscom.subtraction.resolution import match

_FITTED = (
    "The PET's contrast was fitted to the ictal scan itself; a change that is smooth and equal on both sides is lost."
)
_NO_TEMPLATE = "No transform to a template: what differs between the tracers by region was not corrected."


def _measured(request: Request, role: str) -> Mask:
    """Brain that a scan shows too."""
    path = request.case.masks.get(role)
    if path is None:
        return request.brain
    inside = np.asarray(load_image(path)[0].dataobj) > 0
    if inside.shape != request.brain.shape:
        raise ImageError(f"{path}: on another grid than the brain mask; prepare it again")
    return np.asarray(request.brain & inside)


def _kernel(request: Request, ictal: Float32, pet: Float32, both: Mask) -> float:
    """What the PET lacks to be as blurred as the ictal scan: a Gaussian (FWHM, mm)."""
    if request.kernel is not None:
        return request.kernel(ictal, pet, both, request.affine)
    blur = AnatomicalBlur(request.image(T1W), both, request.affine)
    return match(blur.fwhm(pet), blur.fwhm(ictal)).ictal


def _available(request: Request) -> str | None:
    return None if PET_ROLE in request.case.images else "no PET"


def _make(request: Request) -> list[BaselineImage]:
    case, affine = request.case, request.affine
    mask = _measured(request, PET_ROLE)
    both = request.healthy(mask & _measured(request, request.ictal))
    pet, ictal = request.image(PET_ROLE), request.image(request.ictal)
    to_template = request.to_template
    try:
        if not (both.any() and pet[both].any() and ictal[both].any()):
            raise ValueError("no signal in the brain")
        white = white_matter(request.image(T1W), request.brain, request.lesion)
        made = pet_as_spect(
            pet,
            ictal,
            white,
            (mask, both),
            affine,
            _kernel(request, ictal, pet, both),
            request.fwhm,
            to_template,
            request.lesion,
        )
    except ValueError as error:
        raise ImageError(f"{case.images[PET_ROLE]}: no baseline can be made of it ({error})") from error
    notes = (_FITTED,) if to_template is not None else (_FITTED, _NO_TEMPLATE)
    sources = tuple(case.images[role] for role in (PET_ROLE, T1W, request.ictal))
    return [BaselineImage(kind="pet", label="Pet", values=made.values, mask=mask, sources=sources, notes=notes)]


PET = BaselineSource(
    name="pet",
    title="PET (PISCOM)",
    description=(
        "The participant's PET, smoothed to the ictal scan's resolution and brought to its contrast by a robust fit."
    ),
    available=_available,
    make=_make,
)
