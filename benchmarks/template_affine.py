"""The affine to the template and the T1w's brain mask: known affines of the template, phantom heads, and own files.

python benchmarks/template_affine.py --seeds 11 12 13 -n 2
python benchmarks/template_affine.py --heads HEAD_T1w.nii.gz --truth HEAD_mask.nii.gz

The phantom's true affine is the one nearest to its true deformation over the brain; its errors are mean distances over
the template's brain, in mm of the T1w. Phantom numbers are no clinical numbers: its heads come from the template.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bids_spectsynth.images.grid import Grid, apply_affine, grid_of, new_image
from bids_spectsynth.images.reading import load_image
from bids_spectsynth.images.resampling import resample_image
from bids_spectsynth.options.spaces import BUILT_IN_TEMPLATE
from bids_spectsynth.phantom.anatomy import BOX_LOWER, make_anatomy
from bids_spectsynth.phantom.atlas import load_atlas
from bids_spectsynth.phantom.head import t1w_signal
from bids_spectsynth.phantom.plan import RESOLUTION, SubjectPlan
from bids_spectsynth.phantom.scanner import acquire_mri, sample
from bids_spectsynth.phantom.subject import place_scans
from bids_spectsynth.phantom.uptake import draw_foci, resect
from bids_spectsynth.preprocess.backends.brain_extraction import extract_t1w_brain
from bids_spectsynth.preprocess.registration.plausibility import mask_volume
from bids_spectsynth.preprocess.registration.register import register_images
from bids_spectsynth.preprocess.templates.templates import fetch_template

TEMPLATE = fetch_template(BUILT_IN_TEMPLATE)
INSIDE = np.asanyarray(TEMPLATE.mask.dataobj) > 0
POINTS = apply_affine(TEMPLATE.mask.affine, np.argwhere(INSIDE)[::37])


def known_affines() -> dict[str, np.ndarray]:
    """Linear parts (3, 3) that the template is transformed by."""
    shear, turn = np.eye(3), Rotation.from_euler("xyz", [10, -6, 8], degrees=True).as_matrix()
    shear[0, 1] = np.tan(np.deg2rad(5))
    cases = {f"scale {scale:.2f}": np.eye(3) * scale for scale in (0.9, 0.95, 1.0, 1.05, 1.1)}
    cases |= {"scales .90 1.00 1.10": np.diag([0.9, 1.0, 1.1]), "scales 1.10 .95 .92": np.diag([1.1, 0.95, 0.92])}
    cases |= {"shear of 5 degrees": shear, "shear, turned, .93": turn @ shear * 0.93}
    return cases | {"scales 1.06 .92 1.08, turned": turn @ np.diag([1.06, 0.92, 1.08])}


def moved_template(linear: np.ndarray) -> tuple[nib.Nifti1Image, np.ndarray]:
    """The template's brain transformed, on upright voxels of 1 mm, and the true matrix."""
    centre = POINTS.mean(axis=0)
    truth = nib.affines.from_matvec(linear, centre - linear @ centre + [4, -7, 5])
    affine = nib.affines.from_matvec(np.eye(3), apply_affine(truth, centre[None])[0] - [110, 125, 110])
    back, grid = np.linalg.inv(truth), Grid((220, 250, 220), affine)
    mask = np.asanyarray(resample_image(TEMPLATE.mask, grid, back, 1).dataobj) > 0.5
    return stripped(resample_image(TEMPLATE.image, grid, back, 3), mask), truth


def stripped(image: nib.Nifti1Image, mask: np.ndarray) -> nib.Nifti1Image:
    """The image with 0 outside of the mask, and without negative values."""
    values = np.clip(np.asanyarray(image.dataobj), 0, None)
    return new_image(np.where(mask, values, 0).astype(np.float32), image.affine)


def phantom_head(index: int, seed: int) -> tuple[nib.Nifti1Image, np.ndarray, np.ndarray, np.ndarray]:
    """T1w, parts of brain and of grey matter on its voxels, and the true affine from the template's world."""
    plan = SubjectPlan(index, "small", seed)
    _, anatomy_rng, signal_rng, uptake_rng, geometry_rng, noise_rng, _ = plan.generators()
    anatomy = make_anatomy(anatomy_rng, load_atlas(), plan.person(), RESOLUTION["small"][0])
    anatomy = resect(anatomy, draw_foci(uptake_rng, anatomy, cavity=plan.cavity, ictal=plan.ictal))
    modalities = ("pet", "interictal", "ictal") if plan.ictal else ("pet", "interictal")
    scan = place_scans(geometry_rng, anatomy, plan, modalities)["T1w"]
    signal = t1w_signal(signal_rng, anatomy)
    t1w = acquire_mri(noise_rng, signal, anatomy.affine, scan, noise_rng.uniform(0.02, 0.04))
    voxels = np.argwhere(anatomy.brain > 0.5)[::53]
    nodes = (BOX_LOWER + anatomy.fine_step * voxels - anatomy.nodes.origin) / anatomy.nodes.step
    template = np.stack([ndimage.map_coordinates(part, nodes.T, order=1) for part in anatomy.atlas_nodes], axis=1)
    world = apply_affine(scan.head_to_world @ anatomy.affine, voxels)
    truth = np.eye(4)
    truth[:3] = np.linalg.lstsq(np.c_[template, np.ones(len(template))], world, rcond=None)[0].T
    brain, grey = (sample(part, anatomy.affine, scan) for part in (anatomy.brain, anatomy.grey * anatomy.brain))
    return new_image(np.asarray(t1w, dtype=np.float32), scan.affine), brain, grey, truth


def to_template(brain: nib.Nifti1Image) -> tuple[np.ndarray, float]:
    """Matrix and CPU seconds."""
    start = time.process_time()
    found = register_images(brain, TEMPLATE.image, TEMPLATE.mask, dof=12, init="auto", role="T1w")
    return found.matrix, time.process_time() - start


def error(estimate: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance in mm over the template's brain."""
    return float(np.linalg.norm(apply_affine(estimate - truth, POINTS), axis=1).mean())


def dice(first: np.ndarray, second: np.ndarray) -> float:
    """Dice of two masks on one grid."""
    return float(2 * np.count_nonzero(first & second) / (np.count_nonzero(first) + np.count_nonzero(second)))


def template_dice(brain: np.ndarray, affine: np.ndarray, matrix: np.ndarray) -> float:
    """Dice of a brain carried to the template and the template's mask."""
    image = new_image(brain.astype(np.float32), affine)
    carried = resample_image(image, grid_of(TEMPLATE.mask), matrix, 1)
    return dice(np.asanyarray(carried.dataobj) >= 0.5, INSIDE)


def self_cases() -> Iterator[str]:
    """One line per known affine."""
    for name, linear in known_affines().items():
        moving, truth = moved_template(linear)
        matrix, seconds = to_template(moving)
        scale = np.linalg.det(matrix[:3, :3]) / np.linalg.det(linear) - 1
        yield f"{name:28s} error {error(matrix, truth):.3f} mm, volume {scale:+.2%}, {seconds:.1f} s"


def phantom_cases(seeds: list[int], n: int) -> Iterator[str]:
    """One line per phantom head, and the medians."""
    rows = []
    for seed in seeds:
        for index in range(n):
            t1w, brain, grey, truth = phantom_head(index, seed)
            mask = extract_t1w_brain(t1w)
            inside, true = np.asanyarray(mask.dataobj) > 0, brain >= 0.5
            matrix, seconds = to_template(stripped(t1w, inside))
            kept = [float(grey[inside & (grey > least)].sum() / grey[grey > least].sum()) for least in (0, 0.5)]
            onto = template_dice(true, t1w.affine, matrix), template_dice(true, t1w.affine, truth)
            litres = mask_volume(mask), mask_volume(new_image(true.astype(np.uint8), t1w.affine))
            rows.append((error(matrix, truth), *onto, dice(inside, true), *kept, *litres, seconds))
            yield f"seed {seed} head {index}: " + " ".join(f"{value:.4f}" for value in rows[-1])
    yield "median:         " + " ".join(f"{value:.4f}" for value in np.median(rows, axis=0))


def head_case(file: Path, truth: Path | None) -> str:
    """One line for a head; without its true mask its own one takes that place in the template."""
    t1w, _ = load_image(file)
    start = time.process_time()
    mask = extract_t1w_brain(t1w)
    seconds = time.process_time() - start
    inside = np.asanyarray(mask.dataobj) > 0
    true = np.asanyarray(nib.load(truth).dataobj) > 0 if truth else inside
    matrix, more = to_template(stripped(t1w, inside))
    onto, own = template_dice(true, t1w.affine, matrix), dice(inside, true)
    return (
        f"{file.name}: {mask_volume(mask):.3f} l, Dice in the template {onto:.4f}, of the mask {own:.4f}, "
        f"{seconds:.1f} and {more:.1f} s"
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=[], help="of phantom cohorts")
    parser.add_argument("-n", type=int, default=2, help="heads of each cohort")
    parser.add_argument("--heads", type=Path, nargs="*", default=[], help="T1w files")
    parser.add_argument("--truth", type=Path, help="brain mask on the voxels of the one head")
    args = parser.parse_args()
    if not args.heads:
        print("template to itself", *self_cases(), sep="\n")
    if args.seeds:
        print("phantom: error mm; Dice in the template, with the true affine; Dice of the mask;")
        print("grey matter kept, of voxels with more than half; litres, true litres; s")
        for line in phantom_cases(args.seeds, args.n):
            print(line, flush=True)
    for file in args.heads:
        print(head_case(file, args.truth), flush=True)


if __name__ == "__main__":
    main()
