"""Time k-means over numbers of images and pixels, beside scikit-learn: `python -m benchmarks.dimensions [--quick]`.

Fashion-MNIST's images are made smaller and larger by linear interpolation; 64 x 64 pixels with three colours take three
images as the colours of one. Each fit has a process of its own, contenders take turns. Needs `dvc repro flatten` and
14 GB of memory. Writes to metrics/benchmarks.json.
"""

import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.cluster import KMeans as Lloyd
from tqdm import tqdm

from benchmarks.alone import alone
from benchmarks.results import record
from fewlabels.clustering.kmeans import KMeans
from fewlabels.features.pixels import scale_pixels
from stages import command, files

Floats = NDArray[np.float32]


class Shape(NamedTuple):
    """Images in a set, pixels at each side of them, colours, and clusters to form."""

    images: int
    side: int
    colours: int
    clusters: int


SIDES = ((8, 1), (28, 1), (64, 1), (64, 3))
FULL = [
    *(Shape(n, *pixels, 10) for n in (1_000, 10_000, 60_000) for pixels in SIDES),
    *(Shape(n, *pixels, 100) for n in (1_000, 10_000) for pixels in SIDES),
]
QUICK = [Shape(1_000, *pixels, 10) for pixels in SIDES]


def main() -> None:
    parser = command.parser_of(main)
    parser.add_argument("--quick", action="store_true", help="a check of a minute, printed and not written")
    quick = parser.parse_args().quick
    rows: list[dict[str, Any]] = []
    for shape in tqdm(QUICK if quick else FULL, desc="k-means", disable=None):
        rows.append(compare(shape))
        if not quick:
            record("dimensions", rows, rows)
    print_table(rows)


def compare(shape: Shape) -> dict[str, Any]:
    """Fit both, one after the other."""
    (seconds, inertia), (others, theirs) = (alone(_measure, name, shape) for name in ("fewlabels", "scikit-learn"))
    return {
        "images": shape.images,
        "dimensions": shape.side**2 * shape.colours,
        "clusters": shape.clusters,
        "seconds": seconds,
        "scikit_learn_seconds": others,
        "ratio": others / seconds,
        "inertia_ratio": inertia / theirs,
    }


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the rows of one section of metrics/benchmarks.json."""
    table = Table(title="k-means on Fashion-MNIST's images in several sizes, one fit each")
    for heading in (
        "images",
        "dimensions",
        "clusters",
        "seconds",
        "scikit-learn's",
        "x ours",
        "inertia / scikit-learn's",
    ):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            *(f"{row[name]:,}" for name in ("images", "dimensions", "clusters")),
            f"{row['seconds']:.2f}",
            f"{row['scikit_learn_seconds']:.2f}",
            f"{row['ratio']:.1f}",
            f"{row['inertia_ratio']:.4f}",
        )
    Console(width=120).print(table)


def pictures(stored: NDArray[np.uint8], shape: Shape) -> Floats:
    """Interpolate 28 x 28 images, each colour from the next image: shape (images, side * side * colours)."""
    places = np.linspace(0, 27, shape.side)
    weights = np.stack([np.interp(places, np.arange(28), row) for row in np.eye(28)], axis=1).astype(np.float32)
    out = np.empty((shape.images, shape.side**2, shape.colours), np.float32)
    for first in range(0, shape.images, 1_000):
        rows = np.arange(first, min(first + 1_000, shape.images))
        for colour in range(shape.colours):
            small = scale_pixels(stored[(rows + colour) % len(stored)]).reshape(-1, 28, 28)
            out[rows, :, colour] = (weights @ small @ weights.T).reshape(len(rows), -1)
    return out.reshape(shape.images, -1)


def _measure(contender: str, shape: Shape) -> tuple[float, float]:
    X = pictures(files.load_array("data/flat/train_images.npy"), shape)
    estimator = {
        "fewlabels": KMeans(shape.clusters, random_state=1),
        "scikit-learn": Lloyd(shape.clusters, n_init=1, copy_x=False, random_state=1),
    }[contender]
    estimator.set_params(n_clusters=2).fit(X[:500, :64].copy())  # libraries load, compiled code comes from disk
    estimator.set_params(n_clusters=shape.clusters)
    start = time.perf_counter()
    estimator.fit(X)
    return time.perf_counter() - start, float(estimator.inertia_)


if __name__ == "__main__":
    with command.at_root():
        main()
