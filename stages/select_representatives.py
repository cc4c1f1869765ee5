"""Spend the budget: the one stage that buys training labels, and reads no other.

A label set for each way of choosing: `all`, the baseline; `random`; `representatives`, the nearest to each centroid;
`active`, in rounds, where the labels so far leave the most doubt; and `distances`, every label again for a classifier
that sees the distances to the centroids. What was bought with a budget, and in which round, is in purchases.csv.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fewlabels import active
from fewlabels.label_set import LabelSet
from fewlabels.oracle import Oracle
from fewlabels.representatives import nearest_members
from stages import files, params

FLAT, LABELS, CLUSTERS = Path("data/flat"), Path("data/labels"), Path("data/clusters")


def main() -> None:
    settings = params.load()
    true_labels = files.load_array(FLAT / "train_labels.npy")
    assignments, distances = (files.load_array(CLUSTERS / f"{name}.npy") for name in ("assignments", "distances"))
    centroids = files.load_object(CLUSTERS / "kmeans.joblib")[-1].cluster_centers_

    oracles = {name: Oracle(true_labels) for name in params.BOUGHT_SETS}
    at_random = np.random.default_rng(settings.seed).choice(len(true_labels), settings.clusters, replace=False)
    label_sets = {
        "random": _bought(at_random, oracles["random"]),
        "representatives": _bought(
            nearest_members(assignments, distances, settings.clusters), oracles["representatives"]
        ),
        "active": _actively_bought(settings, oracles["active"]),
    }
    for name, label_set in label_sets.items():
        print(f"{name}: {len(label_set):,} labels bought in {len(oracles[name].purchases)} rounds")
    everything = np.arange(len(true_labels))
    label_sets["all"] = _bought(everything, Oracle(true_labels))
    label_sets["distances"] = _bought(everything, Oracle(true_labels), centroids)
    for name, label_set in label_sets.items():
        files.save_arrays(LABELS / f"{name}.npz", label_set.arrays())
    files.save_table(
        LABELS / "purchases.csv",
        [
            {"label_set": name, "round": number, "row": row, "label": true_labels[row]}
            for name, oracle in oracles.items()
            for number, rows in enumerate(oracle.purchases)
            for row in rows
        ],
    )


def _bought(rows: NDArray[np.int64], oracle: Oracle, centroids: NDArray[np.float32] | None = None) -> LabelSet:
    rows = np.sort(rows)
    return LabelSet(rows, labels=oracle(rows), bought=np.ones(len(rows), bool), centroids=centroids)


def _actively_bought(settings: params.Params, oracle: Oracle) -> LabelSet:
    """Nothing, if nobody trains on it."""
    if not (settings.label_sets.wants("active") or settings.label_sets.wants("propagated_soft")):
        rows, labels = np.empty(0, np.int64), np.empty(0, np.uint8)
    else:
        rows, labels = active.buy(
            files.load_array(FLAT / "train_gradients.npy"),
            oracle,
            settings.clusters,
            classes=len(settings.data.classes),
            gamma=settings.kernel_ridge.gamma,
            alpha=settings.kernel_ridge.alpha,
            random_state=settings.seed,
        )
    order = np.argsort(rows)
    return LabelSet(rows[order], labels[order], np.ones(len(rows), bool))


if __name__ == "__main__":
    main()
