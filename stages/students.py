"""The student network of params.yaml, as its training and the ensemble, which trains more of them, use it."""

from typing import TYPE_CHECKING

from stages import params

if TYPE_CHECKING:
    from fewlabels.networks.student import StudentSettings


def settings(network: params.Network) -> "StudentSettings":
    """Give the settings of its training."""
    from fewlabels.networks.student import StudentSettings  # not above: it imports TensorFlow

    optimizer = network.model_dump(include={"batch_size", "learning_rate"})
    return StudentSettings(**optimizer, **network.student.model_dump())
