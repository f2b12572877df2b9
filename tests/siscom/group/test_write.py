import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bids_spectsynth.bids.output_files import read_table
from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.settings import Settings, make_settings
from bids_spectsynth.siscom.group.write import write_group_siscom
from tests.siscom.group.conftest import LEFT, RIGHT, concordance_row, focus


def _settings(folder: Path, **more: Any) -> Settings:
    (folder / "bids").mkdir(exist_ok=True)
    given = {"bids_dir": folder / "bids", "output_dir": folder / "out", "analysis_level": "group"}
    return make_settings({**given, **more})


@pytest.fixture
def cohort(
    tmp_path: Path,
    add_result: Callable[..., Path],
    add_concordance: Callable[..., None],
    add_images: Callable[[Path, str], None],
) -> Path:
    (tmp_path / "bids").mkdir()
    (tmp_path / "bids/participants.tsv").write_text("participant_id\tfocus_side\nsub-01\tleft\nsub-02\tright\n")
    for participant, at in (("01", LEFT), ("02", RIGHT)):
        for label in ("Real", "Pet"):
            scan = add_result(participant, label, [focus(1, at)])
            add_images(scan, label)
        add_concordance(scan, concordance_row("Real", "Pet", "same focus"))
    return tmp_path


def test_write_group_siscom__writes_described_tables(cohort: Path) -> None:
    written = write_group_siscom(_settings(cohort))
    names = [path.name for path in written]
    assert names == ["group_siscom.tsv", "group_siscom_concordance.tsv", "group_siscom_localisation.tsv"]
    for path in written:
        dictionary = json.loads(path.with_suffix(".json").read_text())
        assert list(dictionary) == list(read_table(path).columns)
        assert "2 participants with 2 ictal scans; 0 seen" in next(iter(dictionary.values()))["Description"]
    hits = read_table(written[2])
    assert list(hits["hit_rate"]) == [1, 1, 1]
    assert set(hits["source"]) == {"participants.tsv"}


def test_write_group_siscom__without_siscom_writes_nothing_and_removes_what_is_stale(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for name in ("group_siscom.tsv", "group_siscom.json", "group_metrics.tsv"):
        (tmp_path / "out" / name).write_text("{}")
    assert write_group_siscom(_settings(tmp_path)) == []
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["group_metrics.tsv"]


def test_write_group_siscom__reader_study_from_cases_to_tables(cohort: Path) -> None:
    study = cohort / "study"
    form, key = write_group_siscom(_settings(cohort, reader_study=study, random_seed=5))[-2:]
    table = cohort / "out/group_siscom.tsv"
    table.unlink()
    with pytest.raises(UsageError, match="is not empty"):
        write_group_siscom(_settings(cohort, reader_study=study))
    assert not table.exists(), "a study that is refused leaves everything as it was"
    true_side = pd.read_csv(key, sep="\t").set_index("case")["side"]
    filled = pd.read_csv(form, sep="\t", dtype=str, keep_default_na=False)
    first = filled["focus"] == "1"
    sides = [true_side[case] for case in filled.loc[first, "case"]]
    filled.loc[first, ["reader", "found", "confidence"]] = ["ab", "yes", "5"]
    filled.loc[first, "side"] = sides
    filled.to_csv(study / "filled.tsv", sep="\t", index=False)
    readers, jafroc = write_group_siscom(_settings(cohort, reader_results=study / "filled.tsv"))[-2:]
    assert (readers.name, jafroc.name) == ("group_siscom_readers.tsv", "group_siscom_jafroc.tsv")
    rates = read_table(readers)
    assert set(rates.loc[rates["measure"] == "hit_side", "value"]) == {1}
    marks = read_table(jafroc)
    assert (marks["mark"] == "LL").all()
    assert set(marks["modality"]) == {"Real", "Pet"}
