import numpy as np
import pytest
import torch

from bids_spectsynth.errors import ModelError
from bids_spectsynth.synthesis.data.gathering import gather_slices
from bids_spectsynth.synthesis.data.storage import decode
from bids_spectsynth.synthesis.training.validation import validate
from tests.synthesis.training.conftest import COMPUTATION, make_stepper


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_out_of_memory_in_validation(monkeypatch, caplog, make_case, limit):
    """Smaller batches give the same metrics; where no slice fits, there is one line."""
    data, _ = gather_slices([make_case("01", 1), make_case("02", 2)], 5, masks=True)
    generator = make_stepper().generator
    expected = validate(generator, data, 3, COMPUTATION)
    forward = type(generator).forward

    def small_memory(self, image):
        if len(image) > limit:
            raise torch.cuda.OutOfMemoryError("no memory")
        return forward(self, image)

    monkeypatch.setattr(type(generator), "forward", small_memory)
    if limit == 0:
        with pytest.raises(ModelError, match="single slice"):
            validate(generator, data, 3, COMPUTATION)
        return
    assert validate(generator, data, 3, COMPUTATION) == pytest.approx(expected, rel=1e-5)
    assert "1 slices at a time" in caplog.text


def test_validation_is_in_mask_and_changes_nothing(make_case):
    case = make_case("01", 1)
    data, _ = gather_slices([case, make_case("02", 2)], 5, masks=True)
    generator = make_stepper().generator
    state = {name: value.clone() for name, value in generator.state_dict().items()}
    metrics = validate(generator, data, 3, COMPUTATION)
    assert generator.training
    assert all(torch.equal(value, state[name]) for name, value in generator.state_dict().items())
    generator.eval()
    with torch.no_grad():
        made = generator(decode(data.images))
    rmse = []
    for number in (0, 1):
        own = data.cases == number
        rmse.append((made[own] - decode(data.targets[own]))[data.masks[own]].square().mean().sqrt().item())
    assert metrics["rmse"] == pytest.approx(np.mean(rmse), rel=1e-5)
    assert metrics["ssim"] < 1


def test_validation_can_be_stopped(make_case):
    data, _ = gather_slices([make_case("01", 1)], 5, masks=True)
    generator = make_stepper().generator
    answers = iter((False, True))
    assert validate(generator, data, 1, COMPUTATION, lambda: next(answers)) is None
    assert next(answers, "asked twice") == "asked twice"
    assert generator.training
