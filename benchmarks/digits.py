"""Does the recipe carry over to images that nothing was tuned on? `python -m benchmarks.digits`.

scikit-learn's digits: 1,797 images of 8 x 8 pixels in 10 classes, a third of them held back to judge by. The features,
the classifier and the selection are the pipeline's, with the values of params.yaml. Writes to metrics/benchmarks.json.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from benchmarks.results import mean_and_spread, percent, record
from fewlabels import active
from fewlabels.gradients import Gradients
from fewlabels.kernel_ridge import KernelRidgeClassifier
from fewlabels.label_set import LabelSet
from fewlabels.logistic import logistic_regression
from fewlabels.oracle import Oracle
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
    table = Table(title=f"Digits, test accuracy in %, mean and standard deviation over {SEEDS} seeds")
    for heading in ("labels", *METHODS, "gain on random, paired"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(str(row["budget"]), *(percent(row[method]) for method in (*METHODS, "gain")))
    Console(width=120).print(table)


def measure(images: NDArray[np.uint8], labels: NDArray[np.uint8], budget: int, seed: int) -> dict[str, float]:
    """Buy at random and in rounds from one split, train, and judge on the other."""
    pool, test, pool_labels, test_labels = train_test_split(
        images, labels, test_size=1 / 3, random_state=seed, stratify=labels
    )
    settings = params.load()
    ridge = {"gamma": settings.kernel_ridge.gamma, "alpha": settings.kernel_ridge.alpha}
    gradients = Gradients((8, 8)).fit(pool)
    described, unseen = gradients.transform(pool), gradients.transform(test)
    at_random = np.sort(np.random.default_rng(seed).choice(len(pool), budget, replace=False))
    chosen, _ = active.buy(described, Oracle(pool_labels), budget, classes=10, random_state=seed, **ridge)
    regression = logistic_regression(
        LabelSet(at_random, pool_labels[at_random], np.ones(budget, bool)),
        C=settings.logistic_regression.C,
        max_iterations=settings.logistic_regression.max_iterations,
        pixel_power=settings.logistic_regression.pixel_power,
    ).fit(pool[at_random], pool_labels[at_random])
    accuracies = [float(regression.score(test, test_labels))]
    for rows in (at_random, chosen):
        model = KernelRidgeClassifier(**ridge, classes=range(10)).fit(described[rows], pool_labels[rows])
        accuracies.append(float(model.score(unseen, test_labels)))
    return dict(zip(METHODS, accuracies, strict=True))


def summary(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and standard deviation over seeds, also of the paired difference between active and random labels."""
    rows = []
    for budget in dict.fromkeys(run["budget"] for run in runs):
        mine = [run | {"gain": run[METHODS[2]] - run[METHODS[1]]} for run in runs if run["budget"] == budget]
        columns = {name: [run[name] for run in mine] for name in (*METHODS, "gain")}
        told = {name: mean_and_spread(column) for name, column in columns.items()}
        rows.append({"budget": budget, "seeds": len(mine), **told})
    return rows


if __name__ == "__main__":
    main()
