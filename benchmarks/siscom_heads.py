"""Heads of the phantom's study cohort as arrays with their truth, to measure algorithms of SISCOM without the program.

python benchmarks/siscom_heads.py FOLDER -n 12 --seeds 101 102 103 [--voxel-size 2] [--nulls 4] [--size small]

simulates each head once into FOLDER/<settings>/seed-<s>_head-<i>.npz; from Python:

    from siscom_heads import Wanted, heads
    for head in heads(Path(FOLDER), Wanted(n=12, seeds=(101, 102, 103))):
        difference = head.grid["ictal"] / head.levels["ictal"] - head.grid["interictal"] / head.levels["interictal"]

Head i of a seed is subject i of ``bids_spectsynth-phantom --ictal study --folds individual`` of that seed. Seeds 101 to
109 are for tuning; `benchmarks/siscom.py` reports on others. Scans on ``grid`` are resampled with the true transforms;
for registration take ``raw``, ``affines`` and ``matrices``. ``null-1`` plus ``effect-strong`` (30 mL at +100 %) or
``effect-widespread`` (a fifth of the brain at +30 %) is the same scan, with the same noise, with a seizure.
"""

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy import ndimage

from bids_spectsynth.images.grid import Grid, new_image
from bids_spectsynth.images.resampling import resample_image
from bids_spectsynth.phantom.anatomy import Anatomy
from bids_spectsynth.phantom.files import t1w_to_scan
from bids_spectsynth.phantom.head import extracranial_uptake, t1w_signal
from bids_spectsynth.phantom.plan import SubjectPlan
from bids_spectsynth.phantom.scanner import PET_CAMERA, SPECT_CAMERA, Protocol, Scan, sample
from bids_spectsynth.phantom.seizures import WIDESPREAD, Seizure, edge_distance, place_seizure
from bids_spectsynth.phantom.subject import IctalRun, ictal_run, place_scans, plan_anatomy, record, study_foci
from bids_spectsynth.phantom.uptake import (
    DEFICIT_RATIOS,
    OWN_SD,
    SCAN_VARIATION,
    SHARED_SD,
    Focus,
    attenuation_residual,
    blur,
    draw_foci,
    individual_variation,
    resect,
    uptake_map,
)

#: Depth of a deficit in the interictal SPECT over that in the PET, on average.
DEFICIT_RATIO = sum(DEFICIT_RATIOS) / 2
#: The grid reaches this far beyond the brain, mm.
MARGIN = 12.0
#: Volume (mL) and relative change of the focus that must not drag the registration.
STRONG = (30.0, 1.0)


@dataclass(frozen=True)
class Wanted:
    """Which heads, and how: number per seed, seeds, voxel size of the grid (mm), scans without a seizure per head,
    size of the phantom, and how much perfusion differs between injections."""

    n: int = 12
    seeds: tuple[int, ...] = (101, 102, 103)
    voxel_size: float = 2.0
    nulls: int = 4
    size: str = "small"
    variation: float = SCAN_VARIATION


@dataclass(frozen=True, eq=False)
class Head:
    """One head.

    Parameters
    ----------
    name : str
        ``seed-<s>_head-<i>``.
    affine : (4, 4) array
        Voxels of ``grid`` to the T1w's world, RAS+ mm.
    grid : dict of (I, J, K) arrays
        ``interictal``, ``ictal`` (with the focus), ``null-1`` to ``null-<n>`` (without a seizure), ``pet``, ``clean``
        and ``t1w`` (noise-free interictal and T1w), ``expected`` (see `expected_uptake`), ``brain`` (bool), ``grey``,
        ``focus`` (weight, 0.5 at the radius), ``effect-strong``, ``effect-widespread``.
    raw, affines, matrices, levels, fwhm : dict
        Of the scans: as stored, voxels to their own world, T1w's world to theirs (true), stored value where the uptake
        is 1, and resolution (mm). ``raw`` also has the effects, on the voxels of ``null-1``.
    focus : dict
        ``centre_mm`` (T1w's world), ``left_to_right`` and ``midline`` (a point p of the T1w's world lies on the right
        where p . left_to_right > midline), ``radius``, ``volume_ml``, ``strength`` (fraction), ``side``, ``lobe``,
        ``depth_mm``.
    """

    name: str
    affine: np.ndarray
    grid: dict[str, np.ndarray]
    raw: dict[str, np.ndarray]
    affines: dict[str, np.ndarray]
    matrices: dict[str, np.ndarray]
    levels: dict[str, float]
    fwhm: dict[str, float]
    focus: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """All of it in one file."""
        flat = {"name": self.name, "affine": self.affine}
        for part in ("grid", "raw", "affines", "matrices", "levels", "fwhm", "focus"):
            flat |= {f"{part}/{key}": value for key, value in getattr(self, part).items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        partial_path = path.with_name(path.name + ".part.npz")
        np.savez(partial_path, **flat)
        partial_path.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Head":
        """Read what `save` has written."""
        parts: dict[str, dict[str, Any]] = {}
        with np.load(path) as file:
            for key in file.files:
                part, _, name = key.partition("/")
                if name:
                    value = file[key]
                    parts.setdefault(part, {})[name] = value.item() if value.ndim == 0 else value
            return cls(name=str(file["name"]), affine=file["affine"], **parts)


def heads(folder: Path, wanted: Wanted, nprocs: int = 1) -> Iterator[Head]:
    """Every head in turn; those that the folder lacks are simulated first."""
    for path in head_paths(folder, wanted, nprocs):
        yield Head.load(path)


def head_paths(folder: Path, wanted: Wanted, nprocs: int = 1) -> list[Path]:
    """Files of all heads; those that the folder lacks are simulated."""
    settings = (
        f"study_size-{wanted.size}_voxel-{wanted.voxel_size:g}_nulls-{wanted.nulls}_variation-{wanted.variation:g}"
    )
    jobs = [(seed, index) for seed in wanted.seeds for index in range(wanted.n)]
    paths = {job: folder / settings / f"seed-{job[0]}_head-{job[1]:03d}.npz" for job in jobs}
    missing = [job for job in jobs if not paths[job].exists()]
    work = partial(_make, wanted=wanted, paths=paths)
    if nprocs > 1 and len(missing) > 1:
        with ProcessPoolExecutor(nprocs) as pool:
            list(pool.map(work, missing))
    else:
        for job in missing:
            work(job)
    return list(paths.values())


def _make(job: tuple[int, int], wanted: Wanted, paths: dict[tuple[int, int], Path]) -> None:
    simulate(*job, wanted).save(paths[job])


def simulate(seed: int, index: int, wanted: Wanted) -> Head:
    """Simulate one head."""
    plan = SubjectPlan(index, wanted.size, seed, "individual", "study")  # type: ignore[arg-type]
    seizure = plan.seizure()
    assert seizure is not None
    _, _, signal_rng, uptake_rng, geometry_rng, noise_rng, _ = plan.generators()
    anatomy = plan_anatomy(plan)
    deficits = draw_foci(uptake_rng, anatomy, cavity=False, ictal=False)
    anatomy = resect(anatomy, deficits)
    scans = place_scans(geometry_rng, anatomy, plan, ("pet", "interictal"))
    variation, extracranial = individual_variation(uptake_rng, anatomy), extracranial_uptake(anatomy)
    sizes = np.diag(anatomy.affine)[:3]
    maps = {m: uptake_map(uptake_rng, anatomy, deficits, m, variation[m], extracranial) for m in ("pet", "interictal")}
    raw, levels, fwhm = {}, {}, {}
    for name, uptake in maps.items():
        camera = PET_CAMERA if name == "pet" else SPECT_CAMERA
        blurred = blur(uptake * attenuation_residual(uptake_rng, anatomy), sizes, camera.fwhm)
        raw[name], levels[name] = record(noise_rng, plan, name, blurred, anatomy, scans[name], camera)
        fwhm[name] = camera.total_fwhm
    fine = {
        "clean": blur(maps["interictal"], sizes, SPECT_CAMERA.total_fwhm),
        "expected": blur(
            expected_uptake(anatomy, deficits, variation["pet"], extracranial), sizes, SPECT_CAMERA.total_fwhm
        ),
        "t1w": 400 * t1w_signal(signal_rng, anatomy),
        "grey": anatomy.grey,
    }
    foci = study_foci(plan, anatomy, deficits)
    for number in range(1, wanted.nulls + 2):
        name = "ictal" if number == 1 else f"null-{number - 1}"
        amount = (variation["interictal"], extracranial, scans["T1w"], number, wanted.variation)
        run = ictal_run(plan, anatomy, foci, *amount)
        scans[name] = run.scan
        blurred = blur(run.uptake, sizes, run.camera.fwhm)
        raw[name], levels[name] = record(run.noise, plan, "ictal", blurred, anatomy, run.scan, run.camera)
        fwhm[name] = run.camera.total_fwhm
        if number == 2:
            for kind, focus in _other_foci(plan, anatomy, seizure).items():
                raw[f"effect-{kind}"] = levels[name] * _effect(anatomy, run, focus)
    raw = {name: values.mean(axis=-1) if values.ndim == 4 else values for name, values in raw.items()}
    return _assembled(
        f"seed-{seed}_head-{index:03d}", wanted, anatomy, scans, raw, levels, fwhm, fine, foci[-1], seizure
    )


def expected_uptake(
    anatomy: Anatomy, deficits: tuple[Focus, ...], pet_variation: np.ndarray, extracranial: np.ndarray
) -> np.ndarray:
    """The interictal uptake that MRI and PET can tell at best: without noise, all that the cohort shares known exactly.

    Anatomy, regional pattern and the PET's own deviations are the true ones. What the PET does not show is at its
    expectation: the part of an individual's perfusion that is not shared, how deep a deficit is, white matter's level.
    """
    given_pet = SHARED_SD**2 / (SHARED_SD**2 + OWN_SD["fdg"] ** 2)
    usual = tuple(replace(f, change=f.change | {"interictal": DEFICIT_RATIO * f.change["pet"]}) for f in deficits)
    # Draws nothing: every level at its mean.
    levels = SimpleNamespace(standard_normal=lambda: 0.0)
    return uptake_map(levels, anatomy, usual, "interictal", given_pet * pet_variation, extracranial)  # type: ignore[arg-type]


def _other_foci(plan: SubjectPlan, anatomy: Anatomy, seizure: Seizure) -> dict[str, Focus]:
    """A strong focus and a widespread seizure at the place of this head's seizure."""
    strong = replace(seizure, volume_ml=STRONG[0], strength=STRONG[1])
    widespread = replace(seizure, share=WIDESPREAD[0], strength=WIDESPREAD[1])
    return {
        kind: place_seizure(plan.study_generator(2), anatomy, other)
        for kind, other in (("strong", strong), ("widespread", widespread))
    }


def _effect(anatomy: Anatomy, run: IctalRun, focus: Focus) -> np.ndarray:
    """What a focus adds to the noise-free scan, at a level of 1."""
    added = run.uptake * (np.float32(focus.change["ictal"]) * focus.weight(anatomy))
    blurred = blur(added, np.diag(anatomy.affine)[:3], run.camera.fwhm)
    voxel_sizes = np.array(run.scan.protocol.voxel_sizes)
    sampled = sample(blurred, anatomy.affine, run.scan)
    return ndimage.gaussian_filter(sampled, run.camera.filter_fwhm / 2.3548 / voxel_sizes, mode="nearest", truncate=2.5)


def _assembled(
    name: str, wanted: Wanted, anatomy: Anatomy, scans: dict[str, Scan], raw: dict[str, np.ndarray],
    levels: dict[str, float], fwhm: dict[str, float], fine: dict[str, np.ndarray], focus: Focus, seizure: Seizure,
) -> Head:  # fmt: skip
    """Everything on one grid around the brain."""
    to_t1w = scans["T1w"].head_to_world
    corners = np.argwhere(anatomy.brain > 0.5) @ anatomy.affine[:3, :3] + anatomy.affine[:3, 3]
    points = corners[::50] @ to_t1w[:3, :3].T + to_t1w[:3, 3]
    lower, upper = points.min(axis=0) - MARGIN, points.max(axis=0) + MARGIN
    counts = np.ceil((upper - lower) / wanted.voxel_size).astype(int)
    shape = (int(counts[0]), int(counts[1]), int(counts[2]))
    affine = np.diag([wanted.voxel_size] * 3 + [1.0])
    affine[:3, 3] = np.round(lower, 3)
    here = Scan(Protocol(shape, (wanted.voxel_size,) * 3, "RAS"), affine, to_t1w)
    matrices = {scan: t1w_to_scan(scans, scan) for scan in scans if scan != "T1w"}
    affines = {scan: scans[scan].affine for scan in matrices}
    grid = {}
    for scan, values in raw.items():
        owner = "null-1" if scan.startswith("effect") else scan
        image = resample_image(new_image(values, affines[owner]), Grid(shape, affine), matrices[owner], 3)
        grid[scan] = np.clip(np.asarray(image.dataobj, dtype=np.float32), 0, None)
    grid |= {name: sample(values, anatomy.affine, here) for name, values in fine.items()}
    grid["brain"] = sample(anatomy.brain, anatomy.affine, here) >= 0.5
    grid["focus"] = sample(focus.weight(anatomy), anatomy.affine, here)
    truth = {
        "centre_mm": to_t1w[:3, :3] @ focus.centre + to_t1w[:3, 3],
        "left_to_right": to_t1w[:3, 0],
        "midline": float(to_t1w[:3, 0] @ to_t1w[:3, 3]),
        "radius": focus.radius,
        "volume_ml": seizure.volume_ml,
        "strength": seizure.strength,
        "side": seizure.side,
        "lobe": seizure.lobe,
        "depth_mm": edge_distance(anatomy, focus.centre),
    }
    return Head(name, affine, grid, raw, affines, matrices, levels, fwhm, truth)


def main() -> None:
    """Simulate and print one line per head."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-n", type=int, default=12, help="heads per seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103])
    parser.add_argument("--voxel-size", type=float, default=2.0)
    parser.add_argument("--nulls", type=int, default=4)
    parser.add_argument("--size", choices=("small", "paper"), default="small")
    parser.add_argument("--variation", type=float, default=SCAN_VARIATION)
    parser.add_argument("--nprocs", type=int, default=1)
    args = parser.parse_args()
    wanted = Wanted(args.n, tuple(args.seeds), args.voxel_size, args.nulls, args.size, args.variation)
    for head in heads(args.folder, wanted, args.nprocs):
        focus = {key: value for key, value in head.focus.items() if not isinstance(value, np.ndarray)}
        numbers = ", ".join(f"{key} {value:.2f}" if isinstance(value, float) else value for key, value in focus.items())
        print(f"{head.name}: {head.grid['brain'].shape}, ictal {head.fwhm['ictal']:.1f} mm, {numbers}", flush=True)


if __name__ == "__main__":
    main()
