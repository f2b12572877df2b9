from dataclasses import replace

import numpy as np
import pytest

from bids_spectsynth.quality.measures import image_measures, pair_measures
from bids_spectsynth.quality.mirror import mirror_of
from tests.quality.conftest import PET_MM, SPECT_MM, Head, blur


def test_image_measures__resolution_in_millimetres(heads: list[Head]) -> None:
    found = [head.measures() for head in heads[:3]]
    assert [one["pet.fwhm"] for one in found] == pytest.approx([PET_MM] * 3, abs=1.2)
    assert [one["interictal.fwhm"] for one in found] == pytest.approx([SPECT_MM] * 3, abs=1.5)


def test_image_measures__units_do_not_matter(heads: list[Head]) -> None:
    found, other = heads[0].measures(), heads[0].measures(pet=1e-3 * heads[0].pet, interictal=1e4 * heads[0].spect)
    assert other == pytest.approx(found, rel=1e-4)


def test_image_measures__own_anatomy_and_that_of_others(heads: list[Head]) -> None:
    own = [heads[n].measures()["pet.own_anatomy"] for n in range(4)]
    others = [heads[n].measures(pet=heads[n + 1].pet)["pet.own_anatomy"] for n in range(4)]
    assert min(own) > 0.5
    assert max(np.abs(others)) < 0.2


def test_image_measures__flat_clipped_hot(heads: list[Head]) -> None:
    head = heads[0]
    flat = head.measures(pet=np.full(head.pet.shape, 5.0))
    assert flat["pet.spread"] == pytest.approx(0, abs=1e-6)
    assert "pet.fwhm" not in flat
    assert "pair.agreement" not in flat
    assert head.measures(pet=np.minimum(head.pet, 0.3 * head.pet.max()))["pet.peak"] < 1.1
    spot = head.pet.copy()
    spot[20:26, 28:33, 22:26] *= 9
    assert head.measures(pet=spot)["pet.peak"] > 3


def test_image_measures__nothing_of_too_small_a_part(heads: list[Head]) -> None:
    volumes = heads[0].volumes()
    volumes = replace(volumes, measured={**volumes.measured, "pet": np.zeros(volumes.brain.shape, dtype=bool)})
    assert image_measures(volumes, "pet", mirror_of(volumes)) == {}
    assert pair_measures(volumes, "pet", "interictal", (6, 10), mirror_of(volumes)) == {}


def test_pair_measures__focus_on_one_side_alone(heads: list[Head]) -> None:
    head = heads[0]
    x, y, z = np.indices(head.spect.shape)
    ball = blur(((x - 31) ** 2 + (y - 30) ** 2 + (z - 24) ** 2 < 3.5**2).astype(float), 8)
    plain = head.measures()["pair.focus"]
    hot, both = head.measures(interictal=head.spect * (1 + ball)), head.spect * (1 + ball)
    assert hot["pair.focus"] > plain + 0.15
    shared = head.measures(interictal=both, pet=head.pet * (1 + ball))
    assert shared["pair.focus"] < plain + 0.1, "the PET has it too"


def test_pair_measures__which_one_is_sharper(heads: list[Head]) -> None:
    found = heads[0].measures()
    assert found["pair.sharper"] == pytest.approx(np.log(SPECT_MM / PET_MM), abs=0.2)
    exchanged = heads[0].measures(pet=heads[0].spect, interictal=heads[0].pet)
    assert exchanged["pair.sharper"] == pytest.approx(-found["pair.sharper"], abs=1e-6)
    assert heads[0].measures(pet=heads[0].spect)["pair.agreement"] > 0.999
