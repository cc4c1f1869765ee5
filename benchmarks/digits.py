"""Measure the same methods and constants on images that nothing was tuned on: `python -m benchmarks.digits`.

scikit-learn's digits: 1,797 images of 8 x 8 pixels in 10 classes, a third of them held back as a test set. Features,
classifier and query strategy are the pipeline's, with the values of params.yaml. Writes to metrics/benchmarks.json.
"""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import FunctionTransformer

from benchmarks.results import mean_and_sd, percent, record
from fewlabels.choosing.annotator import SimulatedAnnotator
from fewlabels.choosing.at_random import random
from fewlabels.choosing.cluster_margin import cluster_margin
from fewlabels.choosing.rounds import round_sizes, simulate
from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
from fewlabels.classifiers.logistic import logistic_regression
from fewlabels.features.hog import HOG
from fewlabels.features.pixels import scale_pixels
from fewlabels.label_set import LabelSet
from stages import params

BUDGETS, SEEDS = (50, 100), 5
METHODS = ("logistic regression, random", "ridge, random", "ridge, active")


def main() -> None:
    digits, labels = load_digits(return_X_y=True)
    images = (digits * (255 / 16)).astype(np.uint8)
    runs = [
        {"budget": budget, "seed": seed} | measure(images, labels.astype(np.uint8), budget, seed)
        for budget in BUDGETS
        for seed in range(SEEDS)
    ]
    rows = summary(runs)
    record("digits", rows, runs)
    print_table(rows)


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the rows of one section of metrics/benchmarks.json."""
    table = Table(title=f"Digits, test accuracy in %, mean and standard deviation over {rows[0]['seeds']} seeds")
    for heading in ("labels", *METHODS, "gain on random, paired"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(str(row["budget"]), *(percent(row[method]) for method in (*METHODS, "gain")))
    Console(width=120).print(table)


def measure(images: NDArray[np.uint8], labels: NDArray[np.uint8], budget: int, seed: int) -> dict[str, float]:
    """Choose labels at random and by cluster-margin sampling from one part, train, and score on the other."""
    pool, test, pool_labels, test_labels = train_test_split(
        images, labels, test_size=1 / 3, random_state=seed, stratify=labels
    )
    settings = params.load()
    hog = HOG((8, 8)).fit(pool)
    pool_features, test_features = hog.transform(pool), hog.transform(test)
    ridge = KernelRidgeClassifier(settings.kernel_ridge.gamma, settings.kernel_ridge.alpha, range(10))
    sampling, logistic = settings.cluster_margin, settings.logistic_regression
    active = partial(cluster_margin, classifier=ridge, random_state=seed, candidates=sampling.candidates)
    growing = round_sizes(budget, first_round=sampling.first_round, growth=sampling.growth)
    random_labels, active_labels = (
        LabelSet.from_bought(*simulate(query, pool_features, SimulatedAnnotator(pool_labels), budget, rounds=rounds))
        for query, rounds in ((partial(random, random_state=seed), [budget]), (active, growing))
    )
    pixels = FunctionTransformer(scale_pixels, kw_args={"power": logistic.pixel_power})
    regression = logistic_regression(pixels, C=logistic.C, max_iterations=logistic.max_iterations)
    regression.fit(pool[random_labels.rows], random_labels.labels)
    accuracies = [float(regression.score(test, test_labels))]
    for label_set in (random_labels, active_labels):
        ridge.fit(pool_features[label_set.rows], label_set.labels)
        accuracies.append(float(ridge.score(test_features, test_labels)))
    return dict(zip(METHODS, accuracies, strict=True))


def summary(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Compute means and standard deviations over seeds, also of the paired difference of active and random labels."""
    rows = []
    for budget in dict.fromkeys(run["budget"] for run in runs):
        mine = [run | {"gain": run[METHODS[2]] - run[METHODS[1]]} for run in runs if run["budget"] == budget]
        columns = {name: [run[name] for run in mine] for name in (*METHODS, "gain")}
        measured = {name: mean_and_sd(column) for name, column in columns.items()}
        rows.append({"budget": budget, "seeds": len(mine), **measured})
    return rows


if __name__ == "__main__":
    main()
