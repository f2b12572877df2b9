"""When files are made anew, and what their manifest says."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bids_spectsynth.bids import manifests
from bids_spectsynth.bids.manifests import Product, file_record, is_younger, make_if_outdated, manifest_path


@pytest.fixture
def product(tmp_path: Path) -> Product:
    """A table made of an image, with an option."""
    image, table = tmp_path / "in" / "image", tmp_path / "out" / "sub-01" / "table.tsv"
    for path in (image, table):
        path.parent.mkdir(parents=True)
    image.write_text("image")
    return Product(
        name="table",
        manifest=manifest_path(tmp_path / "out", table),
        inputs={"the image": image},
        options={"the range": 2.0, "the shape": (1, 2)},
        outputs=(table,),
        is_current=lambda: is_younger((table,), (image,)),
    )


@pytest.fixture
def make(product: Product) -> Callable[..., bool]:
    """Make the table where that is due; whether it was."""

    def made(**changes: object) -> bool:
        new = replace(product, **changes)  # type: ignore[arg-type]
        return make_if_outdated(new, lambda: new.outputs[0].write_text("three\nrows\n"))

    return made


def rewrite(path: Path, text: str, seconds: int = 5) -> None:
    """Another content and a later time, however coarse the clock of the file system is."""
    path.write_text(text)
    later(path, seconds)


def later(path: Path, seconds: int = 5) -> None:
    time = path.stat().st_mtime_ns + seconds * 10**9
    os.utime(path, ns=(time, time))


def test_manifest_path__hidden_and_beside_nothing(tmp_path: Path) -> None:
    path = tmp_path / "sub-01" / "spect" / "sub-01_desc-m_spect.nii.gz"
    assert manifest_path(tmp_path, path) == tmp_path / ".manifests/sub-01/spect/sub-01_desc-m_spect.json"


def test_make_if_outdated__once(make: Callable[..., bool]) -> None:
    assert make()
    assert not make()


def test_make_if_outdated__touched_input_makes_nothing_and_is_remembered(
    make: Callable[..., bool], product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    make()
    later(product.inputs["the image"])
    assert not make()
    # Neither the touched input nor the output is read another time.
    monkeypatch.setattr(manifests, "_sha256", None)
    assert not make()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"options": {"the range": 4.0}}, "the range changed"),
        ({"options": {"the range": 2.0, "the colour": "red"}}, "the colour changed"),
        ({"inputs": {}}, "the image is gone"),
        ({"forced": "the status changed"}, "the status changed"),
    ],
)
def test_make_if_outdated__reason_is_logged(
    make: Callable[..., bool], changes: dict[str, object], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    make()
    with caplog.at_level("DEBUG", logger="bids_spectsynth"):
        assert make(**changes)
    assert f"table is made anew: {reason}" in caplog.messages


def test_make_if_outdated__option_that_is_not_asked_for_does_not_count(make: Callable[..., bool]) -> None:
    make()
    assert not make(options={"the range": 2.0})
    # It has not been forgotten either.
    assert not make()


def test_make_if_outdated__further_input(make: Callable[..., bool], product: Product) -> None:
    make()
    assert make(inputs={**product.inputs, "the mask": product.inputs["the image"]})


@pytest.mark.parametrize("text", ["three\n", "THREE\nrows\n"])
def test_make_if_outdated__cut_or_changed_output(make: Callable[..., bool], product: Product, text: str) -> None:
    make()
    rewrite(product.outputs[0], text)
    assert make()
    assert product.outputs[0].read_text() == "three\nrows\n"


def test_make_if_outdated__changed_input_of_equal_size(make: Callable[..., bool], product: Product) -> None:
    make()
    rewrite(product.inputs["the image"], "IMAGE")
    assert make()


def test_make_if_outdated__without_manifest_times_decide(make: Callable[..., bool], product: Product) -> None:
    make()
    product.manifest.unlink()
    assert not make()
    assert product.manifest.exists()
    product.manifest.unlink()
    later(product.inputs["the image"])
    assert make()


@pytest.mark.parametrize("text", ["", "[]", '{"format_version": 1, "inputs": {"a": 1}}', '{"format_version": 2}'])
def test_make_if_outdated__damaged_manifest_is_none(make: Callable[..., bool], product: Product, text: str) -> None:
    make()
    product.manifest.write_text(text)
    assert not make()
    assert json.loads(product.manifest.read_text())["outputs"]


def test_make_if_outdated__failure_leaves_a_manifest_that_does_not_fit(
    make: Callable[..., bool], product: Product
) -> None:
    make()

    def fail() -> None:
        rewrite(product.outputs[0], "half")
        raise OSError("disk full")

    rewrite(product.inputs["the image"], "another image")
    with pytest.raises(OSError, match="disk full"):
        make_if_outdated(product, fail)
    assert make()


def test_make_if_outdated__input_that_changes_meanwhile_is_noticed(product: Product) -> None:
    image, table = product.inputs["the image"], product.outputs[0]

    def slow() -> None:
        table.write_text("of the first image")
        rewrite(image, "the second image")

    assert make_if_outdated(product, slow)
    assert make_if_outdated(product, lambda: table.write_text("of the second"))


def test_file_record__missing(tmp_path: Path) -> None:
    assert file_record(tmp_path / "none").size == -1


@pytest.mark.parametrize(
    ("outputs", "inputs", "expected"), [([2, 3], [1, 2], True), ([2, 1], [1, 2], False), ([2, None], [1], False)]
)
def test_is_younger__as_make_decides(
    tmp_path: Path, outputs: list[int | None], inputs: list[int], expected: bool
) -> None:
    paths = []
    for number, time in enumerate([*outputs, *inputs]):
        paths.append(tmp_path / str(number))
        if time is not None:
            paths[-1].write_text("")
            os.utime(paths[-1], (time, time))
    assert is_younger(tuple(paths[: len(outputs)]), tuple(paths[len(outputs) :])) is expected
