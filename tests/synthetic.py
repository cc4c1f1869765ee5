"""Small images with something to learn in them, for tests of classifiers and networks."""

import numpy as np
from numpy.typing import NDArray

BARS, STRIPES = (8, 9), (12, 8)
"""Height and width of the images of `bars` and of `striped`; both have three classes."""


def bars(count: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images with a bright bar, upright, level or none, somewhere in the middle, under noise."""
    random = np.random.default_rng(seed)
    images, labels = random.integers(0, 120, (count, *BARS)), np.arange(count) % 3
    for image, label, place in zip(images, labels, random.integers(2, 6, count), strict=True):
        if label == 0:
            image[:, place] = 255
        if label == 1:
            image[place] = 255
    return images.reshape(count, -1).astype(np.uint8), labels.astype(np.uint8)


def striped(n: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Noise with a bright stripe: its height is that of the class."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(n) % 3).astype(np.uint8)
    images = random.integers(0, 100, (n, *STRIPES), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 + 3 * label : 5 + 3 * label] += 100
    return images.reshape(n, -1), labels
