"""One reader of JSON objects: strict, or without trust."""

import os
from pathlib import Path

import pytest

from bids_spectsynth.bids.sidecars import load_object, read_object, sidecar, sidecar_path


def test_load_object__what_an_object_holds(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"é": [1, null]}', encoding="utf-8")
    assert load_object(tmp_path / "a.json") == read_object(tmp_path / "a.json") == {"é": [1, None]}


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, FileNotFoundError),
        (b"{", ValueError),
        (b"\xff{}", ValueError),
        (b'{"a": "\\udc80"}', ValueError),
        (b'{"a": ' + b"[" * 100_000, ValueError),
        (b"[]", TypeError),
        (b"null", TypeError),
    ],
)
def test_load_object__each_defect_has_its_error_and_read_object_none(
    tmp_path: Path, content: bytes | None, error: type[Exception]
) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error):
        load_object(path)
    assert read_object(path) == {}


def test_load_object__a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(OSError, match="not a regular file"):
        load_object(tmp_path / "a.json")


def test_load_object__a_mark_of_the_byte_order_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": "\\ud83e\\udde0"}')
    assert load_object(tmp_path / "a.json") == {"a": "\U0001f9e0"}


def test_sidecar__stands_beside_whatever_the_extension(tmp_path: Path) -> None:
    (tmp_path / "sub-01_T1w.json").write_text('{"a": 1}')
    for extension in (".nii.gz", ".nii", ".tsv", ".txt"):
        image = tmp_path / f"sub-01_T1w{extension}"
        assert sidecar_path(image) == tmp_path / "sub-01_T1w.json"
        assert sidecar(image) == {"a": 1}
    assert sidecar(tmp_path / "sub-02_T1w.nii.gz") == {}
