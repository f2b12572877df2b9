import pytest

from bids_spectsynth.synthesis.data.tracers import tracer_note


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"TracerName": "HMPAO"}, {"TracerName": "[99mTc]Tc-HMPAO"}),
        ({"TracerName": "ECD"}, {"TracerName": "Neurolite"}),
        ({"TracerName": "HMPAO"}, {}),
        ({"TracerRadionuclide": "Tc99m"}, {"TracerRadionuclide": "99mTc"}),
        ({"TracerRadionuclide": "technetium-99m"}, {"TracerRadionuclide": "Tc99m"}),
    ],
)
def test_tracer_note__one_tracer_by_several_names(ours: dict[str, str], theirs: dict[str, str]) -> None:
    assert tracer_note(ours, theirs) is None


def test_tracer_note__another_tracer_or_nuclide_is_said() -> None:
    assert "ECD" in str(tracer_note({"TracerName": "ECD"}, {"TracerName": "HMPAO"}))
    assert "I123" in str(tracer_note({"TracerRadionuclide": "I123"}, {"TracerRadionuclide": "Tc99m"}))
