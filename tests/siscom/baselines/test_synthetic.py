from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.bids.output_files import synthetic_path
from bids_spectsynth.bids.writing import write_image
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.siscom.baselines.request import Request
from bids_spectsynth.siscom.baselines.synthetic import RESERVED, SYNTHETIC, left_out, siscom_label
from tests.siscom.baselines.conftest import MakeRequest


@given(st.text(alphabet="abcXYZ0189-_+ ", max_size=12))
def test_siscom_label__letters_and_digits_with_a_capital_and_no_other_baseline(model: str) -> None:
    label = siscom_label(model)
    assert label not in RESERVED
    assert label == "" or (label.isalnum() and not label[0].islower())


def add(request: Request, model: str) -> Path:
    path = synthetic_path(request.output_dir, request.case, model)
    write_image(path, new_image(values(request), request.affine), {"Synthetic": True})
    return path


def values(request: Request) -> np.ndarray:
    return np.random.default_rng(0).uniform(1, 2, request.brain.shape).astype(np.float32)


@pytest.mark.parametrize(
    ("split", "seen", "words"),
    [
        ("test", False, ""),
        ("external", False, ""),
        ("train", True, "learned"),
        ("validation", True, "chose"),
    ],
)
def test_synthetic__seen_is_marked(make_request: MakeRequest, split: str, seen: bool, words: str) -> None:
    request = make_request(splits={"best": split})
    assert SYNTHETIC.available(request)
    path = add(request, "best")
    assert SYNTHETIC.available(request) is None
    (found,) = SYNTHETIC.make(request)
    assert (found.kind, found.label, found.model, found.synthetic, found.seen) == (
        "synthetic",
        "Best",
        "best",
        True,
        seen,
    )
    assert words in " ".join(found.notes)
    assert found.sources == (path,)
    np.testing.assert_array_equal(found.values, np.where(request.brain, values(request), 0))


def test_synthetic__one_for_each_model(make_request: MakeRequest) -> None:
    request = make_request(splits={"b": "test", "a": "train"})
    add(request, "b")
    add(request, "a")
    assert [(one.label, one.seen) for one in SYNTHETIC.make(request)] == [("A", True), ("B", False)]


def test_synthetic__of_an_unknown_model_is_left_out_with_a_reason(make_request: MakeRequest) -> None:
    request = make_request(splits={"a": "test"})
    add(request, "b")
    assert SYNTHETIC.available(request) == "of no model that is known here"
    add(request, "a")
    assert [one.model for one in SYNTHETIC.make(request)] == ["a"]
    (line,) = left_out(request)
    assert line.startswith("synthetic SPECT of b left out: ")
