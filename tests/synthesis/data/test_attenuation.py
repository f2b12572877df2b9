"""Corrections for attenuation by name."""

import pytest

from bids_spectsynth.synthesis.data.attenuation import known_correction, same_correction


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("CT", "CT"),
        ("CTAC", "CT"),
        ("measured,CT", "CT"),
        ("CT-based attenuation correction", "CT"),
        ("CT-based, with a simulated residual error", "CT"),
        ("MR-DIXON", "MR"),
        ("no attenuation correction", "none"),
        ("Chang 0.12 /cm", "Chang"),
        ("Chang, 0.12 /cm", "Chang"),
        ("Chang (mu 0.11)", "Chang"),
        ("measured", "measured"),
        ("true", "yes"),
        ("measured by Dr Smith", None),
        ("CT Krankenhaus Nord", None),
        ("CT, Krankenhaus Nord", "CT"),
        ("Mueller", None),
        ("", None),
    ],
)
def test_known_correction__nothing_but_its_name(text: str, known: str | None) -> None:
    assert known_correction(text) == known
    assert known is None or known_correction(known) == known


def test_same_correction__known_and_other_ones() -> None:
    assert same_correction("CTAC", "ct")
    assert same_correction("Some method", "some-method"), "of a card of an earlier version"
    assert not same_correction("CT", "some method")
