"""One simulated subject: anatomy, scans, and the files of both."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from bids_spectsynth.phantom import sidecars
from bids_spectsynth.phantom.anatomy import Anatomy, make_anatomy
from bids_spectsynth.phantom.atlas import load_atlas
from bids_spectsynth.phantom.files import write_noise_free, write_scan, write_scans_table, write_truth
from bids_spectsynth.phantom.head import extracranial_uptake, t1w_signal
from bids_spectsynth.phantom.plan import RESOLUTION, SubjectPlan
from bids_spectsynth.phantom.scanner import (
    PET_CAMERA,
    SPECT_CAMERA,
    Camera,
    Scan,
    acquire_emission,
    acquire_mri,
    place_scan,
    rigid,
)
from bids_spectsynth.phantom.seizures import place_seizure
from bids_spectsynth.phantom.smooth import Array, FloatArray
from bids_spectsynth.phantom.uptake import (
    SCAN_VARIATION,
    Focus,
    Modality,
    attenuation_residual,
    blur,
    draw_foci,
    individual_variation,
    resect,
    scan_variation,
    uptake_map,
)


@dataclass(frozen=True, eq=False)
class IctalRun:
    """One ictal scan of a study, before the camera.

    Parameters
    ----------
    name : str
        ``ictal_run-<number>``.
    scan : Scan
    camera : Camera
    uptake : (i, j, k) array
        On the anatomy's grid, with what the attenuation correction leaves.
    noise : Generator
        For the camera.
    """

    name: str
    scan: Scan
    camera: Camera
    uptake: Array
    noise: np.random.Generator


def make_subject(plan: SubjectPlan, dataset: Path, truth: Path) -> None:
    """Simulate one subject and write its images and its truth.

    Parameters
    ----------
    plan : SubjectPlan
    dataset, truth : Path
        Folders of the BIDS dataset and of the truth; they exist.
    """
    _, _, signal_rng, uptake_rng, geometry_rng, noise_rng, _ = plan.generators()
    anatomy = plan_anatomy(plan)
    foci = draw_foci(uptake_rng, anatomy, cavity=plan.cavity, ictal=plan.ictal)
    anatomy = resect(anatomy, foci)
    modalities: tuple[Modality, ...] = ("pet", "interictal", "ictal") if plan.ictal else ("pet", "interictal")
    scans = place_scans(geometry_rng, anatomy, plan, modalities)
    folder, own_truth = dataset / f"sub-{plan.label}", truth / f"sub-{plan.label}"
    own_truth.mkdir(parents=True, exist_ok=True)
    signal = t1w_signal(signal_rng, anatomy)
    t1w = acquire_mri(noise_rng, signal, anatomy.affine, scans["T1w"], noise_rng.uniform(0.02, 0.04))
    write_scan(folder / "anat" / f"sub-{plan.label}_T1w", t1w, scans["T1w"], sidecars.t1w_sidecar(), slope=1.0)
    del signal, t1w
    voxel_sizes = np.diag(anatomy.affine)[:3]
    variation, extracranial = individual_variation(uptake_rng, anatomy), extracranial_uptake(anatomy)
    maps = {m: uptake_map(uptake_rng, anatomy, foci, m, variation[m], extracranial) for m in modalities}
    recordings: dict[str, tuple[Camera, float]] = {}
    for modality, uptake in maps.items():
        camera = PET_CAMERA if modality == "pet" else SPECT_CAMERA
        blurred = blur(uptake * attenuation_residual(uptake_rng, anatomy), voxel_sizes, camera.fwhm)
        activity, level = record(noise_rng, plan, modality, blurred, anatomy, scans[modality], camera)
        _write_emission(plan, folder, modality, activity, scans[modality], camera)
        if modality == "interictal":
            recordings[modality] = (camera, level)
            write_noise_free(own_truth, blur(uptake, voxel_sizes, camera.total_fwhm), anatomy, scans)
    seizure = plan.seizure()
    if seizure is not None:
        foci = study_foci(plan, anatomy, foci)
        for number in (1, 2):
            run = ictal_run(plan, anatomy, foci, variation["interictal"], extracranial, scans["T1w"], number)
            scans[run.name] = run.scan
            blurred = blur(run.uptake, voxel_sizes, run.camera.fwhm)
            activity, level = record(run.noise, plan, "ictal", blurred, anatomy, run.scan, run.camera)
            _write_emission(plan, folder, "ictal", activity, run.scan, run.camera, run=number)
            recordings[run.name] = (run.camera, level)
        write_scans_table(own_truth, recordings)
    write_truth(own_truth, anatomy, foci, scans, seizure)


def plan_anatomy(plan: SubjectPlan) -> Anatomy:
    """The subject's anatomy before any resection."""
    _, anatomy_rng, *_, folding_rng = plan.generators()
    folding = folding_rng if plan.folds == "individual" else None
    return make_anatomy(anatomy_rng, load_atlas(), plan.person(), RESOLUTION[plan.size][0], folding)


def study_foci(plan: SubjectPlan, anatomy: Anatomy, foci: Sequence[Focus]) -> tuple[Focus, ...]:
    """Foci of a study: the interictal deficits, which stay during the seizure, and the seizure's focus as the last.

    Parameters
    ----------
    plan : SubjectPlan
        Of a study.
    anatomy : Anatomy
    foci : sequence of Focus
        The deficits.

    Raises
    ------
    ValueError
        The plan is not of a study.
    """
    seizure = plan.seizure()
    if seizure is None:
        raise ValueError("not a study")
    stay = [replace(focus, change={**focus.change, "ictal": focus.change["interictal"]}) for focus in foci]
    return (*stay, place_seizure(plan.study_generator(2), anatomy, seizure))


def ictal_run(
    plan: SubjectPlan,
    anatomy: Anatomy,
    foci: Sequence[Focus],
    interictal: Array,
    extracranial: Array,
    t1w: Scan,
    number: int,
    variation: float = SCAN_VARIATION,
) -> IctalRun:
    """One ictal scan of a study: the first has the seizure's focus, any other is one more scan without a seizure.

    Each has a motion, noise, white matter level, attenuation residual and field of perfusion of its own.

    Parameters
    ----------
    plan : SubjectPlan
    anatomy : Anatomy
    foci : sequence of Focus
        Of `study_foci`.
    interictal : array
        Individual variation of the interictal scan, see
        :func:`bids_spectsynth.phantom.uptake.individual_variation`.
    extracranial : (i, j, k) array
        See :func:`bids_spectsynth.phantom.head.extracranial_uptake`.
    t1w : Scan
    number : int
        From 1.
    variation : float
        Standard deviation of the field by which perfusion differs from the interictal scan.
    """
    rng = plan.study_generator(10 + number)
    surface = _brain_surface(anatomy)
    scan = _place_emission(rng, plan, "ictal", t1w.head_to_world, surface)
    deviation = interictal + scan_variation(rng, anatomy, variation)
    seen = tuple(foci) if number == 1 else tuple(focus for focus in foci if focus.kind != "hyper")
    uptake = uptake_map(rng, anatomy, seen, "ictal", deviation, extracranial)
    uptake *= attenuation_residual(rng, anatomy)
    return IctalRun(f"ictal_run-{number}", scan, plan.ictal_camera(), uptake, rng)


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
    surface = _brain_surface(anatomy)
    t1w = plan.protocols()[0]
    head_to_t1w = rigid(rng, 8.0, 15.0, _middle(surface))
    scans = {"T1w": place_scan(rng, t1w, head_to_t1w, surface, tilt=4.0, top_margin=20.0)}
    for modality in modalities:
        scans[modality] = _place_emission(rng, plan, modality, head_to_t1w, surface)
    return scans


def _brain_surface(anatomy: Anatomy) -> FloatArray:
    """Voxels of the brain's surface, (n, 3) in the head frame, mm."""
    mask = anatomy.brain > 0.5
    surface: FloatArray = np.argwhere(mask & ~ndimage.binary_erosion(mask)) @ anatomy.affine[:3, :3]
    return surface + anatomy.affine[:3, 3]


def _middle(surface: FloatArray) -> FloatArray:
    middle: FloatArray = (surface.min(axis=0) + surface.max(axis=0)) / 2
    return middle


def _place_emission(
    rng: np.random.Generator, plan: SubjectPlan, modality: Modality, head_to_t1w: FloatArray, surface: FloatArray
) -> Scan:
    """Geometry of one PET or SPECT."""
    _, pet, spect = plan.protocols()
    motion = rigid(rng, 15.0, 20.0, head_to_t1w[:3, :3] @ _middle(surface) + head_to_t1w[:3, 3])
    if modality != "pet":
        motion[:3, 3] += plan.spect_bed_shift
    protocol = pet if modality == "pet" else spect
    return place_scan(rng, protocol, motion @ head_to_t1w, surface, tilt=2.0, top_margin=40.0)


def record(
    rng: np.random.Generator,
    plan: SubjectPlan,
    modality: Modality,
    blurred: Array,
    anatomy: Anatomy,
    scan: Scan,
    camera: Camera,
) -> tuple[Array, float]:
    """Record one PET or SPECT.

    Parameters
    ----------
    rng : Generator
    plan : SubjectPlan
    modality : str
    blurred : (i, j, k) array
        Uptake after the camera's resolution, on the anatomy's grid.
    anatomy : Anatomy
    scan : Scan
    camera : Camera

    Returns
    -------
    activity : (i, j, k) or (i, j, k, frames) array
        As the scanner stores it.
    level : float
        What it stores where the uptake is 1.
    """
    pet = modality == "pet"
    counts = camera.counts * float(rng.uniform(0.7, 1.3))
    activity = acquire_emission(
        rng,
        blurred,
        anatomy.affine,
        scan,
        counts=counts,
        filter_fwhm=camera.filter_fwhm,
        frames=plan.pet_frames if pet else 1,
    )
    level = (20000 if pet else 800) * np.exp(0.25 * rng.standard_normal())
    activity *= np.float32(level)
    return activity, float(level)


def _write_emission(
    plan: SubjectPlan,
    folder: Path,
    modality: Modality,
    activity: Array,
    scan: Scan,
    camera: Camera,
    run: int | None = None,
) -> None:
    """Write one PET or SPECT in the storage form that is this subject's turn; `run` numbers those of a study."""
    pet = modality == "pet"
    frames = plan.pet_frames if pet else 1
    stored_4d = frames > 1 or (not pet and plan.index % 3 == 1)
    if stored_4d and activity.ndim == 3:
        activity = activity[..., None]
    integers = plan.index % 4 != 3 if pet else plan.index % 2 == 1
    slope = float(activity.max()) / 32000 if integers else None
    if pet:
        path = folder / "pet" / f"sub-{plan.label}_trc-FDG_pet"
        write_scan(path, activity, scan, sidecars.pet_sidecar(frames, stored_4d, camera.filter_fwhm), slope)
        return
    entities = f"task-{modality}_trc-HMPAO" + (f"_run-{run}" if run else "")
    sidecar = sidecars.spect_sidecar(modality, stored_4d, camera.filter_fwhm)
    if run:
        sidecar |= sidecars.injection(sidecar["InjectionStart"], plan.seizure() if run == 1 else None)
    write_scan(folder / "spect" / f"sub-{plan.label}_{entities}_spect", activity, scan, sidecar, slope)
