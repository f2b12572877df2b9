import gzip
import logging
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.errors import UsageError
from bids_spectsynth.siscom.group import study
from bids_spectsynth.siscom.group.results import read_results
from bids_spectsynth.siscom.group.study import check_empty, design, write_study
from bids_spectsynth.siscom.group.truth import Knowledge
from bids_spectsynth.siscom.outputs.paths import map_path
from tests.siscom.group.conftest import AFFINE, focus

#: Labels that nothing else has in it.
_PEOPLE = ("Qx1", "Qx2", "Qx3", "Qx4")
_LABELS = ("Real", "Zbest", "Pet")


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take most of the time, and have tests of their own."""
    monkeypatch.setattr(study, "write_mosaic", lambda path, title, *_: path.write_text(title))


@pytest.fixture
def output(tmp_path: Path, add_result: Callable[..., Path], add_images: Callable[[Path, str], None]) -> Path:
    for person in _PEOPLE:
        for label in _LABELS:
            add_images(add_result(person, label, [focus()], Threshold=2.5), label)
    return tmp_path / "out"


def _write(output: Path, folder: Path, seed: int = 7) -> list[Path]:
    return write_study(read_results(output), Knowledge(folder.parent), output, folder, seed)


def test_design__is_balanced_and_never_shows_a_scan_twice_in_a_reading(output: Path) -> None:
    cases = design(read_results(output), 3)
    assert [case.name for case in cases] == [f"case-{n:03d}" for n in range(1, 13)]
    pairs = Counter((case.reading, case.result.found.ictal) for case in cases)
    assert set(pairs.values()) == {1}
    assert len(pairs) == 12
    counts = Counter((case.reading, case.result.label) for case in cases)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert [case.reading for case in cases] == sorted(case.reading for case in cases)


def test_design__seed_decides_and_the_order_of_results_does_not(output: Path) -> None:
    results = read_results(output)
    order = [[(case.result.found.ictal, case.result.label) for case in design(own, seed)] for own, seed in (
        (results, 1), (results[::-1], 1), (results, 2),
    )]  # fmt: skip
    assert order[0] == order[1] != order[2]
    assert order[0] != sorted(order[0])


def test_design__leaves_out_seen_participants_and_other_baselines(
    tmp_path: Path, add_result: Callable[..., Path]
) -> None:
    add_result("01", "Best", [focus()], seen=True)
    add_result("02", "Cohort", [focus()], Baseline={"Kind": "cohort"})
    add_result("03", "Best", [focus()])
    assert [case.result.participant for case in design(read_results(tmp_path / "out"), 0)] == ["sub-03"]


def test_write_study__nothing_in_it_tells_who_or_what(output: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    form, key = _write(output, folder)
    assert key == tmp_path / "study-key" / "key.tsv"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 12 * 7 + 3
    told = re.compile("|".join([*_PEOPLE, *_LABELS, "Synthetic", "real", str(tmp_path)]).encode())
    for path in files:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert not told.search(path.relative_to(folder).as_posix().encode())
        assert not told.search(content), path
    assert form.parent == folder


@pytest.mark.usefixtures("no_pictures")
def test_write_study__key_leads_back_to_the_maps(output: Path, tmp_path: Path) -> None:
    (tmp_path / "participants.tsv").write_text("participant_id\tresected_side\nsub-Qx2\tleft\n")
    _, path = _write(output, tmp_path / "study")
    key = pd.read_csv(path, sep="\t", keep_default_na=False)
    row = key[(key["participant_id"] == "sub-Qx2") & (key["baseline"] == "Pet")].iloc[0]
    assert (row["kind"], row["truth"], row["side"], row["ictal"]) == ("pet", "resected", "L", "sub-Qx2_task-ictal")
    assert set(key.loc[key["participant_id"] == "sub-Qx1", "truth"]) == {"n/a"}
    folder = tmp_path / "study" / row["case"]
    image = nib.load(folder / f"{row['case']}_stat-z_statmap.nii.gz")
    scan = output / "sub-Qx2" / "spect" / "sub-Qx2_task-ictal_space-T1w_desc-preproc_spect.nii.gz"
    np.testing.assert_array_equal(image.get_fdata(), nib.load(map_path(scan, "Pet", "z")).get_fdata())
    np.testing.assert_array_equal(image.affine, AFFINE)
    t1w = nib.load(folder / f"{row['case']}_T1w.nii.gz").get_fdata()
    assert (t1w[0] == 0).all()
    assert (t1w[1:-1, 1:-1, 1:-1] > 0).all()


@pytest.mark.usefixtures("no_pictures")
def test_write_study__form_has_three_rows_for_each_case(output: Path, tmp_path: Path) -> None:
    path, _ = _write(output, tmp_path / "study")
    form = pd.read_csv(path, sep="\t", keep_default_na=False)
    assert list(form["case"]) == [f"case-{n:03d}" for n in range(1, 13) for _ in range(3)]
    assert list(form["focus"]) == [1, 2, 3] * 12
    answers = form[["reader", "found", "side", "lobe", "x_mm", "y_mm", "z_mm", "confidence"]]
    assert (answers == "").all().all()


@pytest.mark.usefixtures("no_pictures")
def test_write_study__equal_seeds_give_equal_bytes(output: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        _write(output, tmp_path / name)
    contents = [
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("a", "b")
    ]
    assert contents[0] == contents[1]
    assert (tmp_path / "a-key/key.tsv").read_bytes() == (tmp_path / "b-key/key.tsv").read_bytes()


@pytest.mark.parametrize("name", ["study/form.tsv", "study-key/key.tsv", "study"])
def test_check_empty__refuses_a_folder_with_anything_in_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        check_empty(tmp_path / "study")
    assert path.read_text() == "mine"


@pytest.mark.usefixtures("no_pictures")
def test_write_study__damaged_map_is_named_and_left_out(
    output: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    [broken] = output.glob("sub-Qx1/spect/*siscomPet_stat-z_statmap.nii.gz")
    broken.write_bytes(broken.read_bytes()[:100])
    with caplog.at_level(logging.WARNING):
        form, key = _write(output, tmp_path / "study")
    assert str(broken) in caplog.text
    assert len(pd.read_csv(key, sep="\t")) == 11
    assert len({path.name for path in form.parent.iterdir() if path.is_dir()}) == 11


def test_write_study__of_nobody_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no SISCOM"):
        write_study([], Knowledge(tmp_path), tmp_path, tmp_path / "study", 0)
