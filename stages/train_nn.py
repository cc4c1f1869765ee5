"""Train a network on one label set: `python -m stages.train_nn NAME`.

On soft labels the network is a student, whatever the architecture. The model is written twice: as a Keras model, and as
a scikit-learn classifier.
"""

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fewlabels.label_set import LabelSet
from stages import command, files, params, predictions, ridge, students, trainer

if TYPE_CHECKING:
    from fewlabels.networks.classifier import NetworkClassifier


def main() -> None:
    name, model = trainer.run("nn", train)
    with files.atomic_write(f"data/models/nn/{name}.keras") as partial:
        if model:
            model.network.save(partial)
        else:
            partial.touch()
    files.save_json(predictions.curves_of(name), model.curves if model else [])
    if not model:
        return
    if model.collapsed_starts:
        print(f"WARNING: {name}: {model.collapsed_starts} starts collapsed to a constant prediction", file=sys.stderr)
    if model.collapsed:
        print(f"WARNING: {name}: every start did; its accuracy means nothing", file=sys.stderr)


def train(settings: params.Params, name: str, label_set: LabelSet, images: NDArray[np.uint8]) -> "NetworkClassifier":
    from fewlabels.networks import student, training  # not above: a bad parameter should not wait for TensorFlow

    shared: dict[str, Any] = {
        "image_shape": settings.data.image_shape,
        "n_classes": len(settings.data.classes),
        "seed": settings.seed,
    }
    if label_set.probabilities is None:
        how = training.TrainingSettings(**training_settings(settings.network, len(label_set)))
        return training.train(images, label_set, settings=how, **shared)
    how_student = students.settings(settings.network)
    return student.train_student(images, label_set, ridge.untrained(settings), settings=how_student, **shared)


def training_settings(network: params.Network, images: int) -> dict[str, Any]:
    """Give the fields of `TrainingSettings` for a training on so many images."""
    steps = network.few.steps if images < network.few.below else network.steps
    return network.model_dump(exclude={"few", "student"}) | {"steps": steps}


if __name__ == "__main__":
    with command.at_root():
        main()
