"""Mutated model cards, ensembles and others: a card of which all can be asked, or the error of one line."""

import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bad_texts import mutated
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from limits import TooSlowError, at_most

from bids_spectsynth.errors import ModelError
from bids_spectsynth.images.grid import Grid
from bids_spectsynth.siscom.significance.cohort_error import ErrorSums
from bids_spectsynth.siscom.significance.error_files import load_error, save_error
from bids_spectsynth.synthesis.baselines.fitted import Baselines
from bids_spectsynth.synthesis.models.card import ModelCard, card_checksum, is_training_participant, load_card
from bids_spectsynth.synthesis.models.ensemble import load_members, model_name, write_ensemble
from bids_spectsynth.synthesis.models.folder import load_model
from bids_spectsynth.synthesis.network.recipe import recipe_of
from tests.synthesis.models.conftest import make_model


def _ask(card: ModelCard) -> None:
    """All that the program asks of a card before it loads the weights."""
    assert type(card.seed) is int
    assert isinstance(card.configuration, str)
    assert card.preset_name in ("fard2024", "best", "custom", "demo")
    assert all(type(n) is int and n > 0 for n in card.slice_shape)
    assert isinstance(card.is_cropped, bool)
    assert card.template is None or isinstance(card.template, str)
    assert recipe_of(card.config, len(card.inputs)).n_channels == card.architecture["input_channels"]
    assert len(card_checksum(card)) == 64
    assert not is_training_participant(card, "nobody")
    json.dumps({"label": card.label, "licence": card.licence, "losses": dict(card.losses)}).encode()


def _card(folder: Path) -> None:
    _ask(load_card(folder))


def _members(folder: Path) -> None:
    members = load_members(folder)
    assert all(one.folder.parent == folder and type(one.fold) is int for one in members)
    assert model_name(members).isalnum()


def _model(folder: Path) -> None:
    make_model(folder)


def _ensemble(folder: Path) -> None:
    for name in ("fold-1", "fold-2"):
        make_model(folder / name)
    write_ensemble(folder, "bestPet", [("fold-1", 1), ("fold-2", 2)])


def _baselines(folder: Path) -> None:
    Baselines(("T1w", "pet"), "T1w", "slice", None, 3, {"gain": 1.5}, {"mean": np.zeros((2, 2, 2), np.float32)}, {},
              {"copy": (1.0, 0.0)}).save(folder)  # fmt: skip


def _error(folder: Path) -> None:
    count, total, squares = np.random.default_rng(0).uniform(1, 9, (3, 4, 5, 6))
    grid = Grid((4, 5, 6), np.diag([4.0, 4, 4, 1]))
    save_error(folder, ErrorSums("MNI", 12.0, grid, count, total, squares, ("02", "01"), (4.5, 1.0)), "Best", "abc")


def _loaded_error(folder: Path) -> None:
    stored = load_error(folder)
    assert stored is not None
    assert isinstance(stored.baseline, str)
    assert np.isfinite(stored.sums.fwhm)


#: How it is made, the file that is damaged, and how it is read.
READERS: dict[str, tuple[Callable[[Path], None], str, Callable[[Path], object]]] = {
    "card": (_model, "model.json", _card),
    "card with its weights": (_model, "model.json", lambda folder: load_model(folder, "cpu")),
    "ensemble": (_ensemble, "ensemble.json", _members),
    "baselines": (_baselines, "baselines.json", Baselines.load),
    "error of SISCOM": (_error, "siscom_error.json", _loaded_error),
}


def _try(name: str, seeds: range, folder: Path, record: Callable[[str, object], None]) -> None:
    record("tried", "mutated model cards, ensembles, baselines and errors of SISCOM")
    record("number", len(seeds))
    make, file, read = READERS[name]
    folder /= "model"
    folder.mkdir()
    make(folder)
    read(folder)
    content, faults, refused = json.loads((folder / file).read_text()), [], 0
    for seed in seeds:
        (folder / file).write_bytes(mutated(zlib.crc32(f"{name} {seed}".encode()), content, ".json"))
        try:
            with at_most(10):
                read(folder)
        except ModelError as error:
            refused += 1
            if len(str(error).splitlines()) != 1 or str(folder) not in str(error):
                faults.append(f"{name}, seed {seed}: not one line with the folder: {str(error)[:200]!r}")
        except (Exception, TooSlowError) as error:
            faults.append(f"{name}, seed {seed}: {type(error).__name__}: {str(error)[:200]}")
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults[:15])
    assert refused > len(seeds) / 5
    record("seen", "refused in one line with the folder's name, or a card of which all can be asked")


@pytest.mark.parametrize("name", READERS)
def test_load__mutated_card(tmp_path: Path, record_property: Callable[[str, object], None], name: str) -> None:
    _try(name, range(40), tmp_path, record_property)


@pytest.mark.faults
@pytest.mark.parametrize("name", READERS)
def test_load__many_mutated_cards(tmp_path: Path, record_property: Callable[[str, object], None], name: str) -> None:
    _try(name, range(1000, 1100), tmp_path, record_property)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=40, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_load_card__any_value_in_any_field(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    folder = tmp_path_factory.mktemp("card")
    make_model(folder)
    path = folder / "model.json"
    content = json.loads(path.read_text())
    parts = {"": content, **{name: part for name, part in content.items() if isinstance(part, dict)}}
    part = parts[data.draw(st.sampled_from(sorted(parts)))]
    part[data.draw(st.sampled_from(sorted([*part, "orientation", "seed", "neighbour_slices"])))] = data.draw(_JSON)
    path.write_text(json.dumps(content))
    try:
        card = load_card(folder)
    except ModelError:
        return
    _ask(card)
    _ask(replace(card))
