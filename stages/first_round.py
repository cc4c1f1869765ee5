"""Buy the labels that decide which features suit the images: those of the first round, drawn at random.

Only for `features: auto`. They are drawn at random so that no candidate has a say in them, and are part of the budget:
`random` and `active` begin with them.
"""

import numpy as np

from fewlabels.choosing.annotator import SimulatedAnnotator
from fewlabels.choosing.at_random import random
from fewlabels.label_set import UNKNOWN, LabelSet
from stages import budget, command, files, inputs, label_sets, params


def main() -> None:
    settings = params.load()
    bought = LabelSet.from_bought([], [])
    if settings.features == "auto":
        true_labels = files.load_array("data/flat/train_labels.npy")
        budget.check("cluster_margin.first_round", settings.cluster_margin.first_round, true_labels)
        rows = random(
            np.asarray(inputs.images("train"), np.float32),
            [],
            [],
            settings.cluster_margin.first_round,
            exclude=np.flatnonzero(true_labels == UNKNOWN),
            random_state=settings.seed,
        )
        bought = LabelSet.from_bought(rows, SimulatedAnnotator(true_labels)(rows))
        print(f"first round: {len(bought):,} labels bought at random, to choose the features by")
    label_sets.save("first_round", bought)


if __name__ == "__main__":
    command.run(main)
