from dataclasses import replace

import numpy as np

from bids_spectsynth.siscom.baselines.real import REAL
from tests.siscom.baselines.conftest import MakeRequest, changed
from tests.synthesis.baselines.conftest import save


def test_real__holds_only_where_the_spect_was_measured(make_request: MakeRequest) -> None:
    request = make_request()
    inside = request.brain.copy()
    inside[10:] = False
    mask = save(request.output_dir / "measured.nii.gz", inside.astype(np.uint8))
    case = replace(request.case, masks={**request.case.masks, "interictal": mask})
    whole = np.random.default_rng(0).uniform(1, 2, inside.shape).astype(np.float32)
    request = changed(replace(request, case=case), "interictal", whole)
    (found,) = REAL.make(request)
    assert (found.kind, found.label, found.synthetic, found.seen) == ("real", "Real", False, False)
    np.testing.assert_array_equal(found.mask, inside)
    np.testing.assert_array_equal(found.values, np.where(inside, whole, 0))
    assert found.sources == (request.case.images["interictal"],)


def test_real__another_tracer_is_a_note(make_request: MakeRequest) -> None:
    one, other = {"TracerName": "HMPAO"}, {"TracerName": "ECD"}
    assert REAL.make(make_request("01", {"ictal": one, "interictal": one}))[0].notes == ()
    (note,) = REAL.make(make_request("02", {"ictal": other, "interictal": one}))[0].notes
    assert "another tracer (ECD)" in note


def test_real__absent_without_an_interictal_scan(make_request: MakeRequest) -> None:
    request = make_request()
    assert REAL.available(request) is None
    images = {role: path for role, path in request.case.images.items() if role != "interictal"}
    assert REAL.available(replace(request, case=replace(request.case, images=images))) == "no interictal SPECT"
