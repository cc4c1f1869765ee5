"""A network that learns from soft labels on all images, and comes to know more than who gave them.

Self-training with noise (Q. Xie et al., "Self-training with Noisy Student improves ImageNet classification", CVPR
2020): the teacher is kernel ridge regression on few bought labels; the student sees every image shifted and with parts
of its features dropped, so that it cannot learn the teacher's mistakes by heart. It then helps to teach itself: its own
opinion, and that of kernel ridge regression on what it sees in the bought images, correct the soft labels that it goes
on to learn from.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline, make_pipeline

from fewlabels.batches import shuffled
from fewlabels.embedding import Embedding
from fewlabels.kernel_ridge import KernelRidgeClassifier
from fewlabels.label_set import LabelSet
from fewlabels.muon import ConvolutionMuon
from fewlabels.network import Training, edges, has_collapsed, schedule
from fewlabels.quiet_keras import TqdmCallback, keras, tf

SHIFT = 1
"""Pixels that an image is moved by at most, each way."""

Floats = NDArray[np.float32]


def train(
    images: NDArray[np.uint8],
    label_set: LabelSet,
    *,
    image_shape: Sequence[int],
    classes: int,
    generations: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    dropout: float,
    repeats: int,
    seed: int,
) -> Training:
    """Train a network of the architecture `edges` on soft labels. No label is held back to stop it in time.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, height * width)
        All training images; the label set says which rows are used.
    label_set : LabelSet
        With probabilities.
    image_shape : (int, int)
    classes : int
    generations : int
        How often it learns. After the first, from the mean of the soft labels given, its own answers and those of
        `on_embedding`.
    epochs : int
        Times that each image is seen in a generation.
    batch_size : int
    learning_rate : float
        Peak of the optimiser's rate in a generation, as of `fewlabels.network.schedule`.
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
        If the label set has no probabilities, no bought labels, or is smaller than a batch.
    """
    if label_set.probabilities is None:
        raise ValueError("the label set has no probabilities")
    if not label_set.bought.any():
        raise ValueError("the label set has no bought labels")
    order = np.concatenate([np.arange(len(label_set)), np.repeat(np.flatnonzero(label_set.bought), repeats - 1)])
    steps = len(order) // batch_size
    if not steps:
        raise ValueError(f"{len(label_set)} images are fewer than one batch of {batch_size}")
    keras.utils.set_random_seed(seed)
    shown, targets = images[label_set.rows], label_set.probabilities
    model = edges(image_shape, classes, dropout)
    curves = []
    for generation in range(generations):
        if generation:
            targets = _corrected(label_set.probabilities, label_set, model, shown)
        optimizer = ConvolutionMuon(schedule(learning_rate, epochs * steps))
        model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
        history = model.fit(
            _batches(shown, targets, order, image_shape, batch_size, seed + generation),
            steps_per_epoch=steps,
            epochs=epochs,
            callbacks=[TqdmCallback(verbose=0, desc=f"student, generation {generation + 1}", disable=None)],
            shuffle=False,  # the batches are shuffled
            verbose=0,
        ).history
        curves += list(zip(history["loss"], history["accuracy"], strict=True))
    collapsed = has_collapsed(model, shown[:1000])
    return Training(
        keras.Model(model.inputs, model.outputs, name="student"),
        [
            {"start": 0, "step": (epoch + 1) * steps, "loss": loss, "accuracy": accuracy}
            for epoch, (loss, accuracy) in enumerate(curves)
        ],
        int(collapsed),
        collapsed,
    )


def on_embedding(network: keras.Model, images: NDArray[np.uint8], label_set: LabelSet) -> Pipeline:
    """Fit kernel ridge regression to what a network sees in the images whose labels were bought.

    Parameters
    ----------
    network : keras.Model
    images : ndarray of uint8, shape (m, height * width)
        Those of the label set, in its order.
    label_set : LabelSet
        Its probabilities are not looked at.

    Returns
    -------
    sklearn.pipeline.Pipeline
        From raw pixels to probabilities of all the network's classes.
    """
    embedding, bought = Embedding(network).fit(images), label_set.bought
    classifier = KernelRidgeClassifier(classes=range(network.output_shape[-1]))
    return make_pipeline(embedding, classifier.fit(embedding.transform(images[bought]), label_set.labels[bought]))


def _corrected(given: Floats, label_set: LabelSet, model: keras.Model, images: NDArray[np.uint8]) -> Floats:
    """Average three opinions; what was bought stays certain."""
    embedding, classifier = on_embedding(model, images, label_set)
    last = embedding.last(images)
    own = model.layers[-1](last).numpy()
    corrected = (given + own + classifier.predict_proba(embedding.reduced(last))) / 3
    corrected[label_set.bought] = given[label_set.bought]
    return np.asarray(corrected, np.float32)


def _batches(
    images: NDArray[np.uint8],
    probabilities: Floats,
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
