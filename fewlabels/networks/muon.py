"""The optimiser Muon for convolutions: it orthogonalises each update, so that networks need half the steps.

The method: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024,
https://kellerjordan.github.io/posts/muon/. Keras has it for matrices; here the kernel of a convolution is reshaped to a
matrix, with the inputs of a filter along one side and the filters along the other.
"""

import math
from typing import Any

from fewlabels.networks.quiet_keras import keras, tf


class ConvolutionMuon(keras.optimizers.Muon):  # type: ignore[misc]
    """Muon for the kernels of two-dimensional convolutions, Adam for all other weights.

    Parameters
    ----------
    learning_rate : float or keras.optimizers.schedules.LearningRateSchedule
        One rate for both: an update of Muon is about as large as one of Adam (J. Liu et al., "Muon is Scalable for LLM
        Training", 2025).
    **options
        What else keras.optimizers.Muon takes; weights do not decay unless one says so. `exclude_layers` and
        `exclude_embeddings` change nothing: which weights Muon trains follows from their shape.

    Examples
    --------
    >>> kernel, bias = keras.Variable(tf.zeros((3, 3, 1, 2))), keras.Variable(tf.zeros(2))
    >>> optimizer = ConvolutionMuon(0.1)
    >>> optimizer.build([kernel, bias])
    >>> optimizer.apply([tf.ones((3, 3, 1, 2)), tf.ones(2)])
    >>> round(float(bias[0]), 3)
    -0.1
    """

    def __init__(self, learning_rate: Any, **options: Any) -> None:
        super().__init__(learning_rate, **({"weight_decay": None, "adam_weight_decay": 0.0} | options))

    def _should_use_adamw(self, variable: Any) -> bool:
        return len(variable.shape) != 4

    def zeropower_via_newtonschulz5(self, x: tf.Tensor, steps: int) -> tf.Tensor:
        """Orthogonalise the columns of a kernel, nearly.

        In five steps the same as Keras computes, in half the time; from ten on it may overflow. Each step multiplies by
        a polynomial of a small square matrix, x' x. These are multiplied with each other, and x with their product
        alone.

        Parameters
        ----------
        x : Tensor of float32, shape (height, width, channels, filters)
        steps : int

        Returns
        -------
        Tensor of float32, shape (height, width, channels, filters)
        """
        columns = tf.reshape(x, (-1, x.shape[-1]))
        columns /= tf.norm(columns) + 1e-7
        identity = tf.eye(x.shape[-1])
        square, product = tf.matmul(columns, columns, transpose_a=True), identity
        for _ in range(steps):
            step = self.muon_a * identity + self.muon_b * square + self.muon_c * square @ square
            product, square = product @ step, step @ square @ step
        return tf.reshape(columns @ product, x.shape)

    def lr_adjust(self, x: tf.Tensor) -> tf.Tensor:
        """Scale an orthogonalised update, of the shape of its kernel, to about the size of one of Adam."""
        *seen, filters = x.shape
        if self.rms_rate is None:
            return x
        return x * (self.rms_rate * math.sqrt(max(math.prod(seen), filters)))
