"""Batches of images for a network, made without tf.data's automatic tuning.

The tuner sleeps between two adjustments: 10 ms, then twice as long each time. Now and then it misses that a training
has ended, and the training waits until the tuner wakes: after 41 seconds, for another 41. These batches have nothing
to tune, so the tuner is switched off, and predictions do without tf.data.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_array

from fewlabels.arrays import Floats
from fewlabels.networks.quiet_keras import keras, tf

CHUNK = 1024
"""Images of 28 x 28 pixels in a batch of predictions. Memory stays bounded because a batch has fewer of larger images,
and fewer for several networks that are joined: TensorFlow computes these at once."""
JOIN = "last_features_of_all"
"""The name of the layer that `fewlabels.networks.ensemble.joined` puts the last features of all its networks together
in: one input for each network and view."""

LookUp = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def shuffled_batches(count: int, batch_size: int, seed: int, look_up: LookUp) -> tf.data.Dataset:
    """Make batches without end, shuffled anew in each epoch.

    Parameters
    ----------
    count : int
        How many images there are.
    batch_size : int
    seed : int
    look_up : callable
        Takes the row numbers of a batch, from 0 to count - 1, and returns its images and targets.

    Returns
    -------
    tf.data.Dataset

    Examples
    --------
    >>> batches = shuffled_batches(4, 2, seed=0, look_up=lambda rows: (rows, 10 * rows))
    >>> sorted(int(row) for rows, _ in batches.take(2) for row in rows)
    [0, 1, 2, 3]
    """
    numbers = tf.data.Dataset.range(count).shuffle(count, seed=seed).repeat()
    return _without_tuning(numbers.batch(batch_size, drop_remainder=True).map(look_up).prefetch(2))


def shifted(batch: tf.Tensor, image_shape: Sequence[int], shift: int, seed: int) -> tf.Tensor:
    """Move each image by some pixels at random, in each direction; what comes in from outside is zero.

    Parameters
    ----------
    batch : tf.Tensor of uint8, shape (n, pixels)
    image_shape : (int, int) or (int, int, 3)
    shift : int
        Pixels at most; with 0 the batch itself is returned.
    seed : int

    Returns
    -------
    tf.Tensor of uint8, shape (n, pixels)

    Examples
    --------
    >>> ones = tf.ones((50, 9), tf.uint8)
    >>> sorted({int(sum(image)) for image in shifted(ones, (3, 3), 1, seed=0).numpy()})
    [4, 6, 9]
    """
    if shift == 0:
        return batch
    images = tf.reshape(batch, (-1, *image_shape))
    images = tf.pad(images, [[0, 0], [shift, shift], [shift, shift], [0, 0]][: len(image_shape) + 1])
    moves = tf.random.uniform((2, tf.shape(images)[0], 1), 0, 2 * shift + 1, tf.int32, seed=seed)
    images = tf.gather(images, moves[0] + tf.range(image_shape[0]), axis=1, batch_dims=1)
    images = tf.gather(images, moves[1] + tf.range(image_shape[1]), axis=2, batch_dims=1)
    return tf.reshape(images, (-1, int(np.prod(image_shape))))


def ordered_batches(
    images: NDArray[np.uint8], targets: NDArray[np.uint8], batch_size: int | None = None
) -> tf.data.Dataset:
    """Make the batches of one epoch, in order.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, pixels)
    targets : ndarray of uint8, shape (n,)
    batch_size : int, optional
        As from `batch_of` if not given.

    Returns
    -------
    tf.data.Dataset

    Examples
    --------
    >>> batches = ordered_batches(np.zeros((3, 4), np.uint8), np.arange(3, dtype=np.uint8), batch_size=2)
    >>> [targets.numpy().tolist() for _, targets in batches]
    [[0, 1], [2]]
    """
    return _without_tuning(tf.data.Dataset.from_tensor_slices((images, targets)).batch(batch_size or batch_of(images)))


def predict_in_batches(network: keras.Model, X: ArrayLike) -> Floats:
    """Compute a network's output for images.

    Parameters
    ----------
    network : keras.Model
        With one output.
    X : array-like of uint8, shape (n, pixels)

    Returns
    -------
    ndarray of float32, shape (n, outputs)

    Examples
    --------
    >>> inputs = keras.Input((2,), dtype="uint8")
    >>> predict_in_batches(keras.Model(inputs, keras.layers.Rescaling(2.0)(inputs)), [[1, 3]])
    array([[2., 6.]], dtype=float32)
    """
    images = np.asarray(X)
    chunk = batch_of(images, at_once=_at_once(network))
    network.jit_compile = False  # as in training: on a GPU Keras would compile each network anew for each batch size
    out = np.empty((len(images), network.output_shape[-1]), np.float32)
    for start in range(0, len(images), chunk):
        out[start : start + chunk] = network.predict_on_batch(images[start : start + chunk])
    return out


def batch_of(images: NDArray[Any], *, at_once: int = 1) -> int:
    """Choose how many images to predict at a time.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, pixels)
    at_once : int, default=1
        How many networks see a batch at once, each view of an image counted.

    Returns
    -------
    int

    Examples
    --------
    >>> small, large = np.zeros((1, 28 * 28)), np.zeros((1, 224 * 224 * 3))
    >>> batch_of(small), batch_of(small, at_once=4), batch_of(large)
    (1024, 256, 5)
    """
    most = CHUNK // at_once
    return max(1, min(most, most * 28 * 28 // max(1, int(images.shape[1]))))


def _at_once(network: keras.Model) -> int:
    """Count the networks in a joined one, each as often as it sees a view; another is one, whatever its layers are."""
    return max((len(layer.input) for layer in network.layers if layer.name == JOIN), default=1)


def checked_pixels(estimator: Any, X: ArrayLike) -> NDArray[np.uint8]:
    """Check the images that an estimator around a network is given.

    Parameters
    ----------
    estimator : scikit-learn estimator
        With an attribute `network` that takes pixels of shape (n, pixels).
    X : array-like of whole numbers, shape (n, pixels)

    Returns
    -------
    ndarray of uint8, shape (n, pixels)

    Raises
    ------
    ValueError
        If X has another number of pixels than the network takes, or a value is no whole number from 0 to 255.

    Examples
    --------
    >>> from fewlabels.networks.architectures import compact
    >>> from fewlabels.networks.embedding import Embedding
    >>> checked_pixels(Embedding(compact((8, 8), n_classes=3)), [[300] * 64])
    Traceback (most recent call last):
    ValueError: X: 300 is no pixel, a whole number from 0 to 255
    """
    values: NDArray[Any] = check_array(X, dtype=None, estimator=estimator, input_name="X")
    name, wanted = type(estimator).__name__, int(estimator.network.input_shape[-1])
    if values.shape[1] != wanted:
        raise ValueError(f"X has {values.shape[1]} features, but {name} is expecting {wanted} features as input.")
    if values.dtype == np.uint8:
        return values
    with np.errstate(invalid="ignore"):
        pixels: NDArray[np.uint8] = values.astype(np.uint8)
    wrong = values[pixels != values]
    if len(wrong):
        raise ValueError(f"X: {wrong[0]} is no pixel, a whole number from 0 to 255")
    return pixels


def _without_tuning(dataset: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
