"""Indexing of the chosen participants, and inheritance of sidecars."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bids_spectsynth.bids.access import ASK_OWNER
from bids_spectsynth.bids.finding.cases import find_cases
from bids_spectsynth.bids.finding.layout import (
    build_layout,
    closed_folders,
    find_participants,
    find_sessions,
    list_labels,
    read_metadata,
)
from bids_spectsynth.errors import DatasetError, ImageError
from bids_spectsynth.options.settings import Settings

Dataset = Callable[..., Path]


def test_layout_knows_spect_and_only_the_chosen(dataset: Dataset) -> None:
    root = dataset(
        "sub-01/spect/sub-01_task-ictal_trc-HMPAO_spect",
        "sub-01/ses-a/pet/sub-01_ses-a_pet",
        "sub-01/ses-ab/pet/sub-01_ses-ab_pet",
        "sub-011/anat/sub-011_T1w",
        "derivatives/x/sub-01/anat/sub-01_T1w",
    )
    layout = build_layout(root, ("01",))
    assert layout.get_subjects() == ["01"]
    (spect,) = layout.get(datatype="spect", suffix="spect", extension=".nii.gz")
    assert spect.entities["task"] == "ictal"
    assert spect.entities["tracer"] == "HMPAO"
    assert layout.get(suffix="T1w") == []
    assert sorted(layout.get_sessions()) == ["a", "ab"]
    narrow = build_layout(root, ("01",), ("a",))
    assert narrow.get_sessions() == ["a"]
    assert len(narrow.get(suffix="spect")) == 1  # images without a session always count


def test_nobody_elses_folder_is_entered(dataset: Dataset, settings_for: Callable[..., Settings]) -> None:
    images = [
        f"{base}sub-{label}/ses-{session}/{name.format(label=label, session=session)}"
        for base in ("", "derivatives/other/", "sourcedata/")
        for label in ("01", "02", "03", "031")
        for session in ("a", "b")
        for name in ("anat/sub-{label}_ses-{session}_T1w", "spect/sub-{label}_ses-{session}_task-interictal_spect")
    ]
    root = dataset(*images)
    entered: list[str] = []
    listening = True

    def listen(event: str, arguments: tuple[Any, ...]) -> None:
        if listening and event in ("os.scandir", "os.listdir") and str(arguments[0]).startswith(str(root)):
            entered.append(Path(str(arguments[0])).relative_to(root).as_posix())

    sys.addaudithook(listen)  # a hook cannot be taken back
    cases, _ = find_cases(settings_for(root, participant_label=["03"]))
    listening = False
    assert [case.name for case in cases] == ["sub-03_ses-a", "sub-03_ses-b"]
    assert set(entered) == {
        ".",
        "sub-03",
        *(f"sub-03/ses-{session}{datatype}" for session in "ab" for datatype in ("", "/anat", "/spect")),
    }


def test_participants_with_or_without_prefix(dataset: Dataset) -> None:
    root = dataset("sub-01/anat/sub-01_T1w", "sub-02/anat/sub-02_T1w", "sub-03/anat/sub-03_T1w")
    assert find_participants(root) == ("01", "02", "03")
    assert find_participants(root, ("sub-03", "01", "sub-01")) == ("01", "03")
    with pytest.raises(DatasetError, match=r"no participant 9; there are 01, 02, 03"):
        find_participants(root, ("sub-9",))


def test_many_participants_are_not_all_listed(tmp_path: Path) -> None:
    (tmp_path / "dataset_description.json").write_text("{}")
    for n in range(20):
        (tmp_path / f"sub-{n:02d}").mkdir()
    with pytest.raises(DatasetError, match=r"10, 11 and 8 more$"):
        find_participants(tmp_path, ("x",))


def test_sessions(dataset: Dataset) -> None:
    root = dataset("sub-01/ses-a/anat/sub-01_ses-a_T1w", "sub-02/ses-b/anat/sub-02_ses-b_T1w")
    assert find_sessions(root, ("01", "02")) == ()
    assert find_sessions(root, ("01", "02"), ("ses-b", "a")) == ("b", "a")
    with pytest.raises(DatasetError, match=r"no session b; there are a$"):
        find_sessions(root, ("01",), ("b",))


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_folders_that_are_no_dataset(tmp_path: Path, content: str | None) -> None:
    (tmp_path / "sub-01").mkdir()
    if content is not None:
        (tmp_path / "dataset_description.json").write_text(content)
    with pytest.raises(DatasetError, match=r"dataset_description\.json"):
        find_participants(tmp_path)


def test_dataset_without_participants(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no sub-\* folder"):
        find_participants(dataset())
    with pytest.raises(DatasetError, match="no such folder"):
        find_participants(tmp_path / "nowhere")


def test_nearer_sidecars_win(dataset: Dataset) -> None:
    name = "sub-01/ses-a/pet/sub-01_ses-a_trc-FDG_pet"
    root = dataset(name, sidecars={name: {"A": "image"}})
    (root / "pet.json").write_text(json.dumps({"A": "root", "B": "root", "C": "root"}))
    (root / "trc-FDG_pet.json").write_text(json.dumps({"C": "tracer"}))
    (root / "trc-PIB_pet.json").write_text(json.dumps({"B": "other tracer"}))
    (root / "sub-01" / "sub-01_pet.json").write_text(json.dumps({"B": "subject"}))
    metadata = read_metadata(root / f"{name}.nii.gz", root)
    assert metadata == {"A": "image", "B": "subject", "C": "tracer"}


def test_pybids_is_imported_only_to_index() -> None:
    code = "import sys, bids_spectsynth.bids.finding.cases; sys.exit('bids' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


NAMES = ("sub-01/anat/sub-01_T1w", "sub-01/pet/sub-01_trc-FDG_pet", "sub-01/spect/sub-01_task-interictal_spect")


@pytest.mark.parametrize(
    "parent",
    ["pet", "spect", "anat/x", "func", "motion", "sub-99/ses-a/run-2_task-ictal", "x_rec-a_T1w.nii.gz", "a[1]+("],
)
@pytest.mark.parametrize("name", ["study", "pet", "spect_acq-x"])
def test_build_layout__folders_above_the_dataset_do_not_count(dataset: Dataset, parent: str, name: str) -> None:
    root = dataset(*NAMES)
    other = root.parent / parent / name
    other.parent.mkdir(parents=True)
    root.rename(other)
    found = {file.relpath: file.entities for file in build_layout(other, ("01",)).get(extension=".nii.gz")}
    same = {"subject": "01", "extension": ".nii.gz"}
    assert found == {
        f"{NAMES[0]}.nii.gz": {**same, "datatype": "anat", "suffix": "T1w"},
        f"{NAMES[1]}.nii.gz": {**same, "datatype": "pet", "suffix": "pet", "tracer": "FDG"},
        f"{NAMES[2]}.nii.gz": {**same, "datatype": "spect", "suffix": "spect", "task": "interictal"},
    }


def test_build_layout__a_relative_root(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(dataset(*NAMES).parent)
    assert len(build_layout(Path("raw"), ("01",)).get(datatype="spect")) == 1


def test_build_layout__backups_and_other_folders_are_not_entered(dataset: Dataset) -> None:
    backups = ["sub-01/anat/old/sub-01_T1w", "sub-01/old/anat/sub-01_T1w", "sub-01/anat/anat/sub-01_T1w"]
    root = dataset(*NAMES, *backups, "sub-01/sub-01_T1w", "sub-01/ses-a/anat/sub-01_ses-a_T1w")
    found = build_layout(root, ("01",)).get(suffix="T1w", return_type="filename", extension=".nii.gz")
    assert {Path(path).relative_to(root).as_posix() for path in found} == {
        f"{NAMES[0]}.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz",
    }


def test_build_layout__names_that_are_not_text_are_passed_over(dataset: Dataset) -> None:
    root = dataset(*NAMES, "sub-02/anat/sub-02_T1w")
    odd = os.fsdecode(b"\xff")
    for name in (
        f"sub-01/anat/sub-01_acq-{odd}_T1w.nii.gz",
        f"sub-01/{odd}/a.txt",
        f"sub-01/ses-{odd}/anat/x_T1w.nii.gz",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    (root / f"sub-{odd}").mkdir()
    assert find_participants(root) == ("01", "02")
    assert len(build_layout(root, ("01", "02")).get(suffix="T1w", extension=".nii.gz")) == 2


@pytest.mark.usefixtures("no_privileges")
def test_closed_folders__are_named_and_not_entered(dataset: Dataset) -> None:
    names = [
        f"sub-{n}/ses-{s}/{d}/sub-{n}_ses-{s}_x" for n in ("01", "02") for s in "ab" for d in ("anat", "eeg", "my")
    ]
    root = dataset(*names)
    closed = [root / name for name in ("sub-01/ses-a/anat", "sub-01/ses-b/eeg", "sub-01/ses-a/my", "sub-02/ses-b")]
    for folder in closed:
        folder.chmod(0)
    found = closed_folders(root, ("01", "02"))
    assert set(found) == {closed[0], closed[1], closed[3]}
    assert set(found.values()) == {ASK_OWNER}
    assert set(closed_folders(root, ("02",), ("a",))) == set()
    assert len(build_layout(root, ("01", "02"), (), found).get(extension=".nii.gz")) == 4
    for folder in closed:
        folder.chmod(0o700)


@pytest.mark.usefixtures("no_privileges")
def test_find_participants__a_root_that_cannot_be_read(dataset: Dataset) -> None:
    root = dataset(*NAMES)
    for mode in (0o100, 0o400, 0):
        root.chmod(mode)
        with pytest.raises(DatasetError, match="permission denied"):
            find_participants(root)
    root.chmod(0o700)


@pytest.mark.parametrize("content", ["{", "[1]", "[" * 100_000, '{"TracerName": "\\udc80"}'])
def test_unreadable_sidecar_is_named(dataset: Dataset, content: str) -> None:
    name = "sub-01/pet/sub-01_pet"
    root = dataset(name)
    (root / f"{name}.json").write_text(content)
    with pytest.raises(ImageError, match=r"sub-01_pet\.json: "):
        read_metadata(root / f"{name}.nii.gz", root)


def test_list_labels__a_dozen_and_how_many_more() -> None:
    labels = [f"{n:02d}" for n in range(14)]
    assert list_labels([]) == "none"
    assert list_labels(labels[:2]) == "00, 01"
    assert list_labels(labels[:12]).endswith(", 10, 11")
    assert list_labels(labels) == f"{', '.join(labels[:12])} and 2 more"


def test_find_participants__messages_name_the_folder_and_the_way_out(dataset: Dataset, tmp_path: Path) -> None:
    root = dataset(*NAMES)
    gone, file = tmp_path / "gone", root / "sub-01/anat/sub-01_T1w.json"
    for missing in (gone, file):
        with pytest.raises(DatasetError) as error:
            find_participants(missing)
        assert str(error.value) == f"{missing}: no such folder; give the root of a BIDS dataset"
    with pytest.raises(DatasetError) as error:
        find_participants(root, ("8", "sub-9"))
    assert str(error.value) == f"{root}: no participant 8, 9; there are 01"
    description = root / "dataset_description.json"
    for content, reason in (("[]", "not a JSON object; correct the file"), ("{", "not valid JSON (")):
        description.write_text(content)
        with pytest.raises(DatasetError) as error:
            find_participants(root)
        assert str(error.value).startswith(f"{description}: {reason}")
    description.unlink()
    with pytest.raises(DatasetError) as error:
        find_participants(root)
    line = "not a BIDS dataset (dataset_description.json: No such file or directory); give the root of one"
    assert str(error.value) == f"{root}: {line}"


def test_find_sessions__of_all_participants_and_once(dataset: Dataset) -> None:
    root = dataset("sub-01/ses-a/anat/sub-01_ses-a_T1w", "sub-02/ses-b/anat/sub-02_ses-b_T1w", "sub-03/anat/x_T1w")
    assert find_sessions(root, ("01", "02", "03"), ("a", "ses-a")) == ("a",)
    with pytest.raises(DatasetError) as error:
        find_sessions(root, ("01", "02", "03"), ("x", "a", "ses-y"))
    assert str(error.value) == f"{root}: no session x, y; there are a, b"
    with pytest.raises(DatasetError, match=r"there are none$"):
        find_sessions(root, ("03",), ("a",))


def test_read_metadata__of_equally_near_sidecars_the_one_with_more_entities_wins(dataset: Dataset) -> None:
    name = "sub-01/pet/sub-01_trc-FDG_run-1_pet"
    root = dataset(name, sidecars={name: None})
    (root / "sub-01/pet/sub-01_trc-FDG_pet.json").write_text('{"A": 1, "B": 1}')
    (root / "sub-01/pet/sub-01_pet.json").write_text('{"A": 2, "C": 2}')
    (root / "sub-01/pet/sub-01_trc-FDG_run-2_pet.json").write_text('{"A": 3}')
    (root / "sub-01/pet/sub-01_trc-FDG_run-1_xpet.json").write_text('{"A": 4}')
    assert read_metadata(root / f"{name}.nii.gz", root) == {"A": 1, "B": 1, "C": 2}
    (root / "pet.json").write_text("[1]")
    with pytest.raises(ImageError) as error:
        read_metadata(root / f"{name}.nii.gz", root)
    assert str(error.value) == f"{root / 'pet.json'}: the sidecar is not a JSON object; correct or remove it"
    (root / "pet.json").write_text("{")
    with pytest.raises(ImageError, match=r"pet[.]json: cannot read the sidecar: .*; correct or remove it$"):
        read_metadata(root / f"{name}.nii.gz", root)
