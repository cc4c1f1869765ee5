"""Small convolutional networks that take raw pixels: compact, edges, and the reference study's.

`compact` and `edges` take images of any size. The first pooling leaves some 14 x 14 places of each, as it does of 28 x
28 pixels: what follows costs the same, and the number of last features does not grow.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fewlabels.networks.muon import ConvolutionMuon
from fewlabels.networks.quiet_keras import keras

DIRECTIONS = 8
"""Directions of edges that the fixed filters of `edges` tell apart."""
SIDE = 28
"""Height and width of the images that the layers were made for."""
EPSILON = 1e-4
"""Added before a square root, so that its slope stays finite where there is no edge."""


def compact(image_shape: Sequence[int], n_classes: int) -> keras.Model:
    """Build three blocks of convolution, pooling, batch normalisation and ReLU.

    Pooling comes early, which makes training fast; normalisation keeps units from being zero for every image.

    Parameters
    ----------
    image_shape : (int, int) or (int, int, 3)
    n_classes : int

    Returns
    -------
    keras.Model
        Takes raw uint8 pixels of shape (n, pixels), gives probabilities of shape (n, n_classes).

    Examples
    --------
    >>> compact((28, 28), n_classes=10).count_params()
    113834
    """
    inputs, x = _pixels(image_shape)
    x = keras.layers.Flatten()(_blocks(x, (32, 64, 128), "relu", _first_strides(image_shape)))
    return keras.Model(inputs, keras.layers.Dense(n_classes, activation="softmax")(x), name="compact")


def edges(image_shape: Sequence[int], n_classes: int, dropout: float = 0.0) -> keras.Model:
    """Build fixed filters for edges in eight directions, at half the resolution, then wider blocks as in `compact`.

    Fixed filters need neither labels nor training: with all labels of Fashion-MNIST it is more accurate after one epoch
    than `compact` after two. The directions, and the square roots that give faint edges more weight, are those of
    `fewlabels.features.hog`.

    Parameters
    ----------
    image_shape : (int, int) or (int, int, 3)
    n_classes : int
    dropout : float, default=0
        The part of the last features that is dropped at random in each training step.

    Returns
    -------
    keras.Model
        Takes raw uint8 pixels of shape (n, pixels), gives probabilities of shape (n, n_classes).

    Examples
    --------
    >>> edges((28, 28), n_classes=10).count_params()
    220372
    """
    inputs, x = _pixels(image_shape)
    pixels = keras.ops.sqrt(x)
    colours = pixels.shape[-1]
    towards = keras.layers.Conv2D(
        colours * DIRECTIONS, 3, padding="same", use_bias=False, activation="relu", trainable=False, name="towards"
    )(pixels)
    if colours > 1:  # the strongest edge of all colours
        towards = keras.ops.max(keras.layers.Reshape((*image_shape[:2], colours, DIRECTIONS))(towards), axis=-2)
    squared = keras.ops.square(towards)
    strength = keras.ops.sqrt(keras.ops.sum(squared, axis=-1, keepdims=True) * (4 / DIRECTIONS) + EPSILON)
    x = keras.layers.Concatenate()([squared / strength, pixels])
    strides = _first_strides(image_shape)
    around = tuple(stride + 1 for stride in strides)
    x = keras.ops.sqrt(keras.layers.AveragePooling2D(around, strides, padding="same")(x) + EPSILON)
    x = keras.layers.BatchNormalization(momentum=0.9, center=False, scale=False)(x)
    x = keras.layers.Flatten()(_blocks(x, (48, 96, 192), "gelu"))
    x = keras.layers.Dropout(dropout)(x)
    model = keras.Model(inputs, keras.layers.Dense(n_classes, activation="softmax")(x), name="edges")
    angles = np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS)
    filters = np.zeros((3, 3, colours, colours, DIRECTIONS), np.float32)
    for colour in range(colours):  # each colour is seen by filters of its own
        filters[1, 2, colour, colour], filters[1, 0, colour, colour] = np.cos(angles), -np.cos(angles)
        filters[2, 1, colour, colour], filters[0, 1, colour, colour] = np.sin(angles), -np.sin(angles)
    model.get_layer("towards").set_weights([filters.reshape(3, 3, colours, -1)])
    return model


def study(image_shape: Sequence[int], n_classes: int) -> keras.Model:
    """Build the reference study's layers as they were.

    Its single ReLU channel in the middle can be zero for every image; the network then gives a constant prediction.

    Parameters
    ----------
    image_shape : (int, int) or (int, int, 3)
    n_classes : int

    Returns
    -------
    keras.Model
        Takes raw uint8 pixels of shape (n, pixels), gives sigmoid scores of shape (n, n_classes).

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
    """Make the input layer, and its pixels as an image of one channel or three, scaled to 0..1."""
    inputs = keras.Input((int(np.prod(image_shape)),), dtype="uint8", name="pixels")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    return inputs, keras.layers.Reshape((*image_shape, 1)[:3])(x)


def _first_strides(image_shape: Sequence[int]) -> tuple[int, int]:
    height, width = (2 * max(1, round(side / SIDE)) for side in image_shape[:2])
    return height, width


def _blocks(x: Any, widths: Sequence[int], activation: str, first_strides: tuple[int, int] = (2, 2)) -> Any:
    for place, filters in enumerate(widths):
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = keras.layers.MaxPooling2D((2, 2) if place else first_strides, padding="same")(x)
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        x = keras.layers.Activation(activation)(x)
    return x
