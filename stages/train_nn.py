"""Train a network on one label set: `python -m stages.train_nn NAME`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from fewlabels.label_set import LabelSet
from stages import files, params

MODELS, CURVES = Path("data/models/nn"), Path("metrics/curves")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("label_set", choices=params.LABEL_SETS)
    name = parser.parse_args().label_set
    with files.cost_written(f"data/costs/nn_{name}.json"):
        train(name)


def train(name: str) -> None:
    settings = params.load()
    label_set = LabelSet(**files.load_arrays(f"data/labels/{name}.npz"))
    images = files.load_array("data/flat/train_images.npy")
    kind = settings.network.architecture if label_set.probabilities is None else "student"
    print(f"{kind} network on {name}: {len(label_set):,} images", flush=True)

    from fewlabels import network, student  # not above: a bad parameter should not wait for TensorFlow

    how: dict[str, Any] = {
        "image_shape": settings.data.image_shape,
        "classes": len(settings.data.classes),
        "seed": settings.seed,
    }
    try:
        if label_set.probabilities is None:
            training = network.train(images, label_set, **how, **suited(settings.network, len(label_set)))
        else:
            shared = settings.network.model_dump(include={"batch_size", "learning_rate"})
            training = student.train(images, label_set, **how, **shared, **settings.network.student.model_dump())
    except ValueError as error:
        raise SystemExit(f"data/labels/{name}.npz: {error}") from None
    if training.collapsed_starts:
        print(f"WARNING: {name}: {training.collapsed_starts} starts collapsed to a constant answer", file=sys.stderr)
    if training.collapsed:
        print(f"WARNING: {name}: so did the last one; its accuracy means nothing", file=sys.stderr)

    with files.written(MODELS / f"{name}.keras") as partial:
        training.model.save(partial)
    files.save_json(
        MODELS / f"{name}.json", {"collapsed_starts": training.collapsed_starts, "collapsed": training.collapsed}
    )
    files.save_table(CURVES / f"{name}.csv", training.curves)


def suited(network: params.Network, images: int) -> dict[str, Any]:
    """The settings of a training on so many images."""
    steps = network.few.steps if images < network.few.below else network.steps
    return network.model_dump(exclude={"few", "student"}) | {"steps": steps}


if __name__ == "__main__":
    main()
