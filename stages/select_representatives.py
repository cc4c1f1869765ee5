"""Spend the budget: the one stage that buys training labels, and reads no other.

A label set for each way of choosing: `all`, the baseline; `random`; `representatives`, the nearest to each centroid;
and `distances`, every label again for a classifier that sees the distances to the centroids.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fewlabels.label_set import LabelSet
from fewlabels.representatives import nearest_members
from stages import files, params

LABELS, CLUSTERS = Path("data/labels"), Path("data/clusters")


def main() -> None:
    settings = params.load()
    oracle = files.load_array("data/flat/train_labels.npy")
    assignments, distances = (files.load_array(CLUSTERS / f"{name}.npy") for name in ("assignments", "distances"))
    centroids = files.load_object(CLUSTERS / "kmeans.joblib")[-1].cluster_centers_

    everything = np.arange(len(oracle))
    representatives = nearest_members(assignments, distances, settings.clusters)
    at_random = np.random.default_rng(settings.seed).choice(len(oracle), settings.clusters, replace=False)
    for name, label_set in {
        "all": _bought(oracle, everything),
        "random": _bought(oracle, at_random),
        "representatives": _bought(oracle, representatives),
        "distances": _bought(oracle, everything, centroids),
    }.items():
        files.save_arrays(LABELS / f"{name}.npz", label_set.arrays())
        print(f"{name}: {len(label_set):,} labels bought")


def _bought(
    oracle: NDArray[np.uint8], rows: NDArray[np.int64], centroids: NDArray[np.float32] | None = None
) -> LabelSet:
    rows = np.sort(rows)
    return LabelSet(rows, labels=np.array(oracle[rows]), bought=np.ones(len(rows), bool), centroids=centroids)


if __name__ == "__main__":
    main()
