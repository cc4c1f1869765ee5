"""Spread the bought labels: over clusters, over the images near each centroid, and as soft labels of all images."""

import numpy as np
from numpy.typing import NDArray

from fewlabels.label_set import LabelSet
from fewlabels.pool import as_pool
from fewlabels.spreading.clusters import propagate, within_percentile
from fewlabels.spreading.graph import neighbour_graph
from fewlabels.spreading.soft_labels import confident_labels, soft_labels
from stages import command, engine, files, inputs, label_sets, params, ridge

NOTHING = LabelSet.from_bought([], [])


def main() -> None:
    settings = params.load()
    representatives, active = label_sets.load("representatives"), label_sets.load("active")
    trained_on = label_sets.not_judging()
    with engine.running(settings, "propagate"):
        for name, bought, spread in (
            ("propagated", representatives, _over_clusters),
            ("partially_propagated", representatives, _near_centroids),
            ("propagated_soft", active, _soft_labels),
        ):
            # What nobody trains on is not made: each set may have a row for every image.
            label_set = NOTHING if not settings.label_sets.wants(name) else spread(bought, settings, trained_on)
            label_sets.save(name, label_set)
            if len(label_set):
                print(f"{name}: {int(bought.bought.sum()):,} labels spread to {len(label_set):,} images")


def _over_clusters(representatives: LabelSet, settings: params.Params, trained_on: NDArray[np.bool_]) -> LabelSet:
    return propagate(representatives, inputs.clusters()[0], trained_on)


def _near_centroids(representatives: LabelSet, settings: params.Params, trained_on: NDArray[np.bool_]) -> LabelSet:
    assignments, distances = inputs.clusters()
    near = as_pool(within_percentile(assignments, distances, settings.percentile)).array()
    return propagate(representatives, assignments, trained_on & near)


def _soft_labels(active: LabelSet, settings: params.Params, trained_on: NDArray[np.bool_]) -> LabelSet:
    """Give soft labels to images whose likeliest class is probable enough."""
    if not len(active):
        return NOTHING
    weights = settings.label_spreading.neighbour_weights
    probabilities, weight = soft_labels(
        inputs.features("train"),
        neighbour_graph(files.load_rows(inputs.FEATURES / "neighbours.npy")),
        active.rows[active.bought],
        active.labels[active.bought],
        ridge.untrained(settings, len(inputs.class_names())),
        neighbour_weights=weights,
        random_state=settings.seed,
    )
    print(f"propagated_soft: weight of the neighbours {weight:g}, of {', '.join(f'{one:g}' for one in weights)}")
    return confident_labels(
        probabilities,
        active,
        trained_on,
        confidence=settings.confidence,
        most=settings.network.student.images,
        random_state=settings.seed,
    )


if __name__ == "__main__":
    command.run(main)
