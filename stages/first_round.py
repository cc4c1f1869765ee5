"""Buy the labels that decide which features suit the images: those of the first round, drawn at random.

Only for `features: auto`. They are drawn at random so that no candidate has a say in them, and are part of the budget:
`random` and `active` begin with them. From people they are there once the whole first round is answered.
"""

import numpy as np
from numpy.typing import NDArray

from fewlabels.arrays import first_occurrences
from fewlabels.choosing.annotator import SimulatedAnnotator
from fewlabels.choosing.at_random import random
from fewlabels.label_set import UNKNOWN, LabelSet
from fewlabels.pool import as_pool
from labelling import verdicts
from stages import budget, command, engine, files, inputs, label_sets, params, people

NOTHING = LabelSet.from_bought([], [])


def main() -> None:
    settings = params.load()
    bought = NOTHING
    if settings.features == "auto":
        with engine.running(settings, "first-round"):
            originals = as_pool(first_occurrences(inputs.images("train"))).array()
        by = _from_people if settings.oracle == "people" else _from_labels
        bought = by(settings, originals)
    label_sets.save("first_round", bought)


def _from_labels(settings: params.Params, originals: NDArray[np.int64]) -> LabelSet:
    true_labels = files.load_array("data/flat/train_labels.npy")
    budget.check("cluster_margin.first_round", settings.cluster_margin.first_round, true_labels)
    distinct = originals[:, None].astype(np.float64)  # `random` looks at features for copies only
    first, unknown = settings.cluster_margin.first_round, np.flatnonzero(true_labels == UNKNOWN)
    rows = random(distinct, [], [], first, exclude=unknown, random_state=settings.seed)
    print(f"first round: {len(rows):,} labels bought at random, to choose the features by")
    return LabelSet.from_bought(rows, SimulatedAnnotator(true_labels)(rows))


def _from_people(settings: params.Params, originals: NDArray[np.int64]) -> LabelSet:
    answered, _ = people.answered()
    labelled = verdicts.for_training(answered, originals)
    first, wanted = labelled.rounds == 1, settings.cluster_margin.first_round
    print(f"first round: {int(first.sum()):,} of {wanted:,} labels from people, to choose the features by")
    # Once a second round has begun the first was whole, whatever of it was taken back since.
    whole = first.sum() >= wanted or labelled.rounds.max(initial=0) > 1
    return LabelSet.from_bought(labelled.rows[first], labelled.labels[first]) if whole else NOTHING


if __name__ == "__main__":
    command.run(main)
