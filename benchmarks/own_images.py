"""Which features suit which images, whether few labels tell, and how many wrong labels are found: images of any kind.

`python -m benchmarks.own_images`, some 15 minutes. Fashion-MNIST of this repository, clip art in colour from Debian's
package openclipart-png, scikit-learn's digits, and letters drawn from matplotlib's fonts. Kernel ridge regression has
the values of params.yaml; what is random is drawn anew for each seed. Writes to metrics/benchmarks.json.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits

from benchmarks.results import mean_and_sd, percent, record
from fewlabels.arrays import Floats, evenly_spaced, first_occurrences
from fewlabels.choosing.which_features import choose_features, left_out_log_losses
from fewlabels.features.hog import HOG
from fewlabels.label_set import LabelSet
from fewlabels.networks.pretrained import PretrainedEmbedding
from fewlabels.suspects import suspects
from stages import command, files, params, picture_files, reading, ridge

CLIP_ART = Path("/usr/share/openclipart/png")
KINDS = ("animals", "food", "geography", "office", "people", "plants", "recreation", "tools", "transportation")
FASHION = Path("data/flat")
FIRST_ROUNDS, SEEDS = (50, 100, 200), 20
JUDGED, MOST = 600, 6000
"""Images that judge at most, and images in all of a data set that has more."""
FLIPPED, SUSPECTED_OF = 0.05, 1000
SIZES, STEPS, LABELS = (32, 64, 96), 300, (200, 500)


class DataSet(NamedTuple):
    """Distinct images, what they are, and what they look like in numbers."""

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    image_shape: tuple[int, ...]


def main() -> None:
    sets = [fashion_mnist(), clip_art((224, 224, 3)), digits(), letters()]
    features, labels = [], []
    for one in sets:
        seen = described(one)
        features.append(which_features(one, seen))
        print(features[-1], flush=True)
        labels.append(wrong_labels(one, seen))
        print(labels[-1], flush=True)
    record("which_features", features, [])
    record("suspects", labels, [])
    sizes = [row for side in SIZES for shape in ((side, side), (side, side, 3)) for row in [of_size(clip_art(shape))]]
    record("sizes", sizes, [])
    print_features(features)
    print_suspects(labels)
    print_sizes(sizes)


# ---- the images


def fashion_mnist() -> DataSet:
    """Take evenly spaced training images."""
    images, labels = (files.load_array(FASHION / f"train_{one}.npy") for one in ("images", "labels"))
    some = evenly_spaced(len(images), MOST)
    return DataSet("Fashion-MNIST", images[some], labels[some], (28, 28))


def clip_art(image_shape: tuple[int, ...]) -> DataSet:
    """Read the nine kinds of pictures; of copies, some of which lie in two kinds, the first counts."""
    names = [f"{kind}/{file}" for kind in KINDS for file in sorted(picture_files.found(CLIP_ART / kind))]
    if not names:
        raise SystemExit(f"{CLIP_ART}: apt-get install openclipart-png")
    rows = list(reading.read_all(CLIP_ART, names, image_shape, "pad"))
    kept = [at for at, row in enumerate(rows) if isinstance(row, np.ndarray)]
    images = np.stack([np.asarray(rows[at]) for at in kept])
    labels = np.array([KINDS.index(names[at].partition("/")[0]) for at in kept], np.uint8)
    distinct = np.unique(first_occurrences(images))
    return DataSet("clip art", images[distinct], labels[distinct], image_shape)


def digits() -> DataSet:
    images, labels = load_digits(return_X_y=True)
    return DataSet("digits", (images * (255 / 16)).astype(np.uint8), labels.astype(np.uint8), (8, 8))


def letters() -> DataSet:
    """Draw each letter in each font of matplotlib that has letters, large and small ones as one class."""
    left_out = ("Siz", "NonUni", "cmex", "cmsy", "cmmi", "LastResort", "Display")
    images, labels = [], []
    for path in sorted(Path(matplotlib.get_data_path(), "fonts/ttf").glob("*.ttf")):
        if not any(one in path.stem for one in left_out):
            font = ImageFont.truetype(str(path), 24)
            for number in range(26):
                for first in "aA":
                    image = Image.new("L", (32, 32))
                    ImageDraw.Draw(image).text((16, 16), chr(ord(first) + number), 255, font, "mm")
                    images.append(np.asarray(image).ravel())
                    labels.append(number)
    distinct = np.unique(first_occurrences(np.stack(images)))
    return DataSet("letters", np.stack(images)[distinct], np.array(labels, np.uint8)[distinct], (32, 32))


def described(one: DataSet) -> dict[str, Floats]:
    embedding: Callable[..., Any] = partial(PretrainedEmbedding, one.image_shape)
    return {"hog": HOG(one.image_shape).fit_transform(one.images), "embedding": embedding().fit_transform(one.images)}


# ---- what is measured


def which_features(one: DataSet, seen: dict[str, Floats]) -> dict[str, Any]:
    """Score both features with 200 random labels, and count how often first rounds choose the better."""
    classifier = _ridge(one)
    accuracies: dict[str, list[float]] = {name: [] for name in seen}
    chosen: dict[int, list[str]] = {count: [] for count in FIRST_ROUNDS}
    for seed in range(SEEDS):
        judged, bought = _divided(len(one.labels), seed)
        for name, features in seen.items():
            rows = bought[: max(FIRST_ROUNDS)]
            trained = classifier.fit(features[rows], one.labels[rows])
            accuracies[name].append(float(trained.score(features[judged], one.labels[judged])))
        for count in FIRST_ROUNDS:
            rows = bought[:count]
            losses = {
                name: left_out_log_losses(classifier, all_[rows], one.labels[rows]) for name, all_ in seen.items()
            }
            chosen[count].append(choose_features(losses))
    better = max(accuracies, key=lambda name: np.mean(accuracies[name]))
    return {
        "images": one.name,
        **{name: mean_and_sd(found) for name, found in accuracies.items()},
        "right": {str(count): names.count(better) for count, names in chosen.items()},
        "seeds": SEEDS,
    }


def wrong_labels(one: DataSet, seen: dict[str, Floats]) -> dict[str, Any]:
    """Flip 5 % of the labels at random, and count how many of them are among the first 5 % of the suspects."""
    row: dict[str, Any] = {"images": one.name}
    for name, features in seen.items():
        found = []
        for seed in range(4):
            _, bought = _divided(len(one.labels), seed)
            bought = np.sort(bought[:SUSPECTED_OF])
            random = np.random.default_rng(seed)
            flipped = random.choice(len(bought), round(FLIPPED * len(bought)), replace=False)
            labels, n_classes = one.labels[bought].copy(), int(one.labels.max()) + 1
            labels[flipped] = (labels[flipped] + random.integers(1, n_classes, len(flipped))) % n_classes
            given = LabelSet.from_bought(bought, labels)
            left_out = _ridge(one).fit(features[given.rows], given.labels).leave_one_out_proba()
            first = suspects(given.labels, left_out)[: len(flipped)]
            found.append(float(np.isin(flipped, first).mean()))
            row["labels"] = len(bought)
        row[name] = mean_and_sd(found)
    return row


def of_size(one: DataSet) -> dict[str, Any]:
    """Score kernel ridge regression on HOG features of few labels, and networks on all of them."""
    from fewlabels.networks.training import TrainingSettings, train

    start = time.perf_counter()
    features = HOG(one.image_shape).fit_transform(one.images)
    row: dict[str, Any] = {
        "image_shape": " x ".join(map(str, one.image_shape)),
        "hog_seconds": time.perf_counter() - start,
    }
    for count in LABELS:
        found = []
        for seed in range(4):
            judged, bought = _divided(len(one.labels), seed)
            trained = _ridge(one).fit(features[bought[:count]], one.labels[bought[:count]])
            found.append(float(trained.score(features[judged], one.labels[judged])))
        row[f"ridge_{count}"] = mean_and_sd(found)
    judged, bought = _divided(len(one.labels), 0)
    label_set = LabelSet.from_bought(bought, one.labels[bought])
    for architecture in ("compact", "edges"):
        how: dict[str, Any] = {"image_shape": one.image_shape, "n_classes": len(KINDS), "seed": 0}
        start = time.perf_counter()
        model = train(one.images, label_set, settings=TrainingSettings(architecture, steps=STEPS), **how)
        row[f"{architecture}_seconds"] = time.perf_counter() - start
        row[architecture] = float(np.mean(model.predict(one.images[judged]) == one.labels[judged]))
    print(row, flush=True)
    return row


def _ridge(one: DataSet) -> Any:
    return ridge.untrained(params.load(), int(one.labels.max()) + 1)


def _divided(count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw the images that judge, and all others in a random order."""
    order = np.random.default_rng(seed).permutation(count)
    judged = min(JUDGED, count // 3)
    return order[:judged], order[judged:]


# ---- tables


def print_features(rows: list[dict[str, Any]]) -> None:
    """Print the section `which_features` of metrics/benchmarks.json."""
    table = Table(title=f"Kernel ridge regression with {max(FIRST_ROUNDS)} random labels, accuracy in %")
    for heading in ("images", "HOG", "embedding", *(f"auto right, {count} labels" for count in FIRST_ROUNDS)):
        table.add_column(heading, justify="left" if heading == "images" else "right")
    for row in rows:
        right = (f"{row['right'][str(count)]} of {row['seeds']}" for count in FIRST_ROUNDS)
        table.add_row(row["images"], percent(row["hog"]), percent(row["embedding"]), *right)
    Console(width=120).print(table)


def print_suspects(rows: list[dict[str, Any]]) -> None:
    """Print the section `suspects` of metrics/benchmarks.json."""
    table = Table(title="Of 5 % labels flipped at random, those among the first 5 % of the suspects, %")
    for heading in ("images", "labels", "HOG", "embedding"):
        table.add_column(heading, justify="left" if heading == "images" else "right")
    for row in rows:
        table.add_row(row["images"], f"{row['labels']:,}", percent(row["hog"]), percent(row["embedding"]))
    Console(width=120).print(table)


def print_sizes(rows: list[dict[str, Any]]) -> None:
    """Print the section `sizes` of metrics/benchmarks.json."""
    table = Table(title="Clip art, accuracy in %; networks with all labels, one seed")
    for heading in ("pixels", *(f"ridge on HOG, {count}" for count in LABELS), "HOG, s", "compact", "s", "edges", "s"):
        table.add_column(heading, justify="left" if heading == "pixels" else "right")
    for row in rows:
        networks = (f"{100 * row['compact']:.1f}", f"{row['compact_seconds']:.0f}", f"{100 * row['edges']:.1f}")
        ours = (percent(row[f"ridge_{count}"]) for count in LABELS)
        table.add_row(row["image_shape"], *ours, f"{row['hog_seconds']:.1f}", *networks, f"{row['edges_seconds']:.0f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    command.run(main)
