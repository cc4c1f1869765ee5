"""What all stages that train have in common: one label set of the command line in; a model and what it predicts out."""

import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from fewlabels.arrays import evenly_spaced
from fewlabels.label_set import CannotTrainError, LabelSet
from stages import command, files, label_sets, params, predictions

UNLABELLED = 10_000
"""Training images without a bought label, at most, that a model predicts, for the transductive accuracy."""

Train = Callable[[params.Params, str, LabelSet, NDArray[np.uint8]], Any]
"""From the parameters, the label set's name, the label set and all training images to a trained classifier."""


def run(classifier: str, train: Train) -> tuple[str, Any]:
    """Train a classifier on the label set that the command line names; write the model, its predictions and its cost.

    Where it cannot be trained on so few labels, None is written in place of the model, and the reason in place of the
    predictions: the run goes on without it.

    Returns
    -------
    str
        The label set's name.
    classifier or None

    Raises
    ------
    SystemExit
        With one line, if a parameter is wrong.
    """
    parser = command.parser_of(train)
    parser.add_argument("label_set", choices=params.trainable(classifier))
    name = parser.parse_args().label_set
    settings = params.load()
    label_set = label_sets.load(name)
    images, test_images = (files.load_array(f"data/flat/{part}_images.npy") for part in ("train", "test"))
    print(f"{classifier} on {name}: {len(label_set):,} images", flush=True)
    model, why_not = None, ""
    with files.record_cost(f"data/costs/{classifier}_{name}.json"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of iterations is a parameter
        try:
            model = train(settings, name, label_set, images)
        except CannotTrainError as error:
            why_not = str(error)
            print(f"WARNING: {classifier} on {name} cannot be trained: {why_not}", file=sys.stderr)
        except ValueError as error:
            raise SystemExit(f"{label_sets.path_of(name)}: {error}") from None
    files.save_object(f"data/models/{classifier}/{name}.joblib", model)
    known = {"untrained": np.array(why_not)} if model is None else _predictions(model, label_set, images, test_images)
    predictions.save(classifier, name, known)
    return name, model


def unlabelled(label_set: LabelSet, count: int) -> NDArray[np.int64]:
    """Choose the training images, evenly spaced, whose label was not bought."""
    rows = np.setdiff1d(np.arange(count), label_set.rows[label_set.bought])
    return rows[evenly_spaced(len(rows), UNLABELLED)]


def _predictions(
    model: Any, label_set: LabelSet, images: NDArray[np.uint8], test_images: NDArray[np.uint8]
) -> dict[str, NDArray[Any]]:
    rows = unlabelled(label_set, len(images))
    predicted: dict[str, NDArray[Any]] = {
        "classes": model.classes_.astype(np.uint8),
        "probabilities": model.predict_proba(test_images).astype(np.float32),
        "rows": rows,
        "labels": model.predict(images[rows]).astype(np.uint8) if len(rows) else np.empty(0, np.uint8),
    }
    if hasattr(model, "collapsed"):
        predicted |= {one: np.array(getattr(model, one)) for one in ("collapsed", "collapsed_starts")}
    return predicted
