from dataclasses import FrozenInstanceError
from typing import get_args

import numpy as np
import pytest

from bids_spectsynth.options.declarations.siscom import ALL_BASELINES
from bids_spectsynth.siscom.baselines.registry import SOURCES
from bids_spectsynth.siscom.records import BaselineImage, BaselineKind, Maps, Names


def test_baseline_kind__those_of_options_and_registry_in_one_order() -> None:
    assert get_args(BaselineKind) == ALL_BASELINES == tuple(SOURCES)


def test_names__nothing_is_known_by_default() -> None:
    names = Names()
    assert (names.side, names.lobe, names.region, names.template_mm) == ("n/a", "n/a", "n/a", None)
    assert np.isnan(names.distance_mm)


def test_baseline_image__is_a_measurement_that_no_network_has_seen_unless_said() -> None:
    values = np.zeros((2, 2, 2), np.float32)
    image = BaselineImage(kind="real", label="Real", values=values, mask=values > 0)
    assert not image.synthetic
    assert not image.seen
    assert (image.model, image.sources, image.notes) == ("", (), ())
    with pytest.raises(FrozenInstanceError):
        image.seen = True  # type: ignore[misc]


def test_maps__are_the_same_by_identity_alone() -> None:
    values = np.zeros((2, 2, 2), np.float32)
    one, other = (
        Maps(mask=values > 0, difference=values, z=values, znull=values, zcohort=None, sd_percent=1.0) for _ in range(2)
    )
    assert one == one  # arrays must not be compared
    assert one != other
