"""Score every label set and every model; write the metrics and plots, and print the study's figures beside ours.

Apart from select-representatives, which buys them, the only stage that reads training labels: to count those that
are right. No timings go into the metrics: the same parameters give the same file.
"""

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from fewlabels import pictures
from fewlabels.arrays import Floats, evenly_spaced
from fewlabels.label_set import LabelSet
from fewlabels.scores import classifier_scores, cluster_purity, distinct_nearest, label_set_scores
from stages import files, label_sets, params
from stages.registry import CLASSIFIERS, LABEL_SETS

FLAT, CONFUSION, PICTURES = Path("data/flat"), Path("metrics/confusion"), Path("data/pictures")
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
    trained_on = {name for _, name in models}
    sets = {name: label_sets.load(name) for name in LABEL_SETS if name in trained_on}

    *features, kmeans = files.load_object("data/clusters/kmeans.joblib")
    metrics: dict[str, Any] = {
        "kmeans": {
            "inertia": kmeans.inertia_,
            "purity": cluster_purity(files.load_array("data/clusters/assignments.npy"), true_labels),
            "iterations": kmeans.n_iter_,
            "distinct_nearest": distinct_nearest(features[0].transform(train_images), kmeans.cluster_centers_),
        },
        "label_sets": {name: label_set_scores(label_set, true_labels) for name, label_set in sets.items()},
        **{classifier: {} for classifier in CLASSIFIERS},
    }
    for classifier, name in tqdm(models, desc="evaluating models", disable=None):
        model = files.load_object(f"data/models/{classifier}/{name}.joblib")
        probabilities = _probabilities(model, test_images, len(classes))
        scores: dict[str, Any] = classifier_scores(test_labels, probabilities, classes)
        if hasattr(model, "collapsed"):
            scores |= {"collapsed_starts": model.collapsed_starts, "collapsed": model.collapsed}
        unlabelled = _unlabelled(sets[name], len(true_labels))
        if len(unlabelled):
            predicted = _probabilities(model, train_images[unlabelled], len(classes)).argmax(axis=1)
            scores["transductive_accuracy"] = float(np.mean(predicted == true_labels[unlabelled]))
        metrics[classifier][name] = scores
        _save_confusion(f"{classifier}_{name}", test_labels, probabilities.argmax(axis=1), classes)
    files.save_json("metrics/metrics.json", metrics)

    _save_pictures(train_images.reshape(-1, *settings.data.image_shape), true_labels, metrics, settings)
    print_table(metrics, settings)


def _unlabelled(label_set: LabelSet, count: int) -> NDArray[np.int64]:
    """Choose the training images, evenly spaced, whose label was not bought."""
    rows = np.setdiff1d(np.arange(count), label_set.rows[label_set.bought])
    return rows[evenly_spaced(len(rows), UNLABELLED)]


def _probabilities(model: Any, images: NDArray[np.uint8], n_classes: int) -> Floats:
    """Compute the probability of every class, 0 for one that the model was not trained on."""
    probabilities = np.zeros((len(images), n_classes), np.float32)
    probabilities[:, model.classes_] = model.predict_proba(images)
    return probabilities


def _save_confusion(name: str, actual: NDArray[np.uint8], predicted: NDArray[np.int64], classes: list[str]) -> None:
    """Write one row for each image, as `dvc plots` needs; sorted, so that git compresses it well."""
    pairs = sorted(zip(actual.tolist(), predicted.tolist(), strict=True))
    rows = [{"actual": classes[one], "predicted": classes[other]} for one, other in pairs]
    files.save_table(CONFUSION / f"{name}.csv", rows)


def _save_pictures(
    images: NDArray[np.uint8], true_labels: NDArray[np.uint8], metrics: dict[str, Any], settings: params.Params
) -> None:
    classes = settings.data.classes
    bought, spread = label_sets.load("representatives"), label_sets.load("propagated")
    picked = evenly_spaced(len(bought), SHOWN)
    wrong = np.flatnonzero(spread.labels != true_labels[spread.rows])
    shown = wrong[evenly_spaced(len(wrong), SHOWN)]
    accuracies = {
        entry.title: {LABEL_SETS[name].title: scores["accuracy"] for name, scores in metrics[classifier].items()}
        for classifier, entry in CLASSIFIERS.items()
        if metrics[classifier]
    }
    for name, figure in {
        "representatives": pictures.image_grid(
            images[bought.rows[picked]],
            [classes[label] for label in bought.labels[picked]],
            f"{len(picked)} of the {len(bought):,} representatives and the labels bought for them",
        ),
        "mislabelled": pictures.image_grid(
            images[spread.rows[shown]],
            [f"given: {classes[spread.labels[row]]}\ntrue: {classes[true_labels[spread.rows[row]]]}" for row in shown],
            f"{len(shown)} of the {len(wrong):,} images that propagation gave a wrong label",
        ),
        "accuracy": pictures.accuracy_bars(
            accuracies,
            {entry.title: entry.colour.light for entry in CLASSIFIERS.values()},
            f"{settings.clusters:,} clusters, percentile {settings.percentile:g}",
        ),
    }.items():
        _save_figure(PICTURES / f"{name}.png", figure)


def _save_figure(path: Path, figure: Figure) -> None:
    with files.atomic_write(path) as partial:
        figure.savefig(partial, format="png", dpi=110)


def print_table(metrics: dict[str, Any], settings: params.Params) -> None:
    """Print one row for each label set: its labels, its purity, and the test accuracy of every classifier on it."""
    published = _published(settings)
    trained = [name for name in CLASSIFIERS if metrics.get(name)]
    compared = [name for name in trained if any((name, label_set) in published for label_set in metrics[name])]
    table = Table(title=f"{settings.clusters:,} clusters, percentile {settings.percentile:g}: test accuracy, %")
    table.add_column("label set", no_wrap=True)
    for heading in ("bought", "rows", "purity"):
        table.add_column(heading, justify="right")
    for name in trained:
        table.add_column(CLASSIFIERS[name].heading, justify="right")
        if name in compared:
            table.add_column(f"{CLASSIFIERS[name].heading}, study", justify="right")
    for label_set, scores in metrics["label_sets"].items():
        purity = "" if scores["purity"] is None else f"{scores['purity']:.3f}"
        cells = [label_set, f"{scores['bought']:,}", f"{scores['rows']:,}", purity]
        for name in trained:
            ours = metrics[name].get(label_set)
            cells.append(f"{100 * ours['accuracy']:.2f}" + "*" * ours.get("collapsed", False) if ours else "")
            if name in compared:
                theirs = published.get((name, label_set))
                cells.append("" if theirs is None else f"{100 * theirs:.2f}")
        table.add_row(*cells)
    Console(width=120, file=sys.stdout).print(table)
    collapsed = [label_set for name in trained for label_set, ours in metrics[name].items() if ours.get("collapsed")]
    if collapsed:
        print(f"* a collapsed network, which predicts one class for every image: {', '.join(collapsed)}")


def _published(settings: params.Params) -> dict[tuple[str, str], float]:
    """Read the study's accuracies for these parameters; an empty column means that a parameter does not matter."""
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
