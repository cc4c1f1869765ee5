"""Raw pixels as numbers that a method can work with."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def scaled(images: ArrayLike, power: float = 1.0) -> NDArray[np.float32]:
    """Scale pixels from 0..255 to 0..1, then raise them to a power.

    Parameters
    ----------
    images : array-like of uint8, shape (n, d)
    power : float, default=1

    Returns
    -------
    ndarray of float32, shape (n, d)
    """
    pixels: NDArray[np.float32] = np.multiply(images, np.float32(1 / 255), dtype=np.float32)
    return pixels if power == 1 else np.power(pixels, np.float32(power), out=pixels)
