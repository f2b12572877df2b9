"""How many participants a simulated start saves: error over the number of training participants, with it and without.

    python benchmarks/learning_curves.py [--sizes 3 5 8 12 20] [--seeds 1 2 3] [--epochs 60] [--start FOLDER]

Of each seed a cohort is made that nothing of ``bids_spectsynth-pretrain`` was drawn from: its anatomy is no template
but ellipsoids with folds of plane waves, and uptake follows parcels of its own and a curved relation of flow to
metabolism (:func:`other_head`). Training sets of one seed are nested, all are judged on the same held-out heads.
Networks of preset ``best`` at 4 mm with few filters are trained from random weights and from the start, which is made
first where ``--start`` names no folder of one; both with the same warm-up of the rate, whose height is a way's own
(``--rate``, ``--tuned-rate``). Errors are in-brain RMSE on the (-1, 1) scale; intervals (95 %, percentiles) are of a
cluster bootstrap: seeds are drawn, then held-out participants of each, as those of one seed share cohort and networks.
A simulation proves the machinery, not clinical value.
"""

import argparse
import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import ndimage

from bids_spectsynth.bids.roles import INTERICTAL, PET, T1W
from bids_spectsynth.images.resampling import FWHM_PER_SIGMA
from bids_spectsynth.options.settings import FIELD_OF_VIEW_MM, Settings, make_settings
from bids_spectsynth.phantom.scanner import rigid
from bids_spectsynth.pretraining.cohort import CohortRequest, head_priors, scaled_case
from bids_spectsynth.pretraining.heads import SimulatedHead
from bids_spectsynth.pretraining.train import pretrain
from bids_spectsynth.synthesis.baselines.base import in_brain
from bids_spectsynth.synthesis.baselines.fitting import StraightLine
from bids_spectsynth.synthesis.computing.computation import training_computation
from bids_spectsynth.synthesis.computing.devices import Processes
from bids_spectsynth.synthesis.data.gathering import gather_slices
from bids_spectsynth.synthesis.data.slices import CaseArrays, with_image
from bids_spectsynth.synthesis.data.storage import Storage
from bids_spectsynth.synthesis.models.folder import load_model
from bids_spectsynth.synthesis.models.initial_model import InitialModel, find_initial_model, load_initial_model
from bids_spectsynth.synthesis.training.checkpoint import checkpoint_path
from bids_spectsynth.synthesis.training.config import TrainingConfig, training_config
from bids_spectsynth.synthesis.training.loop import TrainingLoop
from bids_spectsynth.synthesis.training.state import StopSignals
from bids_spectsynth.synthesis.training.validation import validate

INPUTS = (T1W, PET)
VOXEL_SIZE = 4.0
N_VALIDATION, N_TEST = 2, 8
#: Parcels of one hemisphere, and how much they differ: over the cohort, and from head to head (log standard deviation).
N_PARCELS, COHORT_SPREAD, OWN_SPREAD = 30, 0.12, 0.07


class _Loop(TrainingLoop):
    """A training whose priors are in its arrays already."""

    def _prior_checksum(self) -> str:
        return ""


@dataclasses.dataclass(frozen=True, eq=False)
class Making:
    """What the heads of one cohort share: places of parcels, their uptake of both tracers, resolutions."""

    parcels: np.ndarray
    fdg: np.ndarray
    hmpao: np.ndarray
    fwhm: tuple[float, float]
    exponent: float


def other_making(seed: int) -> Making:
    """Draw a cohort's."""
    rng = np.random.default_rng([77, seed])
    direction = rng.standard_normal((N_PARCELS, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    parcels = np.abs(direction[:, :1]), direction[:, 1:]
    shared, fdg, hmpao = COHORT_SPREAD * rng.standard_normal((3, N_PARCELS)) * [[0.6], [0.8], [0.8]]
    widths = (float(rng.uniform(5, 7)), float(rng.uniform(8, 12)))
    places = np.hstack(parcels) * [50, 65, 50] + [0, -15, 10]
    return Making(places, shared + fdg, shared + hmpao, widths, float(rng.uniform(0.6, 0.9)))


def other_head(rng: np.random.Generator, making: Making) -> SimulatedHead:
    """One head of ellipsoids: hemispheres with a folded ribbon, ventricles, nuclei, a cerebellum of stripes.

    Flow follows metabolism by a power and parcels of its own; cameras have tails; counts are Poisson.
    """
    shape = tuple(round(length / VOXEL_SIZE) for length in FIELD_OF_VIEW_MM)
    affine = np.diag([VOXEL_SIZE, VOXEL_SIZE, VOXEL_SIZE, 1.0])
    affine[:3, 3] = -VOXEL_SIZE * (np.array(shape) - 1) / 2 + [0, -15, 5]
    # Two samples an axis, so that a ribbon of 3 mm is no matter of luck.
    fine = [np.repeat(np.arange(n), 2) + np.tile([-0.25, 0.25], n) for n in shape]
    world = np.stack(
        [a * VOXEL_SIZE + o for a, o in zip(np.meshgrid(*fine, indexing="ij"), affine[:3, 3], strict=True)]
    )
    from_template = rigid(rng, 8.0, 4.0, np.zeros(3)) @ np.diag([*rng.uniform(0.92, 1.06, 3), 1.0])
    own = np.linalg.inv(from_template)
    x, y, z = np.tensordot(own[:3, :3], world, 1) + own[:3, 3].reshape(3, 1, 1, 1)
    grey, white, fluid, cerebellum = _tissues(rng, x, y, z)
    brain = np.clip(grey + white + fluid, 0, 1)
    labels = np.argmin(
        [(np.abs(x) - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 for a, b, c in making.parcels], axis=0
    ) + N_PARCELS * (x > 0)
    individual = OWN_SPREAD * rng.standard_normal((3, 2 * N_PARCELS))
    lesion = np.zeros(2 * N_PARCELS)
    lesion[rng.integers(2 * N_PARCELS, size=int(rng.integers(0, 3)))] = -rng.uniform(0.15, 0.4)
    fdg = np.exp(np.tile(making.fdg, 2) + individual[0] + individual[1] + lesion)[labels]
    metabolism = fdg * (grey * (1 - 0.15 * cerebellum) + rng.uniform(0.28, 0.36) * white) + 0.02 * fluid
    hmpao = np.exp(np.tile(making.hmpao - making.exponent * making.fdg, 2) + individual[2])[labels]
    flow = hmpao * (1 + 0.2 * cerebellum) * np.clip(metabolism, 0, None) ** making.exponent
    images = {T1W: _halved(white + 0.72 * grey**0.9 + 0.2 * fluid)}
    for role, uptake, fwhm in ((PET, metabolism, making.fwhm[0]), (INTERICTAL, flow, making.fwhm[1])):
        images[role] = _recorded(rng, _halved(uptake), fwhm)
    mask = _halved(brain) > 0.5
    images[T1W] = images[T1W] * (1 + 0.0015 * np.linspace(-40, 40, shape[1])[None, :, None])
    images[T1W] += 0.03 * rng.standard_normal(mask.shape)
    images = {role: (np.abs(image) * mask).astype(np.float32) for role, image in images.items()}
    return SimulatedHead(images, mask, mask, affine, from_template)


def _tissues(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, ...]:
    """Grey matter, white matter, fluid, and where the cerebellum is, of template coordinates."""
    depth = 62 * (1 - np.sqrt((x / 66) ** 2 + ((y + 15) / 84) ** 2 + ((z - 12) / 66) ** 2))
    waves = np.zeros(x.shape)
    for _ in range(6):
        k = rng.standard_normal(3)
        k *= 2 * np.pi / rng.uniform(22, 34) / np.linalg.norm(k)
        waves += np.cos(k[0] * np.abs(x) + k[1] * y + k[2] * z + rng.uniform(0, 2 * np.pi)) / 3
    gyral = depth - 18 * np.clip(1 - np.abs(waves) / 0.3, 0, 1)
    fissure = np.abs(x) - 1.5
    from_pia = np.minimum(gyral, np.where(z > 5, fissure, 99))
    inside, ribbon = np.clip(from_pia / 3 + 0.5, 0, 1), np.clip((from_pia - rng.uniform(4.0, 5.5)) / 3 + 0.5, 0, 1)
    grey, white = inside * (1 - ribbon), inside * ribbon
    for centre, size in (((14, 8, 8), (7, 14, 10)), ((26, 2, 2), (6, 14, 9)), ((11, -18, 8), (8, 12, 9))):
        nucleus = _ellipsoid(np.abs(x), y, z, centre, size)
        grey, white = grey + nucleus * white, white * (1 - nucleus)
    ventricle = _ellipsoid(np.abs(x), y, z, (8, -6, 18), np.array([5, 26, 8]) * rng.uniform(0.7, 1.6))
    grey, white = grey * (1 - ventricle), white * (1 - ventricle)
    hindbrain = _ellipsoid(np.abs(x), y, z, (20, -60, -38), (28, 24, 19)) * (z < -18)
    stripes = 0.5 + 0.5 * np.sign(np.sin(z * 2 * np.pi / 9))
    grey = grey * (1 - hindbrain) + hindbrain * (0.5 + 0.5 * stripes)
    white = white * (1 - hindbrain) + hindbrain * (0.5 - 0.5 * stripes)
    brain = np.maximum(np.clip(depth / 3 + 0.5, 0, 1) * (z > -45), hindbrain)
    return grey * brain, white * brain, np.clip(brain - (grey + white) * brain, 0, 1), hindbrain


def _ellipsoid(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, centre: Sequence[float], size: Sequence[float]
) -> np.ndarray:
    radius = np.sqrt(sum(((c - o) / s) ** 2 for c, o, s in zip((x, y, z), centre, size, strict=True)))
    return np.clip((1 - radius) * min(size) / 3 + 0.5, 0, 1)


def _halved(fine: np.ndarray) -> np.ndarray:
    i, j, k = (n // 2 for n in fine.shape)
    return fine.reshape(i, 2, j, 2, k, 2).mean(axis=(1, 3, 5))


def _recorded(rng: np.random.Generator, uptake: np.ndarray, fwhm: float) -> np.ndarray:
    sigma = fwhm / FWHM_PER_SIGMA / VOXEL_SIZE
    moved = ndimage.shift(uptake, rng.normal(0, 0.8 / VOXEL_SIZE, 3), order=1)
    # The core of the point spread, and tails that no Gaussian has.
    blurred = 0.85 * ndimage.gaussian_filter(moved, sigma) + 0.15 * ndimage.gaussian_filter(moved, 2.2 * sigma)
    counts = 400.0
    return ndimage.gaussian_filter(rng.poisson(np.clip(blurred, 0, None) * counts) / counts, 0.5)


def cases_of(heads: Sequence[SimulatedHead], n_training: int, request: CohortRequest) -> list[CaseArrays]:
    """All heads of a cohort, with the prior that the first ``n_training`` of them, without itself, give each."""
    members = np.arange(n_training)
    priors = head_priors(heads, [members[members != index] for index in range(len(heads))], request)
    cases = [scaled_case(head, request, f"{index:02d}") for index, head in enumerate(heads)]
    line = StraightLine()
    for index in members:
        line.add(priors[index][heads[index].measured], cases[index].target[heads[index].measured])
    gain, offset = line.result()
    return [
        with_image(case, in_brain(np.clip(gain * prior[head.mask] + offset, -1, 1), head.mask))
        for head, case, prior in zip(heads, cases, priors, strict=True)
    ]


def errors(folder: Path, cases: Sequence[CaseArrays], config: TrainingConfig) -> list[float]:
    """In-brain RMSE of each case."""
    model = load_model(folder, "cpu")
    found = []
    for case in cases:
        n_slices, around = config.slices_per_subject, {"neighbours": config.neighbour_slices}
        data, _ = gather_slices([case], n_slices, masks=True, **around)
        metrics = validate(
            model.generator, data, 8, training_computation(model.device, compiling="off"), recipe=config.recipe
        )
        assert metrics is not None
        found.append(metrics["rmse"])
    return found


def fitted(
    folder: Path, cases: Sequence[CaseArrays], n_training: int, config: TrainingConfig, initial: InitialModel | None
) -> list[float]:
    """Train, choose the epoch on the heads behind the last training head of the largest set, and rate the last ones."""
    chosen, held_out = cases[-N_TEST - N_VALIDATION : -N_TEST], cases[-N_TEST:]
    loop = _Loop(cases[:n_training], chosen, config, folder, torch.device("cpu"), Processes(), Storage(), initial)
    with StopSignals() as stop:
        loop.fit(stop, progress=False, phantom=True)
    return errors(folder, held_out, config)


def settings_of(folder: Path, args: argparse.Namespace, **values: object) -> Settings:
    """Of a network; the folders are not used."""
    plain = {"bids_dir": folder, "output_dir": folder, "analysis_level": "participant", "preset": "best"}
    plain |= {"voxel_size": VOXEL_SIZE, "base_filters": args.filters, "device": "cpu", "nprocs": args.nprocs}
    return make_settings({**plain, **values})


def rows_of(seed: int, args: argparse.Namespace, work: Path, start: Path) -> list[dict[str, object]]:
    """One row per size, way to begin and held-out participant of a seed."""
    making = other_making(seed)
    n_heads = max(args.sizes) + N_VALIDATION + N_TEST
    heads = [other_head(np.random.default_rng([78, seed, index]), making) for index in range(n_heads)]
    request = CohortRequest(seed, n_heads, INPUTS, VOXEL_SIZE, "volume", True)
    common = {"epochs": args.epochs, "patience": args.patience, "random_seed": seed}
    # A start would warm up by default and random weights would not: one difference more than the weights.
    common["warmup_epochs"] = args.warmup
    scratch = settings_of(work, args, learning_rate=args.rate, learning_rate_schedule="cosine", **common)
    tuned = settings_of(work, args, initial_model=start, learning_rate=args.tuned_rate, **common)
    rows = []
    for size in args.sizes:
        cases = cases_of(heads, size, request)
        found: dict[str, list[float]] = {"prior": [_rmse(case) for case in cases[-N_TEST:]]}
        for name, settings in (("scratch", scratch), ("start", tuned)):
            config = training_config(settings, INPUTS, "T1w", f"{seed} {size}", label=f"{name}{size}Seed{seed}")
            initial = None
            if settings.initial_model is not None:
                member = find_initial_model(start, "", config.as_json())
                initial = load_initial_model(
                    member, checkpoint_path(member.folder) if config.has_discriminator else None
                )
                config = dataclasses.replace(config, initial_weights=initial.checksum)
                found["start untrained"] = errors(start, cases[-N_TEST:], config)
            found[name] = fitted(work / config.label, cases, size, config, initial)
        rows += [
            {"seed": seed, "size": size, "way": way, "participant": f"{seed}x{index}", "rmse": value}
            for way, values in found.items()
            for index, value in enumerate(values)
        ]
        means = ", ".join(f"{way} {np.mean(values):.4f}" for way, values in found.items())
        print(f"seed {seed}, {size} training heads: {means}", flush=True)
    return rows


def _rmse(case: CaseArrays) -> float:
    assert case.target is not None
    inside = case.evaluation_mask
    return float(np.sqrt(((case.inputs[-1] - case.target)[inside] ** 2).mean()))


def clustered_interval(clusters: Sequence[np.ndarray], n_samples: int = 10000) -> tuple[float, float]:
    """95 % interval of the mean by a bootstrap that draws clusters, then members of each; NaN of one cluster."""
    if len(clusters) < 2:
        return float("nan"), float("nan")
    rng, means = np.random.default_rng(0), []
    for _ in range(n_samples):
        drawn = [clusters[index] for index in rng.integers(len(clusters), size=len(clusters))]
        means.append(np.concatenate([rng.choice(cluster, len(cluster)) for cluster in drawn]).mean())
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def table(rows: pd.DataFrame) -> str:
    """Errors by size, and what the start changes, in percent of scratch, with its interval."""
    lines = [
        "| training heads | prior alone | start untrained | scratch | start | change, % [95 %] | n |",
        "|" + "---|" * 7,
    ]
    for size, own in rows.groupby("size"):
        by_way = own.pivot(index="participant", columns="way", values="rmse")
        change = 100 * (by_way["start"] / by_way["scratch"] - 1)
        seeds = change.index.str.split("x").str[0]
        low, high = clustered_interval([part.to_numpy() for _, part in change.groupby(seeds)])
        interval = f"{change.mean():+.1f} [{low:+.1f}, {high:+.1f}]"
        means = [f"{by_way[way].mean():.4f}" for way in ("prior", "start untrained", "scratch", "start")]
        lines.append(f"| {size} | {' | '.join(means)} | {interval} | {len(by_way)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[3, 5, 8, 12, 20])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--patience", type=int, default=15)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--filters", type=int, default=8)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--tuned-rate", type=float, default=3e-4)
    parser.add_argument("--start", type=Path, help="a finished one, of the same filters; made where there is none")
    parser.add_argument("--start-epochs", type=int, default=60)
    parser.add_argument("--nprocs", type=int, default=1)
    args = parser.parse_args()
    if min(args.sizes) < 2:
        parser.error("--sizes: 2 at least, so that each head has a mean of others")
    torch.set_num_threads(args.nprocs)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        start = args.start or work / "pretrained"
        if args.start is None:
            how = {"epochs": args.start_epochs, "patience": 0, "learning_rate_schedule": "cosine"}
            pretrain(settings_of(work, args, learning_rate=args.rate, **how), start, 12)
        rows = pd.DataFrame([row for seed in args.seeds for row in rows_of(seed, args, work, start)])
        print(table(rows))


if __name__ == "__main__":
    main()
