"""Time the search for neighbours, beside others: `python -m benchmarks.neighbours [--quick]`.

On Fashion-MNIST's own features, 5 neighbours each. Each search has a process of its own; its CPU seconds are those of
all cores, so that other load on a shared machine matters little. Recall is the share of the nearest neighbours of 2,000
rows, by all distances, that were found. And soft labels are spread over each graph from 2,000 random labels, to count
the images whose likeliest class is another than with scikit-learn's graph. Needs `dvc repro describe`. Writes to
metrics/benchmarks.json.
"""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.neighbors import NearestNeighbors
from tqdm import tqdm

from benchmarks.alone import alone
from benchmarks.results import record
from fewlabels.arrays import Floats, evenly_spaced
from fewlabels.classifiers.kernel_ridge import KernelRidgeClassifier
from fewlabels.features.neighbours import nearest_neighbours
from fewlabels.spreading.graph import neighbour_graph
from fewlabels.spreading.soft_labels import soft_labels
from stages import command, files

Neighbours = NDArray[np.int32]

IMAGES, QUICK = 60_000, 12_000
COUNT = 5
"""Neighbours of each image."""
SAMPLE, LABELS = 2_000, 2_000
"""Rows whose recall is measured, and bought labels that are spread."""
LISTS, PROBES = 256, 16
"""Of faiss: about as many lists as ours, and as many looked at."""


def main() -> None:
    parser = command.parser_of(main)
    parser.add_argument("--quick", action="store_true", help="a check of half a minute, printed and not written")
    quick = parser.parse_args().quick
    features = files.load_array("data/features/train.npy")[: QUICK if quick else IMAGES]
    labels = files.load_array("data/flat/train_labels.npy")[: len(features)]
    searches = {
        name: alone(_measure, name, len(features)) for name in tqdm(CONTENDERS, desc="neighbours", disable=None)
    }
    rows = summary(features, labels, searches)
    if not quick:
        record("neighbours", rows, rows)
    print_table(rows)


def summary(
    features: Floats, labels: NDArray[np.uint8], searches: dict[str, tuple[dict[str, float], Neighbours]]
) -> list[dict[str, Any]]:
    """One row a contender: seconds and their ratio to ours, recall, and how many soft labels differ."""
    sample = evenly_spaced(len(features), SAMPLE)
    nearest = among_all(features, sample)
    classes = {name: _likeliest_classes(features, labels, found) for name, (_, found) in searches.items()}
    return [
        {
            "contender": name,
            "images": len(features),
            **measured,
            "ratio": measured["cpu_seconds"] / searches["fewlabels"][0]["cpu_seconds"],
            "recall": recall(found[sample], nearest),
            "other_classes": int(np.count_nonzero(classes[name] != classes["scikit-learn brute"])),
        }
        for name, (measured, found) in searches.items()
    ]


def recall(found: Neighbours, nearest: Neighbours) -> float:
    """Compute the share of the nearest neighbours that were found, in any order."""
    return float(np.mean((found[:, :, None] == nearest[:, None, :]).any(axis=1)))


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the rows of one section of metrics/benchmarks.json."""
    table = Table(title=f"Neighbours of {rows[0]['images']:,} of Fashion-MNIST's images by HOG features")
    for heading in ("", "CPU seconds", "x ours", "seconds", "recall, %", "peak GiB", "other likeliest class"):
        table.add_column(heading, justify="right" if heading else "left")
    for row in rows:
        table.add_row(
            row["contender"],
            f"{row['cpu_seconds']:.1f}",
            f"{row['ratio']:.1f}",
            f"{row['seconds']:.1f}",
            f"{100 * row['recall']:.2f}",
            f"{row['peak_memory_gib']:.2f}",
            str(row["other_classes"]),
        )
    Console(width=120).print(table)


def _measure(contender: str, images: int) -> tuple[dict[str, float], Neighbours]:
    features, search = files.load_array("data/features/train.npy")[:images], CONTENDERS[contender]
    search(features[:10_000])  # libraries load, compiled code comes from disk
    cpu, start = time.process_time(), time.perf_counter()
    found = search(features)
    measured = {"cpu_seconds": time.process_time() - cpu, "seconds": time.perf_counter() - start}
    return measured | {"peak_memory_gib": files.peak_memory_gib()}, found


def _likeliest_classes(features: Floats, labels: NDArray[np.uint8], found: Neighbours) -> NDArray[np.intp]:
    """Spread random labels over a graph of neighbours: the likeliest class of each image."""
    bought = np.random.default_rng(0).choice(len(labels), LABELS, replace=False)
    classifier = KernelRidgeClassifier(classes=range(10))
    soft, _ = soft_labels(features, neighbour_graph(found), bought, labels[bought], classifier, random_state=0)
    likeliest: NDArray[np.intp] = soft.argmax(axis=1)
    return likeliest


def among_all(features: Floats, rows: NDArray[np.int64]) -> Neighbours:
    """Compare some rows with all, in float64."""
    search = NearestNeighbors(n_neighbors=COUNT + 1, algorithm="brute").fit(features.astype(np.float64))
    found = search.kneighbors(features[rows].astype(np.float64), return_distance=False)
    return _others(found, rows)


def _others(found: NDArray[np.int64], rows: NDArray[np.int64]) -> Neighbours:
    """Leave out each row itself, or the last, of one neighbour too many."""
    kept = found != rows[:, None]
    kept[kept.all(axis=1), -1] = False
    others: Neighbours = found[kept].reshape(len(rows), COUNT).astype(np.int32)
    return others


def _fewlabels(features: Floats) -> Neighbours:
    found: Neighbours = nearest_neighbours(features, COUNT)
    return found


def _scikit_learn(features: Floats) -> Neighbours:
    search = NearestNeighbors(n_neighbors=COUNT, algorithm="brute").fit(features)
    return np.asarray(search.kneighbors(return_distance=False), np.int32)


def _faiss_flat(features: Floats) -> Neighbours:
    import faiss

    return _searched(faiss.IndexFlatL2(features.shape[1]), features)


def _faiss_lists(features: Floats) -> Neighbours:
    import faiss

    coarse = faiss.IndexFlatL2(features.shape[1])
    index = faiss.IndexIVFFlat(coarse, features.shape[1], LISTS)
    index.train(features)
    index.nprobe = PROBES
    return _searched(index, features)


def _searched(index: Any, features: Floats) -> Neighbours:
    index.add(features)
    return _others(index.search(features, COUNT + 1)[1], np.arange(len(features)))


CONTENDERS = {
    "fewlabels": _fewlabels,
    "scikit-learn brute": _scikit_learn,
    "faiss flat": _faiss_flat,
    f"faiss IVF, {PROBES} of {LISTS} lists": _faiss_lists,
}


if __name__ == "__main__":
    with command.at_root():
        main()
