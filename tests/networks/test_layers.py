"""What each layer of the networks is, and what the fixed ones of `edges` compute, pixel by pixel."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fewlabels.networks.architectures import OPTIMIZERS, compact, edges
from fewlabels.networks.muon import ConvolutionMuon
from fewlabels.networks.quiet_keras import keras
from fewlabels.networks.training import schedule


def blocks(model: keras.Model) -> list[tuple[Any, ...]]:
    """The trained convolutions, with the three layers that follow each."""
    found = []
    for number, layer in enumerate(model.layers):
        if isinstance(layer, keras.layers.Conv2D) and layer.trainable:
            pooling, normalisation, activation = model.layers[number + 1 : number + 4]
            assert layer.kernel_size == (3, 3)
            assert layer.padding == pooling.padding == "same"
            assert not layer.use_bias
            assert pooling.pool_size == pooling.strides == (2, 2)
            assert isinstance(pooling, keras.layers.MaxPooling2D)
            assert (normalisation.momentum, normalisation.center, normalisation.scale) == (0.9, True, True)
            found.append((layer.filters, activation.activation.__name__))
    return found


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        (compact((9, 12), 4), [(32, "relu"), (64, "relu"), (128, "relu")]),
        (edges((9, 12), 4, 0.4), [(48, "gelu"), (96, "gelu"), (192, "gelu")]),
    ],
    ids=["compact", "edges"],
)
def test_a_network_is_three_blocks_and_an_answer(model: keras.Model, wanted: list[tuple[int, str]]) -> None:
    assert blocks(model) == wanted
    answer = model.layers[-1]
    assert (answer.units, answer.activation.__name__) == (4, "softmax")
    assert model.input.dtype == "uint8"
    assert model.input.name == "pixels"
    assert model.input_shape == (None, 108)


def test_names_say_the_architecture() -> None:
    assert [build((8, 8), 2).name for build in (compact, edges)] == ["compact", "edges"]
    assert dict(OPTIMIZERS) == {"edges": ConvolutionMuon}


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_the_last_features_of_edges_are_dropped(dropout: float) -> None:
    layers = [layer for layer in edges((8, 8), 3, dropout).layers if isinstance(layer, keras.layers.Dropout)]
    assert [layer.rate for layer in layers] == [dropout]
    assert [layer.rate for layer in edges((8, 8), 3).layers if isinstance(layer, keras.layers.Dropout)] == [0.0]


def described(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What the fixed layers of `edges` make of an image of even sides, as its docstring says, in plain numpy.

    Square roots of brightness; how strongly it grows towards each of eight directions, if it does; these, squared, over
    the strength of the edge; their mean and that of the brightness in 3 x 3 pixels, of every second one; square roots.
    """
    brightness = np.sqrt(image / 255)
    padded = np.pad(brightness, 1)
    across, down = padded[1:-1, 2:] - padded[1:-1, :-2], padded[2:, 1:-1] - padded[:-2, 1:-1]
    angles = np.arange(8) * np.pi / 4
    squared = np.maximum(across[..., None] * np.cos(angles) + down[..., None] * np.sin(angles), 0) ** 2
    strength = np.sqrt(across**2 + down**2 + 1e-4)
    channels = np.concatenate([squared / strength[..., None], brightness[..., None]], axis=-1)
    height, width = image.shape
    pooled = np.empty((height // 2, width // 2, 9))
    for row in range(height // 2):
        for column in range(width // 2):
            pooled[row, column] = channels[2 * row : 2 * row + 3, 2 * column : 2 * column + 3].mean(axis=(0, 1))
    return np.sqrt(pooled + 1e-4)


def test_edges_sees_what_its_docstring_says() -> None:
    model = edges((8, 10), 3)
    normalisation = next(layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization))
    assert (normalisation.momentum, normalisation.center, normalisation.scale) == (0.9, False, False)
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 10)).astype(np.uint8)
    found = keras.Model(model.input, normalisation.input)(images.reshape(3, -1)).numpy()
    np.testing.assert_allclose(found, [described(image) for image in images], atol=2e-5)


def test_compact_sees_pixels_from_zero_to_one() -> None:
    model = compact((8, 10), 3)
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    images = np.random.default_rng(0).integers(0, 256, (2, 80)).astype(np.uint8)
    found = keras.Model(model.input, first.input)(images).numpy()
    np.testing.assert_allclose(found, images.reshape(2, 8, 10, 1) / 255, rtol=1e-5)


def test_the_rate_grows_for_a_tenth_of_the_steps_and_falls_to_zero_by_half_a_cosine() -> None:
    rate = schedule(0.5, 40)
    rates = [float(rate(step)) for step in range(41)]
    np.testing.assert_allclose(rates[:5], [0, 0.125, 0.25, 0.375, 0.5], rtol=1e-5)
    np.testing.assert_allclose(rates[4:], 0.25 * (1 + np.cos(np.pi * np.arange(37) / 36)), atol=1e-6)
    assert all(later < earlier for earlier, later in pairwise(rates[4:]))
    assert float(schedule(0.5, 1)(1)) == pytest.approx(0.5), "the only step, a warm-up"


def test_muon_takes_adam_for_what_is_no_convolution() -> None:
    """The first step of Adam is the rate, whatever the gradient; nothing decays."""
    dense, kernel = keras.Variable(np.full((4, 3), 2, np.float32)), keras.Variable(np.full((3, 3, 2, 5), 2, np.float32))
    optimizer = ConvolutionMuon(0.25)
    assert optimizer.weight_decay is None
    assert optimizer.adam_weight_decay == 0
    optimizer.build([dense, kernel])
    gradients = [keras.ops.full((4, 3), 7.0), keras.ops.zeros((3, 3, 2, 5))]
    optimizer.apply(gradients, [dense, kernel])
    np.testing.assert_allclose(dense.numpy(), 1.75, rtol=1e-4)
    np.testing.assert_array_equal(kernel.numpy(), 2)
    assert ConvolutionMuon(0.25, adam_weight_decay=0.1).adam_weight_decay == 0.1


@pytest.mark.parametrize("shape", [(3, 3, 2, 8), (1, 1, 2, 32)])
def test_an_update_of_muon_is_as_large_as_one_of_adam(shape: tuple[int, ...]) -> None:
    """An orthogonal matrix times 0.2 and the root of its longer side has a root mean square of about 0.2."""
    kernel = keras.Variable(np.zeros(shape, np.float32))
    optimizer = ConvolutionMuon(1.0)
    optimizer.build([kernel])
    gradient = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    optimizer.apply([keras.ops.convert_to_tensor(gradient)], [kernel])
    assert 0.15 < np.sqrt(np.mean(kernel.numpy() ** 2)) < 0.25
    seen = -kernel.numpy().reshape(-1, shape[-1])
    left, _, right = np.linalg.svd(gradient.reshape(-1, shape[-1]), full_matrices=False)
    assert np.sum(seen * (left @ right)) / np.linalg.norm(seen) / np.linalg.norm(left @ right) > 0.95
