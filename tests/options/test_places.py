"""Where folders lie on this machine stays on this machine."""

from dataclasses import replace
from pathlib import Path

import pytest

from bids_spectsynth.options.places import without_places
from bids_spectsynth.options.settings import Settings, make_settings

NUMBER = "01234567-89ab-cdef-0123-456789abcdef"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "jdoe"))
    values = {"bids_dir": tmp_path / "data", "output_dir": tmp_path / "out", "analysis_level": "participant"}
    return make_settings(values)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{0}/data/sub-01/anat/sub-01_T1w.nii.gz: cut", "sub-01/anat/sub-01_T1w.nii.gz: cut"),
        ("{0}/out/sub-01.html: full", "sub-01.html: full"),
        ("output in {0}/out", "output in the output folder"),
        ("{0}/data: nobody", "the bids folder: nobody"),
        ("{0}/out/work/status/x", "work/status/x"),
        ("{0}/database/x and {0}/out-2/x", "{0}/database/x and {0}/out-2/x"),
        ("{0}/home/jdoe/tools/x.py, line 3", "~/tools/x.py, line 3"),
        ("{0}/home/jdoe2/x", "{0}/home/jdoe2/x"),
        (
            f"logs/crash-20261129-114716-j.doe-reference-{NUMBER}.txt",
            f"logs/crash-20261129-114716-reference-{NUMBER}.txt",
        ),
        ("nothing", "nothing"),
    ],
)
def test_without_places__files_are_named_from_the_folders_of_the_run(
    settings: Settings, tmp_path: Path, text: str, said: str
) -> None:
    assert without_places(text.format(tmp_path), settings) == said.format(tmp_path)


def test_without_places__root_as_a_folder_changes_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/")
    assert without_places("/a/b and /", replace(settings, bids_dir=Path("/"))) == "/a/b and /"
