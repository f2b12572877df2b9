"""The measured interictal SPECT."""

import numpy as np

from bids_spectsynth.bids.roles import INTERICTAL
from bids_spectsynth.bids.sidecars import sidecar
from bids_spectsynth.siscom.baselines.request import BaselineSource, Request
from bids_spectsynth.siscom.records import BaselineImage
from bids_spectsynth.synthesis.data.tracers import tracer_note

#: Of a scan whose name and sidecar do not say that it is interictal.
_ASSUMED = "Nothing says that this SPECT is interictal: it was taken for it because nothing says otherwise."


def _available(request: Request) -> str | None:
    return None if INTERICTAL in request.case.images else "no interictal SPECT"


def _make(request: Request) -> list[BaselineImage]:
    path = request.case.images[INTERICTAL]
    values = np.where(request.measured, request.image(INTERICTAL), np.float32(0))
    found = [tracer_note(sidecar(request.case.images[request.ictal]), sidecar(path))]
    found.append(_ASSUMED if request.case.is_state_assumed else None)
    notes = tuple(note for note in found if note)
    return [
        BaselineImage(kind="real", label="Real", values=values, mask=request.measured, sources=(path,), notes=notes)
    ]


REAL = BaselineSource(
    name="real",
    title="Measured interictal SPECT",
    description="The participant's own interictal scan.",
    available=_available,
    make=_make,
)
