"""Small convolutional networks that take raw pixels: compact, edges, and the reference study's."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fewlabels.networks.muon import ConvolutionMuon
from fewlabels.networks.quiet_keras import keras

DIRECTIONS = 8
"""Directions of edges that the fixed filters of `edges` tell apart."""
EPSILON = 1e-4
"""Added before a square root, so that its slope stays finite where there is no edge."""


def compact(image_shape: Sequence[int], n_classes: int) -> keras.Model:
    """Build three blocks of convolution, pooling, batch normalisation and ReLU.

    Pooling comes early, which makes training fast; normalisation keeps units from being zero for every image.

    Parameters
    ----------
    image_shape : (int, int)
    n_classes : int

    Returns
    -------
    keras.Model
        Takes raw uint8 pixels of shape (n, height * width), gives probabilities of shape (n, n_classes).

    Examples
    --------
    >>> compact((28, 28), n_classes=10).count_params()
    113834
    """
    inputs, x = _pixels(image_shape)
    x = keras.layers.Flatten()(_blocks(x, (32, 64, 128), "relu"))
    return keras.Model(inputs, keras.layers.Dense(n_classes, activation="softmax")(x), name="compact")


def edges(image_shape: Sequence[int], n_classes: int, dropout: float = 0.0) -> keras.Model:
    """Build fixed filters for edges in eight directions, at half the resolution, then wider blocks as in `compact`.

    Fixed filters need neither labels nor training: with all labels of Fashion-MNIST it is more accurate after one epoch
    than `compact` after two. The directions, and the square roots that give faint edges more weight, are those of
    `fewlabels.features.hog`.

    Parameters
    ----------
    image_shape : (int, int)
    n_classes : int
    dropout : float, default=0
        The part of the last features that is dropped at random in each training step.

    Returns
    -------
    keras.Model
        Takes raw uint8 pixels of shape (n, height * width), gives probabilities of shape (n, n_classes).

    Examples
    --------
    >>> edges((28, 28), n_classes=10).count_params()
    220372
    """
    inputs, x = _pixels(image_shape)
    pixels = keras.ops.sqrt(x)
    towards = keras.layers.Conv2D(
        DIRECTIONS, 3, padding="same", use_bias=False, activation="relu", trainable=False, name="towards"
    )(pixels)
    squared = keras.ops.square(towards)
    strength = keras.ops.sqrt(keras.ops.sum(squared, axis=-1, keepdims=True) * (4 / DIRECTIONS) + EPSILON)
    x = keras.layers.Concatenate()([squared / strength, pixels])
    x = keras.ops.sqrt(keras.layers.AveragePooling2D(3, 2, padding="same")(x) + EPSILON)
    x = keras.layers.BatchNormalization(momentum=0.9, center=False, scale=False)(x)
    x = keras.layers.Flatten()(_blocks(x, (48, 96, 192), "gelu"))
    x = keras.layers.Dropout(dropout)(x)
    model = keras.Model(inputs, keras.layers.Dense(n_classes, activation="softmax")(x), name="edges")
    angles = np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS)
    filters = np.zeros((3, 3, 1, DIRECTIONS), np.float32)
    filters[1, 2, 0], filters[1, 0, 0] = np.cos(angles), -np.cos(angles)
    filters[2, 1, 0], filters[0, 1, 0] = np.sin(angles), -np.sin(angles)
    model.get_layer("towards").set_weights([filters])
    return model


def study(image_shape: Sequence[int], n_classes: int) -> keras.Model:
    """Build the reference study's layers as they were.

    Its single ReLU channel in the middle can be zero for every image; the network then gives a constant prediction.

    Parameters
    ----------
    image_shape : (int, int)
    n_classes : int

    Returns
    -------
    keras.Model
        Takes raw uint8 pixels of shape (n, height * width), gives sigmoid scores of shape (n, n_classes).

    Examples
    --------
    >>> study((28, 28), n_classes=10).count_params()
    124491
    """
    inputs, x = _pixels(image_shape)
    for filters in (32, 64, 128):
        x = keras.layers.Conv2D(filters, 3, activation="relu")(x)
    x = keras.layers.Conv2D(1, 1, activation="relu")(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(64, activation="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(n_classes, activation="sigmoid")(x), name="study")


Architecture = Callable[[Sequence[int], int], keras.Model]
ARCHITECTURES: dict[str, Architecture] = {"compact": compact, "edges": edges, "study": study}
OPTIMIZERS: dict[str, Callable[..., keras.optimizers.Optimizer]] = {"edges": ConvolutionMuon}
"""The optimiser of an architecture, where it is not Adam."""


def _pixels(image_shape: Sequence[int]) -> tuple[Any, Any]:
    """Make the input layer, and its pixels as an image of one channel, scaled to 0..1."""
    inputs = keras.Input((int(np.prod(image_shape)),), dtype="uint8", name="pixels")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    return inputs, keras.layers.Reshape((*image_shape, 1))(x)


def _blocks(x: Any, widths: Sequence[int], activation: str) -> Any:
    for filters in widths:
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = keras.layers.MaxPooling2D(padding="same")(x)
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        x = keras.layers.Activation(activation)(x)
    return x
