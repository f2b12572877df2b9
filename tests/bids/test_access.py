"""Why a folder or file cannot be read, and what to do."""

import os
from pathlib import Path

import pytest

from bids_spectsynth.bids.access import ASK_OWNER, folder_problem, is_text, odd_entries, read_problem, shown, subfolders

KEY = "MD5E-s10--0123.nii.gz"


def test_is_text_and_shown__bytes_that_are_no_utf8() -> None:
    odd = os.fsdecode(b"sub-\xff")
    assert is_text("sub-\u00e9")
    assert not is_text(Path("data") / odd)
    assert shown(odd) == r"sub-\udcff"
    assert shown("sub-\u00e9") == "sub-\u00e9"


def test_read_problem__a_file_that_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for content in (b"", b"{}", b"annex/objects", b"x" * 10_000, b"\xff\xfe"):
        path.write_bytes(content)
        assert read_problem(path) is None
    (tmp_path / "link").symlink_to(path)
    assert read_problem(tmp_path / "link") is None


@pytest.mark.parametrize(
    "content", [f"/annex/objects/{KEY}\n", f"../../.git/annex/objects/a/b/{KEY}/{KEY}", f"/annex\\objects\\{KEY}\n"]
)
def test_read_problem__a_pointer_of_git_annex(tmp_path: Path, content: str) -> None:
    path = tmp_path / "my data" / "a.nii.gz"
    path.parent.mkdir()
    path.write_text(content)
    assert f"run 'datalad get '{path}''" in str(read_problem(path))


def test_read_problem__a_pointer_of_git_lfs(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert "git lfs pull" in str(read_problem(path))


def test_read_problem__links_that_lead_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    assert read_problem(path) == "no such file"
    path.symlink_to(f"../.git/annex/objects/a/b/{KEY}/{KEY}")
    assert f"datalad get {path}" in str(read_problem(path))
    other = tmp_path / "b.nii.gz"
    other.symlink_to("../elsewhere.nii.gz")
    assert "a link to ../elsewhere.nii.gz, which does not exist" in str(read_problem(other))
    ring = tmp_path / "c.nii.gz"
    ring.symlink_to(ring)
    assert "cannot be read" in str(read_problem(ring))


def test_read_problem__a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in str(read_problem(tmp_path / "pipe"))
    assert "not a regular file" in str(read_problem(tmp_path))


@pytest.mark.usefixtures("no_privileges")
def test_permissions__of_files_and_folders(tmp_path: Path) -> None:
    folder, path = tmp_path / "sub-01", tmp_path / "sub-01" / "a.json"
    folder.mkdir()
    path.write_text("{}")
    assert folder_problem(folder) is None
    path.chmod(0)
    assert read_problem(path) == ASK_OWNER
    for mode in (0o400, 0o100, 0):  # to be listed but not entered, entered but not listed, neither
        folder.chmod(mode)
        assert folder_problem(folder) == ASK_OWNER
        assert list(odd_entries(folder)) == [folder]
        assert subfolders(folder, "") == []
    assert read_problem(path) == ASK_OWNER
    assert subfolders(tmp_path, "sub-") == [folder]
    folder.chmod(0o700)


def test_folder_problem__no_folder(tmp_path: Path) -> None:
    assert "No such file" in str(folder_problem(tmp_path / "a"))


def test_odd_entries__at_any_depth_but_not_behind_links(tmp_path: Path) -> None:
    inner = tmp_path / "anat" / "old"
    inner.mkdir(parents=True)
    (inner / "fine.nii.gz").write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "anat" / "ring").symlink_to(tmp_path)
    assert list(odd_entries(tmp_path)) == []
    os.mkfifo(inner / "pipe")
    (inner / os.fsdecode(b"caf\xe9")).mkdir()
    assert set(odd_entries(tmp_path)) == {inner / "pipe", inner / os.fsdecode(b"caf\xe9")}
