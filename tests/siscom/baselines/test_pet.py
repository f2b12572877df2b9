from dataclasses import replace

import numpy as np
import pytest

from bids_spectsynth.errors import ImageError
from bids_spectsynth.siscom.baselines.pet import PET
from tests.siscom.baselines.conftest import MakeRequest, changed
from tests.synthesis.baselines.conftest import save, world


def test_pet__follows_the_spect_of_the_same_pattern(make_request: MakeRequest) -> None:
    kernels = []
    request = make_request(kernel=lambda ictal, pet, mask, affine: kernels.append(pet.max()) or 5.0)
    (found,) = PET.make(request)
    assert (found.kind, found.label, found.synthetic) == ("pet", "Pet", False)
    assert len(kernels) == 1
    assert [path.name for path in found.sources] == ["01_pet.nii.gz", "01_T1w.nii.gz", "01_ictal.nii.gz"]
    np.testing.assert_array_equal(found.mask, request.brain)
    ictal, brain = request.image("ictal"), request.brain
    assert np.corrcoef(found.values[brain], ictal[brain])[0, 1] > 0.5
    assert found.values[brain].mean() == pytest.approx(ictal[brain].mean(), rel=0.05)


def test_pet__only_where_it_was_measured_and_taught_where_both_were(make_request: MakeRequest) -> None:
    request = make_request()
    half = request.brain & (world()[..., 2] < 6)
    lost = request.brain & (world()[..., 0] > 12)
    masks = {
        "pet": save(request.output_dir / "pet_mask.nii.gz", half.astype(np.uint8)),
        "ictal": save(request.output_dir / "ictal_mask.nii.gz", (request.brain & ~lost).astype(np.uint8)),
    }
    request = replace(request, case=replace(request.case, masks={**request.case.masks, **masks}))
    (found,) = PET.make(request)
    np.testing.assert_array_equal(found.mask, half)
    assert not found.values[~half].any()
    ictal = request.image("ictal")
    (wild,) = PET.make(changed(request, "ictal", np.where(lost, 1e4, ictal)))
    np.testing.assert_allclose(wild.values, found.values, rtol=1e-4)


def test_pet__without_a_template_is_said(make_request: MakeRequest) -> None:
    request = make_request()
    assert not any("template" in note for note in PET.make(request)[0].notes)
    request = replace(request, case=replace(request.case, template_xfm=None, template=None, template_xfms={}))
    assert any("No transform to a template" in note for note in PET.make(request)[0].notes)


def test_pet__absent_or_without_signal(make_request: MakeRequest) -> None:
    assert PET.available(make_request("02", pet=False)) == "no PET"
    request = make_request("03")
    empty = np.where(request.brain, 0, np.arange(request.brain.size).reshape(request.brain.shape) % 5)
    with pytest.raises(ImageError, match=r"changed_pet\.nii\.gz: no baseline can be made of it"):
        PET.make(changed(request, "pet", empty))
