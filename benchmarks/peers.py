"""Measure what a user would otherwise pick: `python -m benchmarks.peers [--quick]`, after `dvc repro describe`.

Every contender gets the same budgets, images and seeds, on pixels and again on HOG features, both centred and scaled to
a mean squared norm of 1, so that the table separates the gain of the features from that of the method. Random labels
are those of the pipeline. Query strategies (TypiClust, margin sampling, ours) choose from all images in the same
features; the same kernel ridge regression is trained on what they chose.

Laplace and Poisson learning are transductive: they have the test images, without labels, in their graph. No other
contender uses the test images before it predicts.

Each contender has a process of its own for each kind of features, and all of them the same threads. Seconds are from
features to predictions for the test images. A graph of neighbours is built once in a process, and its time counted in
every run. Peak memory is that of the process so far; smaller budgets go first. Needs the packages of
requirements-peers.lock. Writes to metrics/benchmarks.json after every process.
"""

import time
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from importlib.util import find_spec
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import sparse
from sklearn.cluster import MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import NearestNeighbors
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from tqdm import tqdm

from benchmarks.alone import alone
from benchmarks.results import mean_and_sd, percent, record
from fewlabels.arrays import squared_norms
from fewlabels.choosing.annotator import SimulatedAnnotator
from fewlabels.choosing.at_random import random
from fewlabels.choosing.cluster_margin import cluster_margin
from fewlabels.choosing.rounds import QueryStrategy, round_sizes, simulate
from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
from fewlabels.features.pixels import scale_pixels
from fewlabels.label_set import LabelSet
from stages import command, files, params

PACKAGES = {"graphlearning": "graphlearning", "skactiveml": "scikit-activeml"}
"""Modules that the pipeline does without, and what installs them."""
FEATURES = ("pixels", "hog")
CLASSES = 10
UNLABELLED = -1
STRENGTHS = (1, 10, 100)
"""Self-training's C is chosen of these by cross-validation on the bought labels."""
ITERATIONS = 60
"""Of L-BFGS, as in the pipeline."""
ROUNDS = 5
"""Of self-training: later ones add few images, and each trains on 50,000."""

Floats = NDArray[np.float32]
Choose = Callable[[int, int], tuple[QueryStrategy, list[int]]]
"""From a budget and a seed to a query strategy and the sizes of its rounds."""
Predict = Callable[[NDArray[np.int64], NDArray[np.uint8]], NDArray[Any]]
"""From bought rows and labels to a class for each test image."""
Learner = Callable[[Floats, Floats], Predict]
"""Computes what needs no label, given the features of the training and of the test images."""


class Data(NamedTuple):
    """The features of all images, the labels to buy, and those of the test images."""

    train: Floats
    train_labels: NDArray[np.uint8]
    test: Floats
    test_labels: NDArray[np.uint8]


class Effort(NamedTuple):
    """How much is measured: the training images at most, the budgets and the seeds."""

    images: int
    budgets: tuple[int, ...]
    seeds: tuple[int, ...]


FULL = Effort(60_000, (500, 1000, 2000), (1, 2, 3))
QUICK = Effort(6000, (500,), (1,))


def main() -> None:
    parser = command.parser_of(main)
    parser.add_argument("--quick", action="store_true", help="one budget and a tenth of the images, not written")
    quick = parser.parse_args().quick
    missing = [package for module, package in PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise SystemExit(f"not installed: {', '.join(missing)}; `make peers` installs requirements-peers.lock")
    runs: list[dict[str, Any]] = []
    cases = list(product(CONTENDERS, FEATURES))
    for contender, features in tqdm(cases, desc="peers", disable=None):
        runs += alone(_measure, contender, features, QUICK if quick else FULL)
        if not quick:
            record("peers", summary(runs), runs, tuple(PACKAGES.values()))
    print_table(summary(runs))


def summary(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each contender, kind of features and budget: accuracy over seeds, median seconds, peak memory."""
    rows = []
    for key in dict.fromkeys((run["budget"], run["contender"], run["features"]) for run in runs):
        mine = [run for run in runs if (run["budget"], run["contender"], run["features"]) == key]
        seconds = [run["seconds"] for run in mine]
        rows.append(
            {
                "contender": key[1],
                "features": key[2],
                "budget": key[0],
                "accuracy": mean_and_sd([run["accuracy"] for run in mine]),
                "seconds": float(np.median(seconds)),
                "seconds_least": min(seconds),
                "seconds_most": max(seconds),
                "peak_memory_gib": max(run["peak_memory_gib"] for run in mine),
                "seeds": len(mine),
            }
        )
    return sorted(rows, key=lambda row: (row["budget"], row["accuracy"]["mean"]))


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the rows of one section of metrics/benchmarks.json."""
    table = Table(title="Fashion-MNIST with few labels, mean and standard deviation over seeds")
    for heading in ("contender", "features", "labels", "test accuracy, %", "seconds", "peak GiB", "seeds"):
        table.add_column(heading, justify="left" if heading in ("contender", "features") else "right")
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        table.add_row(
            row["contender"],
            row["features"],
            f"{row['budget']:,}",
            percent(row["accuracy"]),
            f"{row['seconds']:.1f}",
            f"{row['peak_memory_gib']:.2f}",
            str(row["seeds"]),
            end_section=following is not None and following["budget"] != row["budget"],
        )
    Console(width=120).print(table)


def _measure(contender: str, features: str, effort: Effort) -> list[dict[str, Any]]:
    data = load(features, effort.images)
    few = data._replace(train=data.train[:1000], test=data.test[:100], test_labels=data.test_labels[:100])
    measure(contender, few, (100,), (1,))  # libraries load, compiled code comes from disk
    return [run | {"features": features} for run in measure(contender, data, effort.budgets, effort.seeds)]


def load(features: str, images: int) -> Data:
    """Load the first training images and all test images, as pixels or as HOG features."""
    train, test = (files.load_array(f"data/flat/{part}_images.npy") for part in ("train", "test"))
    train_labels, test_labels = (
        np.array(files.load_array(f"data/flat/{part}_labels.npy")) for part in ("train", "test")
    )
    if features == "hog":
        train_features = np.array(files.load_array("data/features/train.npy")[:images])
        test_features = files.load_object("data/features/transformer.joblib").transform(test)
    else:
        train_features, test_features = unit_norm(scale_pixels(train[:images]), scale_pixels(test))
    return Data(train_features, train_labels[:images], test_features, test_labels)


def unit_norm(train: Floats, test: Floats) -> tuple[Floats, Floats]:
    """Centre and scale as `HOG` does: to a mean of 0 and a mean squared norm of 1 in training."""
    mean = train.mean(axis=0)
    train, test = train - mean, test - mean
    scale = 1 / np.sqrt(squared_norms(train).mean())
    train *= scale
    test *= scale
    return train, test


def measure(contender: str, data: Data, budgets: tuple[int, ...], seeds: tuple[int, ...]) -> list[dict[str, Any]]:
    """Buy labels, learn and predict, for each budget and seed; what needs no label is computed once, timed in each."""
    choose, learner = CONTENDERS[contender]
    start = time.perf_counter()
    predict = learner(data.train, data.test)
    prepared = time.perf_counter() - start
    runs = []
    for budget, seed in product(budgets, seeds):
        annotator = SimulatedAnnotator(data.train_labels)
        query, rounds = choose(budget, seed)
        start = time.perf_counter()
        label_set = LabelSet.from_bought(*simulate(query, data.train, annotator, budget, rounds=rounds))
        predicted = predict(label_set.rows, label_set.labels)
        runs.append(
            {
                "contender": contender,
                "budget": budget,
                "seed": seed,
                "bought": sum(len(rows) for rows, _ in annotator.log),
                "accuracy": float(np.mean(predicted == data.test_labels)),
                "seconds": prepared + time.perf_counter() - start,
                "seconds_before_labels": prepared,
                "peak_memory_gib": files.peak_memory_gib(),
            }
        )
    return runs


def _random(budget: int, seed: int) -> tuple[QueryStrategy, list[int]]:
    return partial(random, random_state=seed), [budget]


def _cluster_margin(budget: int, seed: int) -> tuple[QueryStrategy, list[int]]:
    candidates = params.load().cluster_margin.candidates
    query = partial(cluster_margin, classifier=_ridge_classifier(), random_state=seed, candidates=candidates)
    return query, _rounds(budget)


def _typiclust(budget: int, seed: int) -> tuple[QueryStrategy, list[int]]:
    """The whole budget in one batch; with its default k-means, 2,000 clusters take minutes."""
    from skactiveml.pool import TypiClust

    strategy = TypiClust(missing_label=UNLABELLED, random_state=seed, cluster_algo=MiniBatchKMeans)

    def query(
        features: Floats, rows: NDArray[np.int64], labels: NDArray[np.uint8], n: int, *, exclude: Iterable[int] = ()
    ) -> NDArray[np.int64]:
        known, pool = _partly_labelled(len(features), rows, labels), _unlabelled(len(features), rows, exclude)
        return np.asarray(strategy.query(features, known, candidates=pool, batch_size=n))

    return query, [budget]


def _margin_sampling(budget: int, seed: int) -> tuple[QueryStrategy, list[int]]:
    """In the same rounds as cluster-margin sampling, the first of them random."""
    from skactiveml.classifier import SklearnClassifier
    from skactiveml.pool import UncertaintySampling

    classifier = SklearnClassifier(_ridge_classifier(), classes=list(range(CLASSES)), missing_label=UNLABELLED)
    strategy = UncertaintySampling("margin_sampling", missing_label=UNLABELLED, random_state=seed)

    def query(
        features: Floats, rows: NDArray[np.int64], labels: NDArray[np.uint8], n: int, *, exclude: Iterable[int] = ()
    ) -> NDArray[np.int64]:
        if not len(rows):
            return random(features, rows, labels, n, exclude=exclude, random_state=seed)
        known, pool = _partly_labelled(len(features), rows, labels), _unlabelled(len(features), rows, exclude)
        return np.asarray(strategy.query(features, known, classifier, candidates=pool, batch_size=n))

    return query, _rounds(budget)


def _rounds(budget: int) -> list[int]:
    sampling = params.load().cluster_margin
    return round_sizes(budget, first_round=sampling.first_round, growth=sampling.growth)


def _ridge(train: Floats, test: Floats) -> Predict:
    return lambda rows, labels: _ridge_classifier().fit(train[rows], labels).predict(test)


def _ridge_classifier() -> KernelRidgeClassifier:
    ridge = params.load().kernel_ridge
    return KernelRidgeClassifier(ridge.gamma, ridge.alpha, range(CLASSES))


def _self_training(train: Floats, test: Floats) -> Predict:
    def predict(rows: NDArray[np.int64], labels: NDArray[np.uint8]) -> NDArray[Any]:
        regression = LogisticRegression(max_iter=ITERATIONS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of iterations is fixed
            search = GridSearchCV(regression, {"C": STRENGTHS}, cv=3, refit=False).fit(train[rows], labels)
            model = SelfTrainingClassifier(regression.set_params(**search.best_params_), max_iter=ROUNDS)
            return np.asarray(model.fit(train, _partly_labelled(len(train), rows, labels)).predict(test))

    return predict


def _label_spreading(train: Floats, test: Floats) -> Predict:
    """As with kernel="knn", but the neighbours are searched once and not for every fit."""
    search = NearestNeighbors(n_neighbors=LabelSpreading().n_neighbors).fit(train)
    among, across = search.kneighbors_graph(train), search.kneighbors_graph(test)

    def kernel(points: Floats, others: Floats) -> sparse.csr_matrix:
        return among if others is points else across.T

    def predict(rows: NDArray[np.int64], labels: NDArray[np.uint8]) -> NDArray[Any]:
        model = LabelSpreading(kernel=kernel).fit(train, _partly_labelled(len(train), rows, labels))
        with np.errstate(invalid="ignore"):  # where no label reaches any neighbour, the first class is predicted
            return np.asarray(model.predict(test))

    return predict


def _graph_learning(method: str, **settings: str) -> Learner:
    """Laplace or Poisson learning on a graph of 10 neighbours, as in its authors' experiments."""

    def learner(train: Floats, test: Floats) -> Predict:
        import graphlearning

        # Its own search needs annoy, which is approximate, or compares one image at a time. Each is its own neighbour.
        everything = np.concatenate([train, test])
        distances, neighbours = NearestNeighbors(n_neighbors=11).fit(everything).kneighbors(everything)
        graph = graphlearning.graph(graphlearning.weightmatrix.knn(None, 10, knn_data=(neighbours, distances)))

        def predict(rows: NDArray[np.int64], labels: NDArray[np.uint8]) -> NDArray[Any]:
            model = getattr(graphlearning.ssl, method)(graph, **settings)
            return np.asarray(model.fit_predict(rows, labels)[len(train) :])

        return predict

    return learner


def _partly_labelled(count: int, rows: NDArray[np.int64], labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    known = np.full(count, UNLABELLED)
    known[rows] = labels
    return known


def _unlabelled(count: int, rows: NDArray[np.int64], exclude: Iterable[int]) -> NDArray[np.int64]:
    return np.setdiff1d(np.arange(count), [*rows, *exclude])


CONTENDERS: dict[str, tuple[Choose, Learner]] = {
    "SelfTrainingClassifier, random": (_random, _self_training),
    "LabelSpreading, random": (_random, _label_spreading),
    "Laplace learning, random": (_random, _graph_learning("laplace")),
    # The default solver seldom predicts a class that has a few labels less than the others; this one does.
    "Poisson learning, random": (_random, _graph_learning("poisson", solver="gradient_descent")),
    "ridge, TypiClust on MiniBatchKMeans": (_typiclust, _ridge),
    "ridge, margin sampling": (_margin_sampling, _ridge),
    "ridge, random": (_random, _ridge),
    "ridge, active (ours)": (_cluster_margin, _ridge),
}


if __name__ == "__main__":
    with command.at_root():
        main()
