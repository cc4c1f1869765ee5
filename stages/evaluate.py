"""Judge every label set and every model; write the metrics, the plots and the study's table with ours beside it.

Apart from select-representatives, which buys them, the only stage that reads training labels: to count those that
are right. No timings go into the metrics: the same parameters give the same file.
"""

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from fewlabels import pictures
from fewlabels.label_set import LabelSet
from fewlabels.scores import classifier_scores, cluster_purity, distinct_nearest, label_set_scores
from stages import files, params

FLAT, LABELS, MODELS = Path("data/flat"), Path("data/labels"), Path("data/models")
CONFUSION, PICTURES = Path("metrics/confusion"), Path("data/pictures")
SHOWN = 60
"""Images in a picture of examples."""
UNLABELLED = 10_000
"""Training images without a bought label, at most, that the transductive accuracy is measured on."""


def main() -> None:
    settings = params.load()
    classes = settings.data.classes
    true_labels, test_labels = (files.load_array(FLAT / f"{part}_labels.npy") for part in ("train", "test"))
    train_images, test_images = (files.load_array(FLAT / f"{part}_images.npy") for part in ("train", "test"))
    models = [(classifier, name) for classifier, names in settings.label_sets for name in names]
    names = [name for name in params.LABEL_SETS if any(name == trained for _, trained in models)]
    label_sets = {name: _label_set(name) for name in names}

    *described, kmeans = files.load_object("data/clusters/kmeans.joblib")
    metrics: dict[str, Any] = {
        "kmeans": {
            "inertia": kmeans.inertia_,
            "purity": cluster_purity(files.load_array("data/clusters/assignments.npy"), true_labels),
            "iterations": kmeans.n_iter_,
            "distinct_nearest": distinct_nearest(described[0].transform(train_images), kmeans.cluster_centers_),
        },
        "label_sets": {name: label_set_scores(label_set, true_labels) for name, label_set in label_sets.items()},
        **{classifier: {} for classifier, _ in settings.label_sets},
    }
    for classifier, name in tqdm(models, desc="judging models", disable=None):
        model = _loaded(classifier, name, len(classes))
        probabilities = model(np.asarray(test_images))
        metrics[classifier][name] = classifier_scores(test_labels, probabilities, classes)
        if classifier == "nn":
            metrics["nn"][name] |= files.load_json(MODELS / "nn" / f"{name}.json")
        unlabelled = _unlabelled(label_sets[name], len(true_labels))
        if len(unlabelled):
            answers = model(train_images[unlabelled]).argmax(axis=1)
            metrics[classifier][name]["transductive_accuracy"] = float(np.mean(answers == true_labels[unlabelled]))
        _save_confusion(f"{classifier}_{name}", test_labels, probabilities.argmax(axis=1), classes)
    files.save_json("metrics/metrics.json", metrics)

    _save_pictures(train_images.reshape(-1, *settings.data.image_shape), true_labels, metrics, settings)
    print_table(metrics, settings)


def _label_set(name: str) -> LabelSet:
    return LabelSet(**files.load_arrays(LABELS / f"{name}.npz"))


def _unlabelled(label_set: LabelSet, count: int) -> NDArray[np.int64]:
    """Choose rows without a bought label, evenly."""
    rows = np.setdiff1d(np.arange(count), label_set.rows[label_set.bought])
    return rows[_evenly(len(rows), UNLABELLED)]


def _loaded(classifier: str, name: str, classes: int) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Load a model as a function from images to a probability for every class, 0 for one that it has never seen."""
    if classifier == "nn":
        from fewlabels.batches import predict  # only here: a run without networks does not wait for TensorFlow
        from fewlabels.quiet_keras import keras

        network = keras.models.load_model(MODELS / "nn" / f"{name}.keras")

        def scores(images: NDArray[np.uint8]) -> NDArray[np.float32]:
            found = predict(network, images)
            # The study's network gives scores that have no fixed sum.
            found /= np.maximum(found.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
            return found

        return scores

    model = files.load_object(MODELS / classifier / f"{name}.joblib")

    def probabilities(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        every = np.zeros((len(images), classes), np.float32)
        every[:, model.classes_] = model.predict_proba(images)
        return every

    return probabilities


def _save_confusion(name: str, actual: NDArray[np.uint8], predicted: NDArray[np.int64], classes: list[str]) -> None:
    """One row an image, as `dvc plots` wants it; sorted, so that git packs it to next to nothing."""
    pairs = sorted(zip(actual.tolist(), predicted.tolist(), strict=True))
    rows = [{"actual": classes[one], "predicted": classes[other]} for one, other in pairs]
    files.save_table(CONFUSION / f"{name}.csv", rows)


def _save_pictures(
    images: NDArray[np.uint8], true_labels: NDArray[np.uint8], metrics: dict[str, Any], settings: params.Params
) -> None:
    classes = settings.data.classes
    bought, spread = _label_set("representatives"), _label_set("propagated")
    picked = _evenly(len(bought))
    wrong = np.flatnonzero(spread.labels != true_labels[spread.rows])
    shown = wrong[_evenly(len(wrong))]
    accuracies = {
        classifier: {name: scores["accuracy"] for name, scores in metrics[classifier].items()}
        for classifier, _ in settings.label_sets
    }
    for name, figure in {
        "representatives": pictures.image_grid(
            images[bought.rows[picked]],
            [classes[label] for label in bought.labels[picked]],
            f"{len(picked)} of the {len(bought):,} representatives and the labels bought for them",
        ),
        "mislabelled": pictures.image_grid(
            images[spread.rows[shown]],
            [f"{classes[spread.labels[row]]}\nis {classes[true_labels[spread.rows[row]]]}" for row in shown],
            f"{len(shown)} of the {len(wrong):,} images that propagation gave a wrong label",
        ),
        "accuracy": pictures.accuracy_bars(
            accuracies, f"{settings.clusters:,} clusters, percentile {settings.percentile:g}"
        ),
    }.items():
        _save_figure(PICTURES / f"{name}.png", figure)


def _evenly(count: int, wanted: int = SHOWN) -> NDArray[np.int64]:
    return np.linspace(0, count - 1, min(count, wanted)).astype(np.int64)


def _save_figure(path: Path, figure: Figure) -> None:
    with files.written(path) as partial:
        figure.savefig(partial, format="png", dpi=110)


def print_table(metrics: dict[str, Any], settings: params.Params) -> None:
    """Print one row a label set: what it cost, what it is worth, and the study's figure where it published one."""
    published = _published(settings)
    table = Table(title=f"{settings.clusters:,} clusters, percentile {settings.percentile:g}: test accuracy, %")
    for heading in ("label set", "bought", "rows", "purity", "LR", "LR, study", "NN", "NN, study", "ridge", "both"):
        table.add_column(heading, justify="left" if heading == "label set" else "right")
    for name, scores in metrics["label_sets"].items():
        cells = [name, f"{scores['bought']:,}", f"{scores['rows']:,}", f"{scores['purity']:.3f}"]
        for classifier in ("lr", "nn"):
            ours = metrics[classifier].get(name, {})
            cells.append(f"{100 * ours['accuracy']:.2f}" + "*" * bool(ours.get("collapsed")) if ours else "")
            cells.append(f"{100 * published[classifier, name]:.2f}" if (classifier, name) in published else "")
        for classifier in ("ridge", "ensemble"):
            ours = metrics[classifier].get(name)
            cells.append(f"{100 * ours['accuracy']:.2f}" if ours else "")
        table.add_row(*cells)
    Console(width=120, file=sys.stdout).print(table)
    collapsed = [name for name, scores in metrics["nn"].items() if scores["collapsed"]]
    if collapsed:
        print(f"* a collapsed network, which answers one class for every image: {', '.join(collapsed)}")


def _published(settings: params.Params) -> dict[tuple[str, str], float]:
    """The study's accuracies that apply to this setting; where a column is empty, it does not matter."""
    if not settings.data.verify:  # then these are other images
        return {}
    with Path("experiments/published.csv").open(newline="", encoding="utf-8") as file:
        return {
            (row["model"], row["label_set"]): float(row["accuracy"])
            for row in csv.DictReader(file)
            if row["clusters"] in ("", str(settings.clusters)) and row["percentile"] in ("", f"{settings.percentile:g}")
        }


if __name__ == "__main__":
    main()
