"""Train a network on one label set: `python -m stages.train_nn NAME`.

On soft labels the network is a student, whatever the architecture. The model is written twice: as a Keras model, and as
a scikit-learn classifier.
"""

import sys
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabels.label_set import LabelSet
from fewlabels.pool import Pool
from stages import command, files, inputs, params, predictions, ridge, students, trainer

PATIENCE = 60
"""Seconds for an epoch, above which it is said beforehand."""


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


def train(settings: params.Params, name: str, label_set: LabelSet) -> trainer.Trained:
    from fewlabels.networks import student, training  # not above: a bad parameter should not wait for TensorFlow

    shared: dict[str, Any] = {
        "image_shape": settings.data.image_shape,
        "n_classes": len(inputs.class_names()),
        "seed": settings.seed,
    }
    images, label_set = _shown(label_set)
    architecture = settings.network.architecture if label_set.probabilities is None else "edges"
    shorter = "network.steps, network.few.steps or network.few.spread"
    if label_set.probabilities is not None:
        shorter = "network.student.generations, network.student.networks or network.student.images"
    _say_what_takes_long(architecture, settings.data.image_shape, shared["n_classes"], len(label_set), shorter)
    if label_set.probabilities is None:
        how = training.TrainingSettings(**training_settings(settings.network, name, int(label_set.bought.sum())))
        return trainer.on_images(training.train(images, label_set, settings=how, **shared))
    classifier, how_student = ridge.untrained(settings, shared["n_classes"]), students.settings(settings.network)
    return trainer.on_images(student.train_student(images, label_set, classifier, settings=how_student, **shared))


def _shown(label_set: LabelSet) -> tuple[NDArray[np.uint8], LabelSet]:
    """Give the images that a network is trained on; of a pool on disk, those of the label set alone."""
    images = inputs.images("train")
    if not isinstance(images, Pool):
        return images, label_set
    return images.take(label_set.rows), replace(label_set, rows=np.arange(len(label_set)))


def _say_what_takes_long(architecture: str, image_shape: list[int], n_classes: int, images: int, shorter: str) -> None:
    from fewlabels.networks.duration import seconds_per_epoch

    seconds = seconds_per_epoch(architecture, image_shape, n_classes, images)
    if seconds > PATIENCE:
        print(
            f"{images:,} images of {' x '.join(map(str, image_shape))} take this network {seconds / 60:.1f} minutes to "
            f"see once: a smaller data.image_shape, {shorter} takes less",
            file=sys.stderr,
        )


def training_settings(network: params.Network, name: str, bought: int) -> dict[str, Any]:
    """Give the fields of `TrainingSettings` for the label set of that name, with so many bought labels."""
    steps = network.steps
    if bought < network.few.below:
        steps = network.few.spread if name in params.SPREAD else network.few.steps
    return network.model_dump(exclude={"few", "student"}) | {"steps": steps}


if __name__ == "__main__":
    with command.at_root():
        main()
