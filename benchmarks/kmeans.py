"""Time k-means against its alternatives: `python -m benchmarks.kmeans [--quick]`, after `dvc repro flatten`.

Each fit has a process of its own, so that its peak memory is its own, and all of them the same threads. Contenders take
turns, so that other load on a shared machine slows all of them; ratios are of the same turn. Writes
metrics/benchmarks.json after every turn.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from benchmarks.alone import alone
from benchmarks.results import record
from fewlabels.clustering.kmeans import KMeans
from fewlabels.features.pixels import scale_pixels
from stages import command, files

Floats = NDArray[np.float32]


class Case(NamedTuple):
    """One row of the table: a contender, the numbers of images, clusters and seeds."""

    contender: str
    images: int
    clusters: int
    seeds: int


# Lloyd's time grows as images x clusters: at 240,000 images it would take too long.
FULL = [
    *(Case(name, 60_000, k, 3) for k in (2, 10, 100, 500) for name in ("fewlabels", "scikit-learn Lloyd")),
    Case("fewlabels", 60_000, 2000, 3),
    Case("scikit-learn Lloyd", 60_000, 2000, 1),
    *(Case(name, 60_000, k, 1) for k in (100, 500, 2000) for name in ("MiniBatchKMeans", "faiss")),
    *(Case("scikit-learn Elkan", 60_000, k, 1) for k in (100, 500)),
    *(Case("fewlabels", n, k, 3) for n in (15_000, 240_000) for k in (100, 500, 2000)),
    *(Case("scikit-learn Lloyd", 15_000, k, 1) for k in (100, 500, 2000)),
]
QUICK = [Case(name, 15_000, k, 1) for k in (100, 500) for name in ("fewlabels", "scikit-learn Lloyd", "faiss")]


def main() -> None:
    parser = command.parser_of(main)
    parser.add_argument("--quick", action="store_true", help="a check of a minute or two, printed and not written")
    quick = parser.parse_args().quick
    cases = QUICK if quick else FULL
    runs: list[dict[str, Any]] = []
    turns = [(seed, case) for seed in range(1, 4) for case in cases if seed <= case.seeds]
    for seed, case in tqdm(turns, desc="k-means", disable=None):
        runs.append(alone(_measure, case, seed))
        if not quick:
            record("kmeans", summary(runs), runs)
    print_table(summary(runs))


def summary(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a case: medians, the range of the seconds, and their ratio to fewlabels' of the same turn."""
    ours = {(run["images"], run["clusters"], run["seed"]): run["seconds"] for run in runs if run["ours"]}
    rows = []
    for key in dict.fromkeys((run["images"], run["clusters"], run["contender"]) for run in runs):
        mine = [run for run in runs if (run["images"], run["clusters"], run["contender"]) == key]
        seconds = [run["seconds"] for run in mine]
        ratios = [run["seconds"] / ours[run["images"], run["clusters"], run["seed"]] for run in mine]
        rows.append(
            {
                "images": key[0],
                "clusters": key[1],
                "contender": key[2],
                "seconds": float(np.median(seconds)),
                "seconds_least": min(seconds),
                "seconds_most": max(seconds),
                "ratio": float(np.median(ratios)),
                "inertia": float(np.median([run["inertia"] for run in mine])),
                "inertia_most": max(run["inertia"] for run in mine),
                "peak_memory_gib": max(run["peak_memory_gib"] for run in mine),
                "product_seconds": float(np.median([run["product_seconds"] for run in mine])),
                "seeds": len(mine),
            }
        )
    return sorted(rows, key=lambda row: (row["images"], row["clusters"], row["seconds"]))


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the rows of one section of metrics/benchmarks.json."""
    table = Table(title="k-means on Fashion-MNIST, medians over seeds")
    headings = ("images", "clusters", "", "seconds", "x ours", "inertia", "peak GiB", "one matrix product, s", "seeds")
    for heading in headings:
        table.add_column(heading, justify="right" if heading else "left")
    for row in rows:
        table.add_row(
            f"{row['images']:,}",
            f"{row['clusters']:,}",
            row["contender"],
            f"{row['seconds']:.2f}",
            f"{row['ratio']:.1f}",
            f"{row['inertia']:,.0f}",
            f"{row['peak_memory_gib']:.2f}",
            f"{row['product_seconds']:.2f}",
            str(row["seeds"]),
        )
    Console(width=120).print(table)


def _measure(case: Case, seed: int) -> dict[str, Any]:
    X = images(case.images)
    fit = CONTENDERS[case.contender]
    fit(X[:2000], 10, seed)  # libraries load, compiled code comes from disk
    start = time.perf_counter()
    inertia = fit(X, case.clusters, seed)
    seconds = time.perf_counter() - start
    peak = files.peak_memory_gib()
    # A plain matrix product of all points with all centroids: the least cost of computing all distances once.
    centroids = np.ascontiguousarray(X[: case.clusters].T)
    start = time.perf_counter()
    for first in range(0, len(X), 4096):
        X[first : first + 4096] @ centroids
    product = time.perf_counter() - start
    return {
        **case._asdict(),
        "seed": seed,
        "ours": case.contender == "fewlabels",
        "seconds": seconds,
        "inertia": inertia,
        "peak_memory_gib": peak,
        "product_seconds": product,
    }


def images(count: int) -> Floats:
    """The first training images or, beyond 60,000, also the images moved by one pixel to the right, left, down, up."""
    stored = files.load_array("data/flat/train_images.npy")
    pictures = stored.reshape(-1, 28, 28)
    moves = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)][: -(-count // len(stored))]
    return np.concatenate([scale_pixels(np.roll(pictures, move, axis=(1, 2)).reshape(stored.shape)) for move in moves])[
        :count
    ]


def _fewlabels(X: Floats, k: int, seed: int) -> float:
    inertia: float = KMeans(k, random_state=seed).fit(X).inertia_
    return inertia


def _scikit_learn(algorithm: str) -> Callable[[Floats, int, int], float]:
    def fit(X: Floats, k: int, seed: int) -> float:
        from sklearn.cluster import KMeans as Lloyd

        return float(Lloyd(k, n_init=1, algorithm=algorithm, random_state=seed).fit(X).inertia_)

    return fit


def _mini_batch(X: Floats, k: int, seed: int) -> float:
    from sklearn.cluster import MiniBatchKMeans

    return float(MiniBatchKMeans(k, n_init=1, random_state=seed).fit(X).inertia_)


def _faiss(X: Floats, k: int, seed: int) -> float:
    import faiss

    kmeans = faiss.Kmeans(X.shape[1], k, niter=25, seed=seed, max_points_per_centroid=len(X), min_points_per_centroid=1)
    kmeans.train(X)
    return float(kmeans.index.search(X, 1)[0].sum(dtype=np.float64))


CONTENDERS: dict[str, Callable[[Floats, int, int], float]] = {
    "fewlabels": _fewlabels,
    "scikit-learn Lloyd": _scikit_learn("lloyd"),
    "scikit-learn Elkan": _scikit_learn("elkan"),
    "MiniBatchKMeans": _mini_batch,
    "faiss": _faiss,
}


if __name__ == "__main__":
    with command.at_root():
        main()
