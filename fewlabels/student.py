"""A network that learns from soft labels on all images, and comes to know more than who gave them.

Self-training with noise (Q. Xie et al., "Self-training with Noisy Student improves ImageNet classification", CVPR
2020): the teacher is kernel ridge regression on few bought labels; the student sees every image shifted and with parts
of its features dropped, so that it cannot learn the teacher's mistakes by heart.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fewlabels.label_set import LabelSet
from fewlabels.network import Training, compact, has_collapsed, shuffled
from fewlabels.quiet_keras import TqdmCallback, keras, tf

SHIFT = 2
"""Pixels that an image is moved by at most, each way."""


def train(
    images: NDArray[np.uint8],
    label_set: LabelSet,
    *,
    image_shape: Sequence[int],
    classes: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    dropout: float,
    repeats: int,
    seed: int,
) -> Training:
    """Train a compact network on soft labels. No label is held back: the teacher's are enough to stop it in time.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, height * width)
        All training images; the label set says which rows are used.
    label_set : LabelSet
        With probabilities.
    image_shape : (int, int)
    classes : int
    epochs : int
        Times that each image is seen.
    batch_size : int
    learning_rate : float
        Peak of Adam's rate: linear warm-up over the first tenth of the steps, then half a cosine down to zero.
    dropout : float
        Share of the last features that is dropped in a step.
    repeats : int
        Times that a bought label counts in an epoch.
    seed : int
        Seeds the initialisation, the order of the images and their shifts.

    Returns
    -------
    Training
        With a row of `curves` for each epoch: `start`, always 0, `step`, `loss`, `accuracy` on the labels as given.

    Raises
    ------
    ValueError
        If the label set has no probabilities, or is smaller than a batch.
    """
    if label_set.probabilities is None:
        raise ValueError("the label set has no probabilities")
    keras.utils.set_random_seed(seed)
    order = np.concatenate([np.arange(len(label_set)), np.repeat(np.flatnonzero(label_set.bought), repeats - 1)])
    steps = len(order) // batch_size
    if not steps:
        raise ValueError(f"{len(label_set)} images are fewer than one batch of {batch_size}")
    batches = _batches(images[label_set.rows], label_set.probabilities, order, image_shape, batch_size, seed)
    model = compact(image_shape, classes, dropout)
    warm_up = max(1, epochs * steps // 10)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, epochs * steps - warm_up), warmup_target=learning_rate, warmup_steps=warm_up
    )
    model.compile(keras.optimizers.Adam(schedule), "categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    history = model.fit(
        batches,
        steps_per_epoch=steps,
        epochs=epochs,
        callbacks=[TqdmCallback(verbose=0, desc="student", disable=None)],
        shuffle=False,  # the batches are shuffled
        verbose=0,
    ).history
    curves = [
        {"start": 0, "step": (epoch + 1) * steps, "loss": loss, "accuracy": accuracy}
        for epoch, (loss, accuracy) in enumerate(zip(history["loss"], history["accuracy"], strict=True))
    ]
    collapsed = has_collapsed(model, images[label_set.rows[:1000]])
    return Training(keras.Model(model.inputs, model.outputs, name="student"), curves, int(collapsed), collapsed)


def _batches(
    images: NDArray[np.uint8],
    probabilities: NDArray[np.float32],
    order: NDArray[np.int64],
    image_shape: Sequence[int],
    batch_size: int,
    seed: int,
) -> tf.data.Dataset:
    """Shuffled batches without end, each image shifted anew every time."""
    pixels, targets, rows = tf.constant(images), tf.constant(probabilities), tf.constant(order)

    def shifted(picked: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        which = tf.gather(rows, picked)
        batch = tf.reshape(tf.gather(pixels, which), (-1, *image_shape))
        batch = tf.pad(batch, [[0, 0], [SHIFT, SHIFT], [SHIFT, SHIFT]])
        moves = tf.random.uniform((2, batch_size, 1), 0, 2 * SHIFT + 1, tf.int32, seed=seed)
        batch = tf.gather(batch, moves[0] + tf.range(image_shape[0]), axis=1, batch_dims=1)
        batch = tf.gather(batch, moves[1] + tf.range(image_shape[1]), axis=2, batch_dims=1)
        return tf.reshape(batch, (-1, int(np.prod(image_shape)))), tf.gather(targets, which)

    return shuffled(len(order), batch_size, seed, shifted)
