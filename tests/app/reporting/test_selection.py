"""The group level of some participants: what it writes, what it leaves alone, and what stays where it fails."""

import json
from pathlib import Path
from typing import Any

import pytest

from bids_spectsynth.app.reporting.selection import write_for_selection, write_page
from bids_spectsynth.bids.output_files import group_page, selection_file
from bids_spectsynth.bids.writing import atomic_file
from bids_spectsynth.errors import DatasetError, SpectSynthError
from bids_spectsynth.options.settings import Settings, make_settings


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An output folder of three prepared participants, as far as a selection looks at it."""
    for label in ("01", "02", "03"):
        folder = tmp_path / f"out/sub-{label}/anat"
        folder.mkdir(parents=True)
        (folder / f"sub-{label}_desc-preproc_T1w.nii.gz").touch()
    folder = tmp_path / "out"
    (folder / "participants.tsv").write_text("participant_id\tsplit\nsub-01\ttest\nsub-02\ttrain\n")
    (folder / "figures").mkdir()
    for name in ("group_metrics.tsv", "group_table2.tsv", "figures/group_rmse.svg", "figures/paper_figure9.svg"):
        (folder / name).write_text("all")
    return folder


def of(out: Path, *labels: str, **values: Any) -> Settings:
    required = {"bids_dir": out.parent / "data", "output_dir": out, "analysis_level": "group"}
    return make_settings({**required, "participant_label": labels, **values})


def write(settings: Settings) -> Path:
    (settings.output_dir / "group_metrics.tsv").write_text("some")
    (settings.output_dir / "figures/group_rmse.svg").write_text("some")
    (settings.output_dir / "figures/participants").mkdir()
    (settings.output_dir / "figures/participants/sub-01.webp").write_text("some")
    path = group_page(settings.output_dir)
    path.write_text((settings.output_dir / "participants.tsv").read_text())
    return path


def texts(out: Path) -> dict[str, str]:
    files = (path for path in out.rglob("*") if path.is_file() and "sub-" not in path.name)
    return {path.relative_to(out).as_posix(): path.read_text() for path in files}


def test_write_for_selection__removes_only_what_the_program_writes(out: Path) -> None:
    mine = ("groups.tsv", "group_notes.txt", "group_ratings.tsv", "group_siscom_readers.json", "figures/group_my.svg")
    for name in mine:
        (out / name).write_text("mine")
    write_for_selection(of(out, "01"), write)
    after = texts(out)
    assert {name for name, text in after.items() if text == "mine"} == set(mine)
    assert not {"group_table2.tsv", "figures/paper_figure9.svg"} & set(after)
    assert after["group_metrics.tsv"] == after["figures/group_rmse.svg"] == "some"
    assert (out / "figures/participants/sub-01.webp").exists()
    assert "sub-02" not in after["group.html"]
    assert json.loads(after["group_selection.json"]) == {"Participants": ["sub-01"]}


def test_write_for_selection__failure_leaves_tables_and_figures_of_all(out: Path) -> None:
    def fails(settings: Settings) -> Path:
        write(settings)
        raise DatasetError(f"{settings.output_dir}/sub-01: damaged")

    before = texts(out)
    with pytest.raises(DatasetError, match=rf"^{out}/sub-01: damaged"):
        write_for_selection(of(out, "01"), fails)
    assert texts(out) == before


def test_write_for_selection__banner_comes_first_and_the_page_last(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bids_spectsynth.app.reporting import selection

    names: list[str] = []

    def noted(path: Path) -> Any:
        names.append(path.name)
        return atomic_file(path)

    monkeypatch.setattr(selection, "atomic_file", noted)
    write_for_selection(of(out, "01"), write)
    assert (names[0], names[-1]) == (selection_file(out).name, "group.html")
    assert not list(out.rglob(".*.tmp"))


def test_write_page__shows_nobody_outside_the_selection_and_keeps_its_tables(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bids_spectsynth.reports.group import page

    def report(folder: Path) -> Path:
        group_page(folder).write_text(" ".join(sorted(path.name for path in folder.rglob("*"))))
        return group_page(folder)

    for name in ("sub-02.html", "group_ratings.tsv"):
        (out / name).write_text("sub-02")
    monkeypatch.setattr(page, "group_report", report)
    write_page(of(out))
    assert "sub-02" in group_page(out).read_text(), "without a selection everybody is shown"
    write_for_selection(of(out, "01"), write)
    before = texts(out)
    write_page(of(out))
    after = texts(out)
    shown = after.pop("group.html")
    assert "sub-01" in shown
    assert "group_metrics.tsv" in shown
    assert "group_rmse.svg" in shown
    assert "sub-02" not in shown
    assert "group_ratings" not in shown
    assert after == {name: text for name, text in before.items() if name != "group.html"}


@pytest.mark.parametrize("label", ["../x", "*", "", "0\n1", "sub-", "é"])
def test_write_for_selection__odd_label_is_one_line(out: Path, label: str) -> None:
    with pytest.raises(DatasetError) as error:
        write_for_selection(of(out, label), write)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("table", [None, b"", b"id\nsub-01\n", b"\xff\xfe\x00", b"participant_id\nsub-01\tmore\n"])
def test_write_for_selection__participants_table_that_is_missing_or_damaged(out: Path, table: bytes | None) -> None:
    path = out / "participants.tsv"
    path.unlink()
    if table is None:
        write_for_selection(of(out, "01"), lambda settings: group_page(settings.output_dir))
        return
    path.write_bytes(table)
    with pytest.raises(SpectSynthError, match=r"participants\.tsv: "):
        write_for_selection(of(out, "01"), write)
