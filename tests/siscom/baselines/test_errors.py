import functools
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bids_spectsynth.bids.output_files import models_folder, synthetic_path
from bids_spectsynth.bids.writing import write_image
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.siscom.baselines import errors
from bids_spectsynth.siscom.baselines.errors import Errors, baseline_errors, errors_folder
from bids_spectsynth.siscom.baselines.request import Request
from bids_spectsynth.siscom.baselines.residuals import gather_errors, median_difference
from bids_spectsynth.siscom.significance.error_files import STEM, save_error
from bids_spectsynth.synthesis.models.ensemble import Member
from tests.siscom.baselines.conftest import MakeRequest
from tests.synthesis.baselines.conftest import TEMPLATE

LABELS = ("01", "02")
PLAIN = median_difference(12.0)


@pytest.fixture(autouse=True)
def few_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "MIN_PARTICIPANTS", 1)


class Counting:
    """A difference that counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, *arguments: Any) -> Any:
        self.calls += 1
        return PLAIN(*arguments)


@pytest.fixture
def requests(make_request: MakeRequest) -> list[Request]:
    """Two heads, held out, with a synthetic image of model ``best``."""
    found = []
    for label in LABELS:
        request = make_request(label, splits={"best": "test"})
        write_synthetic(request, 1.05)
        found.append(request)
    return found


def write_synthetic(request: Request, gain: float) -> None:
    values = (gain * request.image("interictal") * np.linspace(0.9, 1.1, request.brain.shape[0])[:, None, None]).astype(
        np.float32
    )
    path = synthetic_path(request.output_dir, request.case, "best")
    write_image(path, new_image(values, request.affine), {"Synthetic": True})


def own_model(requests: list[Request]) -> dict[str, Path]:
    folder = models_folder(requests[0].output_dir) / "best"
    folder.mkdir(parents=True, exist_ok=True)
    return {"best": folder}


def gathered(
    requests: list[Request], models: Mapping[str, Path], difference: Any = PLAIN, fwhm: float = 12.0, how: str = "mode"
) -> Errors:
    output_dir = requests[0].output_dir if requests else Path("nowhere")
    return baseline_errors(output_dir, requests, models, fwhm, how, difference)


def test_errors_folder__beside_the_model_or_in_the_output_folder() -> None:
    out = Path("out")
    assert errors_folder(out, "Best", {"Best": out / "models/best"}) == (out / "models/best", STEM)
    assert errors_folder(out, "Pet", {"Best": out / "models/best"}) == (out / "siscom", "error-Pet")


def test_baseline_errors__of_every_baseline_and_where_they_lie(requests: list[Request]) -> None:
    models = own_model(requests)
    found = gathered(requests, models)
    assert set(found.stored) == {"Best", "Pet"}
    assert found.files == {
        "Best": models["best"] / f"{STEM}.json",
        "Pet": requests[0].output_dir / "siscom" / "error-Pet.json",
    }
    assert all(path.is_file() for path in found.files.values())
    for error in found.stored.values():
        assert [error.has(label) for label in (*LABELS, "03")] == [True, True, False]
        assert error.sums.fwhm == 12
    # Labels of participants do not stand in the files.
    assert not any(f'"{label}"' in path.read_text() for path in found.files.values() for label in LABELS)


def test_baseline_errors__are_kept_until_something_changes(
    requests: list[Request], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, difference = own_model(requests), Counting()
    first = gathered(requests, models, difference)
    assert difference.calls > 0

    def calls(**options: Any) -> int:
        difference.calls = 0
        gathered(options.pop("requests", requests), models, difference, **options)
        return difference.calls

    stamps = {path: path.stat().st_mtime_ns for path in first.files.values()}
    assert calls() == 0
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert calls(how="mean") > 0
    assert calls(how="mean", fwhm=10.0) > 0
    assert calls() > 0
    write_synthetic(requests[0], 1.2)
    assert calls() > 0
    assert calls(requests=[replace(requests[0], splits={"best": "train"}), requests[1]]) > 0
    assert calls(requests=requests[:1]) > 0
    assert calls() > 0
    for touched in (requests[0].case.masks["T1w"], requests[0].case.template_xfms[TEMPLATE]):
        os.utime(touched, (1, 1))
        assert calls() > 0, touched
        assert calls() == 0
    fold = tmp_path / "models" / "best" / "fold-1"
    fold.mkdir(parents=True)
    (fold / "baselines.json").write_text("{}")
    card: Any = None
    with_fold = [replace(one, models=(fold.parent,), members={fold.parent: (Member(fold, card),)}) for one in requests]
    monkeypatch.setattr(errors, "gather_errors", functools.partial(gather_errors, kinds=("pet",)))
    assert calls(requests=with_fold) > 0
    (fold / "baselines.json").write_text("{ }")
    assert calls(requests=with_fold) > 0
    monkeypatch.setattr(errors, "_COMPUTATION", 0)
    assert calls(requests=with_fold) > 0


def test_baseline_errors__files_that_are_gone_are_made_again(requests: list[Request]) -> None:
    models, difference = own_model(requests), Counting()
    found = gathered(requests, models, difference)
    found.files["Pet"].unlink()
    difference.calls = 0
    assert gathered(requests, models, difference).files["Pet"].is_file()
    assert difference.calls > 0


def test_baseline_errors__a_model_of_another_place_brings_its_own(requests: list[Request], tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere" / "best"
    folder.mkdir(parents=True)
    sums = gather_errors(requests[:1], TEMPLATE, 12.0, PLAIN, ("synthetic",))["Best"]
    save_error(folder, sums, "Best", "weights")
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    found = gathered(requests, {"best": folder})
    assert found.stored["Best"].identity == "weights"
    assert len(found.stored["Best"].sums.participants) == 1
    assert found.foreign == {"Best"}
    # Also on the first day, before anybody here has an interictal scan.
    assert set(baseline_errors(requests[0].output_dir, [], {"best": folder}, 12.0, "mode", PLAIN).stored) == {"Best"}
    assert found.files["Best"].parent == folder
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_baseline_errors__nothing_is_written_to_a_model_of_another_place(
    requests: list[Request], tmp_path: Path
) -> None:
    folder = tmp_path / "elsewhere" / "best"
    folder.mkdir(parents=True)
    found = gathered(requests, {"best": folder})
    assert found.files["Best"] == requests[0].output_dir / "siscom" / "error-Best.json"
    assert list(folder.iterdir()) == []


def test_baseline_errors__none_without_scans_or_without_a_template(requests: list[Request]) -> None:
    assert gathered([], {}) == Errors()
    lost = [
        replace(one, case=replace(one.case, template=None, template_xfm=None, template_xfms={})) for one in requests
    ]
    assert gathered(lost, {}) == Errors()


def test_baseline_errors__damaged_files_of_a_model_of_another_place_cost_that_model_alone(
    requests: list[Request], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "elsewhere" / "best"
    folder.mkdir(parents=True)
    for text in ("{", '{"FormatVersion": 1}'):
        (folder / f"{STEM}.json").write_text(text)
        found = gathered(requests, {"best": folder})
        assert "Pet" in found.stored
        assert "Best" not in found.foreign
        assert f"{STEM}.json" in caplog.text
        assert "not compared with held-out participants" in caplog.text
        assert "remove it" not in caplog.text


def test_baseline_errors__nothing_of_few_participants_is_written(
    requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    models, difference = own_model(requests), Counting()
    old = gathered(requests, models, difference, how="mean").files
    monkeypatch.setattr(errors, "MIN_PARTICIPANTS", 3)
    for _ in range(2):
        found = gathered(requests, models, difference)
        assert (found.stored, found.files, found.too_few) == ({}, {}, {"Best": 2, "Pet": 2})
        # Nor does that of an earlier run stay.
        assert not any(path.exists() or path.with_suffix(".safetensors").exists() for path in old.values())
    difference.calls = 0
    gathered(requests, models, difference)
    assert difference.calls == 0


def test_baseline_errors__own_cases_by_participant_in_their_order(requests: list[Request]) -> None:
    second = replace(requests[0], case=replace(requests[0].case, session="z"))
    assert gathered([*requests, second], own_model(requests)).own == {"01": [requests[0], second], "02": [requests[1]]}
