"""Choose images within the label budget, and buy their labels from a simulated annotator.

A label set for each way of choosing: `all`, the baseline; `random`; `representatives`, each cluster's nearest member;
`active`, in rounds of cluster-margin sampling. purchases.csv lists each label bought and its round. Images whose label
nobody knows are not asked about. Labels that were bought to choose the features by (`features: auto`) are the first
round of `random` and `active`.
"""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fewlabels.arrays import Floats
from fewlabels.choosing.annotator import SimulatedAnnotator
from fewlabels.choosing.at_random import random
from fewlabels.choosing.cluster_margin import cluster_margin
from fewlabels.choosing.representatives import nearest_members
from fewlabels.choosing.rounds import QueryStrategy, round_sizes, simulate
from fewlabels.label_set import UNKNOWN, LabelSet
from fewlabels.spreading.copies import label_copies
from stages import budget, command, files, inputs, label_sets, params, ridge

CLUSTERS = Path("data/clusters")


def main() -> None:
    settings = params.load()
    features, originals = inputs.features("train"), files.load_array(inputs.FEATURES / "originals.npy")
    true_labels = files.load_array(inputs.FLAT / "train_labels.npy")
    budget.check("clusters", settings.clusters, true_labels)
    unknown = np.flatnonzero(true_labels == UNKNOWN)
    annotators = {name: SimulatedAnnotator(true_labels) for name in params.BOUGHT}
    first = label_sets.load("first_round").rows

    at_random = partial(random, exclude=unknown, random_state=settings.seed)
    rounds = [len(first), settings.clusters - len(first)] if 0 < len(first) < settings.clusters else [settings.clusters]
    query = _begin_with(first, at_random)
    bought = {"random": simulate(query, features, annotators["random"], settings.clusters, rounds=rounds)}
    nearest = _representatives(true_labels, settings.clusters)
    bought["representatives"] = nearest, annotators["representatives"](nearest)
    if settings.label_sets.wants("active"):
        sampling = settings.cluster_margin
        margin = partial(
            cluster_margin,
            exclude=unknown,
            classifier=ridge.untrained(settings, len(inputs.class_names())),
            random_state=settings.seed,
            candidates=sampling.candidates,
        )
        rounds = round_sizes(settings.clusters, first_round=sampling.first_round, growth=sampling.growth)
        query = _begin_with(first, margin)
        bought["active"] = simulate(query, features, annotators["active"], settings.clusters, rounds=rounds)
    else:
        bought["active"] = np.empty(0, np.int64), np.empty(0, np.uint8)

    for name, annotator in annotators.items():
        label_set = label_copies(LabelSet.from_bought(*bought[name]), originals)
        label_sets.save(name, label_set)
        if len(label_set):
            print(f"{name}: {int(label_set.bought.sum()):,} labels bought in {len(annotator.log)} rounds")
    known = np.flatnonzero(true_labels != UNKNOWN)
    label_sets.save("all", LabelSet.from_bought(known, true_labels[known]))
    files.save_table(
        "data/labels/purchases.csv",
        [
            {"label_set": name, "round": number, "row": row, "label": label}
            for name, annotator in annotators.items()
            for number, (rows, labels) in enumerate(annotator.log)
            for row, label in zip(rows, labels, strict=True)
        ],
    )


def _begin_with(first: NDArray[np.int64], query: QueryStrategy) -> QueryStrategy:
    """Ask about given images in the first round, where there are any, and go on with a query strategy."""

    def asked(features: Floats, rows: ArrayLike, labels: ArrayLike, n: int) -> NDArray[np.int64]:
        return first if len(first) and not len(np.asarray(rows)) else query(features, rows, labels, n)

    return asked


def _representatives(true_labels: NDArray[np.uint8], clusters: int) -> NDArray[np.int64]:
    """Find each cluster's nearest member whose label somebody knows; a cluster without one is left out, and said."""
    assignments, distances = (files.load_array(CLUSTERS / f"{name}.npy") for name in ("assignments", "distances"))
    known = np.flatnonzero(true_labels != UNKNOWN)
    there, place = np.unique(assignments[known], return_inverse=True)
    if len(there) < clusters:
        print(f"representatives: {clusters - len(there):,} clusters have no image with a label")
    return known[nearest_members(place.astype(np.int32), distances[known], len(there))]


if __name__ == "__main__":
    command.run(main)
