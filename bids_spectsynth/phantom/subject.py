"""One simulated subject: anatomy, scans, and the files of both."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import ndimage

from bids_spectsynth.phantom import sidecars
from bids_spectsynth.phantom.anatomy import Anatomy, Folds, Person, make_anatomy
from bids_spectsynth.phantom.atlas import load_atlas
from bids_spectsynth.phantom.head import t1w_signal
from bids_spectsynth.phantom.nifti import write_volume
from bids_spectsynth.phantom.scanner import (
    MRI_PROTOCOLS,
    PET_PROTOCOLS,
    SPECT_PROTOCOLS,
    Protocol,
    Scan,
    acquire_emission,
    acquire_mri,
    place_scan,
    rigid,
    sample,
)
from bids_spectsynth.phantom.smooth import Array, FloatArray
from bids_spectsynth.phantom.uptake import (
    Focus,
    Modality,
    attenuation_residual,
    blur,
    draw_foci,
    resect,
    uptake_maps,
)

Size = Literal["small", "paper"]
#: Voxel sizes (mm) of the anatomy, T1w, PET and SPECT; ``None``: as in the protocol.
RESOLUTION: Mapping[str, tuple[float, float | None, float | None, float | None]] = {
    "small": (1.7, 1.8, 2.8, 4.0),
    "paper": (1.0, None, None, None),
}
#: Camera resolution before the postfilter, the postfilter (both FWHM in mm), and counts per mm^3 in cortex.
PET_CAMERA = (4.5, 3.5, 4.0)
SPECT_CAMERA = (7.5, 5.0, 0.7)
#: The brain stays this much narrower than the MRI slab, millimetres.
SLAB_MARGIN = 10.0
TRUTH_GRID = Protocol((86, 86, 64), (3.0, 3.0, 3.0), "RAS")


@dataclass(frozen=True)
class SubjectPlan:
    """What subject number `index` (from 0) is to be; depends on nothing but the index and the options.

    Every second subject has an ictal SPECT, every fourth a resection cavity; protocols and storage forms take turns.
    """

    index: int
    size: Size
    seed: int
    folds: Folds = "average"

    @property
    def label(self) -> str:
        """Participant label without ``sub-``."""
        return f"{self.index + 1:02d}"

    @property
    def ictal(self) -> bool:
        """Whether there is an ictal SPECT."""
        return self.index % 2 == 0

    @property
    def cavity(self) -> bool:
        """Whether tissue was resected."""
        return self.index % 4 == 1

    @property
    def pet_frames(self) -> int:
        """Time frames of the PET."""
        return 4 if self.index % 8 == 2 else 1

    @property
    def spect_bed_shift(self) -> FloatArray:
        """Offset (mm) of the SPECT's world, as where the couch position is stored in the origin."""
        return np.array([0.0, 0.0, -180.0 if self.index % 8 == 5 else 0.0])

    def protocols(self) -> tuple[Protocol, Protocol, Protocol]:
        """Protocols of T1w, PET and SPECT at the cohort's size."""
        _, *voxel_sizes = RESOLUTION[self.size]
        chosen = (
            MRI_PROTOCOLS[self.index % len(MRI_PROTOCOLS)],
            PET_PROTOCOLS[self.index % len(PET_PROTOCOLS)],
            SPECT_PROTOCOLS[self.index % len(SPECT_PROTOCOLS)],
        )
        t1w, pet, spect = (p if v is None else p.coarser(v) for p, v in zip(chosen, voxel_sizes, strict=True))
        return t1w, pet, spect

    def generators(self) -> tuple[np.random.Generator, ...]:
        """Independent random streams: person, anatomy, signal, uptake, geometry, noise, cortical folds."""
        streams = np.random.SeedSequence([self.seed, self.index]).spawn(7)
        return tuple(np.random.default_rng(stream) for stream in streams)

    def person(self) -> Person:
        """Age, sex and the widest brain that the MRI slab holds."""
        rng = self.generators()[0]
        widest = self.protocols()[0].extent("LR") - SLAB_MARGIN
        return Person(int(rng.integers(19, 62)), str(rng.choice(["F", "M"])), widest)


def make_subject(plan: SubjectPlan, dataset: Path, truth: Path) -> None:
    """Simulate one subject and write its images and its truth.

    Parameters
    ----------
    plan : SubjectPlan
    dataset, truth : Path
        Folders of the BIDS dataset and of the truth; they exist.
    """
    _, anatomy_rng, signal_rng, uptake_rng, geometry_rng, noise_rng, folding_rng = plan.generators()
    folding = folding_rng if plan.folds == "individual" else None
    anatomy = make_anatomy(anatomy_rng, load_atlas(), plan.person(), RESOLUTION[plan.size][0], folding)
    foci = draw_foci(uptake_rng, anatomy, cavity=plan.cavity, ictal=plan.ictal)
    anatomy = resect(anatomy, foci)
    modalities: tuple[Modality, ...] = ("pet", "interictal", "ictal") if plan.ictal else ("pet", "interictal")
    scans = place_scans(geometry_rng, anatomy, plan, modalities)
    folder = dataset / f"sub-{plan.label}"
    signal = t1w_signal(signal_rng, anatomy)
    t1w = acquire_mri(noise_rng, signal, anatomy.affine, scans["T1w"], noise_rng.uniform(0.02, 0.04))
    _write_scan(folder / "anat" / f"sub-{plan.label}_T1w", t1w, scans["T1w"], sidecars.t1w_sidecar(), slope=1.0)
    del signal, t1w
    voxel_sizes = np.diag(anatomy.affine)[:3]
    for modality, uptake in uptake_maps(uptake_rng, anatomy, foci, modalities).items():
        camera = PET_CAMERA if modality == "pet" else SPECT_CAMERA
        blurred = blur(uptake * attenuation_residual(uptake_rng, anatomy), voxel_sizes, camera[0])
        _write_emission(noise_rng, plan, folder, modality, blurred, anatomy, scans[modality])
        if modality == "interictal":
            _write_noise_free(
                plan, truth, blur(uptake, voxel_sizes, float(np.hypot(*SPECT_CAMERA[:2]))), anatomy, scans
            )
    _write_truth(plan, truth, anatomy, foci, scans)


def place_scans(
    rng: np.random.Generator, anatomy: Anatomy, plan: SubjectPlan, modalities: Sequence[Modality]
) -> dict[str, Scan]:
    """Geometry of the T1w and of each emission scan: rotated by up to 15 degrees, shifted by up to 20 mm.

    Parameters
    ----------
    rng : Generator
    anatomy : Anatomy
    plan : SubjectPlan
    modalities : sequence of str
        Emission scans: ``pet``, ``interictal``, ``ictal``.

    Returns
    -------
    dict
        By ``T1w`` and modality.

    Raises
    ------
    ValueError
        A field of view is smaller than the brain.
    """
    mask = anatomy.brain > 0.5
    surface = np.argwhere(mask & ~ndimage.binary_erosion(mask)) @ anatomy.affine[:3, :3] + anatomy.affine[:3, 3]
    centre = (surface.min(axis=0) + surface.max(axis=0)) / 2
    t1w, pet, spect = plan.protocols()
    head_to_t1w = rigid(rng, 8.0, 15.0, centre)
    scans = {"T1w": place_scan(rng, t1w, head_to_t1w, surface, tilt=4.0, top_margin=20.0)}
    t1w_centre = head_to_t1w[:3, :3] @ centre + head_to_t1w[:3, 3]
    for modality in modalities:
        motion = rigid(rng, 15.0, 20.0, t1w_centre)
        if modality != "pet":
            motion[:3, 3] += plan.spect_bed_shift
        protocol = pet if modality == "pet" else spect
        scans[modality] = place_scan(rng, protocol, motion @ head_to_t1w, surface, tilt=2.0, top_margin=40.0)
    return scans


def t1w_to_scan(scans: Mapping[str, Scan], modality: str) -> FloatArray:
    """True 4x4: world coordinates of the T1w to those of another scan."""
    matrix: FloatArray = scans[modality].head_to_world @ np.linalg.inv(scans["T1w"].head_to_world)
    return matrix


def _write_emission(
    rng: np.random.Generator,
    plan: SubjectPlan,
    folder: Path,
    modality: Modality,
    blurred: Array,
    anatomy: Anatomy,
    scan: Scan,
) -> None:
    """Record one PET or SPECT and write it, in the storage form that is this subject's turn."""
    pet = modality == "pet"
    frames = plan.pet_frames if pet else 1
    _, filter_fwhm, counts = PET_CAMERA if pet else SPECT_CAMERA
    counts *= float(rng.uniform(0.7, 1.3))
    activity = acquire_emission(
        rng, blurred, anatomy.affine, scan, counts=counts, filter_fwhm=filter_fwhm, frames=frames
    )
    activity *= np.float32((20000 if pet else 800) * np.exp(0.25 * rng.standard_normal()))
    stored_4d = frames > 1 or (not pet and plan.index % 3 == 1)
    if stored_4d and activity.ndim == 3:
        activity = activity[..., None]
    integers = plan.index % 4 != 3 if pet else plan.index % 2 == 1
    slope = float(activity.max()) / 32000 if integers else None
    if pet:
        path = folder / "pet" / f"sub-{plan.label}_trc-FDG_pet"
        _write_scan(path, activity, scan, sidecars.pet_sidecar(frames, stored_4d, filter_fwhm), slope)
    else:
        path = folder / "spect" / f"sub-{plan.label}_task-{modality}_trc-HMPAO_spect"
        _write_scan(path, activity, scan, sidecars.spect_sidecar(modality, stored_4d, filter_fwhm), slope)


def _write_truth(
    plan: SubjectPlan, truth: Path, anatomy: Anatomy, foci: Sequence[Focus], scans: Mapping[str, Scan]
) -> None:
    """Matrices, brain mask, grey matter and foci."""
    folder = truth / f"sub-{plan.label}"
    folder.mkdir(parents=True, exist_ok=True)
    for modality in scans:
        if modality == "T1w":
            continue
        source = "from-pet" if modality == "pet" else f"task-{modality}_from-spect"
        np.savetxt(
            folder / f"sub-{plan.label}_{source}_to-T1w_mode-image_xfm.txt", t1w_to_scan(scans, modality), fmt="%.10g"
        )
    mask = (sample(anatomy.brain, anatomy.affine, scans["T1w"]) >= 0.5).astype(np.uint8)
    write_volume(folder / f"sub-{plan.label}_desc-brain_mask.nii.gz", mask, scans["T1w"].affine)
    grid = _truth_scan(anatomy, scans["T1w"])
    grey = sample(anatomy.grey * anatomy.brain, anatomy.affine, grid)
    write_volume(folder / f"sub-{plan.label}_label-GM_probseg.nii.gz", grey, grid.affine, slope=1 / 1000)
    rows = ["name\tkind\tx\ty\tz\tradius\tpet\tinterictal\tictal"]
    for focus in foci:
        centre = scans["T1w"].head_to_world[:3, :3] @ focus.centre + scans["T1w"].head_to_world[:3, 3]
        numbers = [f"{value:.3f}" for value in (*centre, focus.radius)]
        changes: list[Modality] = ["pet", "interictal", "ictal"]
        numbers += [f"{focus.change[m]:.3f}" if m in focus.change and m in scans else "n/a" for m in changes]
        rows.append("\t".join([focus.name, focus.kind, *numbers]))
    (folder / f"sub-{plan.label}_foci.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def _write_noise_free(
    plan: SubjectPlan, truth: Path, blurred: Array, anatomy: Anatomy, scans: Mapping[str, Scan]
) -> None:
    """Interictal SPECT without noise and residual attenuation on the truth grid."""
    folder = truth / f"sub-{plan.label}"
    folder.mkdir(parents=True, exist_ok=True)
    grid = _truth_scan(anatomy, scans["T1w"])
    values = sample(blurred, anatomy.affine, grid)
    write_volume(folder / f"sub-{plan.label}_task-interictal_desc-noisefree_spect.nii.gz", values, grid.affine)


def _truth_scan(anatomy: Anatomy, t1w: Scan) -> Scan:
    """A 3 mm grid of about 256 x 256 x 192 mm in the T1w's world, centred on the brain's centre of mass."""
    centre = np.array(ndimage.center_of_mass(anatomy.brain)) @ anatomy.affine[:3, :3] + anatomy.affine[:3, 3]
    affine = np.diag([*TRUTH_GRID.voxel_sizes, 1.0])
    middle = t1w.head_to_world[:3, :3] @ centre + t1w.head_to_world[:3, 3]
    affine[:3, 3] = np.round(middle - affine[:3, :3] @ ((np.array(TRUTH_GRID.shape) - 1) / 2), 3)
    return Scan(TRUTH_GRID, affine, t1w.head_to_world)


def _write_scan(path: Path, values: Array, scan: Scan, sidecar: Mapping[str, Any], slope: float | None) -> None:
    """Image and sidecar; `path` lacks the extension."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(path.with_name(path.name + ".nii.gz"), values, scan.affine, slope=slope)
    text = json.dumps(sidecar, indent=2) + "\n"
    path.with_name(path.name + ".json").write_text(text, encoding="utf-8")
