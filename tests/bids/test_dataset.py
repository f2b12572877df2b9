"""Top-level files of the output folder."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from bids_spectsynth.bids.dataset import add_descriptions, write_dataset_files
from bids_spectsynth.options.settings import Settings


def test_description_links_the_input_without_an_absolute_path(
    dataset: Callable[..., Path], settings_for: Callable[..., Settings]
) -> None:
    root = dataset("sub-01/anat/sub-01_T1w")
    description = {"Name": "x", "BIDSVersion": "1.10.1", "DatasetDOI": "doi:10.1/x", "License": "CC0"}
    (root / "dataset_description.json").write_text(json.dumps(description))
    settings = settings_for(root)
    write_dataset_files(settings, {"FSL": "6.0"})
    write_dataset_files(settings, {"SimpleITK": "2.4"})
    text = (settings.output_dir / "dataset_description.json").read_text()
    content = json.loads(text)
    assert content["DatasetLinks"] == {"raw": "../raw"}
    assert content["SourceDatasets"] == [{"URL": "../raw", "DOI": "doi:10.1/x"}]
    assert content["License"] == "CC0"
    assert [tool["Name"] for tool in content["GeneratedBy"]] == ["bids_spectsynth", "FSL", "SimpleITK"]
    assert str(root.parent) not in text
    assert "10.3389/fneur.2024.1383773" in (settings.output_dir / "CITATION.md").read_text()
    ignored = (settings.output_dir / ".bidsignore").read_text().splitlines()
    assert {"**/spect", ".manifests", ".bids_spectsynth.lock"} <= set(ignored)


def test_missing_or_damaged_input_does_not_stop_the_output(
    settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = settings_for(tmp_path / "gone")
    settings.output_dir.mkdir()
    (settings.output_dir / "dataset_description.json").write_text("[")
    write_dataset_files(settings, {})
    content = json.loads((settings.output_dir / "dataset_description.json").read_text())
    assert content["DatasetType"] == "derivative"


def test_descriptions_are_added_and_kept(dataset: Callable[..., Path], settings_for: Callable[..., Settings]) -> None:
    settings = settings_for(dataset("sub-01/anat/sub-01_T1w"))
    out = settings.output_dir
    write_dataset_files(settings, {})
    add_descriptions(out, {"pix2pixPet": "A model."})
    add_descriptions(out, {"pix2pixPet": "A better model."})
    write_dataset_files(settings, {})
    table = pd.read_csv(out / "descriptions.tsv", sep="\t", index_col="desc_id")["description"]
    assert set(table.index) == {"desc-preproc", "desc-brain", "desc-pix2pixPet"}
    assert table["desc-pix2pixPet"] == "A better model."


def test_where_the_images_came_from_is_kept_when_the_dataset_is_gone(
    dataset: Callable[..., Path], settings_for: Callable[..., Settings]
) -> None:
    root = dataset("sub-01/anat/sub-01_T1w")
    maker = [{"Name": "bids_spectsynth-phantom", "Version": "1"}]
    description = {"Name": "x", "BIDSVersion": "1.10.1", "License": "CC0", "GeneratedBy": maker}
    (root / "dataset_description.json").write_text(json.dumps(description))
    settings = settings_for(root)
    write_dataset_files(settings, {})
    first = (settings.output_dir / "dataset_description.json").read_text()
    assert json.loads(first)["PhantomData"] is True
    (root / "dataset_description.json").unlink()
    write_dataset_files(settings, {})
    assert (settings.output_dir / "dataset_description.json").read_text() == first


@pytest.mark.parametrize("name", ["README", "README.md", "README.txt"])
def test_a_readme_is_written_and_that_of_somebody_else_kept(
    name: str, dataset: Callable[..., Path], settings_for: Callable[..., Settings]
) -> None:
    settings = settings_for(dataset("sub-01/anat/sub-01_T1w"))
    own = settings.output_dir / "README.md"
    write_dataset_files(settings, {})
    assert "sub-*.html" in own.read_text()
    own.write_text(own.read_text() + "of an earlier version")
    write_dataset_files(settings, {})
    assert "of an earlier version" not in own.read_text()
    own.unlink()
    (settings.output_dir / name).write_text("Mine.\n")
    write_dataset_files(settings, {})
    assert [path.name for path in settings.output_dir.glob("README*")] == [name]
    assert (settings.output_dir / name).read_text() == "Mine.\n"
