from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_spectsynth.bids.writing import write_json
from bids_spectsynth.siscom.baselines.request import Request
from tests.synthesis.baselines.conftest import TEMPLATE, make_case, save

MakeRequest = Callable[..., Request]


@pytest.fixture
def make_request(tmp_path: Path) -> MakeRequest:
    """A request for a small head whose ictal scan is its interictal one, with sidecars by role."""

    def make(
        name: str = "01", sidecars: Mapping[str, Mapping[str, object]] | None = None, **options: object
    ) -> Request:
        arguments = {key: options.pop(key) for key in ("seed", "matrix", "pet") if key in options}
        case = make_case(tmp_path, name, **arguments)
        case = replace(case, template_xfms={TEMPLATE: case.template_xfm})
        interictal = case.images["interictal"]
        ictal = tmp_path / f"{name}_ictal.nii.gz"
        ictal.write_bytes(interictal.read_bytes())
        case = replace(case, images={**case.images, "ictal": ictal})
        for role, content in (sidecars or {}).items():
            path = case.images[role]
            write_json(path.with_name(path.name.partition(".")[0] + ".json"), content)
        return Request(**{"case": case, "output_dir": tmp_path, "fwhm": 12.0, **options})

    return make


def changed(request: Request, role: str, values: np.ndarray) -> Request:
    """The request with other values of an image."""
    path = save(request.case.images[role].with_name(f"changed_{role}.nii.gz"), values)
    return replace(request, case=replace(request.case, images={**request.case.images, role: path}))
