"""Measure the same methods and constants on other images: `python -m benchmarks.digits`.

Only the least number of steps in a student's generation was chosen on them.

scikit-learn's digits: 1,797 images of 8 x 8 pixels in 10 classes, 297 of them held back as a test set. Features,
classifiers and query strategy are the pipeline's, with the values of params.yaml; so is the student network, which has
fewer images than anywhere else, and the ensemble, whose voters the bought labels choose. Writes to
metrics/benchmarks.json. Takes ten minutes.
"""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from benchmarks.results import mean_and_sd, percent, record
from fewlabels.arrays import Floats
from fewlabels.choosing.annotator import SimulatedAnnotator
from fewlabels.choosing.at_random import random
from fewlabels.choosing.cluster_margin import cluster_margin
from fewlabels.choosing.rounds import round_sizes, simulate
from fewlabels.classifiers.logistic import logistic_regression
from fewlabels.features.hog import HOG
from fewlabels.features.neighbours import nearest_neighbours
from fewlabels.features.pixels import scale_pixels
from fewlabels.label_set import LabelSet
from fewlabels.networks.ensemble import classifier_on_embedding, soft_voting
from fewlabels.networks.held_out import cross_validated, voters
from fewlabels.networks.student import StudentSettings, train_student
from fewlabels.spreading.graph import neighbour_graph
from fewlabels.spreading.soft_labels import soft_labels
from stages import params, ridge

BUDGETS, SEEDS, TEST = (50, 100), 5, 297
METHODS = ("logistic regression, random", "ridge, random", "ridge, active")
NETWORKS = ("teacher", "student", "ensemble")
"""All on the active labels."""


def main() -> None:
    digits, labels = load_digits(return_X_y=True)
    images, labels = (digits * (255 / 16)).astype(np.uint8), labels.astype(np.uint8)
    runs = []
    for budget in BUDGETS:
        for seed in range(SEEDS):
            scores = measure(images, labels, budget, seed) | measure_networks(images, labels, budget, seed)
            runs.append({"budget": budget, "seed": seed} | scores)
            print(runs[-1], flush=True)
    rows = summary(runs)
    record("digits", rows, runs)
    print_table(rows)


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the rows of one section of metrics/benchmarks.json."""
    table = Table(title=f"Digits, test accuracy in %, mean and standard deviation over {rows[0]['seeds']} seeds")
    measured = [method for method in (*METHODS, *NETWORKS) if method in rows[0]]
    for heading in ("labels", *measured, "gain on random"):
        table.add_column(heading.replace("logistic regression", "LR"), justify="right")
    for row in rows:
        table.add_row(str(row["budget"]), *(percent(row[method]) for method in (*measured, "gain")))
    Console(width=120).print(table)


def measure(images: NDArray[np.uint8], labels: NDArray[np.uint8], budget: int, seed: int) -> dict[str, float]:
    """Choose labels at random and by cluster-margin sampling from one part, train, and score on the other."""
    pool, test, pool_labels, test_labels = _split(images, labels, seed)
    settings = params.load()
    hog = HOG((8, 8)).fit(pool)
    pool_features, test_features = hog.transform(pool), hog.transform(test)
    classifier = ridge.untrained(settings, 10)
    at_random = partial(random, random_state=seed)
    random_labels = LabelSet.from_bought(
        *simulate(at_random, pool_features, SimulatedAnnotator(pool_labels), budget, rounds=[budget])
    )
    active_labels = _active(settings, pool_features, pool_labels, budget, seed)
    logistic = settings.logistic_regression
    pixels = FunctionTransformer(scale_pixels, kw_args={"power": logistic.pixel_power})
    regression = logistic_regression(pixels, C=logistic.C, max_iterations=logistic.max_iterations)
    regression.fit(pool[random_labels.rows], random_labels.labels)
    accuracies = [float(regression.score(test, test_labels))]
    for label_set in (random_labels, active_labels):
        classifier.fit(pool_features[label_set.rows], label_set.labels)
        accuracies.append(float(classifier.score(test_features, test_labels)))
    return dict(zip(METHODS, accuracies, strict=True))


def measure_networks(images: NDArray[np.uint8], labels: NDArray[np.uint8], budget: int, seed: int) -> dict[str, Any]:
    """Train a student of the ridge on active labels, choose who votes, and score student and ensemble."""
    pool, test, pool_labels, test_labels = _split(images, labels, seed)
    settings = params.load()
    hog = HOG((8, 8)).fit(pool)
    features = hog.transform(pool)
    active, classifier = _active(settings, features, pool_labels, budget, seed), ridge.untrained(settings, 10)
    graph = neighbour_graph(nearest_neighbours(features, settings.label_spreading.neighbours))
    weight = settings.label_spreading.neighbour_weight
    probabilities, _ = soft_labels(
        features, graph, active.rows, active.labels, classifier, neighbour_weight=weight, random_state=seed
    )
    every, likeliest = np.arange(len(pool)), probabilities.argmax(axis=1).astype(np.uint8)
    soft = LabelSet(every, likeliest, np.isin(every, active.rows), probabilities)
    optimizer = settings.network.model_dump(include={"batch_size", "learning_rate"})
    how: dict[str, Any] = {
        "image_shape": (8, 8),
        "n_classes": 10,
        "settings": StudentSettings(**optimizer, **settings.network.student.model_dump()),
        "seed": seed,
    }
    student = train_student(pool, soft, classifier, **how)
    teacher = make_pipeline(
        FrozenEstimator(hog), ridge.untrained(settings, 10).fit(features[active.rows], active.labels)
    )
    members = {
        "ridge": teacher,
        "student": student,
        "ridge_on_student": classifier_on_embedding(student.network, pool, soft, classifier),
    }
    predicted = cross_validated(pool, active, features, graph, classifier, neighbour_weight=weight, **how)
    chosen = voters(predicted, active.labels)
    ensemble = soft_voting({name: members[name] for name in chosen})
    accuracies = (float(model.score(test, test_labels)) for model in (teacher, student, ensemble))
    return dict(zip(NETWORKS, accuracies, strict=True)) | {"voters": chosen}


def _split(images: NDArray[np.uint8], labels: NDArray[np.uint8], seed: int) -> list[NDArray[np.uint8]]:
    """Divide into pool, test images, labels of the pool, test labels."""
    parts: list[NDArray[np.uint8]] = train_test_split(
        images, labels, test_size=TEST, random_state=seed, stratify=labels
    )
    return parts


def _active(settings: params.Params, features: Floats, labels: NDArray[np.uint8], budget: int, seed: int) -> LabelSet:
    """Buy labels in rounds of cluster-margin sampling."""
    sampling = settings.cluster_margin
    query = partial(
        cluster_margin, classifier=ridge.untrained(settings, 10), random_state=seed, candidates=sampling.candidates
    )
    growing = round_sizes(budget, first_round=sampling.first_round, growth=sampling.growth)
    return LabelSet.from_bought(*simulate(query, features, SimulatedAnnotator(labels), budget, rounds=growing))


def summary(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Compute means and standard deviations over seeds, also of the paired difference of active and random labels."""
    rows = []
    for budget in dict.fromkeys(run["budget"] for run in runs):
        mine = [run | {"gain": run[METHODS[2]] - run[METHODS[1]]} for run in runs if run["budget"] == budget]
        columns = {name: [run[name] for run in mine] for name in (*METHODS, *NETWORKS, "gain") if name in mine[0]}
        measured = {name: mean_and_sd(column) for name, column in columns.items()}
        rows.append({"budget": budget, "seeds": len(mine), **measured})
    return rows


if __name__ == "__main__":
    main()
