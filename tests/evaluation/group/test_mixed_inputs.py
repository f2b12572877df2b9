"""Rated images of one model from inputs of several resolutions."""

import json
from pathlib import Path
from typing import Any

import pytest

from bids_spectsynth.evaluation.group.mixed_inputs import mixed_harmonising
from tests.evaluation.group.test_tables import write_case


def write(output: Path, *widths: Any) -> None:
    """A rated image of one model for each width, None for one that was not harmonised."""
    for number, width in enumerate(widths, start=1):
        path = write_case(output, f"{number:02d}")
        facts = {"Synthetic": True} | ({} if width is None else {"HarmonisedFWHM": {"pet": width}})
        path.with_name(path.name.replace("_metrics.tsv", "_spect.json")).write_text(json.dumps(facts))


@pytest.mark.parametrize("widths", [(None, None), (8.0, 8.0), (8.0, 8.6)])
def test_mixed_harmonising__images_from_like_inputs_are_no_mixture(tmp_path: Path, widths: tuple[Any, ...]) -> None:
    write(tmp_path, *widths)
    assert mixed_harmonising(tmp_path) == []


@pytest.mark.parametrize(
    ("widths", "words"),
    [
        ((8.0, None, None), "1 from a PET harmonised to 8.0 mm, 2 from one that is not"),
        ((6.0, 8.0), "2 from a PET harmonised to 6.0 to 8.0 mm)"),
    ],
)
def test_mixed_harmonising__one_line_for_each_model(tmp_path: Path, widths: tuple[Any, ...], words: str) -> None:
    write(tmp_path, *widths)
    (line,) = mixed_harmonising(tmp_path)
    assert words in line
    assert "--harmonise" in line


def test_mixed_harmonising__an_image_that_is_gone_says_nothing(tmp_path: Path) -> None:
    write(tmp_path, 8.0)
    write_case(tmp_path, "02")
    assert mixed_harmonising(tmp_path) == []


def test_mixed_harmonising__each_fold_has_the_resolution_of_its_own_training(tmp_path: Path) -> None:
    """A fold that leaves out the site of the blurriest camera has another one than the others."""
    write(tmp_path, 9.1, 9.1, 5.7)
    sidecars = sorted(tmp_path.rglob("*_spect.json"))
    for path, networks in zip(sidecars, ("a", "b", "c"), strict=True):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"ModelChecksum": networks}))
    assert mixed_harmonising(tmp_path) == []
    sidecars[0].write_text(json.dumps({"Synthetic": True, "ModelChecksum": "a"}))
    (line,) = mixed_harmonising(tmp_path)
    assert "2 from a PET harmonised to 5.7 to 9.1 mm, 1 from one that is not" in line
