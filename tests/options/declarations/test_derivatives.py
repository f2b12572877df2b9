from pathlib import Path
from typing import Any

import pytest

from bids_spectsynth.options.declarations.derivatives import NamedFolder, read_derivatives, write_derivatives


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("fmriprep=/d/fp", [("fmriprep", "/d/fp")]),
        (["/d/fp", "hand=/d/by hand"], [("fp", "/d/fp"), ("hand", "/d/by hand")]),
        ("/d/by hand", [("by_hand", "/d/by hand")]),
        ("/d/a=b", [("a_b", "/d/a=b")]),
        (Path("/d/a=b"), [("a_b", "/d/a=b")]),
        (["/a", "/a"], [("a", "/a")]),
    ],
)
def test_read_derivatives__name_and_folder_or_folder_alone(given: Any, expected: list[tuple[str, str]]) -> None:
    found = read_derivatives(given)
    assert [(one.name, str(one.path)) for one in found] == expected
    assert read_derivatives(write_derivatives(found)) == found


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (["/a/x", "/b/x"], "two folders are called x"),
        ("raw=/a", "the dataset itself"),
        ("a b=/a", "NAME=FOLDER"),
        ("a=", "NAME=FOLDER"),
    ],
)
def test_read_derivatives__refuses_a_name_that_does_not_tell(wrong: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_derivatives(wrong)


def test_write_derivatives__home_folder_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert write_derivatives((NamedFolder("a", Path("/home/somebody/x")),)) == ["a=~/x"]
