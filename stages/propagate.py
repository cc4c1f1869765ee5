"""Spread the bought labels: over the clusters, to every member or to those near the centroid; and as probabilities."""

from pathlib import Path

import numpy as np

from fewlabels import spreading
from fewlabels.kernel_ridge import KernelRidgeClassifier
from fewlabels.label_set import LabelSet
from fewlabels.neighbours import graph
from fewlabels.propagation import propagate, within_percentile
from stages import files, params

FLAT, LABELS, CLUSTERS = Path("data/flat"), Path("data/labels"), Path("data/clusters")


def main() -> None:
    settings = params.load()
    representatives = LabelSet(**files.load_arrays(LABELS / "representatives.npz"))
    active = LabelSet(**files.load_arrays(LABELS / "active.npz"))
    assignments, distances = (files.load_array(CLUSTERS / f"{name}.npy") for name in ("assignments", "distances"))
    near = within_percentile(assignments, distances, settings.percentile)
    for name, bought, label_set in (
        ("propagated", representatives, propagate(representatives, assignments)),
        ("propagated_near", representatives, propagate(representatives, assignments, near)),
        ("propagated_soft", active, _softly(active, settings)),
    ):
        files.save_arrays(LABELS / f"{name}.npz", label_set.arrays())
        print(f"{name}: {len(bought):,} labels spread to {len(label_set):,} images")


def _softly(active: LabelSet, settings: params.Params) -> LabelSet:
    """Every image whose answer is confident enough; nothing, if nobody trains on it."""
    if not settings.label_sets.wants("propagated_soft"):
        nothing = np.empty(0, np.int64)
        return LabelSet(nothing, nothing.astype(np.uint8), nothing.astype(bool))
    classes = range(len(settings.data.classes))
    probabilities, share = spreading.soft_labels(
        files.load_array(FLAT / "train_gradients.npy"),
        graph(files.load_array(FLAT / "neighbours.npy")),
        active.rows,
        active.labels,
        KernelRidgeClassifier(settings.kernel_ridge.gamma, settings.kernel_ridge.alpha, classes),
        random_state=settings.seed,
    )
    print(f"propagated_soft: {share:.0%} of a probability from neighbours, by the bought labels held back")
    bought = np.zeros(len(probabilities), bool)
    bought[active.rows] = True
    rows = np.flatnonzero(bought | (probabilities.max(axis=1) >= settings.confidence))
    likeliest = probabilities[rows].argmax(axis=1).astype(np.uint8)
    return LabelSet(rows, likeliest, bought[rows], probabilities=probabilities[rows])


if __name__ == "__main__":
    main()
