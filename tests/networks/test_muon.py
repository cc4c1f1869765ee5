"""The optimiser Muon for convolutions."""

import numpy as np

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
