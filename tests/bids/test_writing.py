"""Files appear whole or not at all, and say the same thing twice."""

import gzip
import json
import os
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bids_spectsynth.bids.writing import (
    atomic_file,
    read_matrix,
    remove_leftovers,
    temporary_path,
    write_image,
    write_json,
    write_matrix,
    write_table,
    write_text,
)
from bids_spectsynth.errors import ImageError
from tests.packed import unpacked


def test_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "a.txt"
    write_text(path, "old")

    def interrupted() -> None:
        with atomic_file(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_results_are_as_readable_as_other_files(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "x")
    (tmp_path / "b").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.parametrize("order", ["C", "F"])
def test_packing_keeps_every_bit(order: Any, tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((20, 30, 10), dtype=np.float32) * (np.arange(30)[:, None] > 15)
    image = nib.Nifti1Image(np.array(values, order=order), np.diag([1.0, 2.0, 3.0, 1.0]))
    write_image(tmp_path / "packed.nii.gz", image, {})
    write_image(tmp_path / "plain.nii", image, {})
    assert gzip.decompress((tmp_path / "packed.nii.gz").read_bytes()) == (tmp_path / "plain.nii").read_bytes()
    np.testing.assert_array_equal(np.asanyarray(nib.load(tmp_path / "plain.nii").dataobj), values)


def test_equal_images_give_equal_content_without_time_and_name(tmp_path: Path, image: nib.Nifti1Image) -> None:
    for name in ("a", "b"):
        write_image(tmp_path / f"{name}.nii.gz", image, {"SkullStripped": True})
    packed = (tmp_path / "a.nii.gz").read_bytes()
    assert unpacked(tmp_path / "a.nii.gz") == unpacked(tmp_path / "b.nii.gz")
    assert packed[3:8] == bytes(5)
    back = nib.load(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(back.dataobj), np.asanyarray(image.dataobj))
    np.testing.assert_array_equal(back.affine, image.affine)
    assert json.loads((tmp_path / "a.json").read_text()) == {"SkullStripped": True}
    write_image(tmp_path / "c.nii", image, {})
    np.testing.assert_array_equal(np.asanyarray(nib.load(tmp_path / "c.nii").dataobj), np.asanyarray(image.dataobj))


def test_header_text_and_extensions_are_not_written(tmp_path: Path, image: nib.Nifti1Image) -> None:
    image.header["descrip"] = b"Doe^Jane 1970"
    image.header.set_xyzt_units("unknown")
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Doe^Jane"))
    write_image(tmp_path / "a.nii", image, {})
    assert b"Jane" not in (tmp_path / "a.nii").read_bytes()
    assert nib.load(tmp_path / "a.nii").header.get_xyzt_units()[0] == "mm"
    assert image.header["descrip"] == b"Doe^Jane 1970"  # the caller's image is left alone


def test_json_of_numpy_paths_and_not_a_number(tmp_path: Path) -> None:
    content = {"a": np.float32(0.5), "b": np.arange(2), "c": float("nan"), "d": (np.inf, Path("x/y")), "é": True}
    write_json(tmp_path / "a.json", content)
    found = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert found == {"a": 0.5, "b": [0, 1], "c": None, "d": [None, "x/y"], "é": True}


def test_table_says_na_and_describes_every_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"slice": [1, 2], "rmse": [0.5, np.nan], "note": ["x", None]})
    dictionary: dict[str, dict[str, Any]] = {name: {"Description": name} for name in ("note", "rmse", "slice", "more")}
    write_table(tmp_path / "a.tsv", frame, dictionary)
    assert (tmp_path / "a.tsv").read_text() == "slice\trmse\tnote\n1\t0.5\tx\n2\tn/a\tn/a\n"
    assert list(json.loads((tmp_path / "a.json").read_text())) == ["slice", "rmse", "note"]
    with pytest.raises(ValueError, match="no description of column rmse"):
        write_table(tmp_path / "b.tsv", frame, {"slice": {}, "note": {}})


@given(matrix=arrays(np.float64, (3, 4), elements=st.floats(-300, 300)))
@hypothesis_settings(max_examples=25)
def test_matrix_round_trip(tmp_path_factory: pytest.TempPathFactory, matrix: np.ndarray[Any, Any]) -> None:
    full = np.vstack([matrix, [0, 0, 0, 1]])
    full[:3, :3] += 1000 * np.eye(3)  # invertible
    path = tmp_path_factory.getbasetemp() / "a_xfm.txt"
    write_matrix(path, full, {"Type": "affine"})
    np.testing.assert_allclose(read_matrix(path), full, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("matrix", [np.eye(3), np.full((4, 4), np.nan)])
def test_other_arrays_are_refused(tmp_path: Path, matrix: np.ndarray[Any, Any]) -> None:
    with pytest.raises(ValueError, match="not a finite 4x4 matrix"):
        write_matrix(tmp_path / "a_xfm.txt", matrix, {})


@pytest.mark.parametrize("text", [None, "", "x y\n", "1 0\n0 1\n", "0 0 0 0\n" * 4])
def test_damaged_matrix_is_named(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "a_xfm.txt"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ImageError, match=r"a_xfm\.txt: .*prepare the participant again"):
        read_matrix(path)


def test_remove_leftovers__of_processes_that_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = temporary_path(tmp_path / "sub-01" / "a.tsv")
    gone = alive.with_name(alive.name.replace(f".{os.getpid()}-", ".999999999-"))
    with monkeypatch.context() as patch:
        patch.setattr(socket, "gethostname", lambda: "another")
        elsewhere, old = (temporary_path(tmp_path / name) for name in ("b.tsv", "c.tsv"))
    # Without a host, as they were called before.
    recent, outdated = (tmp_path / f".{name}.999999999-0123abcd.tmp" for name in ("d.tsv", "e.tsv"))
    others = [tmp_path / ".hidden.tmp", tmp_path / "x.tmp", tmp_path / "work" / gone.name]
    for path in (alive, gone, elsewhere, old, recent, outdated, *others):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    for path in (old, outdated):
        os.utime(path, (0, 0))
    assert remove_leftovers(tmp_path, tmp_path / "work") == 3
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {alive, elsewhere, recent, *others}
    assert remove_leftovers(tmp_path / "nowhere", tmp_path) == 0


@pytest.mark.parametrize("same", [True, False])
def test_remove_leftovers__container_with_processes_of_its_own(
    same: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the machine's name, and its processes have numbers that nobody has outside."""
    stat = Path.stat

    def in_container(path: Path, **options: Any) -> Any:
        if path == Path("/proc/self/ns/pid"):
            return SimpleNamespace(st_ino=1)
        return stat(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", in_container)
        patch.setattr(os, "getpid", lambda: 999999999)
        path = temporary_path(tmp_path / "a.tsv")
        path.touch()
        if same:
            assert remove_leftovers(tmp_path, tmp_path / "work") == 1
    if not same:
        assert remove_leftovers(tmp_path, tmp_path / "work") == 0
        assert path.exists()
