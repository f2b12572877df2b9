"""Files of one simulated subject: images with sidecars, and the truth."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from bids_spectsynth.phantom.anatomy import Anatomy
from bids_spectsynth.phantom.nifti import write_volume
from bids_spectsynth.phantom.scanner import Camera, Protocol, Scan, sample
from bids_spectsynth.phantom.seizures import Seizure, edge_distance, volume_ml
from bids_spectsynth.phantom.smooth import Array, FloatArray
from bids_spectsynth.phantom.uptake import Focus, Modality

TRUTH_GRID = Protocol((86, 86, 64), (3.0, 3.0, 3.0), "RAS")
FOCUS_COLUMNS = ("name", "kind", "x", "y", "z", "radius", "pet", "interictal", "ictal")
#: In the study's cohorts also: scan that has the focus, volume (mL), change (percent), depth below the hull (mm).
STUDY_COLUMNS = ("scan", "side", "lobe", "volume_ml", "strength", "depth_mm")


def write_truth(
    folder: Path, anatomy: Anatomy, foci: Sequence[Focus], scans: Mapping[str, Scan], seizure: Seizure | None = None
) -> None:
    """Matrices, brain mask, grey matter and foci; of a cavity its lesion mask.

    Parameters
    ----------
    folder : Path
        The truth's folder of the subject, ``sub-<label>``; created.
    anatomy : Anatomy
    foci : sequence of Focus
    scans : mapping
        By ``T1w``, ``pet``, ``interictal``, ``ictal`` or ``ictal_run-<n>``.
    seizure : Seizure, optional
        That of a study; the foci's table gets its columns.
    """
    folder.mkdir(parents=True, exist_ok=True)
    prefix = folder.name
    for name in scans:
        if name == "T1w":
            continue
        source = "from-pet" if name == "pet" else f"task-{name}_from-spect"
        matrix = t1w_to_scan(scans, name)
        np.savetxt(folder / f"{prefix}_{source}_to-T1w_mode-image_xfm.txt", matrix, fmt="%.10g")
    mask = (sample(anatomy.brain, anatomy.affine, scans["T1w"]) >= 0.5).astype(np.uint8)
    write_volume(folder / f"{prefix}_desc-brain_mask.nii.gz", mask, scans["T1w"].affine)
    cavities = [focus.weight(anatomy) for focus in foci if focus.kind == "cavity"]
    if cavities:
        # In a folder and under a name in which the truth can be given to the program as derivatives.
        (folder / "anat").mkdir(exist_ok=True)
        cavity = sample(np.maximum.reduce(cavities) * anatomy.brain, anatomy.affine, scans["T1w"]) >= 0.5
        path = folder / "anat" / f"{prefix}_label-lesion_mask.nii.gz"
        write_volume(path, cavity.astype(np.uint8), scans["T1w"].affine)
    grid = _truth_scan(anatomy, scans["T1w"])
    grey = sample(anatomy.grey * anatomy.brain, anatomy.affine, grid)
    write_volume(folder / f"{prefix}_label-GM_probseg.nii.gz", grey, grid.affine, slope=1 / 1000)
    columns = FOCUS_COLUMNS if seizure is None else (*FOCUS_COLUMNS, *STUDY_COLUMNS)
    rows = [columns, *(_focus_row(focus, anatomy, scans, seizure) for focus in foci)]
    _write_table(folder / f"{prefix}_foci.tsv", rows)


def _focus_row(focus: Focus, anatomy: Anatomy, scans: Mapping[str, Scan], seizure: Seizure | None) -> tuple[str, ...]:
    """One row of the foci's table."""
    centre = scans["T1w"].head_to_world[:3, :3] @ focus.centre + scans["T1w"].head_to_world[:3, 3]
    numbers = [f"{value:.3f}" for value in (*centre, focus.radius)]
    scanned = {name.partition("_")[0] for name in scans}
    changes: list[Modality] = ["pet", "interictal", "ictal"]
    numbers += [f"{focus.change[m]:.3f}" if m in focus.change and m in scanned else "n/a" for m in changes]
    row = (focus.name, focus.kind, *numbers)
    if seizure is None:
        return row
    if focus.kind != "hyper":
        return (*row, *["n/a"] * len(STUDY_COLUMNS))
    inside = (anatomy.brain > 0.5) & (anatomy.squared_distance(focus.centre) <= focus.radius**2)
    measured = (volume_ml(anatomy, inside), 100 * seizure.strength, edge_distance(anatomy, focus.centre))
    return (*row, "ictal_run-1", seizure.side, seizure.lobe, *(f"{value:.3f}" for value in measured))


def write_scans_table(folder: Path, recordings: Mapping[str, tuple[Camera, float]]) -> None:
    """Resolution and level of the SPECTs of a study, ``sub-<label>_scans.tsv``.

    Parameters
    ----------
    folder : Path
        The truth's folder of the subject.
    recordings : mapping
        Camera, and stored value where the uptake is 1, by name of the scan.
    """
    rows: list[tuple[str, ...]] = [("scan", "camera_fwhm", "filter_fwhm", "fwhm", "level")]
    for name, (camera, level) in recordings.items():
        numbers = (camera.fwhm, camera.filter_fwhm, camera.total_fwhm, level)
        rows.append((name, *(f"{value:.4f}" for value in numbers)))
    _write_table(folder / f"{folder.name}_scans.tsv", rows)


def _write_table(path: Path, rows: Sequence[Sequence[str]]) -> None:
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


def t1w_to_scan(scans: Mapping[str, Scan], name: str) -> FloatArray:
    """True 4x4: world coordinates of the T1w to those of another scan."""
    matrix: FloatArray = scans[name].head_to_world @ np.linalg.inv(scans["T1w"].head_to_world)
    return matrix


def write_noise_free(folder: Path, blurred: Array, anatomy: Anatomy, scans: Mapping[str, Scan]) -> None:
    """Write the interictal SPECT without noise and residual attenuation, on the truth grid.

    Parameters
    ----------
    folder : Path
        The truth's folder of the subject.
    blurred : (i, j, k) array
        On the anatomy's grid.
    anatomy : Anatomy
    scans : mapping
        With ``T1w``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    grid = _truth_scan(anatomy, scans["T1w"])
    values = sample(blurred, anatomy.affine, grid)
    write_volume(folder / f"{folder.name}_task-interictal_desc-noisefree_spect.nii.gz", values, grid.affine)


def _truth_scan(anatomy: Anatomy, t1w: Scan) -> Scan:
    """A 3 mm grid of about 256 x 256 x 192 mm in the T1w's world, centred on the brain's centre of mass."""
    centre = np.array(ndimage.center_of_mass(anatomy.brain)) @ anatomy.affine[:3, :3] + anatomy.affine[:3, 3]
    affine = np.diag([*TRUTH_GRID.voxel_sizes, 1.0])
    middle = t1w.head_to_world[:3, :3] @ centre + t1w.head_to_world[:3, 3]
    affine[:3, 3] = np.round(middle - affine[:3, :3] @ ((np.array(TRUTH_GRID.shape) - 1) / 2), 3)
    return Scan(TRUTH_GRID, affine, t1w.head_to_world)


def write_scan(path: Path, values: Array, scan: Scan, sidecar: Mapping[str, Any], slope: float | None = None) -> None:
    """Image and sidecar.

    Parameters
    ----------
    path : Path
        Without the extension.
    values : array
    scan : Scan
    sidecar : mapping
    slope : float, optional
        Store int16 with this scale factor.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(path.with_name(path.name + ".nii.gz"), values, scan.affine, slope=slope)
    text = json.dumps(sidecar, indent=2) + "\n"
    path.with_name(path.name + ".json").write_text(text, encoding="utf-8")
