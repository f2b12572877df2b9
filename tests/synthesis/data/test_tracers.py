import pytest

from bids_spectsynth.synthesis.data.tracers import known_tracer, same_tracer, tracer_note


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


@pytest.mark.parametrize(
    "name",
    [
        "FDG (18F)", "FDG-18F", "FDG 18-F", "Fluorodeoxyglucose (18F)", "2-[18F]fluoro-2-deoxy-D-glucose",
        "FDG -- fluorodeoxyglucose", "18FDG", "18F-FDG", "F-18 FDG", "Fluorine-18 FDG",
    ],
)  # fmt: skip
def test_same_tracer__fdg_however_it_is_written(name: str) -> None:
    assert same_tracer(name, "FDG")
    assert same_tracer("[18F]FDG", name)
    assert not same_tracer(name, "PiB")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("18F-AV45", "AV45", True),
        ("[11C]PIB", "Pittsburgh Compound B", True),
        ("18F-AV45", "18F-AV1451", False),
        ("FDG", "FDOPA", False),
    ],
)
def test_same_tracer__others(one: str, other: str, same: bool) -> None:
    assert same_tracer(one, other) is same


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("18F-FDG", "FDG"), ("PIB", "PiB"), ("99mTc-d,l-HMPAO", "HMPAO"), ("[11C]UCB-J", "UCB-J"),
        ("[15O]H2O", "water"), ("123I-iomazenil", "iomazenil"), ("AV-45", "AV45"), ("18F", "18F"), ("Tc-99m", "99mTc"),
        ("FDG, Nordheim", "FDG"), ("FDG Nordheim", None), ("Nordheim", None), ("JD12", None), ("n/a", None), ("", None),
    ],
)  # fmt: skip
def test_known_tracer__nothing_but_its_name(name: str, known: str | None) -> None:
    assert known_tracer(name) == known
    assert known is None or known_tracer(known) == known
    assert known is None or same_tracer(name, known)
