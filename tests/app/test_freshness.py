"""What is made again after a change, and what is left as it is."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.app import freshness
from bids_spectsynth.app.freshness import image_product, is_output_of, remove_image
from bids_spectsynth.app.model_choice import load_models
from bids_spectsynth.bids.manifests import manifest_path
from bids_spectsynth.bids.output_files import standard_deviation_path, synthetic_path
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.sidecars import sidecar_path
from bids_spectsynth.bids.writing import write_image
from bids_spectsynth.options.settings import make_settings
from bids_spectsynth.synthesis.prediction.sidecar import model_checksum
from tests.synthesis.data.test_scans import write as write_scans
from tests.synthesis.models.conftest import make_model

KEPT = ("sub-04/**/*", "sub-04.html")
STEM = "sub-04/spect/sub-04_task-interictal_space-{}_desc-pix2pixT1wPet_{}"
IMAGES = {STEM.format(space, f"spect.{kind}") for space in ("T1w", "orig") for kind in ("nii.gz", "json")}
TABLES = {
    STEM.format("T1w", f"{table}.{kind}") for table in ("metrics", "regions", "volume") for kind in ("tsv", "json")
}
METRICS = STEM.format("T1w", "metrics.tsv")


@pytest.fixture
def copied(finished: Any, tmp_path: Path) -> Any:
    """A finished run whose output may be changed."""
    return finished.copy(tmp_path)


@pytest.fixture
def again(copied: Any) -> Callable[..., set[str]]:
    """Apply the model of T1w and PET once more; files of sub-04 that were written."""

    def run(*options: str) -> set[str]:
        before = copied.stamps(*KEPT)
        model = copied.output_dir / "models" / "pix2pixT1wPet"
        result = copied("--mode", "apply", "--model", model, "--participant-label", "04", *options)
        assert result.code == 0, result.err
        after = copied.stamps(*KEPT)
        return {name for name in {*before, *after} if after.get(name) != before.get(name)}

    return run


def prepared_pet(app: Any) -> Path:
    return next(app.output_dir.glob("sub-04/pet/*_desc-preproc_pet.nii.gz"))


def later(path: Path, seconds: int = 60) -> None:
    time = path.stat().st_mtime_ns + seconds * 10**9
    os.utime(path, ns=(time, time))


def test_touched_input_makes_nothing_anew(copied: Any, again: Callable[..., set[str]]) -> None:
    later(prepared_pet(copied), 10**6)
    later(copied.output_dir / "models" / "pix2pixT1wPet" / "baselines.json", 10**6)
    assert again() == set()


def test_changed_input_makes_images_and_ratings_anew(copied: Any, again: Callable[..., set[str]]) -> None:
    path = prepared_pet(copied)
    image = nib.Nifti1Image.from_filename(path)
    data = np.asarray(image.dataobj).copy()
    data[np.unravel_index(data.argmax(), data.shape)] *= 0.5
    sidecar = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
    write_image(path, nib.Nifti1Image(data, image.affine, image.header), sidecar)
    # By its content, not by its time.
    os.utime(path, (0, 0))
    changed = again() - copied.files("sub-04/pet/*")
    assert changed == IMAGES | TABLES | {"sub-04/sub-04_qc.json", "sub-04.html"}
    assert again() == set()


def test_corrected_card_makes_the_image_anew(copied: Any, again: Callable[..., set[str]]) -> None:
    path = copied.output_dir / "models" / "pix2pixT1wPet" / "model.json"
    card = json.loads(path.read_text())
    path.write_text(json.dumps({**card, "created": "2001", "versions": {"torch": "1"}}))
    assert again() <= {"sub-04.html"}, "the page shows the card"
    mean = card["target_statistics"]["mean_in_brain"]
    path.write_text(json.dumps({**card, "target_statistics": {**card["target_statistics"], "mean_in_brain": 2 * mean}}))
    before = nib.load(copied.output_dir / STEM.format("T1w", "spect.nii.gz")).get_fdata().mean()
    assert again() >= IMAGES
    after = nib.load(copied.output_dir / STEM.format("T1w", "spect.nii.gz")).get_fdata().mean()
    assert after == pytest.approx(2 * before, rel=1e-3)


def test_reason_is_said_in_details(copied: Any) -> None:
    path = prepared_pet(copied)
    path.write_bytes(path.read_bytes()[:-8] + b"\0" * 8)
    result = copied("--mode", "apply", "--participant-label", "04", "-v")
    assert result.says("sub-04: image of pix2pixT1wPet is made anew: the PET changed")


def test_another_data_range_makes_ratings_anew_alone(copied: Any, again: Callable[..., set[str]]) -> None:
    assert again("--data-range", "4") == TABLES | {"sub-04.html"}
    assert set(pd.read_csv(copied.output_dir / METRICS, sep="\t")["data_range"]) == {4}
    assert again("--data-range", "4") == set()


@pytest.mark.parametrize("table", ["metrics", "volume"])
def test_cut_table_is_made_anew(copied: Any, again: Callable[..., set[str]], table: str) -> None:
    path = copied.output_dir / STEM.format("T1w", f"{table}.tsv")
    whole = path.read_text()
    lines = whole.splitlines(keepends=True)
    path.write_text("".join(lines[: len(lines) // 2 + 1][:-1]))
    assert again() == TABLES
    assert path.read_text() == whole


def test_changed_image_of_ours_is_made_anew(copied: Any, again: Callable[..., set[str]]) -> None:
    path = copied.output_dir / STEM.format("orig", "spect.nii.gz")
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    assert again() == IMAGES | TABLES
    assert path.read_bytes() == whole


def test_deleted_manifests_lose_nothing(copied: Any, again: Callable[..., set[str]]) -> None:
    manifests = copied.files(".manifests/sub-04/**/*") | {".manifests/sub-04.json"}
    assert len(manifests) >= 5
    for name in manifests:
        (copied.output_dir / name).unlink()
    assert again() == set()
    assert {name for name in manifests if "desc-pix2pixT1w_" not in name} <= copied.files(".manifests/**/*")
    # Taken as it was, from now on by its content.
    later(prepared_pet(copied), 10**6)
    assert again() == set()


def test_outputs_of_an_earlier_version_follow_its_rule(copied: Any, again: Callable[..., set[str]]) -> None:
    for name in copied.files(".manifests/**/*"):
        (copied.output_dir / name).unlink()
    later(prepared_pet(copied), 10**6)
    assert again() == IMAGES | TABLES | {"sub-04.html"}


def test_empty_table_of_an_earlier_version_is_made_anew(copied: Any, again: Callable[..., set[str]]) -> None:
    for name in copied.files(".manifests/**/*"):
        (copied.output_dir / name).unlink()
    (copied.output_dir / METRICS).write_bytes(b"")
    assert again() == TABLES | {"sub-04.html"}


@pytest.mark.parametrize(
    ("table", "column"), [("volume", "baseline_sd_percent"), ("regions", "baseline_variance_share")]
)
def test_tables_of_an_earlier_version_without_a_column_are_made_anew(
    copied: Any, again: Callable[..., set[str]], table: str, column: str
) -> None:
    for name in copied.files(".manifests/**/*"):
        (copied.output_dir / name).unlink()
    path = copied.output_dir / STEM.format("T1w", f"{table}.tsv")
    time = path.stat().st_mtime_ns
    whole = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    whole.drop(columns=column).to_csv(path, sep="\t", index=False)
    os.utime(path, ns=(time, time))
    assert again() >= {STEM.format("T1w", f"{table}.tsv")}
    assert column in pd.read_csv(path, sep="\t").columns


def test_manifest_of_fewer_columns_makes_tables_anew(
    copied: Any, again: Callable[..., set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = {name: entry for name, entry in freshness.VOLUME_DICTIONARY.items() if name != "baseline_sd_percent"}
    with monkeypatch.context() as earlier:
        earlier.setattr(freshness, "VOLUME_DICTIONARY", columns)
        assert again() == TABLES
    assert again() == TABLES
    assert again() == set()


def test_uncertainty_that_is_asked_for_later(copied: Any, again: Callable[..., set[str]]) -> None:
    further = {STEM.format("T1w", "calibration.tsv"), STEM.format("T1w", "calibration.json")}
    deviation = {name.replace("pix2pixT1wPet_", "pix2pixT1wPetSd_") for name in IMAGES if "space-T1w" in name}
    expected = IMAGES | TABLES | further | deviation | {"sub-04.html"}
    assert again("--uncertainty", "2") == expected
    assert again("--uncertainty", "2") == set()
    # Without it nothing is lost, with more samples all is made.
    assert again() == set()
    assert again("--uncertainty", "2") == set()
    assert again("--uncertainty", "3") == expected


def card() -> Any:
    return SimpleNamespace(weights_sha256="abc", prior_sha256="")


def test_is_output_of__image_of_another_model_of_the_same_label(tmp_path: Path) -> None:
    image = tmp_path / "sub-01_desc-m_spect.nii.gz"
    sidecar = tmp_path / "sub-01_desc-m_spect.json"
    assert not is_output_of(image, [card()])
    sidecar.write_text('{"ModelChecksum": "sha256:abc"}')
    assert is_output_of(image, [card()])
    sidecar.write_text('{"ModelChecksum": "sha256:other"}')
    assert not is_output_of(image, [card()])


def test_is_same_sampling__these_networks_and_as_many_samples(tmp_path: Path) -> None:
    path = tmp_path / "sub-01_desc-mSd_spect.nii.gz"

    def held(samples: int, n_networks: int = 1, **facts: Any) -> bool:
        content = {"ModelChecksum": "sha256:abc", "SampledBy": "dropout", "Samples": 5} | facts
        path.with_name(path.name.replace(".nii.gz", ".json")).write_text(json.dumps(content))
        return freshness._is_same_sampling(path, [card()] * n_networks, samples)

    assert held(5)
    assert not held(6)
    assert not held(5, ModelChecksum="sha256:other")
    assert not held(5, SampledBy="ensemble")
    assert not held(5, n_networks=2)


def test_remove_image__standard_deviation_and_ratings_go_with_it(tmp_path: Path) -> None:
    prepared = PreparedCase("01", None, "T1w", {}, {}, None, None)
    images = synthetic_path(tmp_path, prepared, "m"), synthetic_path(tmp_path, prepared, "m", space="orig")
    paths = [*images, *map(sidecar_path, images)]
    paths += [standard_deviation_path(tmp_path, prepared, "m"), *freshness.rating_tables(tmp_path, prepared, "m")]
    paths[0].parent.mkdir(parents=True)
    for path in paths:
        path.write_text("old")
    manifest = manifest_path(tmp_path, images[0])
    manifest.parent.mkdir(parents=True)
    manifest.write_text("what was made")
    remove_image(tmp_path, prepared, "m")
    assert not [path for path in paths if path.exists()]
    assert manifest.exists()


@pytest.mark.parametrize(
    ("option", "recorded", "current"),
    [("none", {}, True), ("resolution", {"pet": 8.0}, True), ("resolution", {}, False), ("none", {"pet": 8.0}, False)],
)
def test_image_product__without_a_manifest_an_image_from_inputs_of_another_resolution_is_outdated(
    tmp_path: Path, option: str, recorded: dict[str, float], current: bool
) -> None:
    widths = {"min": 5.0, "p5": 5.0, "median": 8.0, "p95": 9.0, "max": 9.0, "n": 2}
    own, _ = make_model(tmp_path / "models" / "m", label="m", scans={"pet": {"scans": 2, "fwhm_mm": widths}})
    (model,) = load_models([tmp_path / "models" / "m"])
    prepared = write_scans(tmp_path, "01", 5.0, {})
    plain = {"bids_dir": tmp_path / "data", "output_dir": tmp_path, "analysis_level": "participant", "mode": "apply"}
    settings = make_settings({**plain, "voxel_size": 2, "harmonise": option})
    path = synthetic_path(tmp_path, prepared, "m")
    path.parent.mkdir(parents=True)
    path.touch()
    facts = {"ModelChecksum": model_checksum([own]), "ComparedWithTraining": True}
    sidecar_path(path).write_text(json.dumps({**facts, **({"HarmonisedFWHM": recorded} if recorded else {})}))
    for name in (path, sidecar_path(path)):
        later(name)
    assert image_product(model, prepared, settings).is_current() is current
