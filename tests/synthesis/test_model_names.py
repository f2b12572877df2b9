import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@given(
    st.lists(st.from_regex(r"[A-Za-z0-9]{1,8}", fullmatch=True), min_size=1, max_size=4),
    st.from_regex(r"[A-Za-z0-9+]{1,12}", fullmatch=True),
    st.sampled_from(["slice", "volume"]),
    st.floats(0, 5),
)
def test_label_can_stand_in_a_file_name(inputs, space, scaling, ssim_weight):
    assert model_label(inputs, space, scaling, ssim_weight).isalnum()
