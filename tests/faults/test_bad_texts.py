"""Mutated sidecars, settings and tables through their readers: a value of the right type or the error of one line.

A failing case is named by reader and seed; ``bad_texts.mutated(seed, content, kind)`` gives its bytes.
"""

import json
import logging
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bad_texts import mutated
from limits import TooSlowError, at_most

from bids_spectsynth.bids.dataset import add_descriptions, is_simulated
from bids_spectsynth.bids.finding.filters import read_filters
from bids_spectsynth.bids.finding.layout import _check_description, read_metadata
from bids_spectsynth.bids.manifests import Manifest, Product, make_if_outdated, read_manifest
from bids_spectsynth.bids.participants import COLUMNS, read_participants, update_participants
from bids_spectsynth.bids.public import kept_metadata
from bids_spectsynth.bids.sidecars import read_object
from bids_spectsynth.bids.table_records import table_fault
from bids_spectsynth.errors import DatasetError, ImageError, SpectSynthError, UsageError
from bids_spectsynth.evaluation.case.tables import parse_table, read_case_tables
from bids_spectsynth.evaluation.group.page_ratings import read_page_ratings
from bids_spectsynth.options.settings import Settings, make_settings
from bids_spectsynth.options.study_grid import _file_grid
from bids_spectsynth.options.toml import read_toml
from bids_spectsynth.reports.plain_table import plain_table
from bids_spectsynth.siscom.foci.labels import read_label_table
from bids_spectsynth.siscom.group.truth import _participants, _told
from bids_spectsynth.synthesis.cohort.split import read_split_file
from bids_spectsynth.synthesis.prediction.reading import original_grid

SPECT = {
    "TracerName": "HMPAO", "TracerRadionuclide": "Tc99m", "Units": "counts", "FrameDuration": [600, 600],
    "FrameTimesStart": [0, 600], "ReconMethodName": "OSEM", "AttenuationCorrection": "Chang", "InjectionStart": 30,
    "SeizureOnset": 10, "SeizureDuration": 60, "ImageDecayCorrected": True, "MagneticFieldStrength": 3,
    "SourceShape": [12, 13, 11], "OriginalAffine": np.eye(4).tolist(), "OriginalShape": [12, 13, 11],
}  # fmt: skip


def _metadata(path: Path) -> None:
    read_object(path)
    metadata = read_metadata(path.with_name("sub-01_spect.nii.gz"), path.parent)
    kept = kept_metadata(metadata)
    json.dumps(kept).encode()
    assert kept == kept_metadata(kept) or any(value != value for value in kept.values())
    assert all(type(one) in (int, float) for one in kept.get("FrameDuration", []))
    assert len(json.dumps({key: value for key, value in kept.items() if key != "FrameDuration"})) < 2000


def _grid(path: Path) -> None:
    shape, affine = original_grid(path.with_name("sub-01_spect.nii.gz"))
    assert all(type(n) is int and n > 0 for n in shape)
    assert np.isfinite(affine).all()


def _description(path: Path) -> None:
    is_simulated(path.parent)
    _check_description(path.parent)


def _manifest(path: Path) -> None:
    found = read_manifest(path)
    assert found is None or isinstance(found, Manifest)
    output = path.with_name("out.txt")
    output.touch()
    product = Product(name="x", manifest=path, inputs={"the PET": output}, outputs=(output,), is_current=lambda: True,
                      options={"n": 1})  # fmt: skip
    make_if_outdated(product, lambda: None)
    assert read_manifest(path) is not None


def _rated(path: Path) -> None:
    (path.parent / "sub-01").mkdir(exist_ok=True)
    found = read_page_ratings(path.parent, path.parent)
    assert len(found.table) + len(found.left_out) > 0
    assert all("\n" not in line for line in found.left_out)


def _settings(path: Path) -> None:
    values = read_toml(path, Settings)
    settings = make_settings({**values, "bids_dir": path.parent, "output_dir": path.parent / "out",
                              "analysis_level": "participant"})  # fmt: skip
    assert type(settings.epochs) is int
    assert math.isfinite(settings.learning_rate)
    assert settings.voxel_size > 0


def _filters(path: Path) -> None:
    assert all(isinstance(query, dict) for query in read_filters(path, ["FLAIR"]).values())


def _own_participants(path: Path) -> None:
    table = read_participants(path.parent)
    assert set(COLUMNS) <= set(table.columns)
    update_participants(path.parent, {"01": {"status": "ok"}})
    assert "sub-01" in set(read_participants(path.parent)["participant_id"])


def _described(path: Path) -> None:
    add_descriptions(path.parent, {"model": "a model"})
    add_descriptions(path.parent, {"model": "a model"})


def _split(path: Path) -> None:
    found = read_split_file(path, ["01", "02", "03"])
    assert set(found.values()) <= {"train", "validation", "test"}


def _metrics(path: Path) -> None:
    table_fault(path)
    (frame,) = read_case_tables([path], lambda source: parse_table(source, ["method", "ssim"], ["ssim"]), "table")
    assert pd.api.types.is_numeric_dtype(frame["ssim"])


def _plain(path: Path) -> None:
    plain_table(path, "a table")


def _truth(path: Path) -> None:
    for row in _participants(path).values():
        _told(row, "participants.tsv")


@dataclass(frozen=True)
class Reader:
    """A file as it should be, and how it is read."""

    name: str
    content: Any
    read: Callable[[Path], object]
    errors: tuple[type[SpectSynthError], ...]

    @property
    def kind(self) -> str:
        return Path(self.name).suffix


RATING = {"section": "images", "verdict": "good", "comment": "fine"}
RECORD = {"size": 0, "mtime_ns": 1, "sha256": "0" * 64}
READERS = {
    "sidecar": Reader("sub-01_spect.json", SPECT, _metadata, (ImageError,)),
    "sidecar of a prepared image": Reader("sub-01_spect.json", SPECT, _grid, (ImageError,)),
    "description": Reader("dataset_description.json",
                          {"Name": "x", "BIDSVersion": "1.10.0", "GeneratedBy": [{"Name": "x"}]}, _description,
                          (DatasetError,)),
    "manifest": Reader("manifest.json", {"format_version": 1, "inputs": {"the PET": RECORD}, "options": {"n": 1},
                                         "outputs": {"out.txt": RECORD}}, _manifest, ()),
    "ratings": Reader("ratings.json", {"software": "bids_spectsynth", "format_version": 1, "participant_id": "sub-01",
                                       "session_id": "n/a", "rater": "A", "version": "1", "ratings": [RATING]}, _rated,
                      (UsageError,)),
    "ratings as a table": Reader("ratings.tsv", [["participant_id", "session_id", "rater", "version", "section",
                                                  "verdict", "comment"],
                                                 ["sub-01", "n/a", "A", "1", "images", "good", "fine"]], _rated,
                                 (UsageError,)),
    "settings": Reader("settings.toml", {"epochs": 3, "learning_rate": 1e-3, "voxel_size": 2.0, "nprocs": 1,
                                         "inputs": [["T1w", "pet"]], "preset": "demo", "backend": "embedded",
                                         "mode": "train", "siscom": "on", "split": [0.7, 0.2, 0.1]}, _settings,
                       (UsageError,)),
    "study": Reader("study.toml", {"name": "x", "inputs": [["T1w", "pet"], ["T1w"]], "seeds": [1, 2], "spaces": ["T1w"],
                                   "presets": ["best"], "losses": [{"l1_weight": 1.0}]}, _file_grid, (UsageError,)),
    "filters": Reader("filter.json", {"t1w": {"run": 1, "session": ["a", "b"]}, "pet": {"acquisition": None}}, _filters,
                      (UsageError,)),
    "participants": Reader("participants.tsv", [list(COLUMNS), ["sub-01", "train", "ok", "n/a", "n/a", "n/a", "12.5"],
                                                ["sub-02", "test", "failed", "why", "find", "n/a", "n/a"]],
                           _own_participants, (DatasetError,)),
    "descriptions": Reader("descriptions.tsv", [["desc_id", "description"], ["desc-preproc", "prepared"]], _described,
                           (DatasetError,)),
    "split": Reader("split.tsv", [["participant_id", "split"], ["sub-01", "train"], ["sub-02", "validation"],
                                  ["sub-03", "test"]], _split, (UsageError,)),
    "metrics": Reader("metrics.tsv", [["method", "slice", "ssim"], ["network", "1", "0.9"], ["mean", "1", "n/a"]],
                      _metrics, (DatasetError,)),
    "any table": Reader("table.tsv", [["a", "b"], ["1", "2.5"], ["n/a", "x"]], _plain, (DatasetError,)),
    "labels": Reader("x_dseg.tsv", [["index", "name", "hemi"], ["1", "Hippocampus", "L"], ["2", "Amygdala", "R"]],
                     read_label_table, (ImageError,)),
    "truth": Reader("participants.tsv", [["participant_id", "focus", "resected_side"],
                                         ["sub-01", "left temporal", "L"]],
                    _truth, ()),
}  # fmt: skip


def try_reader(name: str, reader: Reader, seeds: range, folder: Path) -> list[str]:
    """Faults of a reader, each with its seed; the file as it should be is taken."""
    faults = []
    for seed in (None, *seeds):
        own = folder / ("good" if seed is None else str(seed))
        own.mkdir(parents=True)
        path = own / reader.name
        whole = json.dumps(reader.content).encode() if reader.kind == ".json" else None
        path.write_bytes(
            (whole or mutated_none(reader)) if seed is None
            else mutated(zlib.crc32(f"{name} {seed}".encode()), reader.content, reader.kind)
        )  # fmt: skip
        try:
            with at_most(10):
                reader.read(path)
        except reader.errors as error:
            if seed is None:
                faults.append(f"{name}: refused as it should be: {error}")
            if "\n" in str(error) or (reader.name not in str(error) and not isinstance(error, UsageError)):
                faults.append(f"{name}, seed {seed}: not one line with the file's name: {str(error)[:300]!r}")
            if len(str(error)) > 3000:
                faults.append(f"{name}, seed {seed}: a line of {len(str(error))} characters")
        except (Exception, TooSlowError) as error:
            faults.append(f"{name}, seed {seed}: {type(error).__name__}: {str(error)[:200]}")
    return faults


def mutated_none(reader: Reader) -> bytes:
    """The content as it should be, where it is no JSON."""
    from bad_texts import _toml

    if reader.kind == ".tsv":
        return "".join("\t".join(row) + "\n" for row in reader.content).encode()
    return "\n".join(f"{key} = {_toml(value)}" for key, value in reader.content.items()).encode()


def _try(name: str, seeds: range, folder: Path, record: Callable[[str, object], None]) -> None:
    record("tried", "mutated sidecars, descriptions, manifests, settings, studies, filters, ratings and tables")
    record("number", len(seeds))
    faults = try_reader(name, READERS[name], seeds, folder)
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults[:15])
    record("seen", "values of the right type, or one line with the file's name")


@pytest.fixture(autouse=True)
def quiet() -> Any:
    """Thousands of warnings are not what is looked at."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", READERS)
def test_read__mutated_text(tmp_path: Path, record_property: Callable[[str, object], None], name: str) -> None:
    _try(name, range(15), tmp_path, record_property)


@pytest.mark.faults
@pytest.mark.parametrize("name", READERS)
def test_read__many_mutated_texts(tmp_path: Path, record_property: Callable[[str, object], None], name: str) -> None:
    _try(name, range(1000, 1110), tmp_path, record_property)
