import json
import logging
from pathlib import Path

import pytest

from bids_spectsynth.phantom.files import FOCUS_COLUMNS, STUDY_COLUMNS
from bids_spectsynth.phantom.participants import truth_folder
from bids_spectsynth.phantom.sidecars import dataset_description
from bids_spectsynth.siscom.group.truth import Knowledge, Truth, lobe_of, side_of
from bids_spectsynth.siscom.outputs.paths import Found
from bids_spectsynth.siscom.records import Names


def _scan(ictal: str = "sub-01_task-ictal", session: str | None = None) -> Found:
    return Found("01", session, ictal, "Real", Path("clusters.tsv"), {})


@pytest.mark.parametrize(
    ("columns", "values", "expected"),
    [
        ("focus_side\tfocus_lobe", "L\ttemporal", ("focus", "L", "temporal")),
        ("FocusSide\tFocus Lobe", "right\tFrontal lobe", ("focus", "R", "frontal")),
        ("EZ lateralization\tEZ", "LH\tTLE", ("focus", "L", "temporal")),
        ("focus", "left mesial temporal", ("focus", "L", "temporal")),
        ("resected_side\tresected_lobe", "R\tn/a", ("resected", "R", None)),
        ("resection side\tresection", "L\tyes", ("resected", "L", None)),
    ],
)
def test_knowledge__reads_common_spellings(
    tmp_path: Path, columns: str, values: str, expected: tuple[str, str, str]
) -> None:
    (tmp_path / "participants.tsv").write_text(f"participant_id\t{columns}\nsub-01\t{values}\nsub-02\tx\ty\n")
    [truth] = Knowledge(tmp_path).of(_scan())
    assert (truth.against, truth.side, truth.lobe) == expected
    assert truth.source == "participants.tsv"


def test_knowledge__unknown_is_nothing(tmp_path: Path) -> None:
    assert Knowledge(tmp_path).of(_scan()) == []
    (tmp_path / "participants.tsv").write_text("participant_id\tresection\tfocus_side\nsub-01\tyes\tbilateral\n")
    assert Knowledge(tmp_path).of(_scan()) == []


def test_knowledge__damaged_table_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "participants.tsv").write_bytes(b"\xff\xfe\xff")
    with caplog.at_level(logging.WARNING):
        assert Knowledge(tmp_path).of(_scan()) == []
    assert "participants.tsv: not a tab-separated text table" in caplog.text


def test_knowledge__sidecar_of_the_scan_wins(tmp_path: Path) -> None:
    (tmp_path / "participants.tsv").write_text("participant_id\tfocus_side\tresected_side\nsub-01\tL\tL\n")
    folder = tmp_path / "sub-01" / "ses-a" / "spect"
    folder.mkdir(parents=True)
    (folder / "sub-01_ses-a_task-ictal_spect.json").write_text('{"FocusSide": "R", "FocusLobe": "insula"}')
    truths = Knowledge(tmp_path).of(_scan("sub-01_ses-a_task-ictal", "a"))
    assert {(one.against, one.source, one.side) for one in truths} == {
        ("focus", "sidecar", "R"), ("resected", "participants.tsv", "L"),
    }  # fmt: skip


@pytest.fixture
def phantom(tmp_path: Path) -> Path:
    dataset = tmp_path / "phantom"
    dataset.mkdir()
    (dataset / "dataset_description.json").write_text(json.dumps(dataset_description(1, "small", 0)))
    (dataset / "participants.tsv").write_text("participant_id\tfocus_side\nsub-01\tL\n")
    folder = tmp_path / "phantom-truth" / "sub-01"
    folder.mkdir(parents=True)
    rows = ["name\tkind\tx\ty\tz\tscan\tside\tlobe", "temporalLeft\thyper\t-40\t1\t2\tictal_run-1\tL\ttemporal",
            "frontalRight\thypo\t40\t1\t2\tn/a\tn/a\tn/a"]  # fmt: skip
    (folder / "sub-01_foci.tsv").write_text("\n".join(rows) + "\n")
    return dataset


def test_knowledge__phantom_knows_the_place_and_who_had_no_seizure(phantom: Path) -> None:
    knowledge = Knowledge(phantom)
    [with_focus] = knowledge.of(_scan("sub-01_task-ictal_run-1"))
    assert (with_focus.source, with_focus.side, with_focus.lobe) == ("phantom", "L", "temporal")
    assert with_focus.point_mm == (-40, 1, 2)
    [without] = knowledge.of(_scan("sub-01_task-ictal_run-2"))
    assert without.none
    assert without.side is None


def test_knowledge__expects_what_the_phantom_writes(tmp_path: Path) -> None:
    assert {"name", "kind", "x", "y", "z"} <= set(FOCUS_COLUMNS)
    assert {"scan", "side", "lobe"} <= set(STUDY_COLUMNS)
    assert truth_folder(tmp_path / "phantom") == tmp_path / "phantom-truth"


def test_knowledge__truth_beside_another_dataset_is_not_read(phantom: Path) -> None:
    (phantom / "dataset_description.json").write_text("{}")
    [truth] = Knowledge(phantom).of(_scan("sub-01_task-ictal_run-2"))
    assert truth.source == "participants.tsv"


def test_knowledge__phantom_without_columns_of_a_study_takes_the_name(phantom: Path) -> None:
    table = phantom.with_name("phantom-truth") / "sub-01" / "sub-01_foci.tsv"
    table.write_text("name\tkind\tx\ty\tz\nfrontalRight\thyper\t1\t2\t3\n")
    [truth] = Knowledge(phantom).of(_scan())
    assert (truth.side, truth.lobe) == ("R", "frontal")


def test_side_of_and_lobe_of__two_are_none() -> None:
    assert (side_of("left"), side_of("L/R"), side_of("")) == ("L", None, None)
    assert (lobe_of("occipital"), lobe_of("temporo-occipital"), lobe_of("temporal/occipital")) == (
        "occipital", "occipital", None,
    )  # fmt: skip


def test_is_at__deep_holds_insula_and_the_side_counts_where_known() -> None:
    deep = Truth(against="focus", source="", lobe="deep")
    assert deep.is_at(Names(side="R", lobe="insula"))
    assert not deep.is_at(Names(side="R", lobe="temporal"))
    assert not Truth(against="focus", source="", lobe="deep", side="L").is_at(Names(side="R", lobe="deep"))
