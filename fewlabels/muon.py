"""An optimiser that turns all directions of a layer equally far in a step, so that networks learn in half the steps.

Muon: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024,
https://kellerjordan.github.io/posts/muon/. Keras has it for matrices; the kernel of a convolution is one, too, with
what a filter sees on one side and the filters on the other.
"""

import math
from typing import Any

from fewlabels.quiet_keras import keras, tf


class ConvolutionMuon(keras.optimizers.Muon):  # type: ignore[misc]
    """Muon for the kernels of two-dimensional convolutions, Adam for everything else.

    Parameters
    ----------
    learning_rate : float or keras.optimizers.schedules.LearningRateSchedule
        Suits both: a step is about as long as Adam's (J. Liu et al., "Muon is Scalable for LLM Training", 2025).
    """

    def __init__(self, learning_rate: Any, **how: Any) -> None:
        super().__init__(learning_rate, **({"weight_decay": None, "adam_weight_decay": 0.0} | how))

    def _should_use_adamw(self, variable: Any) -> bool:
        return len(variable.shape) != 4

    def zeropower_via_newtonschulz5(self, x: tf.Tensor, steps: int) -> tf.Tensor:
        return tf.reshape(super().zeropower_via_newtonschulz5(tf.reshape(x, (-1, x.shape[-1])), steps), x.shape)

    def lr_adjust(self, x: tf.Tensor) -> tf.Tensor:
        *seen, filters = x.shape
        return x * (self.rms_rate * math.sqrt(max(math.prod(seen), filters)))
