"""Raw pixels scaled to 0..1: the features of the study."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fewlabels.pool import Pool
from fewlabels.run import current


def scale_pixels(images: ArrayLike | Pool, power: float = 1.0) -> Any:
    """Scale pixels from 0..255 to 0..1, then raise them to a power.

    Parameters
    ----------
    images : array-like or Pool of uint8, shape (n, d)
    power : float, default=1
        0.5 makes more of the faint parts of an image; 1 leaves them as they are.

    Returns
    -------
    ndarray or Pool of float32, shape (n, d)

    Examples
    --------
    >>> scale_pixels([[0, 51, 255]]).round(2)
    array([[0. , 0.2, 1. ]], dtype=float32)
    """
    rows = images if isinstance(images, Pool) else np.asarray(images)
    return current().map(_scaled, rows, power=power, label="scaling pixels")


def _scaled(rows: slice, images: NDArray[Any], *, power: float) -> NDArray[np.float32]:
    pixels: NDArray[np.float32] = np.multiply(images, np.float32(1 / 255), dtype=np.float32)
    return pixels if power == 1 else np.power(pixels, np.float32(power), out=pixels)
