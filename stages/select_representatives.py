"""Choose images within the label budget, and buy their labels from a simulated annotator.

A label set for each way of choosing: `all`, the baseline; `random`; `representatives`, each cluster's nearest member;
`active`, in rounds of cluster-margin sampling. purchases.csv lists each label bought and its round.
"""

from functools import partial
from pathlib import Path

import numpy as np

from fewlabels.choosing.annotator import SimulatedAnnotator
from fewlabels.choosing.at_random import random
from fewlabels.choosing.cluster_margin import cluster_margin
from fewlabels.choosing.representatives import nearest_members
from fewlabels.choosing.rounds import round_sizes, simulate
from fewlabels.label_set import LabelSet
from fewlabels.spreading.copies import label_copies
from stages import command, files, label_sets, params, ridge

FLAT, FEATURES, CLUSTERS = Path("data/flat"), Path("data/features"), Path("data/clusters")


def main() -> None:
    settings = params.load()
    features, originals = (files.load_array(FEATURES / f"{name}.npy") for name in ("train_hog", "originals"))
    true_labels = files.load_array(FLAT / "train_labels.npy")
    annotators = {name: SimulatedAnnotator(true_labels) for name in params.BOUGHT}

    at_random = partial(random, random_state=settings.seed)
    bought = {
        "random": simulate(at_random, features, annotators["random"], settings.clusters, rounds=[settings.clusters])
    }
    assignments, distances = (files.load_array(CLUSTERS / f"{name}.npy") for name in ("assignments", "distances"))
    nearest = nearest_members(assignments, distances, settings.clusters)
    bought["representatives"] = nearest, annotators["representatives"](nearest)
    if settings.label_sets.wants("active"):
        sampling = settings.cluster_margin
        query = partial(
            cluster_margin,
            classifier=ridge.untrained(settings),
            random_state=settings.seed,
            candidates=sampling.candidates,
        )
        rounds = round_sizes(settings.clusters, first_round=sampling.first_round, growth=sampling.growth)
        bought["active"] = simulate(query, features, annotators["active"], settings.clusters, rounds=rounds)
    else:
        bought["active"] = np.empty(0, np.int64), np.empty(0, np.uint8)

    for name, annotator in annotators.items():
        label_set = label_copies(LabelSet.from_bought(*bought[name]), originals)
        label_sets.save(name, label_set)
        print(f"{name}: {int(label_set.bought.sum()):,} labels bought in {len(annotator.log)} rounds")
    label_sets.save("all", LabelSet.from_bought(np.arange(len(true_labels)), true_labels))
    files.save_table(
        "data/labels/purchases.csv",
        [
            {"label_set": name, "round": number, "row": row, "label": label}
            for name, annotator in annotators.items()
            for number, (rows, labels) in enumerate(annotator.log)
            for row, label in zip(rows, labels, strict=True)
        ],
    )


if __name__ == "__main__":
    command.run(main)
