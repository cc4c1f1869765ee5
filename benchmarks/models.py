"""Time both classifiers against what the study ran: `python -m benchmarks.models [--quick]`, after `dvc repro flatten`.

The study's saga and its network take hours. Saga gets a subset of the images and a fixed number of passes, the study's
network some steps; both are extrapolated to all images, and the table says so. Contenders take turns. Writes to
metrics/benchmarks.json.
"""

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import FunctionTransformer

from benchmarks.results import record
from fewlabels.classifiers.logistic import logistic_regression
from fewlabels.features.pixels import scale_pixels
from fewlabels.label_set import LabelSet
from stages import command, files, params
from stages.train_nn import training_settings

TURNS = 3
SUBSET, PASSES = 1000, 50
"""Images and passes that saga gets."""
STEPS = 100
"""Batches of 32 that the study's network gets."""

Bytes = NDArray[np.uint8]


def main() -> None:
    parser = command.parser_of(main)
    parser.add_argument("--quick", action="store_true", help="a tenth of the images, once, printed and not written")
    quick = parser.parse_args().quick
    train, test = (
        tuple(files.load_array(f"data/flat/{part}_{kind}.npy") for kind in ("images", "labels"))
        for part in ("train", "test")
    )
    train = tuple(values[: len(values) // (10 if quick else 1)] for values in train)
    for name, contenders in (("logistic_regression", REGRESSIONS), ("network", NETWORKS)):
        runs = [
            {"contender": contender, "turn": turn} | measure(*train, *test)
            for turn in range(1 if quick else TURNS)
            for contender, measure in contenders.items()
        ]
        print_table(name.replace("_", " "), summary(runs))
        if not quick:
            record(name, summary(runs), runs)


def summary(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a contender: medians, and the ratio of its seconds to the first contender's of the same turn."""
    ours = {run["turn"]: run["seconds"] for run in runs if run["contender"] == runs[0]["contender"]}
    rows = []
    for contender in dict.fromkeys(run["contender"] for run in runs):
        mine = [run for run in runs if run["contender"] == contender]
        accuracies = [run["accuracy"] for run in mine if run["accuracy"] is not None]
        rows.append(
            {
                "contender": contender,
                "what": mine[0]["what"],
                "seconds": float(np.median([run["seconds"] for run in mine])),
                "seconds_least": min(run["seconds"] for run in mine),
                "seconds_most": max(run["seconds"] for run in mine),
                "ratio": float(np.median([run["seconds"] / ours[run["turn"]] for run in mine])),
                "accuracy": float(np.median(accuracies)) if accuracies else None,
                "turns": len(mine),
            }
        )
    return rows


def print_table(title: str, rows: list[dict[str, Any]]) -> None:
    """Print the rows of one section of metrics/benchmarks.json."""
    table = Table(title=f"{title} on all labels, medians over turns")
    for heading in ("", "seconds of", "seconds", "x ours", "test accuracy, %", "turns"):
        table.add_column(heading, justify="right" if heading in ("seconds", "x ours", "turns") else "left")
    for row in rows:
        accuracy = "" if row["accuracy"] is None else f"{100 * row['accuracy']:.2f}"
        cells = (row["contender"], row["what"], f"{row['seconds']:,.1f}", f"{row['ratio']:,.1f}", accuracy)
        table.add_row(*cells, str(row["turns"]))
    Console(width=120).print(table)


def _fewlabels_lr(images: Bytes, labels: Bytes, test_images: Bytes, test_labels: Bytes) -> dict[str, Any]:
    settings = params.load().logistic_regression
    pixels = FunctionTransformer(scale_pixels, kw_args={"power": settings.pixel_power})
    model = logistic_regression(pixels, C=settings.C, max_iterations=settings.max_iterations)
    seconds = _timed(lambda: model.fit(images, labels))
    return {"what": "training", "seconds": seconds, "accuracy": float(model.score(test_images, test_labels))}


def _lbfgs(images: Bytes, labels: Bytes, test_images: Bytes, test_labels: Bytes) -> dict[str, Any]:
    model = LogisticRegression(max_iter=100)
    X = scale_pixels(images)
    seconds = _timed(lambda: model.fit(X, labels))
    return {
        "what": "100 iterations",
        "seconds": seconds,
        "accuracy": float(model.score(scale_pixels(test_images), test_labels)),
    }


def _saga(images: Bytes, labels: Bytes, test_images: Bytes, test_labels: Bytes) -> dict[str, Any]:
    """As in the study, one against the rest; the seconds of so many passes grow with the number of images."""
    X, y = scale_pixels(images[:SUBSET]), labels[:SUBSET]
    seconds = _timed(
        lambda: OneVsRestClassifier(LogisticRegression(solver="saga", max_iter=PASSES, tol=0, random_state=42)).fit(
            X, y
        )
    )
    what = f"{PASSES} passes, from {SUBSET:,} images"
    return {"what": what, "seconds": seconds * len(images) / SUBSET, "accuracy": None}


def _fewlabels_nn(images: Bytes, labels: Bytes, test_images: Bytes, test_labels: Bytes) -> dict[str, Any]:
    """Train as params.yaml says; choosing the weights by validation is part of it."""
    from fewlabels.networks.training import TrainingSettings, train

    label_set = LabelSet.from_bought(np.arange(len(labels)), labels)
    settings = TrainingSettings(**training_settings(params.load().network, "all", len(labels)))
    start = time.perf_counter()
    model = train(images, label_set, image_shape=(28, 28), n_classes=10, settings=settings, seed=1)
    seconds = time.perf_counter() - start
    what = f"{model.curves[-1]['step']} steps of {settings.batch_size}"
    return {"what": what, "seconds": seconds, "accuracy": float(model.score(test_images, test_labels))}


def _study_nn(images: Bytes, labels: Bytes, test_images: Bytes, test_labels: Bytes) -> dict[str, Any]:
    """Its layers at its batch size; its patience of 8 epochs means that no training of it was shorter than 9."""
    from fewlabels.networks.architectures import study
    from fewlabels.networks.batches import ordered_batches
    from fewlabels.networks.quiet_keras import keras

    model = study((28, 28), 10)
    model.compile(keras.optimizers.Adam(), "sparse_categorical_crossentropy")
    some = slice(32 * STEPS)
    pixels, truth = np.asarray(images[some]), np.asarray(labels[some])
    model.fit(ordered_batches(pixels[:64], truth[:64], 32), shuffle=False, verbose=0)  # builds the graph
    # Given arrays, Keras would use tf.data's tuner: see fewlabels.networks.batches.
    batches = ordered_batches(pixels, truth, 32)
    seconds = _timed(lambda: model.fit(batches, shuffle=False, verbose=0))
    what = f"one epoch of 9 or more, from {STEPS} steps"
    return {"what": what, "seconds": seconds * 0.9 * len(images) / len(pixels), "accuracy": None}


def _timed(work: Callable[[], object]) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of iterations is fixed
        start = time.perf_counter()
        work()
        return time.perf_counter() - start


REGRESSIONS = {"fewlabels": _fewlabels_lr, "scikit-learn lbfgs": _lbfgs, "scikit-learn saga, as in the study": _saga}
NETWORKS = {"fewlabels": _fewlabels_nn, "the study's": _study_nn}


if __name__ == "__main__":
    with command.at_root():
        main()
