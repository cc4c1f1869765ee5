"""The layers of the networks, and what the fixed ones compute."""

import numpy as np
import pytest

from fewlabels.networks.architectures import ARCHITECTURES, DIRECTIONS, edges
from fewlabels.networks.quiet_keras import keras


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("shape", [(8, 8), (9, 21), (28, 28), (8, 9, 3), (64, 40, 3)])
def test_images_of_any_shape_fit(architecture: str, shape: tuple[int, ...]) -> None:
    model = ARCHITECTURES[architecture](shape, 4)
    images = np.random.default_rng(0).integers(0, 256, (2, np.prod(shape)), np.uint8)
    scores = model(images).numpy()
    assert scores.shape == (2, 4)
    assert np.isfinite(scores).all()
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    assert tuple(first.input.shape) == (None, *shape[:2], len(shape[2:]) * 2 + 1)


def test_fixed_filters_find_edges_by_direction() -> None:
    """From dark on the left to bright on the right, an edge points right, and half of it to either side."""
    model = edges((8, 8), 4)
    images = np.zeros((1, 8, 8), np.uint8)
    images[:, :, 4:] = 255
    towards = keras.Model(model.inputs, model.get_layer("towards").output).predict(images.reshape(1, -1), verbose=0)[0]
    expected = np.zeros((6, 8, DIRECTIONS), np.float32)
    expected[:, 3:5] = np.maximum(np.cos(np.arange(DIRECTIONS) * np.pi / 4), 0)
    np.testing.assert_allclose(towards[1:-1, :7], expected[:, :7], atol=1e-6)
    assert [weight.name for weight in model.get_layer("towards").trainable_weights] == []


def test_the_study_network_has_the_studys_layers() -> None:
    model = ARCHITECTURES["study"]((28, 28), 10)
    convolutions = [
        (layer.filters, layer.kernel_size, layer.strides, layer.padding, layer.activation.__name__, layer.use_bias)
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
    ]
    assert convolutions == [
        (32, (3, 3), (1, 1), "valid", "relu", True),
        (64, (3, 3), (1, 1), "valid", "relu", True),
        (128, (3, 3), (1, 1), "valid", "relu", True),
        (1, (1, 1), (1, 1), "valid", "relu", True),
    ]
    dense = [
        (layer.units, layer.activation.__name__) for layer in model.layers if isinstance(layer, keras.layers.Dense)
    ]
    assert dense == [(64, "relu"), (10, "sigmoid")]
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == ["InputLayer", "Rescaling", "Reshape", *["Conv2D"] * 4, "Flatten", "Dense", "Dense"]
    # Convolutions, the 22 x 22 positions of the one channel, and the answer.
    assert model.count_params() == 320 + 18_496 + 73_856 + 129 + (22 * 22 + 1) * 64 + 65 * 10


@pytest.mark.parametrize("architecture", ["compact", "edges"])
def test_last_features_and_layers_do_not_grow_with_the_image(architecture: str) -> None:
    sizes = [ARCHITECTURES[architecture]((side, side), 10).count_params() for side in (28, 56, 84, 224, 256)]
    assert max(sizes) - min(sizes) <= sizes[0] * 0.2


def test_an_edge_of_one_colour_is_as_strong_as_one_of_grey() -> None:
    grey = np.zeros((1, 8, 8), np.uint8)
    grey[:, :, 4:] = 255
    blue = np.zeros((1, 8, 8, 3), np.uint8)
    blue[..., 2] = grey
    seen = []
    for images, shape in ((grey, (8, 8)), (blue, (8, 8, 3))):
        model = edges(shape, 4)
        layer = next(one for one in model.layers if isinstance(one, keras.layers.Concatenate))
        seen.append(keras.Model(model.inputs, layer.input[0]).predict(images.reshape(1, -1), verbose=0))
    np.testing.assert_allclose(*seen, atol=1e-6)
