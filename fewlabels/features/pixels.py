"""Raw pixels scaled to 0..1: the features of the study."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def scale_pixels(images: ArrayLike, power: float = 1.0) -> NDArray[np.float32]:
    """Scale pixels from 0..255 to 0..1, then raise them to a power.

    Parameters
    ----------
    images : array-like of uint8, shape (n, d)
    power : float, default=1
        0.5 makes more of the faint parts of an image; 1 leaves them as they are.

    Returns
    -------
    ndarray of float32, shape (n, d)

    Examples
    --------
    >>> scale_pixels([[0, 51, 255]]).round(2)
    array([[0. , 0.2, 1. ]], dtype=float32)
    """
    pixels: NDArray[np.float32] = np.multiply(images, np.float32(1 / 255), dtype=np.float32)
    return pixels if power == 1 else np.power(pixels, np.float32(power), out=pixels)
