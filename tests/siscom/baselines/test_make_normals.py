import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.errors import DatasetError, UsageError
from bids_spectsynth.options.settings import make_settings
from bids_spectsynth.siscom.baselines.make_normals import average_normals, make_normals, normal_cases
from bids_spectsynth.siscom.baselines.normals import NORMALS, find_normals, normals_error
from tests.conftest import App
from tests.siscom.baselines.conftest import MakeRequest
from tests.synthesis.baselines.conftest import TEMPLATE, make_case, save, shifted


def heads(folder: Path, n: int) -> list[PreparedCase]:
    rng = np.random.default_rng(0)
    return [make_case(folder, f"{index:02d}", seed=index, matrix=shifted(*rng.uniform(-6, 6, 3))) for index in range(n)]


def test_average_normals__one_anatomy_has_no_spread_whatever_the_gain(tmp_path: Path) -> None:
    images = average_normals(heads(tmp_path, 5), 8.0)
    assert (images.template, images.n_participants, images.fwhm) == (TEMPLATE, 5, 8.0)
    assert images.coverage.max() == 5
    everywhere = images.coverage == 5
    assert images.mean[everywhere].mean() == pytest.approx(1, abs=0.05)
    assert np.median(images.standard_deviation[everywhere]) < 0.02
    assert not images.standard_deviation[images.coverage < 3].any()


def test_average_normals__spread_is_that_of_the_scans(tmp_path: Path) -> None:
    cases = [make_case(tmp_path, f"{index:02d}") for index in range(6)]
    rng = np.random.default_rng(1)
    scans = []
    for index, case in enumerate(cases):
        values = np.zeros((20, 22, 14))
        inside = values == 0
        values[inside] = 100 * (1 + 0.2 * rng.normal(size=inside.sum()))
        scans.append(values)
        path = save(tmp_path / f"noise{index}.nii.gz", values)
        cases[index] = replace(case, images={**case.images, "interictal": path})
    images = average_normals(cases, 0.0)
    assert np.median(images.standard_deviation[images.coverage == 6]) == pytest.approx(0.2 * 0.93, rel=0.1)


def test_average_normals__damaged_scans_are_left_out_and_too_few_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cases = heads(tmp_path, 4)
    cases[1].images["interictal"].write_bytes(b"nothing")
    assert average_normals(cases, 8.0).n_participants == 3
    assert "sub-01 left out" in caplog.text
    cases[2].images["interictal"].write_bytes(b"nothing")
    with pytest.raises(DatasetError, match=r"2 participants .* 3 needed"):
        average_normals(cases, 8.0)
    with pytest.raises(DatasetError, match="0 participants"):
        average_normals([], 8.0)


@pytest.fixture
def with_groups(finished: App, tmp_path: Path) -> App:
    """The finished cohort with a column of groups, in copies of dataset and output."""
    app = finished.copy(tmp_path)
    dataset = tmp_path / "data"
    dataset.mkdir()
    labels = {"01": "healthy", "03": "healthy", "04": "healthy", "05": "healthy", "06": "ill", "07": "ill"}
    rows = [f"sub-{label}\t{group}" for label, group in labels.items()]
    (dataset / "participants.tsv").write_text("\n".join(["participant_id\tgroup", *rows]) + "\n")
    return App(dataset, app.output_dir)


def settings_of(app: App, condition: str):
    values = {"bids_dir": app.bids_dir, "output_dir": app.output_dir, "analysis_level": "group"}
    return make_settings({**values, "make_normals": condition})


def test_make_normals__written_found_and_carried(
    with_groups: App, make_request: MakeRequest, caplog: pytest.LogCaptureFixture
) -> None:
    folder = make_normals(settings_of(with_groups, "group=healthy"))
    assert folder == with_groups.output_dir / "normals"
    assert "4 participants only" in caplog.text
    (normals,) = find_normals(folder)
    assert (normals.n_participants, normals.fwhm) == (4, 12.0)
    written = "".join(path.read_text() for path in folder.glob("*.json"))
    assert not any(label in written for label in ("sub-01", "sub-03", "sub-04", "sub-05"))
    assert json.loads((folder / "dataset_description.json").read_text())["DatasetType"] == "derivative"
    assert (
        json.loads(normals.mean.with_name(normals.mean.name.replace(".nii.gz", ".json")).read_text())["TracerName"]
        == "HMPAO"
    )
    (case,) = normal_cases(with_groups.output_dir, ["06"])
    request = replace(make_request(), case=case, ictal="interictal", normals=folder)
    (found,) = NORMALS.make(request)
    assert found.values[request.brain].mean() == pytest.approx(1, abs=0.1)
    error, _ = normals_error(request)
    assert error is not None
    assert 0 < np.nanmedian(error.standard_deviation) < 30


def test_make_normals__nobody_or_too_few(with_groups: App) -> None:
    with pytest.raises(DatasetError, match=r"1 participants .* 3 needed"):
        make_normals(settings_of(with_groups, "group=ill"))
    with pytest.raises(UsageError, match="--make-normals group=none: nobody"):
        make_normals(settings_of(with_groups, "group=none"))
    with pytest.raises(UsageError, match=r"--make-normals side=left: .* no column side"):
        make_normals(settings_of(with_groups, "side=left"))
