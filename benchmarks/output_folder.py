"""Builds an output folder with a made-up study, laid out as the participant level leaves it, for benchmarks.

Every participant is held out by every model of the study fard2024. Numbers are random: errors with a level of each
subject, each model, and each subject and model, and neighbouring slices that resemble each other. Images are the same
for all participants (hard links), because the group level reads those of a few examples alone.
"""

import itertools
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from scipy.signal import lfilter

from bids_spectsynth.bids.names import output_path
from bids_spectsynth.bids.participants import update_participants
from bids_spectsynth.bids.writing import write_image, write_json, write_matrix, write_table
from bids_spectsynth.evaluation.case.metrics import METRICS
from bids_spectsynth.evaluation.case.region_columns import REGIONS_DICTIONARY, VOLUME_DICTIONARY
from bids_spectsynth.evaluation.case.regions import asymmetry_index, regions_of
from bids_spectsynth.evaluation.case.slice_columns import slice_dictionary
from bids_spectsynth.evaluation.columns import METHODS, NETWORK
from bids_spectsynth.evaluation.uncertainty.rating import CALIBRATION_DICTIONARY, calibration
from bids_spectsynth.options.settings import T1W_SPACE, Scaling, make_settings
from bids_spectsynth.synthesis.study import PlannedModel, planned_models

#: Slices with brain above and below the block that training takes.
BEYOND = 40
#: Semi-axes of the brain, mm.
BRAIN = np.array([68.0, 85.0, 60.0])
DATA_RANGE = 2.0


@dataclass(frozen=True)
class Study:
    """Sizes of the study.

    ``everything`` writes all rows that the program writes: networks on both scales, the five baselines, and slices
    beyond the block. Without it there are the rows of the article: networks on its scale, slices in the block.
    ``scaling`` is that of the models' training; ``ragged`` leaves out up to ten slices of each subject, as where the
    SPECT does not reach down to the block's first ones.
    """

    subjects: int
    models: int
    slices: int
    image_shape: tuple[int, int, int]
    everything: bool
    scaling: Scaling = "slice"
    ragged: bool = False
    seed: int = 1234

    @property
    def labels(self) -> list[str]:
        """Participants without ``sub-``."""
        return [f"{number:03d}" for number in range(1, self.subjects + 1)]

    @property
    def voxel_size(self) -> float:
        """Of the images, mm: they all show the same head."""
        return 256.0 / self.image_shape[0]


def study_models(study: Study) -> tuple[PlannedModel, ...]:
    """The first models of the article's twelve."""
    required = {"bids_dir": ".", "output_dir": ".", "analysis_level": "participant"}
    return planned_models(make_settings({**required, "study": "fard2024"}))[: study.models]


def build(folder: Path, study: Study) -> None:
    """Write the whole output folder."""
    models = study_models(study)
    write_json(folder / "dataset_description.json", {"Name": "made up", "BIDSVersion": "1.10.1", "PhantomData": True})
    update_participants(folder, {label: {"split": "test", "status": "ok", "reason": ""} for label in study.labels})
    for model in models:
        write_json(folder / "models" / model.label / "model.json", _card(model))
    write_images(folder, study, models)
    regions = _region_rows()
    for number, label in enumerate(study.labels):
        (folder / f"sub-{label}.html").write_text("<!doctype html>\n")
        subject = np.random.default_rng([study.seed, number])
        level, uptake = 0.02 * subject.standard_normal(), 1 + 0.2 * subject.standard_normal(len(regions))
        for place, model in enumerate(models):
            rng = np.random.default_rng([study.seed, number, place])
            write_tables(folder, study, label, model, (level, 0.01 * (place % 5)), regions.assign(real=uptake), rng)


def _card(model: PlannedModel) -> dict[str, Any]:
    return {
        "label": model.label,
        "inputs": list(model.inputs),
        "space": model.space,
        "scaling": model.settings.intensity_scaling,
        "voxel_size": 1.0,
        "losses": {"l1": 100.0, "adversarial": 1.0, "ssim": model.settings.ssim_weight},
        "training": {"participants": 40, "epochs": 200, "best_epoch": 150},
        "validation": {"rmse": 0.1, "ssim": 0.9},
        "architecture": {"base_filters": 64},
    }


def identity(label: str, model: PlannedModel, scaling: Scaling) -> dict[str, Any]:
    """Columns that say whose and what the rows are."""
    return {
        "participant_id": f"sub-{label}",
        "session_id": "n/a",
        "model": model.label,
        "configuration": model.configuration,
        "seed": model.seed,
        "inputs": "+".join(model.inputs),
        "space": model.space,
        "scaling": scaling,
        "losses": model.losses,
        "recipe": model.preset_name,
        "training": "0a1b2c3d",
        "split": "test",
    }


def write_tables(
    folder: Path,
    study: Study,
    label: str,
    model: PlannedModel,
    levels: tuple[float, float],
    regions: pd.DataFrame,
    rng: np.random.Generator,
) -> None:
    """Metrics, regions, volume measures and calibration of one case and model; ``levels`` of the subject, the model."""
    who = identity(label, model, study.scaling)
    entities = {"task": "interictal", "space": model.space, "desc": model.label}
    paths = {
        suffix: output_path(folder, label, None, "spect", entities, suffix, ".tsv")
        for suffix in ("metrics", "regions", "volume", "calibration")
    }
    rows = pd.concat([*_metric_rows(study, who, levels, rng)], ignore_index=True)
    write_table(paths["metrics"], rows[list(slice_dictionary())], slice_dictionary())
    made = regions["real"].to_numpy() * (1 + levels[0] + 0.05 * rng.standard_normal(len(regions)))
    by_region = regions.assign(**who, method=NETWORK, template="MNI152NLin2009aSym", synthetic=made)
    for name in ("real", "synthetic"):
        values = by_region[name].to_numpy()
        by_region[f"asymmetry_{name}"] = np.repeat(asymmetry_index(values[::2], values[1::2]), 2)
    share = rng.uniform(0.2, 1.5, len(by_region))
    by_region = by_region.assign(baseline_variance_share=share, baseline_residual_percent=rng.normal(0, 5, len(share)))
    write_table(paths["regions"], by_region[list(REGIONS_DICTIONARY)], REGIONS_DICTIONARY)
    measures = {name: rng.uniform(0.8, 1.2) for name in VOLUME_DICTIONARY if name not in who}
    counts = {"n_pairs": 50, "rated_voxels": 1_400_000, "rated_slices": study.slices}
    volume = pd.DataFrame([{**measures, **who, "method": NETWORK, **counts}])
    write_table(paths["volume"], volume[list(VOLUME_DICTIONARY)], VOLUME_DICTIONARY)
    real, error = rng.uniform(0.5, 1.5, (2, 10, 10, 10))
    found = calibration(real, real + 0.1 * error, 0.1 * error, np.ones(real.shape, dtype=bool))
    known = {name: who[name] for name in ("participant_id", "session_id", "model", "configuration", "space", "split")}
    found = found.assign(**known, sampled_by="dropout", samples=20)
    write_table(paths["calibration"], found[list(CALIBRATION_DICTIONARY)], CALIBRATION_DICTIONARY)


def _metric_rows(
    study: Study, who: Mapping[str, Any], levels: tuple[float, float], rng: np.random.Generator
) -> Iterator[pd.DataFrame]:
    """Rows of every method and scale."""
    n_slices = study.slices + (BEYOND if study.everything else 0)
    first = BEYOND // 2 if study.everything else 0
    k = np.arange(n_slices)
    inside = (k >= first) & (k < first + study.slices)
    place = {
        # The middle of the block is in the image, however small: an example figure shows it.
        "slice": k - n_slices // 2 + study.image_shape[2] // 2,
        "z_mm": k - n_slices / 2,
        "in_block": np.where(inside, "true", "false"),
        "block_position": pd.Series(k - first).where(inside).astype("Int64"),
        "mask_voxels": np.round(15_000 * np.sin(np.pi * (k + 1) / (n_slices + 1))).astype(int),
    }
    runs = [(NETWORK, "slice")]
    if study.everything:
        runs += [(method, study.scaling) for method in METHODS if method != NETWORK]
        runs += [(NETWORK, "volume")]
    missing = int(who["participant_id"][4:]) % 11 if study.ragged else 0
    for number, (method, scale) in enumerate(runs):
        level = 0.08 + 0.02 * number + levels[0]
        network = method == NETWORK
        values = _metrics(n_slices, level + levels[1] * network, rng if network else _shared(study, who, method))
        rows = pd.DataFrame({**place, **values}).assign(**who, method=method, scale=scale, data_range=DATA_RANGE)
        yield rows[first + missing :] if missing else rows


def _shared(study: Study, who: Mapping[str, Any], method: str) -> np.random.Generator:
    """Random numbers of a baseline, which all models of a space share; the regression, those of the same inputs."""
    inputs = who["inputs"] if method == "regression" else ""
    name = f"{who['participant_id']} {who['space']} {method} {inputs}"
    return np.random.default_rng([study.seed, zlib.crc32(name.encode())])


def _metrics(n: int, level: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The metrics of neighbouring slices; those that came later than the first six are like the error."""
    noise = lfilter([0.4], [1, -0.9], rng.standard_normal((6, n)), axis=1)
    rmse = np.clip(level + 0.01 * rng.standard_normal() + 0.01 * noise[0], 0.005, 1)
    mask_rmse = 2 * rmse + 0.002 * np.abs(noise[1])
    values = (
        rmse,
        1 - rmse + 0.005 * noise[2],
        20 * np.log10(DATA_RANGE / rmse) + 0.1 * noise[3],
        mask_rmse,
        1 - 2 * rmse + 0.005 * noise[4],
        20 * np.log10(DATA_RANGE / mask_rmse) + 0.1 * noise[5],
    )
    names = ("rmse", "ssim", "psnr", "mask_rmse", "mask_ssim", "mask_psnr")
    return dict.fromkeys(METRICS, mask_rmse) | dict(zip(names, values, strict=True))


def _region_rows() -> pd.DataFrame:
    """Regions of an ellipsoid of a brain's size, on a grid of 4 mm."""
    axes = [np.arange(-length + 2, length, 4) for length in BRAIN]
    points = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")])
    inside = (np.square(points / BRAIN[:, None]).sum(axis=0)) < 1
    return regions_of(points[:, inside], 0.064).table


def write_images(folder: Path, study: Study, models: Sequence[PlannedModel]) -> None:
    """Prepared and synthetic images of every participant and the transforms of their registrations."""
    sources = {name: folder / "models" / f"{name}.nii.gz" for name in ("brain", "uptake")}
    brain, uptake, affine = _head(study)
    write_image(sources["brain"], nib.Nifti1Image(brain.astype(np.uint8), affine), {})
    write_image(sources["uptake"], nib.Nifti1Image(uptake, affine), {})
    slope = np.full(study.image_shape[2], float(uptake.max()) / 2).tolist()
    spaces = dict.fromkeys(model.space for model in models)
    for label in study.labels:
        for space, (datatype, entities, suffix) in itertools.product(spaces, _PREPARED):
            path = output_path(folder, label, None, datatype, {**entities, "space": space}, suffix, ".nii.gz")
            _link(path, sources["brain" if suffix == "mask" else "uptake"], {"SkullStripped": True})
        for model in models:
            own = {"task": "interictal", "space": model.space, "desc": model.label}
            path = output_path(folder, label, None, "spect", own, "spect", ".nii.gz")
            _link(path, sources["uptake"], {"Synthetic": True, "ScaleSlope": slope, "ScaleIntercept": slope})
        for datatype, kind, start, end in _TRANSFORMS:
            own = {"from": start, "to": end, "mode": "image"}
            path = output_path(folder, label, None, datatype, own, "xfm", ".txt")
            facts = {"Type": kind, "Metric": "Mattes mutual information", "Score": 0.7, "Overlap": 0.93, "Poor": False}
            write_matrix(path, np.eye(4), facts)
    for source in sources.values():
        source.unlink()
        source.with_name(source.name.removesuffix(".nii.gz") + ".json").unlink()


_PREPARED: tuple[tuple[str, Mapping[str, str], str], ...] = (
    ("anat", {"desc": "preproc"}, "T1w"),
    ("anat", {"desc": "brain"}, "mask"),
    ("pet", {"trc": "FDG", "desc": "preproc"}, "pet"),
    ("spect", {"task": "interictal", "trc": "HMPAO", "desc": "preproc"}, "spect"),
    ("spect", {"task": "interictal", "trc": "HMPAO", "desc": "brain"}, "mask"),
)
_TRANSFORMS = (
    ("pet", "rigid", "pet", T1W_SPACE),
    ("spect", "rigid", "spect", T1W_SPACE),
    ("anat", "affine", T1W_SPACE, "MNI152NLin2009aSym"),
)


def _head(study: Study) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Brain, uptake and affine; zero outside of the brain as in prepared images."""
    size = study.voxel_size
    centres = [size * (np.arange(n) - (n - 1) / 2) for n in study.image_shape]
    x, y, z = np.meshgrid(*centres, indexing="ij", sparse=True)
    brain = (x / BRAIN[0]) ** 2 + (y / BRAIN[1]) ** 2 + (z / BRAIN[2]) ** 2 < 1
    noise = np.random.default_rng(study.seed).random(study.image_shape, dtype=np.float32)
    uptake = np.where(brain, 50 + 20 * np.cos(x / 15) * np.cos(y / 20) + 5 * noise, 0).astype(np.float32)
    affine = np.diag([size, size, size, 1.0])
    affine[:3, 3] = [axis[0] for axis in centres]
    return brain, uptake, affine


def _link(path: Path, source: Path, sidecar: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.hardlink_to(source)
    write_json(path.with_name(path.name.partition(".")[0] + ".json"), sidecar)
