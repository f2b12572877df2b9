"""Agreement of a synthetic with a real SPECT, slice by slice: RMSE, SSIM, PSNR, on whole slices and in the brain."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

#: The six metrics, in the order of the tables' columns.
METRICS = ("rmse", "ssim", "psnr", "mask_rmse", "mask_ssim", "mask_psnr")

_SIGMA = 1.5
_WINDOW = 11
_RADIUS = _WINDOW // 2
_K1, _K2 = 0.01, 0.03
_MAX_THREADS = 4

Float32 = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float32] | npt.NDArray[np.float64]


def _gaussian_weights() -> Float32:
    """Weights of the window from its centre (offset 0) to its edge (offset 5); both halves together sum to 1."""
    offsets = np.arange(_RADIUS + 1)
    weights = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    return np.asarray(weights / (2 * weights.sum() - weights[0]), dtype=np.float32)


_WEIGHTS = _gaussian_weights()


def _blur(image: Float32) -> Float32:
    """Gaussian mean over the window of an image (I + 10, J + 10) with its margin: (I, J).

    Sums of shifted images: half the time of a general convolution, and no threads that wait for each other.
    """
    for axis in (0, 1):
        size = image.shape[axis] - 2 * _RADIUS
        shifted = [image[k : k + size] if axis == 0 else image[:, k : k + size] for k in range(_WINDOW)]
        blurred = shifted[_RADIUS] * _WEIGHTS[0]
        pair = np.empty_like(blurred)
        for offset in range(1, _RADIUS + 1):
            np.add(shifted[_RADIUS - offset], shifted[_RADIUS + offset], out=pair)
            pair *= _WEIGHTS[offset]
            blurred += pair
        image = blurred
    return image


def _ssim_map(x: Float32, y: Float32, c1: np.float32, c2: np.float32) -> Float32:
    x, y = (np.pad(image, _RADIUS, mode="symmetric") for image in (x, y))
    mean_x, mean_y = _blur(x), _blur(y)
    # Only the sum of both variances is needed, so four blurred images do instead of five.
    squares, product = _blur(x * x + y * y), _blur(x * y)
    mean_squares, mean_product = mean_x * mean_x + mean_y * mean_y, mean_x * mean_y
    luminance = (2 * mean_product + c1) / (mean_squares + c1)
    return luminance * (2 * (product - mean_product) + c2) / (squares - mean_squares + c2)


def ssim_maps(real: FloatArray, synthetic: FloatArray, data_range: float) -> Float32:
    """Structural similarity at every pixel of a stack of slices.

    Wang et al. 2004 (doi:10.1109/TIP.2003.819861) with an 11 x 11 Gaussian window of sigma 1.5, K1 0.01, K2 0.03
    and population (co)variances. Slices are mirrored at their borders with the edge pixel repeated.

    Parameters
    ----------
    real, synthetic : array, shape (n, I, J)
        Slices first; I and J at least 11.
    data_range : float
        Distance between the lowest and the highest value that the images can have; 2 for images in (-1, 1).

    Returns
    -------
    array, shape (n, I, J), float32
        At most 1; 1 where the windows are identical.

    Raises
    ------
    ValueError
        Shapes differ, slices are smaller than the window, or ``data_range`` is not above zero.
    """
    _check_pair(real, synthetic, data_range)
    if min(real.shape[1:]) < _WINDOW:
        raise ValueError(f"slices of {real.shape[1]} x {real.shape[2]} are smaller than the window of {_WINDOW}")
    c1, c2 = np.float32((_K1 * data_range) ** 2), np.float32((_K2 * data_range) ** 2)
    maps = np.empty(real.shape, dtype=np.float32)

    def fill(n: int) -> None:
        x, y = (stack[n].astype(np.float32, copy=False) for stack in (real, synthetic))
        maps[n] = _ssim_map(x, y, c1, c2)

    # Array arithmetic releases the interpreter's lock, so threads share the slices.
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as pool:
        for _ in pool.map(fill, range(len(real))):
            pass
    return maps


def slice_metrics(
    real: FloatArray, synthetic: FloatArray, mask: npt.NDArray[np.bool_], data_range: float
) -> pd.DataFrame:
    """RMSE, SSIM and PSNR of every axial slice that holds rated voxels.

    Whole-slice SSIM is the mean of the map without a border of half a window (5 pixels), as scikit-image's
    ``structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)`` takes it.
    In-brain SSIM is the mean of the whole map over the mask's pixels; windows of pixels at the brain's edge
    still see what lies outside. PSNR is ``10 log10(data_range**2 / mean squared error)`` in dB; it is infinite
    where both images are identical.

    Parameters
    ----------
    real, synthetic : array, shape (I, J, K)
        On the same scale, (-1, 1) when ``data_range`` is 2; axial slices last.
    mask : array of bool, shape (I, J, K)
        Brain, or the part of it where there is something to compare with.
    data_range : float
        See :func:`ssim_maps`.

    Returns
    -------
    DataFrame
        One row per slice with such voxels: ``slice`` (index k), ``rmse``, ``ssim``, ``psnr``, ``mask_rmse``,
        ``mask_ssim``, ``mask_psnr``, ``mask_voxels``.

    Raises
    ------
    ValueError
        Shapes differ, a value is not finite, slices are smaller than 11 x 11, or ``data_range`` is not above zero.
    """
    _check_pair(real, synthetic, data_range)
    if mask.shape != real.shape:
        raise ValueError(f"mask of shape {mask.shape} on images of shape {real.shape}")
    voxels = np.count_nonzero(mask, axis=(0, 1))
    kept = np.flatnonzero(voxels)
    inside = np.moveaxis(mask[..., kept], -1, 0)
    x, y = (np.moveaxis(volume[..., kept], -1, 0).astype(np.float32, order="C") for volume in (real, synthetic))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("an image has values that are not finite")
    squared = np.square(x - y)
    similarity = ssim_maps(x, y, data_range)
    inner = slice(_RADIUS, -_RADIUS)
    n_inside = voxels[kept]
    mse = squared.mean(axis=(1, 2), dtype=np.float64)
    mask_mse = np.sum(squared, axis=(1, 2), where=inside, dtype=np.float64) / n_inside
    columns: dict[str, npt.NDArray[Any]] = {
        "slice": kept,
        "rmse": np.sqrt(mse),
        "ssim": similarity[:, inner, inner].mean(axis=(1, 2), dtype=np.float64),
        "psnr": _psnr(mse, data_range),
        "mask_rmse": np.sqrt(mask_mse),
        "mask_ssim": np.sum(similarity, axis=(1, 2), where=inside, dtype=np.float64) / n_inside,
        "mask_psnr": _psnr(mask_mse, data_range),
        "mask_voxels": n_inside,
    }
    return pd.DataFrame(columns)


def _psnr(mse: npt.NDArray[np.float64], data_range: float) -> npt.NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        return np.asarray(10 * np.log10(data_range**2 / mse), dtype=np.float64)


def _check_pair(real: FloatArray, synthetic: FloatArray, data_range: float) -> None:
    if real.ndim != 3 or real.shape != synthetic.shape:
        raise ValueError(f"two volumes of one shape needed, not {real.shape} and {synthetic.shape}")
    if not data_range > 0:
        raise ValueError(f"data range {data_range} is not above zero")
