"""What all stages that train have in common: one label set of the command line in; a model and what it predicts out.

A model is saved such that it takes raw pixels, whatever it sees of them. Where it sees features, what it predicts here
is computed from those that were computed before: a pretrained network looks at each image once.
"""

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline

from fewlabels.arrays import Floats, evenly_spaced
from fewlabels.label_set import CannotTrainError, LabelSet
from fewlabels.pool import Rows, as_pool
from stages import command, engine, files, inputs, label_sets, params, predictions

UNLABELLED = 10_000
"""Training images without a bought label, at most, that a model predicts, for the transductive accuracy."""

ON_ENGINE = ("ridge",)
"""Classifiers that predict all training images on the engine of params.yaml; the others compute in this process."""


@dataclass(frozen=True)
class Trained:
    """A model, and how to compute its probabilities without looking at pixels again where it sees features.

    Attributes
    ----------
    model : classifier
        Takes raw pixels. It is what is saved.
    probabilities : callable
        From a part, `train` or `test`, and rows of it (None for all) to rows of float32, shape (m, n_classes).
    everywhere : bool, default=False
        Whether the probabilities of all training images are wanted, to label the pile by.
    left_out : LabelSet or None, default=None
        For each bought label the probabilities when it is left out of the training, where the model gives them free.
    """

    model: Any
    probabilities: Callable[[str, NDArray[np.int64] | None], Rows]
    everywhere: bool = False
    left_out: LabelSet | None = None


Train = Callable[[params.Params, str, LabelSet], Trained]
"""From the parameters, the label set's name and the label set."""


def on_images(model: Any) -> Trained:
    """Take a model that sees pixels."""

    def probabilities(part: str, rows: NDArray[np.int64] | None) -> Rows:
        predicted: Rows = model.predict_proba(inputs.images(part) if rows is None else inputs.pixels(part, rows))
        return predicted

    return Trained(model, probabilities)


def on_features(classifier: Any, everywhere: bool = False, left_out: LabelSet | None = None) -> Trained:
    """Take a classifier that was trained on the features which describe has chosen."""

    def probabilities(part: str, rows: NDArray[np.int64] | None) -> Rows:
        predicted: Rows = classifier.predict_proba(inputs.features(part) if rows is None else inputs.seen(part, rows))
        return predicted

    model = make_pipeline(FrozenEstimator(inputs.transformer()), classifier)
    return Trained(model, probabilities, everywhere, left_out)


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
    with engine.running(settings, f"{classifier}_{name}", here=classifier not in ON_ENGINE):
        return name, _run(settings, classifier, name, train)


def _run(settings: params.Params, classifier: str, name: str, train: Train) -> Any:
    label_set = label_sets.load(name)
    print(f"{classifier} on {name}: {len(label_set):,} images", flush=True)
    trained, why_not = None, ""
    with files.record_cost(f"data/costs/{classifier}_{name}.json"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of iterations is a parameter
        try:
            trained = train(settings, name, label_set)
        except CannotTrainError as error:
            why_not = str(error)
            print(f"WARNING: {classifier} on {name} cannot be trained: {why_not}", file=sys.stderr)
        except ValueError as error:
            raise SystemExit(f"{label_sets.path_of(name)}: {error}") from None
    nobody: Floats = np.empty((0, 0), np.float32)
    if trained is None:
        files.save_object(f"data/models/{classifier}/{name}.joblib", None)
        predictions.save(classifier, name, {"untrained": np.array(why_not)})
        if classifier in predictions.LABEL_THE_PILE:
            files.save_rows(predictions.everywhere_of(classifier, name), nobody)
        return None
    # How its pixels are read from a picture: what whoever loads the model elsewhere has to know.
    trained.model.pictures_ = {
        "image_shape": list(settings.data.image_shape),
        "fit": settings.data.fit,
        "classes": inputs.class_names(),
    }
    files.save_object(f"data/models/{classifier}/{name}.joblib", trained.model)
    everywhere = trained.probabilities("train", None) if trained.everywhere else nobody
    if classifier in predictions.LABEL_THE_PILE:
        files.save_rows(predictions.everywhere_of(classifier, name), everywhere)
    predictions.save(classifier, name, _predictions(trained, label_set, everywhere))
    return trained.model


def unlabelled(label_set: LabelSet, count: int) -> NDArray[np.int64]:
    """Choose the training images, evenly spaced, whose label was not bought."""
    bought = label_set.rows[label_set.bought]
    places = evenly_spaced(count - len(bought), UNLABELLED)  # among the others, which are not written down: all may be
    return places + np.searchsorted(bought - np.arange(len(bought)), places, side="right")


def _predictions(trained: Trained, label_set: LabelSet, everywhere: Rows) -> dict[str, NDArray[Any]]:
    classes = trained.model.classes_.astype(np.uint8)
    rows = unlabelled(label_set, len(inputs.images("train")))
    test, nothing = len(inputs.images("test")) > 0, np.empty((0, len(classes)), np.float32)
    if trained.everywhere:
        seen = as_pool(everywhere).take(rows)
    else:
        seen = as_pool(trained.probabilities("train", rows)).array() if len(rows) else nothing
    audit = np.array(files.load_array(label_sets.AUDIT_ROWS))
    predicted: dict[str, NDArray[Any]] = {
        "classes": classes,
        "audit": as_pool(trained.probabilities("train", audit) if len(audit) else nothing).array(),
        "probabilities": as_pool(trained.probabilities("test", None) if test else nothing).array(),
        "rows": rows,
        "labels": classes[seen.argmax(axis=1)],
        "confidence": seen.max(axis=1, initial=0).astype(np.float32),
    }
    for name in ("audit", "probabilities"):
        predicted[name] = predicted[name].astype(np.float32)
    if trained.left_out is not None:
        left_out = trained.left_out
        predicted |= {"left_out_rows": left_out.rows, "left_out_labels": left_out.labels}
        predicted["left_out"] = np.asarray(left_out.probabilities)
    if hasattr(trained.model, "collapsed"):
        predicted |= {one: np.array(getattr(trained.model, one)) for one in ("collapsed", "collapsed_starts")}
    return predicted
