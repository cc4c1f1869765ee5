"""How long a training will take, before it starts."""

import time
from collections.abc import Sequence

import numpy as np

from fewlabels.networks.architectures import ARCHITECTURES
from fewlabels.networks.quiet_keras import keras

BATCH = 16
"""Images in the steps that are timed."""
SOON = 64 * 64
"""Numbers of an image, height times width times colours, up to which nobody waits long: nothing is timed for these."""


def seconds_per_epoch(architecture: str, image_shape: Sequence[int], n_classes: int, images: int) -> float:
    """Estimate the time in which a network sees each image once, by two steps of a network that is then thrown away.

    Parameters
    ----------
    architecture : {"compact", "edges", "study"}
    image_shape : (int, int) or (int, int, 3)
    n_classes : int
    images : int

    Returns
    -------
    float
        Seconds; 0 for small images, which are not timed. The first step, in which Keras compiles, does not count.

    Examples
    --------
    >>> seconds_per_epoch("compact", (28, 28), 10, 60_000)
    0.0
    >>> seconds_per_epoch("compact", (96, 96, 3), 10, 600) > 0
    True
    """
    if np.prod(image_shape) <= SOON:
        return 0.0
    network = ARCHITECTURES[architecture](image_shape, n_classes)
    network.compile(keras.optimizers.SGD(), "sparse_categorical_crossentropy", jit_compile=False)
    shown, labels = np.zeros((BATCH, int(np.prod(image_shape))), np.uint8), np.zeros(BATCH, np.uint8)
    network.train_on_batch(shown, labels)
    start = time.perf_counter()
    network.train_on_batch(shown, labels)
    return (time.perf_counter() - start) * images / BATCH
