"""Images for a network, a batch at a time, with no pause between.

tf.data looks for better settings while it works, and sleeps between two looks: 10 ms, then twice as long each time. Now
and then it does not hear that its work is over, and who waits for it waits until it wakes up: after 41 seconds, for
another 41. Here is nothing to tune, so it is told not to, and where batches come one after another it is not used.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fewlabels.quiet_keras import keras, tf

CHUNK = 1024
"""Images that a network answers at a time, so that memory stays bounded."""

Look = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def shuffled(count: int, batch_size: int, seed: int, look_up: Look) -> tf.data.Dataset:
    """Make batches without end, in an order of its own each time round.

    Parameters
    ----------
    count : int
        How many there are to draw from.
    batch_size : int
    seed : int
    look_up : callable
        Takes the numbers drawn for a batch, from 0 to count - 1, and gives its images and targets.

    Returns
    -------
    tf.data.Dataset
    """
    numbers = tf.data.Dataset.range(count).shuffle(count, seed=seed).repeat()
    return _untuned(numbers.batch(batch_size, drop_remainder=True).map(look_up).prefetch(2))


def in_order(images: NDArray[np.uint8], targets: NDArray[np.uint8], batch_size: int = CHUNK) -> tf.data.Dataset:
    """Make batches, once round.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, height * width)
    targets : ndarray of uint8, shape (n,)
    batch_size : int, default=1024

    Returns
    -------
    tf.data.Dataset
    """
    return _untuned(tf.data.Dataset.from_tensor_slices((images, targets)).batch(batch_size))


def predict(network: keras.Model, X: ArrayLike) -> NDArray[np.float32]:
    """Ask a network about images.

    Parameters
    ----------
    network : keras.Model
        Of one output.
    X : array-like of uint8, shape (n, height * width)
        At least one.

    Returns
    -------
    ndarray of float32, shape (n, outputs)
    """
    images = np.asarray(X)
    out = np.empty((len(images), network.output_shape[-1]), np.float32)
    for start in range(0, len(images), CHUNK):
        out[start : start + CHUNK] = network.predict_on_batch(images[start : start + CHUNK])
    return out


def _untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
