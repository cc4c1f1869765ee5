"""Train kernel ridge regression on the features of one label set: `python -m stages.train_ridge NAME`."""

import numpy as np

from fewlabels.label_set import LabelSet
from stages import command, inputs, params, ridge, trainer


def main() -> None:
    trainer.run("ridge", train)


def train(settings: params.Params, name: str, label_set: LabelSet) -> trainer.Trained:
    label_set.require_classes(1)
    bought = label_set.bought  # a copy of a bought image adds nothing, and would tell its label when it is left out
    rows, labels = label_set.rows[bought], label_set.labels[bought]
    classifier = ridge.untrained(settings, len(inputs.class_names()))
    classifier.fit(inputs.seen("train", rows), labels)
    left_out = LabelSet(rows, labels, np.ones(len(rows), bool), classifier.leave_one_out_proba())
    best = "active" if "active" in settings.label_sets.ridge else settings.label_sets.ridge[0]
    return trainer.on_features(classifier, everywhere=name == best, left_out=left_out)


if __name__ == "__main__":
    with command.at_root():
        main()
