"""Structural similarity of slices (SSIM): its map at every pixel.

The loss of the training has the same formula on PyTorch's tensors, with gradients; it is on a floor below that must
not wait for this one's threads, and this one is read by the group level, which must not load PyTorch.
"""

import os

import numpy as np
import numpy.typing as npt

from bids_spectsynth.errors import size_text
from bids_spectsynth.threads import Threads

_SIGMA = 1.5
_WINDOW = 11
#: Half of the window, pixels: the border in which windows are mirrored.
MARGIN = _WINDOW // 2
_K1, _K2 = 0.01, 0.03
_MAX_THREADS = 4

Float32 = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float32] | npt.NDArray[np.float64]


def _gaussian_weights() -> Float32:
    """Weights of the window from its centre (offset 0) to its edge (offset 5); both halves together sum to 1."""
    offsets = np.arange(MARGIN + 1)
    weights = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    return np.asarray(weights / (2 * weights.sum() - weights[0]), dtype=np.float32)


_WEIGHTS = _gaussian_weights()


def _blur(image: Float32) -> Float32:
    """Gaussian mean over the window of an image (I + 10, J + 10) with its margin: (I, J).

    Sums of shifted images: half the time of a general convolution, and no threads that wait for each other.
    """
    for axis in (0, 1):
        size = image.shape[axis] - 2 * MARGIN
        shifted = [image[k : k + size] if axis == 0 else image[:, k : k + size] for k in range(_WINDOW)]
        blurred = shifted[MARGIN] * _WEIGHTS[0]
        pair = np.empty_like(blurred)
        for offset in range(1, MARGIN + 1):
            np.add(shifted[MARGIN - offset], shifted[MARGIN + offset], out=pair)
            pair *= _WEIGHTS[offset]
            blurred += pair
        image = blurred
    return image


def _ssim_map(x: Float32, y: Float32, c1: np.float32, c2: np.float32) -> Float32:
    x, y = (np.pad(image, MARGIN, mode="symmetric") for image in (x, y))
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
    check_pair(real, synthetic, data_range)
    if min(real.shape[1:]) < _WINDOW:
        raise ValueError(f"slices of {real.shape[1]} x {real.shape[2]} are smaller than the window of {_WINDOW}")
    c1, c2 = np.float32((_K1 * data_range) ** 2), np.float32((_K2 * data_range) ** 2)
    maps = np.empty(real.shape, dtype=np.float32)

    def fill(n: int) -> None:
        x, y = (stack[n].astype(np.float32, copy=False) for stack in (real, synthetic))
        maps[n] = _ssim_map(x, y, c1, c2)

    # Array arithmetic releases the interpreter's lock, so threads share the slices.
    with Threads(min(_MAX_THREADS, os.cpu_count() or 1)) as pool:
        for _ in pool.map(fill, range(len(real))):
            pass
    return maps


def check_pair(real: FloatArray, synthetic: FloatArray, data_range: float) -> None:
    """Refuse what cannot be compared.

    Parameters
    ----------
    real, synthetic : array of three dimensions
    data_range : float

    Raises
    ------
    ValueError
        Shapes differ or are not of three dimensions, or ``data_range`` is not above zero.
    """
    if real.ndim != 3 or real.shape != synthetic.shape:
        raise ValueError(
            f"two volumes of one shape needed, not {size_text(real.shape)} and {size_text(synthetic.shape)}"
        )
    if not data_range > 0:
        raise ValueError(f"data range {data_range} is not above zero")
