import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.synthesis.network.losses import LOSSES
from bids_spectsynth.synthesis.study import model_label


@pytest.mark.parametrize(
    ("inputs", "space", "scaling", "ssim_weight", "label"),
    [
        (("T1w", "pet"), "T1w", "slice", 0, "pix2pixT1wPet"),
        (("pet",), "T1w", "slice", 0, "pix2pixPet"),
        (("T1w",), "T1w", "slice", 1, "pix2pixT1wSsim"),
        (("FLAIR", "pet"), "MNI152NLin6Sym", "volume", 1, "pix2pixFLAIRPetSsimVolumeMNI152NLin6Sym"),
    ],
)
def test_label(inputs, space, scaling, ssim_weight, label):
    assert model_label(inputs, space, scaling, ssim_weight) == label


def test_model_label__further_losses_with_weights_that_are_not_the_usual_ones(monkeypatch):
    nmi = dataclasses.replace(LOSSES["l1"], name="nmi", title="NMI", default_weight=2.0, option="")
    monkeypatch.setitem(LOSSES, "nmi", nmi)
    further = [(), (("nmi", 2.0),), (("nmi", 0.5),), (("nmi", 5.0),), (("nmi", 1e-05),), (("edge", 1.0), ("nmi", 2.0))]
    found = [model_label(("pet",), "A", "slice", 1, "best", one).removeprefix("pix2pixPetSsim") for one in further]
    assert found == ["BestA", "NmiBestA", "Nmi0p5BestA", "Nmi5BestA", "Nmi1em05BestA", "Edge1NmiBestA"]


@given(
    st.lists(st.from_regex(r"[A-Za-z0-9]{1,8}", fullmatch=True), min_size=1, max_size=4),
    st.from_regex(r"[A-Za-z0-9+]{1,12}", fullmatch=True),
    st.sampled_from(["slice", "volume"]),
    st.floats(0, 5),
    st.dictionaries(st.sampled_from(["nmi", "l1"]), st.floats(0, exclude_min=True, allow_infinity=False)),
)
def test_label_can_stand_in_a_file_name(inputs, space, scaling, ssim_weight, further):
    assert model_label(inputs, space, scaling, ssim_weight, "fard2024", tuple(further.items())).isalnum()
