"""Small convolutional networks, trained for a number of gradient steps that suits 500 labels as well as 60,000.

A network can collapse: it answers one class for every image, and its accuracy is that class's share. The study's
network does so now and then, from an unlucky initialisation. It is told here from a bad result, and tried again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from fewlabels.batches import in_order, predict, shuffled
from fewlabels.label_set import LabelSet
from fewlabels.muon import ConvolutionMuon
from fewlabels.quiet_keras import TqdmCallback, keras, tf

CHECKS = 20
"""How often a training looks at its validation data."""
HELD_BACK = 2000
"""Validation images at most: more would cost time at every look and tell nothing new."""
DIRECTIONS = 8
"""Of edges, that `edges` tells apart."""
FAINT = 1e-4
"""Added before a root is taken, so that its slope stays finite where there is no edge."""


@dataclass(frozen=True)
class Training:
    """A trained network and how it came to be.

    Attributes
    ----------
    model : keras.Model
        Takes uint8 pixels of shape (n, height * width), gives a score for each class; the largest is the answer.
    curves : list of dict
        One row for each look at the validation data: `start` (0 for the first initialisation), `step`, `loss`,
        `accuracy`, `validation_loss`, `validation_accuracy`.
    collapsed_starts : int
        Initialisations that ended in a network with a constant answer.
    collapsed : bool
        Whether `model` itself is such a network, because every start was.
    """

    model: keras.Model
    curves: list[dict[str, float]]
    collapsed_starts: int
    collapsed: bool


def train(
    images: NDArray[np.uint8],
    label_set: LabelSet,
    *,
    image_shape: Sequence[int],
    classes: int,
    architecture: str,
    steps: int,
    batch_size: int,
    learning_rate: float,
    validation_share: float,
    patience: int,
    restarts: int,
    seed: int,
) -> Training:
    """Train a network on a label set, as often as it takes until one does not collapse.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, height * width)
        All training images; the label set says which rows are used.
    label_set : LabelSet
        A stratified `validation_share` of it, 2,000 images at most, is held back to choose the weights that are kept.
    image_shape : (int, int)
        Height and width.
    classes : int
    architecture : {"compact", "edges", "study"}
    steps : int
        Gradient steps of one start, rounded to whole intervals between two looks at the validation loss, unless it
        has not improved `patience` times in a row; there are 20 looks in a training.
    batch_size : int
    learning_rate : float
        Peak of the optimiser's rate, as of `schedule`.
    validation_share : float
    patience : int
    restarts : int
        How often to start again after a collapse.
    seed : int
        Seeds the split, the initialisations and the order of the images.

    Returns
    -------
    Training

    Raises
    ------
    ValueError
        If the label set is too small to hold back validation data.
    """
    held_back = min(HELD_BACK, ceil(validation_share * len(label_set)))
    if len(label_set) <= held_back:
        raise ValueError(f"{len(label_set)} labels are too few to hold back {held_back} for validation")
    _, counts = np.unique(label_set.labels, return_counts=True)
    every_class_fits = counts.min() >= 2 and min(held_back, len(label_set) - held_back) >= len(counts)
    train_rows, validation_rows = train_test_split(
        np.arange(len(label_set)),
        test_size=held_back,
        random_state=seed,
        stratify=label_set.labels if every_class_fits else None,
    )
    held_out = images[label_set.rows[validation_rows]], label_set.labels[validation_rows]

    keras.utils.set_random_seed(seed)  # the shuffling of tf.data depends on it, too
    batches = _batches(images, label_set, train_rows, batch_size, seed)
    curves: list[dict[str, float]] = []
    for start in range(restarts + 1):
        keras.utils.set_random_seed((seed + start) % 2**32)
        model = ARCHITECTURES[architecture](image_shape, classes)
        optimizer = OPTIMIZERS.get(architecture, keras.optimizers.Adam)
        curves += _train_once(model, batches, held_out, optimizer, steps, learning_rate, patience, start)
        collapsed = len(counts) > 1 and has_collapsed(model, images[label_set.rows[:: ceil(len(label_set) / 1000)]])
        if not collapsed:
            break
    without_optimizer = keras.Model(model.inputs, model.outputs, name=model.name)
    return Training(without_optimizer, curves, collapsed_starts=start + collapsed, collapsed=collapsed)


def has_collapsed(model: keras.Model, images: NDArray[np.uint8]) -> bool:
    """Tell whether a network answers the same class for every image."""
    answers = predict(model, images).argmax(axis=1)
    return bool(np.all(answers == answers[0]))


def compact(image_shape: Sequence[int], classes: int) -> keras.Model:
    """Three times convolution, pooling, batch normalisation, ReLU: pooled early to be fast, normalised not to die.

    Parameters
    ----------
    image_shape : (int, int)
    classes : int

    Returns
    -------
    keras.Model
        Takes raw uint8 pixels of shape (n, height * width), gives probabilities of shape (n, classes).
    """
    inputs, x = _pixels(image_shape)
    x = keras.layers.Flatten()(_blocks(x, (32, 64, 128), "relu"))
    return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(x), name="compact")


def edges(image_shape: Sequence[int], classes: int, dropout: float = 0.0) -> keras.Model:
    """Fixed filters for edges in eight directions, at half the resolution, then what `compact` does, once wider.

    What need not be learnt costs neither labels nor time: with all labels of Fashion-MNIST it knows more after one
    round than `compact` after two. The directions, and the roots that make faint edges count, are those of
    `fewlabels.gradients`.

    Parameters
    ----------
    image_shape : (int, int)
    classes : int
    dropout : float, default=0
        Share of the last features dropped in training.

    Returns
    -------
    keras.Model
        Takes raw uint8 pixels of shape (n, height * width), gives probabilities of shape (n, classes).
    """
    inputs, x = _pixels(image_shape)
    pixels = keras.ops.sqrt(x)
    towards = keras.layers.Conv2D(
        DIRECTIONS, 3, padding="same", use_bias=False, activation="relu", trainable=False, name="towards"
    )(pixels)
    squared = keras.ops.square(towards)
    strength = keras.ops.sqrt(keras.ops.sum(squared, axis=-1, keepdims=True) * (4 / DIRECTIONS) + FAINT)
    x = keras.layers.Concatenate()([squared / strength, pixels])
    x = keras.ops.sqrt(keras.layers.AveragePooling2D(3, 2, padding="same")(x) + FAINT)
    x = keras.layers.BatchNormalization(momentum=0.9, center=False, scale=False)(x)
    x = keras.layers.Flatten()(_blocks(x, (48, 96, 192), "gelu"))
    x = keras.layers.Dropout(dropout)(x)
    model = keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(x), name="edges")
    angles = np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS)
    filters = np.zeros((3, 3, 1, DIRECTIONS), np.float32)
    filters[1, 2, 0], filters[1, 0, 0] = np.cos(angles), -np.cos(angles)
    filters[2, 1, 0], filters[0, 1, 0] = np.sin(angles), -np.sin(angles)
    model.get_layer("towards").set_weights([filters])
    return model


def study(image_shape: Sequence[int], classes: int) -> keras.Model:
    """Build the reference study's layers as they were: the single ReLU channel in the middle is what can die.

    Parameters
    ----------
    image_shape : (int, int)
    classes : int

    Returns
    -------
    keras.Model
        Takes raw uint8 pixels of shape (n, height * width), gives sigmoid scores of shape (n, classes).
    """
    inputs, x = _pixels(image_shape)
    for filters in (32, 64, 128):
        x = keras.layers.Conv2D(filters, 3, activation="relu")(x)
    x = keras.layers.Conv2D(1, 1, activation="relu")(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(64, activation="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(classes, activation="sigmoid")(x), name="study")


ARCHITECTURES = {"compact": compact, "edges": edges, "study": study}
OPTIMIZERS = {"edges": ConvolutionMuon}
"""What trains an architecture, if not Adam."""


def _pixels(image_shape: Sequence[int]) -> tuple[Any, Any]:
    inputs = keras.Input((int(np.prod(image_shape)),), dtype="uint8", name="pixels")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    return inputs, keras.layers.Reshape((*image_shape, 1))(x)


def schedule(learning_rate: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Raise the rate over the first tenth of the steps, then let it fall to zero by half a cosine.

    Parameters
    ----------
    learning_rate : float
        The peak.
    steps : int
    """
    warm_up = ceil(steps / 10)
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=learning_rate, warmup_steps=warm_up
    )


def _blocks(x: Any, widths: Sequence[int], activation: str) -> Any:
    for filters in widths:
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = keras.layers.MaxPooling2D(padding="same")(x)
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        x = keras.layers.Activation(activation)(x)
    return x


def _batches(
    images: NDArray[np.uint8], label_set: LabelSet, rows: NDArray[np.int64], batch_size: int, seed: int
) -> tf.data.Dataset:
    """Shuffled batches without end; only row numbers are shuffled, and pixels stay bytes until in the model."""
    pixels, labels = tf.constant(images[label_set.rows[rows]]), tf.constant(label_set.labels[rows])
    return shuffled(len(rows), batch_size, seed, lambda picked: (tf.gather(pixels, picked), tf.gather(labels, picked)))


def _train_once(
    model: keras.Model,
    batches: tf.data.Dataset,
    held_out: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    optimizer: Callable[[keras.optimizers.schedules.LearningRateSchedule], keras.optimizers.Optimizer],
    steps: int,
    learning_rate: float,
    patience: int,
    start: int,
) -> list[dict[str, float]]:
    """Train from the current weights, keep the best on the data held out, and return the curves."""
    interval = max(1, round(steps / CHECKS))
    checks = ceil(steps / interval)
    model.compile(
        optimizer(schedule(learning_rate, checks * interval)),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    history = model.fit(
        batches,
        steps_per_epoch=interval,
        epochs=checks,
        validation_data=in_order(*held_out),
        callbacks=[
            keras.callbacks.EarlyStopping("val_loss", patience=patience, restore_best_weights=True),
            TqdmCallback(verbose=0, desc=f"start {start}, {len(held_out[0])} images held back", disable=None),
        ],
        shuffle=False,  # the batches are shuffled
        verbose=0,
    ).history
    return [
        {
            "start": start,
            "step": (check + 1) * interval,
            "loss": history["loss"][check],
            "accuracy": history["accuracy"][check],
            "validation_loss": history["val_loss"][check],
            "validation_accuracy": history["val_accuracy"][check],
        }
        for check in range(len(history["loss"]))
    ]
