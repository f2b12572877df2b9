"""Other tools' ways of computing a SISCOM, rebuilt for `siscom.py` from what is known of them.

All get scans that lie on one grid by the true transforms, which flatters them: none has a registration error.

- mnisiscom (github.com/jeremymoreau/mnisiscom, `compute_siscom`): both scans within nilearn's mask of the interictal
  scan; z of each over the whole volume, zeros included; difference, above 0.5, positive only. No smoothing, no
  clusters: its first answer is the largest voxel.
- plain SISCOM: both over their mean in the brain, smoothed (12 mm), difference over its own standard deviation, above
  2, more than 1 mL.
- ISAS (BioImage Suite Web): both smoothed (16 mm), mean of the voxels above an eighth of the volume's mean set to 50,
  voxels up to 40 dropped; t = difference / SD, above 2.65; clusters of more than 1 mL with a corrected p of
  random-field theory. The SD image that ships with it is not ours to use: its median, 3.0, stands for it everywhere,
  and a Gaussian field of z 2.33 for the field of t.
"""

from dataclasses import dataclass

import numpy as np
from nilearn.masking import compute_epi_mask
from scipy import ndimage, stats

from bids_spectsynth.images.grid import new_image
from bids_spectsynth.images.smoothing import MaskedSmoother

#: Voxels along each axis of the volume over which mnisiscom takes its z (2 mm): a T1w's field of view.
FIELD_OF_VIEW_MM = 256.0
LEAST_ML = 1.0
ISAS_SD, ISAS_T, ISAS_P = 3.0, 2.6495, 0.01
ISAS_RESEL_MM = (17.2, 16.6, 18.3)


@dataclass(frozen=True)
class Cluster:
    """A cluster: its peak (mm, T1w's world), value there, volume (mL), corrected p (NaN: none)."""

    peak_mm: tuple[float, float, float]
    value: float
    volume_ml: float
    p: float = float("nan")


def clusters(values: np.ndarray, threshold: float, affine: np.ndarray, least_ml: float = LEAST_ML) -> list[Cluster]:
    """Clusters of face neighbours above a threshold, highest peak first."""
    labels, _ = ndimage.label(values > threshold)
    voxel_ml = abs(np.linalg.det(affine[:3, :3])) / 1000
    found = []
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        inside = labels[box] == index
        volume = float(inside.sum() * voxel_ml)
        if volume <= least_ml:
            continue
        part = np.where(inside, values[box], -np.inf)
        peak = np.array(np.unravel_index(int(np.argmax(part)), part.shape)) + [axis.start for axis in box]
        x, y, z = affine[:3, :3] @ peak + affine[:3, 3]
        found.append(Cluster((float(x), float(y), float(z)), float(part.max()), volume))
    return sorted(found, key=lambda cluster: -cluster.value)


def mnisiscom(ictal: np.ndarray, interictal: np.ndarray, brain: np.ndarray, affine: np.ndarray) -> list[Cluster]:
    """mnisiscom's difference of z; every voxel above 0.5 counts, so that clusters may be of any size."""
    mask = np.asarray(compute_epi_mask(new_image(interictal, affine), lower_cutoff=0.6).dataobj) > 0
    voxels = FIELD_OF_VIEW_MM**3 / abs(np.linalg.det(affine[:3, :3]))

    def z(values: np.ndarray) -> np.ndarray:
        kept = values * mask
        mean = kept.sum() / voxels
        return (kept - mean) / np.sqrt(np.square(kept).sum() / voxels - mean**2)

    return clusters(np.where(mask, z(ictal) - z(interictal), 0), 0.5, affine, least_ml=0.0)


def plain(ictal: np.ndarray, interictal: np.ndarray, brain: np.ndarray, affine: np.ndarray) -> list[Cluster]:
    """Difference over its own standard deviation."""
    smoother = MaskedSmoother(brain, np.linalg.norm(affine[:3, :3], axis=0), 12.0)
    difference = smoother(ictal / ictal[brain].mean() - interictal / interictal[brain].mean())
    return clusters(np.where(brain, difference / difference[brain].std(), 0), 2.0, affine)


def isas(ictal: np.ndarray, interictal: np.ndarray, brain: np.ndarray, affine: np.ndarray) -> list[Cluster]:
    """Difference over a standard deviation of healthy pairs, with random-field p of each cluster."""
    sizes = np.linalg.norm(affine[:3, :3], axis=0)

    def level(values: np.ndarray) -> np.ndarray:
        smooth = ndimage.gaussian_filter(values * brain, 16.0 / 2.3548 / sizes, mode="constant")
        scaled = smooth * (50 / smooth[smooth > smooth.mean() / 8].mean())
        return np.where(scaled > 40, scaled, 0)

    first, second = level(ictal), level(interictal)
    both = (first > 0) & (second > 0)
    found = clusters(np.where(both, (first - second) / ISAS_SD, 0), ISAS_T, affine)
    resels = float(both.sum() * np.prod(sizes) / np.prod(ISAS_RESEL_MM))
    u = float(stats.norm.isf(ISAS_P))
    expected = resels * (4 * np.log(2)) ** 1.5 * (2 * np.pi) ** -2 * (u**2 - 1) * np.exp(-(u**2) / 2)
    size = resels * ISAS_P / expected
    out = []
    for cluster in found:
        extent = 1000 * cluster.volume_ml / np.prod(ISAS_RESEL_MM)
        single = np.exp(-((1.3378 * extent / size) ** (2 / 3)))
        p = float(1 - np.exp(-expected * single))
        out.append(Cluster(cluster.peak_mm, cluster.value, cluster.volume_ml, p))
    return out


#: Ways, and whether a finding is a cluster with p below .05 (False: any cluster).
COMPARATORS = {"mnisiscom's way": (mnisiscom, False), "plain z, own SD": (plain, False), "ISAS-like": (isas, True)}
