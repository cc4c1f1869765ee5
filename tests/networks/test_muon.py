"""The optimiser Muon for convolutions."""

import numpy as np
import pytest

from fewlabels.networks.muon import ConvolutionMuon
from fewlabels.networks.quiet_keras import keras


def test_an_update_is_near_an_orthogonal_matrix() -> None:
    """The update of a kernel is near an orthogonal matrix, whatever the gradient's singular values."""
    kernel = keras.Variable(np.zeros((3, 3, 2, 8), np.float32))
    optimizer = ConvolutionMuon(1.0)
    optimizer.build([kernel])
    gradient = np.random.default_rng(0).normal(size=(18, 8)) @ np.diag(np.geomspace(1, 10, 8))
    optimizer.apply([keras.ops.convert_to_tensor(gradient.reshape(3, 3, 2, 8).astype(np.float32))], [kernel])
    lengths = np.linalg.svd(kernel.numpy().reshape(18, 8), compute_uv=False) / (0.2 * np.sqrt(18))
    assert lengths.min() > 0.6
    assert lengths.max() < 1.3


@pytest.mark.parametrize("shape", [(3, 3, 2, 8), (3, 3, 1, 16), (1, 1, 9, 9)])
def test_an_update_is_the_one_of_keras(shape: tuple[int, ...]) -> None:
    """Keras multiplies the whole matrix in each step."""
    gradient = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    gradient[..., -1] *= 1e-3
    ours = ConvolutionMuon(1.0).zeropower_via_newtonschulz5(keras.ops.convert_to_tensor(gradient), 5)
    theirs = keras.optimizers.Muon(1.0).zeropower_via_newtonschulz5(
        keras.ops.convert_to_tensor(gradient.reshape(-1, shape[-1])), 5
    )
    np.testing.assert_allclose(np.reshape(ours, (-1, shape[-1])), theirs, atol=1e-4)


@pytest.mark.parametrize("rms_rate", [None, 0.1])
def test_an_update_is_scaled_as_in_keras(rms_rate: float | None) -> None:
    update = keras.ops.ones((3, 3, 2, 8))
    ours = ConvolutionMuon(1.0, rms_rate=rms_rate).lr_adjust(update)
    theirs = keras.optimizers.Muon(1.0, rms_rate=rms_rate).lr_adjust(keras.ops.reshape(update, (18, 8)))
    np.testing.assert_allclose(np.reshape(ours, (18, 8)), theirs)


def test_without_a_gradient_there_is_no_update() -> None:
    zeros = keras.ops.zeros((3, 3, 2, 8))
    assert not np.any(ConvolutionMuon(1.0).zeropower_via_newtonschulz5(zeros, 5))
