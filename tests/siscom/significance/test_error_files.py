import json
from pathlib import Path

import numpy as np
import pytest

from bids_spectsynth.errors import ModelError
from bids_spectsynth.images.grid import Grid
from bids_spectsynth.siscom.significance.cohort_error import MIN_PARTICIPANTS, ErrorSums
from bids_spectsynth.siscom.significance.error_files import error_files, load_error, save_error


def sums() -> ErrorSums:
    rng = np.random.default_rng(0)
    count, total, squares = rng.uniform(1, 9, (3, 4, 5, 6))
    return ErrorSums(
        "MNI", 12.0, Grid((4, 5, 6), np.diag([4.0, 4, 4, 1])), count, total, squares, ("02", "01"), (4.5, float("nan"))
    )


def test_error_files__come_back_as_they_were_without_a_label(tmp_path: Path) -> None:
    assert load_error(tmp_path) is None
    saved = save_error(tmp_path, sums(), "Best", "abc", how="mode, gain on")
    loaded = load_error(tmp_path)
    assert loaded is not None
    assert (loaded.baseline, loaded.identity, loaded.sums.template, loaded.sums.fwhm) == ("Best", "abc", "MNI", 12.0)
    # Voxels of few persons show them, and serve no map.
    enough = sums().count >= MIN_PARTICIPANTS
    assert 0 < enough.mean() < 1
    for name in ("count", "total", "squares"):
        np.testing.assert_array_equal(getattr(loaded.sums, name), np.where(enough, getattr(sums(), name), 0))
    np.testing.assert_array_equal(loaded.sums.grid.affine, sums().grid.affine)
    assert [loaded.has(label) for label in ("01", "02", "03")] == [True, True, False]
    assert loaded.sums.participants == saved.sums.participants
    card = json.loads((tmp_path / "siscom_error.json").read_text())
    assert card["NumberOfParticipants"] == 2
    assert card["LevelAndGain"] == loaded.how == "mode, gain on"
    assert all(len(one) == 64 for one in card["Participants"])
    assert [path.name for path in error_files(tmp_path)] == ["siscom_error.json", "siscom_error.safetensors"]


@pytest.mark.parametrize("damage", ["cut", "absent", "other", "newer", "width", "peak"])
def test_load_error__damaged_files_are_one_line(tmp_path: Path, damage: str) -> None:
    save_error(tmp_path, sums(), "Best", "abc")
    tensors, card = tmp_path / "siscom_error.safetensors", tmp_path / "siscom_error.json"
    if damage == "cut":
        tensors.write_bytes(tensors.read_bytes()[:40])
    elif damage == "absent":
        tensors.unlink()
    elif damage == "other":
        card.write_text("[]")
    elif damage in ("width", "peak"):
        content = json.loads(card.read_text())
        content |= {"SmoothingFWHM": float("nan")} if damage == "width" else {"Peaks": [10**400, 1]}
        card.write_text(json.dumps(content))
    else:
        card.write_text(card.read_text().replace('"FormatVersion": 2', '"FormatVersion": 3'))
    with pytest.raises(ModelError, match=r"siscom_error\.json.*remove it") as error:
        load_error(tmp_path)
    assert "\n" not in str(error.value)
